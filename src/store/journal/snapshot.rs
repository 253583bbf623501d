//! What a checkpoint absorbs: the journal's state at one number, as the difference to the snapshot before.

use std::collections::BTreeMap;

use crate::core::log::store::Hole;
use crate::core::model::time::CoreTime;

use super::Journal;
use super::Lease;
use super::LeaseKey;
use super::LiveChanges;
use super::Purge;
use super::SegmentRow;

/// The state after record [`At::log`].
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// Grows by one with each of this start.
    pub(crate) serial: u64,
    /// Where it stands.
    pub(crate) at: At,
    /// What changed since the one before.
    pub(crate) delta: Delta,
}

/// Where in the log a snapshot stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    /// The last record whose effect is in it, 0 = none.
    pub(crate) log: u64,
    /// The last catalog record up to there, 0 = none.
    pub(crate) last_catalog: u64,
    /// The latest core time up to there.
    pub(crate) latest: CoreTime,
    /// Whether the last record is the mark of a clean stop.
    pub(crate) is_clean_stop: bool,
}

/// What changed between two snapshots: each thing as it is now, none if it is gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delta {
    /// Records that live.
    pub(crate) live: LiveChanges,
    /// Leases and counters.
    pub(crate) leases: BTreeMap<LeaseKey, Option<Lease>>,
    /// Segments.
    pub(crate) segments: BTreeMap<u64, Option<SegmentRow>>,
    /// Segments of the cold chain.
    pub(crate) cold: BTreeMap<u64, Option<SegmentRow>>,
    /// All purges whose entries may not all have ended.
    pub(crate) purges: Vec<Purge>,
    /// Number of chunks of every living publish whose body is in chunk records.
    pub(crate) chunked: BTreeMap<u64, u32>,
    /// All parts of the log that were found unreadable.
    pub(crate) holes: Vec<Hole>,
}

impl Delta {
    /// Adds what changed later.
    pub(crate) fn merge(&mut self, later: Self) {
        self.live.merge(later.live);
        self.leases.extend(later.leases);
        self.segments.extend(later.segments);
        self.cold.extend(later.cold);
        self.purges = later.purges;
        self.chunked = later.chunked;
        self.holes = later.holes;
    }
}

impl Journal {
    /// The state as it is, pending records included: it is true once they are durable.
    ///
    /// What is pending is written from here on, even if it is settled before: the snapshot says that it lives, and
    /// only a record can say otherwise.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.snapshots += 1;
        let pending = self.pending_from();
        self.live.cut(pending);
        self.drop_purges(pending);
        let mut live = self.live.take_changes();
        let set = &mut self.live;
        for batch in self.sealed.iter_mut().chain([&mut self.open]) {
            batch.pin(|number, references| {
                live.overlay(set, number, references);
                set.touch(number);
            });
        }
        let at = At {
            log: self.last(),
            last_catalog: self.last_catalog,
            latest: self.latest,
            is_clean_stop: self.last_stop > 0 && self.last_stop == self.last(),
        };
        self.snapshot_upto = at.log;
        Snapshot {
            serial: self.snapshots,
            at,
            delta: Delta {
                live,
                leases: self.leases.take_changes(),
                segments: self.ledger.take_changes(),
                cold: self.cold.take_changes(),
                purges: self.purges.clone(),
                chunked: self
                    .chunked
                    .iter()
                    .map(|(n, chunks)| (*n, *chunks))
                    .collect(),
                holes: self.holes.clone(),
            },
        }
    }

    /// Whether a snapshot would differ from the one before.
    pub(crate) fn has_changed(&self) -> bool {
        self.last() != self.snapshot_upto || self.live.has_changed()
    }

    /// Forgets purges of which nothing lives any more.
    fn drop_purges(&mut self, pending: u64) {
        let live = &self.live;
        self.purges.retain(|purge| {
            purge.upto >= pending || live.iter(purge.from..=purge.upto).next().is_some()
        });
        self.purges.sort_unstable();
        self.purges.dedup();
    }
}
