//! An entry: one message in one queue.

use std::sync::Arc;

use crate::core::log::record::EntryRef;
use crate::core::model::batch::MessageBatch;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;

/// What an entry is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum EntryState {
    /// Waits to be taken.
    Ready,
    /// Leased.
    Leased,
    /// On its way to a dead-letter target: the mover holds it.
    Moving,
    /// Settled; only its place is left until its chunk goes.
    Gone,
}

/// One message in one queue.
///
/// INVARIANT: 32 bytes (DESIGN §2): a deep queue is millions of them.
#[derive(Debug)]
pub(in crate::core) struct Entry {
    /// None once it is gone, and while it is cold: its message is in the log or put aside.
    batch: Option<MessageBatch>,
    /// LSN of the record that put it here; none = transient here.
    pub(in crate::core) lsn: Option<Lsn>,
    /// In milliseconds since the epoch, 0 = never.
    pub(in crate::core) expiry_ms: u64,
    index: u16,
    /// Times leased; starts again at 2 after 65,535.
    pub(in crate::core) acquired: u16,
    /// Counted releases, saturating.
    pub(in crate::core) failed: u16,
    pub(in crate::core) state: EntryState,
    flags: u8,
}

/// The queue's side table has more about it.
const HAS_EXTRA: u8 = 1;
/// Its expiry is the queue's retention: it goes silently.
const IS_RETENTION: u8 = 2;
/// The log has its counters as they are.
const IS_LOGGED: u8 = 4;
/// While it is cold: its message stands under another LSN than its own, which its chunk knows.
const IS_MOVED: u8 = 8;
/// What an entry keeps while its chunk is spilled.
const KEPT: u8 = IS_RETENTION | IS_LOGGED;

const _: () = assert!(size_of::<Entry>() <= 32);

impl Entry {
    /// A ready entry that was never taken.
    pub(in crate::core) fn new(message: Message, lsn: Option<Lsn>, expiry_ms: u64) -> Self {
        let (batch, index) = message.into_parts();
        Self {
            batch: Some(batch),
            lsn,
            expiry_ms,
            index,
            acquired: 0,
            failed: 0,
            state: EntryState::Ready,
            flags: 0,
        }
    }

    /// A ready entry whose message is not in memory.
    pub(in crate::core) fn cold(lsn: Option<Lsn>, expiry_ms: u64) -> Self {
        Self {
            batch: None,
            lsn,
            expiry_ms,
            index: 0,
            acquired: 0,
            failed: 0,
            state: EntryState::Ready,
            flags: 0,
        }
    }

    /// What is left of an entry in a chunk that others still need.
    pub(in crate::core) fn gone() -> Self {
        Self {
            state: EntryState::Gone,
            ..Self::cold(None, 0)
        }
    }

    /// Whether it is there, but its message is not in memory.
    pub(in crate::core) fn is_cold(&self) -> bool {
        self.batch.is_none() && self.state != EntryState::Gone
    }

    /// Whether its message is all that keeps the file of its body.
    pub(in crate::core) fn keeps_file(&self) -> bool {
        self.lsn.is_none()
            && self
                .message()
                .is_some_and(|message| message.body_file().is_some())
    }

    /// Whether its message is in memory.
    pub(in crate::core) fn is_warm(&self) -> bool {
        self.batch.is_some()
    }

    /// Lets the message go: the entry is cold.
    pub(in crate::core) fn chill(&mut self) -> Option<Message> {
        let message = self
            .batch
            .take()
            .map(|batch| Message::from_parts(batch, self.index))?;
        let is_moved = self.lsn.is_some() && message.lsn() != self.lsn;
        self.set_moved(is_moved);
        Some(message)
    }

    /// Gives it its message back.
    pub(in crate::core) fn warm(&mut self, message: Message) {
        let (batch, index) = message.into_parts();
        self.batch = Some(batch);
        self.index = index;
        self.set_moved(false);
    }

    /// Whether its message, which is not in memory, stands under another LSN than its own.
    pub(in crate::core) fn is_moved(&self) -> bool {
        self.flags & IS_MOVED != 0
    }

    /// Says whether its message stands under another LSN than its own.
    pub(in crate::core) fn set_moved(&mut self, is_moved: bool) {
        self.flags = (self.flags & !IS_MOVED) | if is_moved { IS_MOVED } else { 0 };
    }

    /// The flags that a spilled entry keeps.
    pub(in crate::core) fn kept_flags(&self) -> u8 {
        self.flags & KEPT
    }

    /// Sets what [`Entry::kept_flags`] returned.
    pub(in crate::core) fn set_kept_flags(&mut self, flags: u8) {
        self.flags |= flags & KEPT;
    }

    /// Whether the queue's side table has more about it.
    pub(in crate::core) fn has_extra(&self) -> bool {
        self.flags & HAS_EXTRA != 0
    }

    /// Says that the queue's side table has more about it.
    pub(in crate::core) fn set_extra(&mut self) {
        self.flags |= HAS_EXTRA;
    }

    /// Whether its expiry is the queue's retention.
    pub(in crate::core) fn is_retention(&self) -> bool {
        self.flags & IS_RETENTION != 0
    }

    /// Says that its expiry is the queue's retention.
    pub(in crate::core) fn set_retention(&mut self, is_retention: bool) {
        if is_retention {
            self.flags |= IS_RETENTION;
        }
    }

    /// Whether a clean stop need not log its counters.
    pub(in crate::core) fn is_logged(&self) -> bool {
        self.acquired == 0 || self.flags & IS_LOGGED != 0
    }

    /// The log has its counters as they are.
    pub(in crate::core) fn set_logged(&mut self) {
        self.flags |= IS_LOGGED;
    }

    /// The log has its counters, but with a lease that has ended since.
    pub(in crate::core) fn clear_logged(&mut self) {
        self.flags &= !IS_LOGGED;
    }

    /// Counts a lease and names it. Attempts stay distinct from the latest 65,534 of the same entry.
    pub(in crate::core) fn acquire(&mut self) -> u16 {
        self.acquired = if self.acquired == u16::MAX {
            2
        } else {
            self.acquired + 1
        };
        self.flags &= !IS_LOGGED;
        self.acquired
    }

    /// A handle on the message; none once the entry is gone, and while it is cold.
    pub(in crate::core) fn message(&self) -> Option<Message> {
        self.batch
            .as_ref()
            .map(|batch| Message::from_parts(batch.clone(), self.index))
    }

    /// Takes the message out, if it is in memory: the entry is gone.
    pub(in crate::core) fn take_message(&mut self) -> Option<Message> {
        self.state = EntryState::Gone;
        self.batch
            .take()
            .map(|batch| Message::from_parts(batch, self.index))
    }

    /// How the log names it; none if the log does not hold it, or if its chunk has to say.
    pub(in crate::core) fn reference(&self) -> Option<EntryRef> {
        let entry = self.lsn?;
        let message = match &self.batch {
            Some(batch) => batch.lsn_of(self.index)?,
            None if self.is_moved() => return None,
            None => entry,
        };
        Some(EntryRef { entry, message })
    }

    /// Whether its time is over.
    pub(in crate::core) fn is_expired(&self, now: CoreTime) -> bool {
        self.expiry_ms != 0 && self.expiry_ms <= now.as_ms()
    }

    /// Length of the body in bytes, 0 once it is gone; of a cold one its chunk knows it.
    pub(in crate::core) fn body_len(&self) -> u64 {
        self.batch
            .as_ref()
            .map_or(0, |batch| batch.body_len_of(self.index) as u64)
    }
}

/// What few entries have.
#[derive(Clone, Debug, Default)]
pub(in crate::core) struct Extra {
    /// Changed and added properties.
    pub(in crate::core) overlay: Option<Arc<Overlay>>,
    /// When it was first leased with a deadline.
    pub(in crate::core) first_received: Option<CoreTime>,
}

/// An entry as its taker sees it.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Its place in the queue: what a settle names.
    pub seq: u64,
    /// Times leased, this one included: what a settle names.
    pub attempt: u16,
    /// Counted releases so far.
    pub failed: u16,
    /// The message.
    pub message: Message,
    /// What the entry changes about the message.
    pub overlay: Option<Arc<Overlay>>,
    /// LSN of the record that put it into the queue; none = transient.
    pub lsn: Option<Lsn>,
    /// When it was first leased with a deadline, this time included.
    pub first_received: Option<CoreTime>,
}

impl Delivery {
    /// Whether somebody may have seen it before.
    pub fn is_redelivered(&self) -> bool {
        self.attempt > 1
    }
}
