//! The entries of a queue in ready order, in chunks.
//!
//! Sequences grow by one with every push. A chunk whose entries are all gone is dropped, wherever it
//! stands, so one old unsettled entry holds 32 KiB and not everything after it. Chunks are also the
//! unit in which a deep queue's index will page out.

use std::collections::VecDeque;

use crate::core::model::message::Message;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;

/// Entries of a chunk: 32 KiB.
const CHUNK_ENTRIES: usize = 1024;

#[derive(Debug)]
struct Chunk {
    base: u64,
    entries: Vec<Entry>,
    /// Entries that are not gone.
    live: usize,
    /// The earliest expiry of entries that may still be here, 0 = none expires.
    earliest_expiry_ms: u64,
}

impl Chunk {
    fn end(&self) -> u64 {
        self.base + self.entries.len() as u64
    }
}

/// Entries by sequence.
#[derive(Debug)]
pub(in crate::core) struct Ring {
    chunks: VecDeque<Chunk>,
    /// Kept from a dropped chunk, so that a queue in steady state allocates nothing.
    spare: Option<Vec<Entry>>,
    next_seq: u64,
    /// Nothing below was never taken: what is ready below is in the queue's list of returned ones.
    cursor: u64,
}

impl Ring {
    /// An empty ring whose first sequence is 1.
    pub(in crate::core) fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            spare: None,
            next_seq: 1,
            cursor: 1,
        }
    }

    /// Appends an entry, and names it.
    pub(in crate::core) fn push(&mut self, entry: Entry) -> u64 {
        let seq = self.next_seq;
        self.next_seq += 1;
        let full = self
            .chunks
            .back()
            .is_none_or(|chunk| chunk.entries.len() >= CHUNK_ENTRIES);
        if full {
            let entries = self.spare.take().unwrap_or_default();
            self.chunks.push_back(Chunk {
                base: seq,
                entries,
                live: 0,
                earliest_expiry_ms: 0,
            });
        }
        if let Some(chunk) = self.chunks.back_mut() {
            chunk.live += 1;
            if entry.expiry_ms != 0
                && (chunk.earliest_expiry_ms == 0 || entry.expiry_ms < chunk.earliest_expiry_ms)
            {
                chunk.earliest_expiry_ms = entry.expiry_ms;
            }
            chunk.entries.push(entry);
        }
        seq
    }

    /// The entry at `seq`, unless it is gone.
    pub(in crate::core) fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let chunk = self.chunk_of(seq)?;
        let chunk = self.chunks.get_mut(chunk)?;
        let entry = chunk
            .entries
            .get_mut(usize::try_from(seq - chunk.base).ok()?)?;
        (entry.state != EntryState::Gone).then_some(entry)
    }

    /// The entry at `seq`, unless it is gone.
    pub(in crate::core) fn get(&self, seq: u64) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(seq)?)?;
        let entry = chunk.entries.get(usize::try_from(seq - chunk.base).ok()?)?;
        (entry.state != EntryState::Gone).then_some(entry)
    }

    /// Takes the entry at `seq` out.
    pub(in crate::core) fn remove(&mut self, seq: u64) -> Option<Message> {
        let at = self.chunk_of(seq)?;
        let next_seq = self.next_seq;
        let chunk = self.chunks.get_mut(at)?;
        let entry = chunk
            .entries
            .get_mut(usize::try_from(seq - chunk.base).ok()?)?;
        let message = entry.take_message()?;
        chunk.live -= 1;
        // The last chunk stays open for pushes unless it is full.
        let is_closed = chunk.entries.len() >= CHUNK_ENTRIES || chunk.end() < next_seq;
        if chunk.live == 0
            && is_closed
            && let Some(mut chunk) = self.chunks.remove(at)
        {
            chunk.entries.clear();
            self.spare = Some(chunk.entries);
        }
        Some(message)
    }

    /// The first ready entry that was never taken, without moving on.
    pub(in crate::core) fn peek_new(&mut self) -> Option<u64> {
        let mut at = self.first_chunk_from(self.cursor);
        while let Some(chunk) = self.chunks.get(at) {
            let from =
                usize::try_from(self.cursor.saturating_sub(chunk.base)).unwrap_or(usize::MAX);
            let found = chunk
                .entries
                .iter()
                .skip(from)
                .position(|entry| entry.state == EntryState::Ready);
            if let Some(offset) = found {
                self.cursor = chunk.base + (from + offset) as u64;
                return Some(self.cursor);
            }
            at += 1;
        }
        self.cursor = self.next_seq;
        None
    }

    /// Whether `seq` was never taken, so that it is found by [`Ring::peek_new`].
    pub(in crate::core) fn is_new(&self, seq: u64) -> bool {
        seq >= self.cursor
    }

    /// Whether it is `seq` that [`Ring::peek_new`] returned last.
    pub(in crate::core) fn is_at(&self, seq: u64) -> bool {
        seq == self.cursor
    }

    /// Moves on: the entry at `seq`, which [`Ring::peek_new`] returned, is new no longer.
    pub(in crate::core) fn advance_past(&mut self, seq: u64) {
        self.cursor = seq + 1;
    }

    /// Sequences of all entries in `state`, in order.
    pub(in crate::core) fn in_state(&self, state: EntryState) -> Vec<u64> {
        let entries = self
            .chunks
            .iter()
            .flat_map(|chunk| (chunk.base..).zip(&chunk.entries));
        entries
            .filter(|(_, entry)| entry.state == state)
            .map(|(seq, _)| seq)
            .collect()
    }

    /// The earliest time at which an entry may expire.
    pub(in crate::core) fn earliest_expiry(&self) -> Option<CoreTime> {
        let due = self
            .chunks
            .iter()
            .map(|chunk| chunk.earliest_expiry_ms)
            .filter(|&ms| ms != 0)
            .min()?;
        Some(CoreTime::from_ms(due))
    }

    /// Sequences of ready entries whose time is over. Only chunks with something due are looked at.
    pub(in crate::core) fn expired(&mut self, now: CoreTime) -> Vec<u64> {
        let mut expired = Vec::new();
        for chunk in &mut self.chunks {
            if chunk.earliest_expiry_ms == 0 || chunk.earliest_expiry_ms > now.as_ms() {
                continue;
            }
            chunk.earliest_expiry_ms = 0;
            for (seq, entry) in (chunk.base..).zip(&chunk.entries) {
                let ready = entry.state == EntryState::Ready;
                if ready && entry.is_expired(now) {
                    expired.push(seq);
                } else if ready && entry.expiry_ms != 0 {
                    let earliest = chunk.earliest_expiry_ms;
                    chunk.earliest_expiry_ms = if earliest == 0 {
                        entry.expiry_ms
                    } else {
                        earliest.min(entry.expiry_ms)
                    };
                }
            }
        }
        expired
    }

    /// Says that an entry of this sequence is ready again and may expire.
    pub(in crate::core) fn note_expiry(&mut self, seq: u64, expiry_ms: u64) {
        let Some(chunk) = self.chunk_of(seq).and_then(|at| self.chunks.get_mut(at)) else {
            return;
        };
        if expiry_ms != 0 && (chunk.earliest_expiry_ms == 0 || expiry_ms < chunk.earliest_expiry_ms)
        {
            chunk.earliest_expiry_ms = expiry_ms;
        }
    }

    fn chunk_of(&self, seq: u64) -> Option<usize> {
        let at = self.first_chunk_from(seq);
        self.chunks
            .get(at)
            .filter(|chunk| chunk.base <= seq)
            .map(|_| at)
    }

    /// Index of the first chunk that ends above `seq`.
    fn first_chunk_from(&self, seq: u64) -> usize {
        match self.chunks.front() {
            Some(front) if seq < front.end() => 0,
            _ => self.chunks.partition_point(|chunk| chunk.end() <= seq),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::budget::Budget;
    use crate::core::model::batch::BatchBuilder;
    use crate::core::model::batch::Draft;
    use crate::core::model::message::FormatId;

    fn message() -> Message {
        let mut builder = BatchBuilder::new();
        builder.push(Draft::new(FormatId(0), b"", "", b""));
        builder
            .finish(
                &Default::default(),
                CoreTime::default(),
                &Budget::new(1 << 20),
            )
            .message(0)
            .unwrap()
    }

    #[test]
    fn one_old_entry_keeps_one_chunk() {
        let mut ring = Ring::new();
        for _ in 0..10 * CHUNK_ENTRIES as u64 {
            ring.push(Entry::new(message(), None, 0));
        }
        while let Some(seq) = ring.peek_new() {
            ring.advance_past(seq);
            if seq != 7 {
                ring.remove(seq).unwrap();
            }
        }
        assert_eq!(ring.chunks.len(), 1);
        assert!(ring.get(7).is_some() && ring.get(8).is_none() && ring.get(5000).is_none());
        assert_eq!(
            ring.push(Entry::new(message(), None, 0)),
            10 * CHUNK_ENTRIES as u64 + 1
        );
        assert_eq!(ring.peek_new(), Some(10 * CHUNK_ENTRIES as u64 + 1));
    }

    #[test]
    fn only_what_is_due_expires() {
        let mut ring = Ring::new();
        ring.push(Entry::new(message(), None, 0));
        ring.push(Entry::new(message(), None, 200));
        ring.push(Entry::new(message(), None, 100));
        assert_eq!(ring.earliest_expiry(), Some(CoreTime::from_ms(100)));
        assert_eq!(ring.expired(CoreTime::from_ms(150)), [3]);
        assert_eq!(ring.earliest_expiry(), Some(CoreTime::from_ms(200)));
    }
}
