//! Deliveries that wait for an acknowledgement, by tag.

use std::collections::VecDeque;

use crate::core::queue::settle::LeaseRef;

/// A delivery that its client holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocols::amqp091) struct Lease {
    /// Index into the channel's sources.
    pub(in crate::protocols::amqp091) source: usize,
    /// Key of the consumer; none for basic.get.
    pub(in crate::protocols::amqp091) consumer: Option<u64>,
    pub(in crate::protocols::amqp091) lease: LeaseRef,
}

/// Unacknowledged deliveries in the order of their tags.
///
/// INVARIANT: tags ascend; the first slot is live; `dead` slots are settled out of order.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) struct Unacked {
    slots: VecDeque<(u64, Option<Lease>)>,
    dead: usize,
}

impl Unacked {
    /// Whether there is none.
    pub(in crate::protocols::amqp091) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a delivery; its tag is above all others.
    pub(in crate::protocols::amqp091) fn push(&mut self, tag: u64, lease: Lease) {
        self.slots.push_back((tag, Some(lease)));
    }

    /// Takes the delivery with this tag.
    pub(in crate::protocols::amqp091) fn take(&mut self, tag: u64) -> Option<Lease> {
        let at = self.position(tag)?;
        let lease = self.slots.get_mut(at)?.1.take()?;
        self.dead += 1;
        self.trim();
        Some(lease)
    }

    /// Takes all deliveries up to this tag, oldest first; none if the tag is not there.
    pub(in crate::protocols::amqp091) fn take_upto(
        &mut self,
        tag: u64,
    ) -> Option<impl Iterator<Item = Lease>> {
        let at = self.position(tag)?;
        self.slots.get(at)?.1?;
        let taken: Vec<_> = self
            .slots
            .drain(..=at)
            .filter_map(|(_, lease)| lease)
            .collect();
        self.dead -= (at + 1) - taken.len();
        self.trim();
        Some(taken.into_iter())
    }

    /// Takes all of them, oldest first.
    pub(in crate::protocols::amqp091) fn take_all(&mut self) -> impl Iterator<Item = Lease> {
        self.dead = 0;
        std::mem::take(&mut self.slots)
            .into_iter()
            .filter_map(|(_, lease)| lease)
    }

    fn position(&self, tag: u64) -> Option<usize> {
        if self.slots.front().is_some_and(|(first, _)| *first == tag) {
            return Some(0);
        }
        self.slots.binary_search_by_key(&tag, |(tag, _)| *tag).ok()
    }

    fn trim(&mut self) {
        while let Some((_, None)) = self.slots.front() {
            self.slots.pop_front();
            self.dead -= 1;
        }
        // One old delivery must not keep a slot for each that came after it.
        if self.dead > 64 && self.dead > self.slots.len() / 2 {
            self.slots.retain(|(_, lease)| lease.is_some());
            self.dead = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(seq: u64) -> Lease {
        Lease {
            source: 0,
            consumer: None,
            lease: LeaseRef { seq, attempt: 1 },
        }
    }

    fn with(tags: impl IntoIterator<Item = u64>) -> Unacked {
        let mut unacked = Unacked::default();
        for tag in tags {
            unacked.push(tag, lease(tag));
        }
        unacked
    }

    fn seqs(leases: impl Iterator<Item = Lease>) -> Vec<u64> {
        leases.map(|lease| lease.lease.seq).collect()
    }

    #[test]
    fn a_tag_is_taken_once() {
        let mut unacked = with(1..=3);
        assert_eq!(unacked.take(2), Some(lease(2)));
        assert_eq!(unacked.take(2), None);
        assert_eq!(unacked.take(9), None);
        assert!(unacked.take_upto(2).is_none(), "it is acknowledged already");
        assert_eq!(seqs(unacked.take_upto(3).unwrap()), [1, 3]);
        assert!(unacked.is_empty());
    }

    #[test]
    fn all_are_taken_oldest_first_and_gaps_in_tags_do_no_harm() {
        let mut unacked = with([2, 5, 9]);
        assert_eq!(unacked.take(5), Some(lease(5)));
        assert_eq!(seqs(unacked.take_all()), [2, 9]);
        assert!(unacked.is_empty());
    }

    #[test]
    fn one_old_delivery_keeps_no_slots_of_later_ones() {
        let mut unacked = with(1..=1000);
        for tag in 2..=1000 {
            assert_eq!(unacked.take(tag), Some(lease(tag)));
        }
        assert!(unacked.slots.len() <= 130, "{}", unacked.slots.len());
        assert_eq!(unacked.take(1), Some(lease(1)));
        assert!(unacked.is_empty());
    }
}
