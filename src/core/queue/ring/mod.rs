//! The entries of a queue in ready order, in chunks.
//!
//! Sequences grow by one with every push. A chunk whose entries are all gone is dropped, wherever it
//! stands, so one old unsettled entry holds 32 KiB and not everything after it. Chunks are also the
//! unit in which a deep queue pages out: see [`page`].

pub(in crate::core) mod chunk;

pub(in crate::core) mod codec;

pub(in crate::core) mod cold;

mod page;

mod walk;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crate::core::log::read::SpillId;
use crate::core::log::record::EntryRef;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::queue::entry::Entry;
use crate::core::queue::ring::chunk::Body;
use crate::core::queue::ring::chunk::Chunk;
use crate::core::queue::ring::cold::Cold;

pub(in crate::core) use page::Piece;
pub(in crate::core) use walk::New;

/// How large chunks become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct Shape {
    /// Most entries of a chunk, at most 65,535.
    pub(in crate::core) entries: u16,
    /// A chunk is full once its bodies have so many bytes: it is what one read brings back.
    pub(in crate::core) bytes: u64,
}

/// Entries by sequence.
#[derive(Debug)]
pub(in crate::core) struct Ring {
    shape: Shape,
    chunks: VecDeque<Chunk>,
    /// First sequences of the chunks in memory, ascending.
    open: VecDeque<u64>,
    /// Chunks of which not everything is in memory.
    paged: usize,
    /// What was put aside and is of no more use: for the store to forget.
    unused: Vec<SpillId>,
    /// Kept from a dropped chunk, so that a queue in steady state allocates nothing.
    spare: Option<Vec<Entry>>,
    next_seq: u64,
    /// Nothing below was never taken: what is ready below is in the queue's list of returned ones.
    cursor: u64,
}

/// A cold entry that recovery found.
#[derive(Clone, Copy, Debug)]
pub(in crate::core) struct ColdEntry {
    pub(in crate::core) body_len: u32,
    /// Where the message stands, if not under the entry's own LSN.
    pub(in crate::core) moved: Option<Lsn>,
}

impl Ring {
    /// An empty ring whose first sequence is 1.
    pub(in crate::core) fn new(shape: Shape) -> Self {
        Self {
            shape,
            chunks: VecDeque::new(),
            open: VecDeque::new(),
            paged: 0,
            unused: Vec::new(),
            spare: None,
            next_seq: 1,
            cursor: 1,
        }
    }

    /// Appends an entry, and names it.
    pub(in crate::core) fn push(&mut self, entry: Entry) -> u64 {
        let seq = self.next_seq;
        if let Some(chunk) = self.back_for_push() {
            chunk.push(entry);
        }
        seq
    }

    /// Appends an entry whose message is not in memory, and names it.
    pub(in crate::core) fn push_cold(&mut self, mut entry: Entry, of: ColdEntry) -> u64 {
        let seq = self.next_seq;
        entry.set_moved(of.moved.is_some());
        let Some(chunk) = self.back_for_push() else {
            return seq;
        };
        let was_paged = chunk.is_paged();
        let offset = u16::try_from(seq - chunk.base).unwrap_or(u16::MAX);
        chunk.push(entry);
        chunk.body_bytes += u64::from(of.body_len);
        if let Some(open) = chunk.open_mut() {
            let cold = open.cold.get_or_insert_default();
            cold.add(offset, of.body_len);
            if let Some(moved) = of.moved {
                cold.moved.insert(offset, moved);
            }
        }
        self.paged += usize::from(!was_paged);
        seq
    }

    /// The chunk that takes the next entry, whose sequence is given out.
    fn back_for_push(&mut self) -> Option<&mut Chunk> {
        let is_full = self
            .chunks
            .back()
            .is_none_or(|chunk| chunk.open().is_none() || self.shape.is_full(chunk));
        if is_full {
            let entries = self.spare.take().unwrap_or_default();
            self.chunks.push_back(Chunk::new(self.next_seq, entries));
            self.open.push_back(self.next_seq);
        }
        self.next_seq += 1;
        self.chunks.back_mut()
    }

    /// The entry at `seq`, unless it is gone or put aside.
    pub(in crate::core) fn get_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        let at = self.chunk_of(seq)?;
        let chunk = self.chunks.get_mut(at)?;
        let offset = chunk.offset(seq)?;
        chunk.open_mut()?.get_mut(offset)
    }

    /// The entry at `seq`, unless it is gone or put aside.
    pub(in crate::core) fn get(&self, seq: u64) -> Option<&Entry> {
        let chunk = self.chunks.get(self.chunk_of(seq)?)?;
        chunk.open()?.get(chunk.offset(seq)?)
    }

    /// Length of the body of the entry at `seq`.
    pub(in crate::core) fn body_len(&self, seq: u64) -> u64 {
        let chunk = self.chunk_of(seq).and_then(|at| self.chunks.get(at));
        let Some((chunk, open)) = chunk.and_then(|chunk| Some((chunk, chunk.open()?))) else {
            return 0;
        };
        chunk.offset(seq).map_or(0, |offset| open.body_len(offset))
    }

    /// How the log names the entry at `seq`; none if it does not hold it.
    pub(in crate::core) fn reference(&self, seq: u64) -> Option<EntryRef> {
        let chunk = self.chunks.get(self.chunk_of(seq)?)?;
        chunk.open()?.reference(chunk.offset(seq)?)
    }

    /// Takes the entry at `seq` out, with its message if that is in memory.
    pub(in crate::core) fn remove(&mut self, seq: u64) -> Option<Message> {
        let at = self.chunk_of(seq)?;
        let next_seq = self.next_seq;
        let chunk = self.chunks.get_mut(at)?;
        let offset = chunk.offset(seq)?;
        let open = chunk.open_mut()?;
        open.get(offset)?;
        let message = open.remove(offset);
        chunk.live -= 1;
        if open_is_warm(chunk) {
            self.settle_cold(at);
        }
        let chunk = self.chunks.get(at)?;
        // The last chunk stays open for pushes unless it is full.
        let is_closed = self.shape.is_full(chunk) || chunk.end() < next_seq;
        if chunk.live == 0 && is_closed {
            self.drop_chunk(at);
        }
        message
    }

    /// Forgets the side table of a chunk without cold entries.
    fn settle_cold(&mut self, at: usize) {
        let open = self.chunks.get_mut(at).and_then(Chunk::open_mut);
        if let Some(cold) = open.and_then(|open| open.cold.take()) {
            self.paged -= 1;
            self.unused.extend(cold.blobs.iter().map(|blob| blob.id));
        }
    }

    /// Forgets a chunk.
    fn drop_chunk(&mut self, at: usize) {
        self.settle_cold(at);
        let Some(chunk) = self.chunks.remove(at) else {
            return;
        };
        match chunk.body {
            Body::Open(mut open) => {
                self.forget_open(chunk.base);
                open.entries.clear();
                self.spare = Some(open.entries);
            }
            Body::Spilled(spilled) => {
                self.paged -= 1;
                self.unused.push(spilled.id);
            }
        }
    }

    fn forget_open(&mut self, base: u64) {
        if let Ok(at) = self.open.binary_search(&base) {
            self.open.remove(at);
        }
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

    fn chunk_of(&self, seq: u64) -> Option<usize> {
        let at = self.first_chunk_from(seq);
        self.chunks
            .get(at)
            .filter(|chunk| chunk.base <= seq)
            .map(|_| at)
    }

    /// Index of the first chunk that ends above `seq`. A deep queue has ten thousands of chunks, and every operation
    /// asks: as long as they are of one length and none between them is gone, the first guess is right.
    fn first_chunk_from(&self, seq: u64) -> usize {
        let Some(front) = self.chunks.front() else {
            return 0;
        };
        if seq < front.end() {
            return 0;
        }
        // The front may have fewer than the others: what restored queues begin with.
        let beyond = (seq - front.end()) / u64::from(self.shape.entries.max(1));
        let guess = usize::try_from(beyond + 1).unwrap_or(usize::MAX);
        match self.chunks.get(guess) {
            Some(chunk) if (chunk.base..chunk.end()).contains(&seq) => guess,
            _ => self.chunks.partition_point(|chunk| chunk.end() <= seq),
        }
    }
}

impl Shape {
    fn is_full(self, chunk: &Chunk) -> bool {
        chunk.len >= u32::from(self.entries) || chunk.body_bytes >= self.bytes
    }
}

/// Whether a chunk in memory has a side table that it needs no longer.
fn open_is_warm(chunk: &Chunk) -> bool {
    let cold: Option<&Cold> = chunk.open().and_then(|open| open.cold.as_deref());
    cold.is_some_and(|cold| cold.count == 0)
}
