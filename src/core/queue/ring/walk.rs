//! Walks through a ring: what goes next, what is in which state, what expires.

use std::ops::RangeInclusive;

use crate::core::log::record::EntryRef;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::EntryState;
use crate::core::queue::ring::Ring;
use crate::core::queue::ring::chunk::Body;
use crate::core::queue::ring::chunk::Chunk;
use crate::core::queue::ring::chunk::Open;

/// What goes next of what was never taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum New {
    /// This entry.
    Ready(u64),
    /// One of a chunk that was put aside.
    Spilled,
    /// Nothing is there.
    Nothing,
}

impl Ring {
    /// The first ready entry that was never taken, without moving on.
    pub(in crate::core) fn peek_new(&mut self) -> New {
        let mut at = self.first_chunk_from(self.cursor);
        while let Some(chunk) = self.chunks.get(at) {
            let Some(open) = chunk.open() else {
                self.cursor = self.cursor.max(chunk.base);
                return New::Spilled;
            };
            let from =
                usize::try_from(self.cursor.saturating_sub(chunk.base)).unwrap_or(usize::MAX);
            let found = open
                .entries
                .iter()
                .skip(from)
                .position(|entry| entry.state == EntryState::Ready);
            if let Some(offset) = found {
                self.cursor = chunk.base + (from + offset) as u64;
                return New::Ready(self.cursor);
            }
            at += 1;
        }
        self.cursor = self.next_seq;
        New::Nothing
    }

    /// Sequences of all entries in `state` that are not put aside, in order.
    pub(in crate::core) fn in_state(&self, state: EntryState) -> Vec<u64> {
        let chunks = self.chunks.iter();
        let chunks = chunks.filter_map(|chunk| Some((chunk.base, chunk.open()?)));
        let entries = chunks.flat_map(|(base, open)| (base..).zip(&open.entries));
        entries
            .filter(|(_, entry)| entry.state == state)
            .map(|(seq, _)| seq)
            .collect()
    }

    /// Whether an entry is one of these records, as `is_one` says; of a chunk that was put aside, whether one may be.
    pub(in crate::core) fn holds(
        &self,
        records: &RangeInclusive<Lsn>,
        is_one: &dyn Fn(EntryRef) -> bool,
    ) -> bool {
        self.chunks.iter().any(|chunk| match &chunk.body {
            Body::Open(open) => (chunk.base..)
                .zip(&open.entries)
                .filter_map(|(seq, _)| self.reference(seq))
                .any(is_one),
            Body::Spilled(spilled) => spilled
                .lsns
                .is_some_and(|(low, high)| low <= *records.end() && high >= *records.start()),
        })
    }

    /// The earliest time at which an entry may expire. Chunks that were put aside and are due at `now` do
    /// not count: they are loading, or their turn comes when those have come.
    pub(in crate::core) fn earliest_expiry(&self, now: CoreTime) -> Option<CoreTime> {
        let due = self
            .chunks
            .iter()
            .filter(|chunk| chunk.open().is_some() || !chunk.is_due(now))
            .map(|chunk| chunk.earliest_expiry_ms)
            .filter(|&ms| ms != 0)
            .min()?;
        Some(CoreTime::from_ms(due))
    }

    /// Sequences of ready entries whose time is over. Only chunks with something due are looked at, and
    /// none that was put aside.
    pub(in crate::core) fn expired(&mut self, now: CoreTime) -> Vec<u64> {
        let mut expired = Vec::new();
        for chunk in self.chunks.iter_mut().filter(|chunk| chunk.is_due(now)) {
            let Chunk { base, body, .. } = chunk;
            let super::chunk::Body::Open(open) = body else {
                continue;
            };
            chunk.earliest_expiry_ms = open.expired(*base, now, &mut expired);
        }
        expired
    }

    /// Says that an entry of this sequence is ready again and may expire.
    pub(in crate::core) fn note_expiry(&mut self, seq: u64, expiry_ms: u64) {
        if let Some(chunk) = self.chunk_of(seq).and_then(|at| self.chunks.get_mut(at)) {
            chunk.expect_expiry(expiry_ms);
        }
    }
}

impl Open {
    /// Adds the ready entries whose time is over, and says when the next one's is; 0 = never.
    fn expired(&self, base: u64, now: CoreTime, expired: &mut Vec<u64>) -> u64 {
        let mut earliest = u64::MAX;
        let ready = (base..)
            .zip(&self.entries)
            .filter(|(_, entry)| entry.state == EntryState::Ready);
        for (seq, entry) in ready {
            if entry.is_expired(now) {
                expired.push(seq);
            } else if entry.expiry_ms != 0 {
                earliest = earliest.min(entry.expiry_ms);
            }
        }
        if earliest == u64::MAX { 0 } else { earliest }
    }
}
