//! Entries that leave their queue: for good, or with the mover to a dead-letter target.
//!
//! The mover holds an entry in its queue until it has arrived. If a target refuses, the entry is
//! *stranded*: nothing counted, tried again in order (SEMANTICS §8).

use crate::core::log::record::EntryRef;
use crate::core::log::record::SettleKind;
use crate::core::model::ids::Lsn;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::EntryState;
use crate::core::queue::runs::Runs;
use crate::core::queue::state::QueueState;

/// Stranded dead letters that are tried at once: the first refusal shows that there is no room.
const RETRIED_AT_ONCE: usize = 64;

impl QueueState {
    /// A ready entry leaves for a reason: to a dead-letter target, or for good.
    pub(in crate::core) fn doom_ready(&mut self, seq: u64, cause: Cause, effects: &mut Effects) {
        self.unready(seq);
        self.doom(seq, cause, effects);
    }

    /// An entry that is not ready leaves for a reason.
    pub(in crate::core) fn doom(&mut self, seq: u64, cause: Cause, effects: &mut Effects) {
        let has_target = self.settings.dead_letter.contains_key(&cause);
        let Some(entry) = self.ring.get_mut(seq) else {
            return;
        };
        if !has_target {
            self.remove_for(seq, cause.settle_kind(), effects);
            return;
        }
        entry.state = EntryState::Moving;
        // What it says of its deaths, and where it goes, only its message can tell. Nobody overtakes.
        if entry.is_cold() || !self.pages.doomed.is_empty() {
            self.pages.doomed.push_back((seq, cause));
        } else {
            self.bury(seq, cause, effects);
        }
    }

    /// Dead letters whose messages have come go on their way, in order.
    pub(in crate::core) fn bury_loaded(&mut self, effects: &mut Effects) {
        while let Some((seq, cause)) = self.pages.doomed.front().copied() {
            if self.is_moving(seq) && self.is_cold(seq) {
                return;
            }
            self.pages.doomed.pop_front();
            if self.is_moving(seq) {
                self.bury(seq, cause, effects);
            }
        }
    }

    fn bury(&mut self, seq: u64, cause: Cause, effects: &mut Effects) {
        let Some(entry) = self.ring.get(seq) else {
            return;
        };
        let (Some(message), reference) = (entry.message(), entry.reference()) else {
            return;
        };
        let was_delivered = entry.acquired > 0;
        let overlay = self.overlay_of(seq);
        let doomed = Doomed {
            seq,
            cause,
            message,
            overlay,
            reference,
            was_delivered,
        };
        if self.stranded.is_empty() {
            effects.doomed.push(doomed);
        } else {
            // Behind those that wait already.
            self.push_stranded(doomed);
        }
    }

    /// Why an entry whose expiry is over goes: dead-lettered as expired, or silently by retention.
    pub(in crate::core) fn expire_ready(&mut self, seq: u64, effects: &mut Effects) {
        let Some(entry) = self.ring.get(seq) else {
            return;
        };
        if entry.is_retention() {
            self.unready(seq);
            self.remove_for(seq, SettleKind::Retention, effects);
        } else {
            self.doom_ready(seq, Cause::Expired, effects);
        }
    }

    /// Takes an entry that is not ready out for good.
    pub(in crate::core) fn remove_for(
        &mut self,
        seq: u64,
        kind: SettleKind,
        effects: &mut Effects,
    ) {
        if self.ring.get(seq).is_none() {
            return;
        }
        if let Some(reference) = self.ring.reference(seq) {
            effects.settled.push(kind, reference);
        }
        self.take_out(seq);
        if kind != SettleKind::Accepted {
            effects.drop_for(kind, 1);
        }
    }

    /// Takes an entry that is not ready out, with what side tables know of it, and gives its message back
    /// if that is in memory.
    pub(in crate::core) fn take_out(
        &mut self,
        seq: u64,
    ) -> Option<crate::core::model::message::Message> {
        let entry = self.ring.get(seq)?;
        if entry.has_extra() {
            self.extras.remove(&seq);
        }
        if let (false, Some(lsn)) = (self.restored.is_empty(), entry.lsn) {
            self.restored.remove(&lsn);
        }
        self.ring.remove(seq)
    }

    /// The disk is full: these settles hold, and are logged when there is room.
    pub(in crate::core) fn defer(
        &mut self,
        settled: Runs<SettleKind, EntryRef>,
        purged: Vec<(Lsn, Lsn)>,
        retry: CoreTime,
        effects: &mut Effects,
    ) {
        if !settled.is_empty() || !purged.is_empty() {
            self.unlogged = settled;
            self.unlogged_ranges = purged;
            self.retry_due = Some(self.retry_due.map_or(retry, |due| due.min(retry)));
            self.ask_for_timer(effects);
        }
    }

    /// Whether the mover still has this entry.
    pub(in crate::core) fn is_moving(&self, seq: u64) -> bool {
        let entry = self.ring.get(seq);
        entry.is_some_and(|entry| entry.state == EntryState::Moving)
    }

    /// The mover could not deliver this one: it stays with it, nothing counted, until `retry`, unless the
    /// queue's limits want its place.
    pub(in crate::core) fn strand(
        &mut self,
        doomed: Doomed,
        now: CoreTime,
        retry: CoreTime,
        effects: &mut Effects,
    ) {
        if self.is_moving(doomed.seq) {
            self.push_stranded(doomed);
            // One that is refused every moment must not put off the others.
            if self.retry_due.is_none_or(|due| due <= now) {
                self.retry_due = Some(retry);
            }
            self.drop_oldest(now, effects);
            self.ask_for_timer(effects);
        }
    }

    fn push_stranded(&mut self, doomed: Doomed) {
        self.stranded_bytes += doomed.message.body_len() as u64;
        self.stranded.insert(doomed.seq, doomed);
    }

    /// The oldest stranded one, for whoever wants its place or tries again.
    pub(in crate::core) fn pop_stranded(&mut self) -> Option<Doomed> {
        let (_, doomed) = self.stranded.pop_first()?;
        self.stranded_bytes -= doomed.message.body_len() as u64;
        Some(doomed)
    }

    /// Takes a stranded one out, if it is one.
    pub(in crate::core) fn unstrand(&mut self, seq: u64) -> bool {
        let Some(doomed) = self.stranded.remove(&seq) else {
            return false;
        };
        self.stranded_bytes -= doomed.message.body_len() as u64;
        true
    }

    /// The mover gives an entry up: it is dropped.
    pub(in crate::core) fn lay_down(&mut self, seq: u64, kind: SettleKind, effects: &mut Effects) {
        if let Some(entry) = self.ring.reference(seq) {
            effects.settled.push(kind, entry);
        }
        self.take_out(seq);
    }

    /// The first stranded ones are tried again. While one is refused, the rest waits.
    pub(in crate::core) fn retry_stranded(&mut self, now: CoreTime, effects: &mut Effects) {
        if self.retry_due.is_none_or(|due| due > now) {
            return;
        }
        self.retry_due = None;
        for _ in 0..RETRIED_AT_ONCE {
            let Some(doomed) = self.pop_stranded() else {
                break;
            };
            effects.doomed.push(doomed);
        }
        if !self.stranded.is_empty() {
            // Refusals put this off again; if there are none, the next ones go at the next tick.
            self.retry_due = Some(now);
        }
    }
}
