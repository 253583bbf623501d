//! Emptying a queue: purge and delete.

use std::sync::Arc;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::record::EntryRef;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::model::ids::QueueId;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::EntryState;
use crate::core::queue::state::QueueState;

/// What a purge takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// Ready entries (0-9-1, console).
    Ready,
    /// Leased and delayed ones too (SQS).
    All,
}

impl QueueState {
    /// Empties the queue, and says how many entries went.
    pub(in crate::core) fn purge(&mut self, purge: Purge, effects: &mut Effects) -> u64 {
        let mut gone = 0;
        for seq in self.ring.in_state(EntryState::Ready) {
            self.unready(seq);
            self.remove_for(seq, SettleKind::Purged, effects);
            gone += 1;
        }
        if purge == Purge::All {
            for seq in self.ring.in_state(EntryState::Leased) {
                self.end_lease(seq);
                self.remove_for(seq, SettleKind::Purged, effects);
                gone += 1;
            }
            while let Some(Doomed { seq, .. }) = self.pop_stranded() {
                self.remove_for(seq, SettleKind::Purged, effects);
                gone += 1;
            }
            for (_, delayed) in std::mem::take(&mut self.delayed) {
                if let Some(entry) = delayed.entry.reference() {
                    effects.settled.push(SettleKind::Purged, entry);
                }
                effects.drop_for(SettleKind::Purged, 1);
                gone += 1;
            }
        }
        gone
    }

    /// The queue is gone: nothing can be pushed, taken or settled any more.
    pub(in crate::core) fn delete(
        &mut self,
        queue: QueueId,
    ) -> (Vec<Dead>, Vec<(Arc<Inbox>, Event)>) {
        self.deleted = true;
        let mut dead = Vec::new();
        let mut bury = |entry: Option<EntryRef>| {
            dead.extend(entry.map(|entry| Dead { queue, entry }));
        };
        for state in [EntryState::Ready, EntryState::Leased, EntryState::Moving] {
            for seq in self.ring.in_state(state) {
                bury(self.ring.get(seq).and_then(|entry| entry.reference()));
                self.ring.remove(seq);
            }
        }
        for (_, delayed) in std::mem::take(&mut self.delayed) {
            bury(delayed.entry.reference());
        }
        for entry in std::mem::take(&mut self.unlogged).into_items() {
            bury(Some(entry));
        }
        self.returned.clear();
        self.extras.clear();
        self.deadlines.clear();
        self.deadline_of.clear();
        self.stranded.clear();
        self.stranded_bytes = 0;
        self.restored.clear();
        (self.ready, self.ready_bytes, self.leased) = (0, 0, 0);
        (dead, self.consumers.cancel_all())
    }
}
