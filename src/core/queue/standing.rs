//! Whether a queue does its work: it does, it is quarantined ([`crate::core::quarantine`]), or it is gone.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::record::EntryRef;
use crate::core::model::ids::Lsn;
use crate::core::queue::state::QueueState;

/// Whether a queue does its work.
#[derive(Debug)]
pub(in crate::core) enum Standing {
    /// It does.
    Open,
    /// Damage may concern it, namely this.
    Quarantined(Arc<str>),
    /// It is gone.
    Deleted,
}

impl QueueState {
    /// Whether the queue is gone.
    pub(in crate::core) fn is_deleted(&self) -> bool {
        matches!(self.standing, Standing::Deleted)
    }

    /// Whether it is neither gone nor quarantined.
    pub(in crate::core) fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open)
    }

    /// Why it is quarantined, if it is.
    pub(in crate::core) fn quarantined(&self) -> Option<&Arc<str>> {
        match &self.standing {
            Standing::Quarantined(why) => Some(why),
            Standing::Open | Standing::Deleted => None,
        }
    }

    /// Nothing can be pushed or taken any more, nothing leaves by itself. Returns the events for its consumers.
    pub(in crate::core) fn quarantine(&mut self, why: Arc<str>) -> Vec<(Arc<Inbox>, Event)> {
        self.standing = Standing::Quarantined(why);
        self.consumers.cancel_all()
    }

    /// Whether an entry, or its message, is one of these records. Of what was put aside only the range is known that
    /// its entries are in.
    pub(in crate::core) fn holds(&self, records: &RangeInclusive<Lsn>) -> bool {
        let is_one =
            |entry: EntryRef| records.contains(&entry.entry) || records.contains(&entry.message);
        let mut delayed = self.delayed.values();
        self.ring.holds(records, &is_one)
            || delayed.any(|delayed| delayed.reference().is_some_and(is_one))
    }
}
