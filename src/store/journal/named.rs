//! Which queues records name: what a damaged part of the log can concern.

use roaring::RoaringTreemap;

use crate::core::model::ids::QueueId;

/// Names that are recognised at once when they come again.
const RECENT: u64 = 64;
/// Fewest names that are looked through for those that came twice.
const FEW: usize = 1_024;

/// Collects names: a few instructions for one that came a moment ago.
#[derive(Debug)]
pub(super) struct Named {
    recent: [Option<QueueId>; 64],
    ids: Vec<QueueId>,
    /// Length at which doubles are dropped.
    limit: usize,
}

impl Default for Named {
    fn default() -> Self {
        Self {
            recent: [None; 64],
            ids: Vec::new(),
            limit: FEW,
        }
    }
}

impl Named {
    /// A record names this queue.
    pub(super) fn note(&mut self, queue: QueueId) {
        let place = usize::try_from(queue.0 % RECENT).unwrap_or(0);
        let Some(recent) = self.recent.get_mut(place) else {
            return;
        };
        if *recent != Some(queue) {
            *recent = Some(queue);
            self.ids.push(queue);
            if self.ids.len() >= self.limit {
                self.drop_doubles();
            }
        }
    }

    fn drop_doubles(&mut self) {
        self.ids.sort_unstable();
        self.ids.dedup();
        self.limit = FEW.max(self.ids.len().saturating_mul(2));
    }

    /// Adds what was collected to a set, and starts anew.
    pub(super) fn move_to(&mut self, set: &mut RoaringTreemap) {
        set.extend(self.ids.drain(..).map(|queue| queue.0));
        self.recent.fill(None);
        self.limit = FEW;
    }

    /// Adds what another one has collected.
    pub(super) fn add(&mut self, other: &Self) {
        for queue in &other.ids {
            self.note(*queue);
        }
    }

    /// Whether nothing was collected.
    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Starts anew.
    pub(super) fn clear(&mut self) {
        if !self.is_empty() {
            self.ids.clear();
            self.recent.fill(None);
            self.limit = FEW;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let mut named = Named::default();
        for round in 0..3 {
            for id in 0..5_000 {
                named.note(QueueId(id * (round % 2 + 1)));
            }
        }
        assert!(named.ids.len() < 20_000, "doubles are dropped on the way");
        let mut set = RoaringTreemap::new();
        named.move_to(&mut set);
        let expected = (0..5_000).chain((0..5_000).map(|id| id * 2));
        assert_eq!(set, expected.collect());
        assert!(named.is_empty());
    }
}
