//! Emptying a queue: purge and delete.

use std::sync::Arc;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::log::read::SpillId;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::effects::Reaped;
use crate::core::queue::entry::EntryState;
use crate::core::queue::standing::Standing;
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
        let mut gone = self.purge_spilled(purge, effects);
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
            for (seq, _) in std::mem::take(&mut self.pages.doomed) {
                if self.is_moving(seq) {
                    self.remove_for(seq, SettleKind::Purged, effects);
                    gone += 1;
                }
            }
            while let Some(Doomed { seq, .. }) = self.pop_stranded() {
                self.remove_for(seq, SettleKind::Purged, effects);
                gone += 1;
            }
            for (_, delayed) in std::mem::take(&mut self.delayed) {
                if let Some(entry) = delayed.reference() {
                    effects.settled.push(SettleKind::Purged, entry);
                }
                effects.drop_for(SettleKind::Purged, 1);
                gone += 1;
            }
        }
        gone
    }

    /// The queue is gone: nothing can be pushed, taken or settled any more.
    pub(in crate::core) fn delete(&mut self, queue: QueueId) -> Deleted {
        self.standing = Standing::Deleted;
        let mut dead = Vec::new();
        for state in [EntryState::Ready, EntryState::Leased, EntryState::Moving] {
            for seq in self.ring.in_state(state) {
                dead.extend(self.ring.reference(seq));
                self.ring.remove(seq);
            }
        }
        for (_, delayed) in std::mem::take(&mut self.delayed) {
            dead.extend(delayed.reference());
        }
        dead.extend(std::mem::take(&mut self.unlogged).into_items());
        self.unlogged_ranges.clear();
        let spilled = self.drop_all_spilled();
        self.pages.doomed.clear();
        self.returned.clear();
        self.extras.clear();
        self.deadlines.clear();
        self.deadline_of.clear();
        self.stranded.clear();
        self.stranded_bytes = 0;
        self.restored.clear();
        (self.ready, self.ready_bytes, self.leased) = (0, 0, 0);
        let dead = dead.into_iter();
        Deleted {
            dead: dead.map(|entry| Dead { queue, entry }).collect(),
            spilled,
            unused: self.ring.take_unused(),
            cancelled: self.consumers.cancel_all(),
        }
    }

    /// Empties the chunks that were put aside: the log is told in ranges, what they hold is released by
    /// and by.
    fn purge_spilled(&mut self, purge: Purge, effects: &mut Effects) -> u64 {
        let spilled = self.drop_all_spilled();
        let gone = spilled.iter().map(|spilled| spilled.live).sum();
        let lsns = spilled.iter().filter_map(|spilled| spilled.lsns);
        let range = lsns.reduce(|(a, b), (low, high)| (a.min(low), b.max(high)));
        if let Some(range) = range {
            effects.purged = without(range, &self.survivors(purge));
        }
        if gone > 0 {
            effects.drop_for(SettleKind::Purged, gone);
        }
        effects.reaped.extend(spilled);
        gone
    }

    fn drop_all_spilled(&mut self) -> Vec<Reaped> {
        let chunks = self.ring.spilled_chunks().into_iter();
        let spilled: Vec<_> = chunks
            .filter_map(|base| self.ring.drop_spilled(base))
            .collect();
        for chunk in &spilled {
            self.ready -= chunk.live;
            self.ready_bytes -= chunk.ready_bytes;
        }
        spilled
    }

    /// LSNs of the entries that a purge leaves, ascending.
    fn survivors(&self, purge: Purge) -> Vec<Lsn> {
        let states: &[EntryState] = match purge {
            Purge::Ready => &[EntryState::Leased, EntryState::Moving],
            Purge::All => &[EntryState::Moving],
        };
        let seqs = states.iter().flat_map(|state| self.ring.in_state(*state));
        let mut lsns: Vec<_> = seqs
            .filter_map(|seq| self.ring.get(seq).and_then(|entry| entry.lsn))
            .collect();
        if purge == Purge::Ready {
            lsns.extend(
                self.delayed
                    .values()
                    .filter_map(|delayed| delayed.entry.lsn),
            );
        }
        lsns.sort_unstable();
        lsns
    }
}

/// What a queue leaves that is gone.
#[derive(Debug)]
pub(in crate::core) struct Deleted {
    pub(in crate::core) dead: Vec<Dead>,
    pub(in crate::core) spilled: Vec<Reaped>,
    /// What was put aside for it.
    pub(in crate::core) unused: Vec<SpillId>,
    pub(in crate::core) cancelled: Vec<(Arc<Inbox>, Event)>,
}

/// The parts of a range between the LSNs that stay, which are ascending.
fn without((from, upto): (Lsn, Lsn), stay: &[Lsn]) -> Vec<(Lsn, Lsn)> {
    let mut ranges = Vec::new();
    let mut start = from;
    for lsn in stay.iter().filter(|lsn| (from..=upto).contains(*lsn)) {
        let before = Lsn::new(lsn.shard(), lsn.number() - 1);
        ranges.extend(before.filter(|end| *end >= start).map(|end| (start, end)));
        start = lsn.plus(1);
    }
    if start <= upto {
        ranges.push((start, upto));
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::Shard;

    #[test]
    fn a_purged_range_leaves_out_what_stays() {
        let lsn = |number| Lsn::new(Shard(0), number).unwrap();
        let parts = |from, upto, stay: &[u64]| {
            let stay: Vec<_> = stay.iter().copied().map(lsn).collect();
            let parts = without((lsn(from), lsn(upto)), &stay).into_iter();
            parts
                .map(|(from, upto)| (from.number(), upto.number()))
                .collect::<Vec<_>>()
        };
        assert_eq!(parts(5, 9, &[]), [(5, 9)]);
        assert_eq!(parts(5, 9, &[1, 5, 7, 9, 12]), [(6, 6), (8, 8)]);
        assert_eq!(parts(5, 9, &[6, 7]), [(5, 5), (8, 9)]);
        assert_eq!(parts(5, 5, &[5]), []);
    }
}
