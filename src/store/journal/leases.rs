//! Leases and counters that the log has and a checkpoint must absorb.

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

/// Queue, and number of the record that made the entry.
pub(crate) type LeaseKey = (QueueId, u64);

/// What the log says last about who had an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    /// Times leased, saturating.
    pub(crate) acquired: u16,
    /// Counted releases, saturating.
    pub(crate) failed: u16,
    /// Deadline of a lease, none if it was given up.
    pub(crate) until: Option<CoreTime>,
}

/// The leases of entries that live.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    known: HashMap<LeaseKey, Lease>,
    /// What changed since [`Leases::take_changes`].
    changed: BTreeMap<LeaseKey, Option<Lease>>,
}

impl Leases {
    /// What is known of an entry.
    pub(crate) fn get(&self, key: LeaseKey) -> Option<Lease> {
        match self.known.is_empty() {
            true => None,
            false => self.known.get(&key).copied(),
        }
    }

    /// The log says this of an entry.
    pub(crate) fn set(&mut self, key: LeaseKey, lease: Lease) {
        self.known.insert(key, lease);
        self.changed.insert(key, Some(lease));
    }

    /// The entry left its queue.
    pub(crate) fn forget(&mut self, key: LeaseKey) {
        if !self.known.is_empty() && self.known.remove(&key).is_some() {
            self.changed.insert(key, None);
        }
    }

    /// Forgets those of entries that are gone.
    pub(crate) fn keep(&mut self, is_there: impl Fn(LeaseKey) -> bool) {
        let changed = &mut self.changed;
        self.known.retain(|key, _| {
            let keeps = is_there(*key);
            if !keeps {
                changed.insert(*key, None);
            }
            keeps
        });
    }

    /// What changed since the last call.
    pub(crate) fn take_changes(&mut self) -> BTreeMap<LeaseKey, Option<Lease>> {
        std::mem::take(&mut self.changed)
    }

    /// Takes over what a checkpoint holds; not a change.
    pub(crate) fn load(&mut self, key: LeaseKey, lease: Lease) {
        self.known.insert(key, lease);
    }
}
