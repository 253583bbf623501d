//! What an operation on a queue leaves to be done once its lock is free: records, dead letters, wakes.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::read::SpillId;
use crate::core::log::record::EntryRef;
use crate::core::log::record::GrantedEntry;
use crate::core::log::record::SettleKind;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::runs::Runs;

/// An entry on its way to a dead-letter target: the mover holds it in its queue until it has arrived.
#[derive(Clone, Debug)]
pub(in crate::core) struct Doomed {
    pub(in crate::core) seq: u64,
    pub(in crate::core) cause: Cause,
    pub(in crate::core) message: Message,
    pub(in crate::core) overlay: Option<Arc<Overlay>>,
    pub(in crate::core) reference: Option<EntryRef>,
    /// Whether a consumer had it since it came here: a cycle with a delivery in it has no hop limit.
    pub(in crate::core) was_delivered: bool,
}

/// The counters of an entry, to be logged.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Counted {
    pub(in crate::core) entry: Lsn,
    pub(in crate::core) acquired: u16,
    pub(in crate::core) failed: u16,
}

/// A chunk that was put aside and is emptied: what its entries hold in the log is still to be released.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct Reaped {
    pub(in crate::core) id: SpillId,
    /// Sequences that it spans.
    pub(in crate::core) len: u32,
    /// Entries in it.
    pub(in crate::core) live: u64,
    /// Bytes of their bodies.
    pub(in crate::core) ready_bytes: u64,
    /// The lowest and the highest LSN of their records; none if the log holds none of them.
    pub(in crate::core) lsns: Option<(Lsn, Lsn)>,
}

/// Filled under the lock of a queue, carried out by `Core` without it.
#[derive(Debug, Default)]
pub(in crate::core) struct Effects {
    /// Left the queue for good.
    pub(in crate::core) settled: Runs<SettleKind, EntryRef>,
    pub(in crate::core) doomed: Vec<Doomed>,
    /// Ranges of LSNs whose entries left, of those in [`Effects::reaped`].
    pub(in crate::core) purged: Vec<(Lsn, Lsn)>,
    pub(in crate::core) reaped: Vec<Reaped>,
    /// Leased to nobody until this time.
    pub(in crate::core) granted: Runs<CoreTime, GrantedEntry>,
    pub(in crate::core) counted: Vec<Counted>,
    /// A push or a take wakes one; only a queue that goes wakes more.
    pub(in crate::core) wakes: SmallVec<[(Arc<Inbox>, Event); 1]>,
    /// The queue wants its timer at this time.
    pub(in crate::core) due: Option<CoreTime>,
    /// A message cannot be read, for this reason: the queue is to be quarantined.
    pub(in crate::core) fault: Option<Arc<str>>,
    /// Entries that were dropped, and why: for the metrics.
    pub(in crate::core) dropped: Vec<(SettleKind, u64)>,
}

impl Effects {
    /// Counts `n` drops.
    pub(in crate::core) fn drop_for(&mut self, kind: SettleKind, n: u64) {
        match self.dropped.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, count)) => *count += n,
            None => self.dropped.push((kind, n)),
        }
    }

    /// Whether the log is not concerned.
    pub(in crate::core) fn has_no_records(&self) -> bool {
        self.settled.is_empty()
            && self.purged.is_empty()
            && self.granted.is_empty()
            && self.counted.is_empty()
    }

    /// Posts the events, in order.
    pub(in crate::core) fn wake(&mut self) {
        for (inbox, event) in self.wakes.drain(..) {
            inbox.post(event);
        }
    }
}
