//! Paging: how entries and chunks leave memory, and come back.
//!
//! A *warm* entry has its message. A *cold* one has only its 32 bytes; its message is in the log, or in a
//! blob that was put aside if the log does not have it. A *spilled* chunk has only its header; its
//! entries, all cold, ready and never taken, were put aside as bytes.

use std::collections::HashMap;

use crate::core::log::read::SpillId;
use crate::core::model::message::Message;
use crate::core::queue::effects::Reaped;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;
use crate::core::queue::entry::Extra;
use crate::core::queue::paging::Put;
use crate::core::queue::paging::blob;
use crate::core::queue::paging::varint::Garbled;
use crate::core::queue::ring::Ring;
use crate::core::queue::ring::chunk::Body;
use crate::core::queue::ring::chunk::Chunk;
use crate::core::queue::ring::chunk::Open;
use crate::core::queue::ring::chunk::Spilled;
use crate::core::queue::ring::codec;
use crate::core::queue::ring::codec::Unpacked;
use crate::core::queue::ring::cold::Blob;
use crate::core::queue::ring::cold::Cold;
use crate::core::queue::ring::cold::Source;

/// Messages that the log does not hold are put aside in blobs of about this many bytes: what one read
/// brings back.
const BLOB_BYTES: usize = 256 * 1024;

/// Chunks that are looked at for one that can be put aside.
const LOOKED_AT: usize = 8;

/// A piece of what comes next: what has to be read for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::core) struct Piece {
    /// The sequence after its last one.
    pub(in crate::core) end: u64,
    /// Its cold entries.
    pub(in crate::core) cold: Vec<(u64, Source)>,
    /// Cold entries whose message is nowhere.
    pub(in crate::core) lost: Vec<u64>,
    /// It begins with a chunk that was put aside: nothing else is known of it.
    pub(in crate::core) spilled: Option<(u64, SpillId)>,
}

impl Ring {
    /// Whether not everything is in memory.
    pub(in crate::core) fn is_paged(&self) -> bool {
        self.paged > 0
    }

    /// Whether there is something that the store can forget.
    pub(in crate::core) fn has_unused(&self) -> bool {
        !self.unused.is_empty()
    }

    /// What the store can forget.
    pub(in crate::core) fn take_unused(&mut self) -> Vec<SpillId> {
        std::mem::take(&mut self.unused)
    }

    /// The first sequence that was never taken.
    pub(in crate::core) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The sequence that the next push gets.
    pub(in crate::core) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Chunks whose entries are in memory.
    pub(in crate::core) fn open_chunks(&self) -> usize {
        self.open.len()
    }

    /// First sequence beyond the window that takers come to next.
    pub(in crate::core) fn window_end(&self, entries: u64, bytes: u64) -> u64 {
        let (mut seen, mut seen_bytes) = (0, 0);
        let first = self.first_chunk_from(self.cursor);
        for chunk in self.chunks.iter().skip(first) {
            if seen >= entries || seen_bytes >= bytes {
                return chunk.base;
            }
            seen += u64::from(chunk.len);
            seen_bytes += chunk.body_bytes;
        }
        self.next_seq
    }

    /// The newest chunk in memory from `from` on that can be put aside.
    pub(in crate::core) fn packable(&self, from: u64) -> Option<u64> {
        let newest = self.open.iter().rev().take(LOOKED_AT);
        newest
            .take_while(|base| **base >= from)
            .copied()
            .find(|base| {
                let chunk = self.chunk_of(*base).and_then(|at| self.chunks.get(at));
                chunk.is_some_and(|chunk| self.is_packable(chunk))
            })
    }

    fn is_packable(&self, chunk: &Chunk) -> bool {
        let is_closed = self.shape.is_full(chunk) || chunk.end() < self.next_seq;
        let Some(open) = chunk.open() else {
            return false;
        };
        let mut states = open.entries.iter().map(|entry| entry.state);
        chunk.base >= self.cursor
            && is_closed
            && !open.must_stay
            && states.all(|state| matches!(state, EntryState::Ready | EntryState::Gone))
    }

    /// Whether the chunk that begins at `base` can be put aside.
    pub(in crate::core) fn is_packable_at(&self, base: u64) -> bool {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get(at));
        chunk.is_some_and(|chunk| self.is_packable(chunk))
    }

    /// Whether the chunk that begins at `base` has sequences from `seq` on.
    pub(in crate::core) fn reaches(&self, base: u64, seq: u64) -> bool {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get(at));
        chunk.is_some_and(|chunk| chunk.end() > seq)
    }

    /// Puts the chunk that begins at `base` aside; nobody looks for what expires in it before
    /// `not_due_before_ms`. False: something of it must stay in memory.
    pub(in crate::core) fn pack(
        &mut self,
        base: u64,
        not_due_before_ms: u64,
        extras: &mut HashMap<u64, Extra>,
        put: Put<'_>,
    ) -> bool {
        let Some(at) = self.chunk_of(base) else {
            return false;
        };
        self.chill(base, put);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Body::Open(open) = &mut chunk.body else {
            return false;
        };
        let cold = open.cold.as_deref();
        let (Some(cold), false) = (cold, open.entries.iter().any(Entry::is_warm)) else {
            return false;
        };
        let extra = |offset: u16| extras.get(&(base + u64::from(offset)));
        let bytes = codec::encode(&open.entries, cold, extra);
        let mut spilled = open.summary(cold);
        spilled.id = put(bytes);
        let mut entries = std::mem::take(&mut open.entries);
        for (seq, _) in (base..)
            .zip(&entries)
            .filter(|(_, entry)| entry.has_extra())
        {
            extras.remove(&seq);
        }
        chunk.body = Body::Spilled(spilled);
        if chunk.earliest_expiry_ms != 0 {
            chunk.earliest_expiry_ms = chunk.earliest_expiry_ms.max(not_due_before_ms);
        }
        self.forget_open(base);
        entries.clear();
        self.spare = Some(entries);
        true
    }

    /// Lets go of the messages of a chunk in memory. Those that the log does not hold are put aside.
    pub(in crate::core) fn chill(&mut self, base: u64, put: Put<'_>) {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get_mut(at));
        let Some(chunk) = chunk else { return };
        let was_paged = chunk.is_paged();
        if let Some(open) = chunk.open_mut() {
            open.chill(put);
        }
        self.paged += usize::from(!was_paged && chunk.is_paged());
    }

    /// First sequences of the chunks in memory that have warm entries, ascending.
    pub(in crate::core) fn warm_chunks(&self) -> Vec<u64> {
        let chunks = self.chunks.iter();
        let warm = chunks.filter(|chunk| {
            let open = chunk.open();
            open.is_some_and(|open| open.entries.iter().any(Entry::is_warm))
        });
        warm.map(|chunk| chunk.base).collect()
    }

    /// Bytes of the bodies in chunks that are wholly in memory: what would be gained by letting go of them.
    pub(in crate::core) fn warm_bytes(&self) -> u64 {
        let chunks = self.chunks.iter();
        let warm = chunks.filter(|chunk| !chunk.is_paged());
        // An entry without a body takes room, too.
        warm.map(|chunk| chunk.body_bytes + u64::from(chunk.live))
            .sum()
    }

    /// Says that somebody names the entry at `seq` by its LSN: its chunk stays in memory.
    pub(in crate::core) fn set_named(&mut self, seq: u64) {
        let chunk = self.chunk_of(seq).and_then(|at| self.chunks.get_mut(at));
        if let Some(open) = chunk.and_then(Chunk::open_mut) {
            open.must_stay = true;
        }
    }

    /// A piece of what was never taken, from `from` on: at most so many entries, and no more once their
    /// bodies have so many bytes.
    pub(in crate::core) fn piece(&self, from: u64, entries: u64, bytes: u64) -> Piece {
        let mut piece = Piece {
            end: from,
            ..Piece::default()
        };
        let (mut seen, mut seen_bytes) = (0, 0);
        let first = self.first_chunk_from(from);
        for chunk in self.chunks.iter().skip(first) {
            let Some(open) = chunk.open() else {
                if seen == 0 {
                    piece.spilled = chunk.spilled().map(|spilled| (chunk.base, spilled.id));
                    piece.end = chunk.base;
                }
                return piece;
            };
            for seq in from.max(chunk.base)..chunk.end() {
                if seen >= entries || seen_bytes >= bytes {
                    return piece;
                }
                piece.end = seq + 1;
                let Some(offset) = chunk.offset(seq) else {
                    continue;
                };
                let is_ready = |entry: &&Entry| entry.state == EntryState::Ready;
                let Some(entry) = open.get(offset).filter(is_ready) else {
                    continue;
                };
                seen += 1;
                seen_bytes += open.body_len(offset);
                if entry.is_cold() {
                    piece.want(seq, open.source(offset, entry));
                }
            }
        }
        piece
    }

    /// Where the message of a cold entry is; none if it has it, or is gone.
    pub(in crate::core) fn want(&self, seq: u64, piece: &mut Piece) {
        let chunk = self.chunk_of(seq).and_then(|at| self.chunks.get(at));
        let Some((chunk, open)) = chunk.and_then(|chunk| Some((chunk, chunk.open()?))) else {
            return;
        };
        let Some(offset) = chunk.offset(seq) else {
            return;
        };
        if let Some(entry) = open.get(offset).filter(|entry| entry.is_cold()) {
            piece.want(seq, open.source(offset, entry));
        }
    }

    /// Gives a cold entry the message that was read from `source`. False: it does not want it any more.
    pub(in crate::core) fn warm(&mut self, seq: u64, source: Source, message: Message) -> bool {
        let Some(at) = self.chunk_of(seq) else {
            return false;
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            return false;
        };
        let Some(offset) = chunk.offset(seq) else {
            return false;
        };
        let Some(open) = chunk.open_mut() else {
            return false;
        };
        let is_warm = open.warm(offset, source, message);
        if super::open_is_warm(chunk) {
            self.settle_cold(at);
        }
        is_warm
    }

    /// Whose messages stand in a blob, in their order; none if it is of no use any more.
    pub(in crate::core) fn blob_owners(&self, base: u64, id: SpillId) -> Vec<u64> {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get(at));
        let cold = chunk.and_then(|chunk| chunk.open()?.cold.as_deref());
        let blob = cold.and_then(|cold| cold.blobs.iter().find(|blob| blob.id == id));
        let offsets = blob.into_iter().flat_map(|blob| &blob.offsets);
        offsets.map(|offset| base + u64::from(*offset)).collect()
    }

    /// First sequence of the chunk that `seq` is in.
    pub(in crate::core) fn base_of(&self, seq: u64) -> Option<u64> {
        let chunk = self.chunks.get(self.chunk_of(seq)?)?;
        Some(chunk.base)
    }

    /// A blob was read back: nobody needs it any more.
    pub(in crate::core) fn forget_blob(&mut self, base: u64, id: SpillId) {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get_mut(at));
        let cold = chunk
            .and_then(Chunk::open_mut)
            .and_then(|open| open.cold.as_deref_mut());
        let Some(cold) = cold else { return };
        let before = cold.blobs.len();
        cold.blobs.retain(|blob| blob.id != id);
        if cold.blobs.len() < before {
            self.unused.push(id);
        }
    }

    /// Says whether a chunk that was put aside is being read. False: that was known.
    pub(in crate::core) fn set_loading(&mut self, base: u64, is_loading: bool) -> bool {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get_mut(at));
        let Some(Body::Spilled(spilled)) = chunk.map(|chunk| &mut chunk.body) else {
            return false;
        };
        std::mem::replace(&mut spilled.is_loading, is_loading) != is_loading
    }

    /// Whether the chunk that begins at `base` is still put aside under this id.
    pub(in crate::core) fn is_spilled(&self, base: u64, id: SpillId) -> bool {
        let chunk = self.chunk_of(base).and_then(|at| self.chunks.get(at));
        let spilled = chunk.and_then(Chunk::spilled);
        spilled.is_some_and(|spilled| spilled.id == id)
    }

    /// Takes the entries of a chunk back into memory, cold; gives back what few of them have.
    ///
    /// # Errors
    /// [`Garbled`]; the chunk is as it was.
    pub(in crate::core) fn unpack(
        &mut self,
        base: u64,
        bytes: &[u8],
    ) -> Result<Vec<(u64, Extra)>, Garbled> {
        let Some(at) = self.chunk_of(base) else {
            return Ok(Vec::new());
        };
        let Some(chunk) = self.chunks.get_mut(at) else {
            return Ok(Vec::new());
        };
        let Body::Spilled(Spilled { id, .. }) = &chunk.body else {
            return Ok(Vec::new());
        };
        let id = *id;
        let len = usize::try_from(chunk.len).map_err(|_| Garbled)?;
        let Unpacked {
            entries,
            cold,
            extras,
        } = codec::decode(bytes, len)?;
        if cold.count != chunk.live {
            return Err(Garbled);
        }
        chunk.body = Body::Open(Open {
            entries,
            cold: Some(Box::new(cold)),
            must_stay: false,
        });
        self.unused.push(id);
        let place = self.open.partition_point(|other| *other < base);
        self.open.insert(place, base);
        let extras = extras.into_iter();
        Ok(extras
            .map(|(offset, extra)| (base + u64::from(offset), extra))
            .collect())
    }

    /// Forgets a chunk that was put aside, entries and all, and says what it was.
    pub(in crate::core) fn drop_spilled(&mut self, base: u64) -> Option<Reaped> {
        let at = self.chunk_of(base)?;
        let chunk = self.chunks.get(at)?;
        let spilled = chunk.spilled()?;
        let reaped = Reaped {
            id: spilled.id,
            len: chunk.len,
            live: u64::from(chunk.live),
            ready_bytes: spilled.ready_bytes,
            lsns: spilled.lsns,
        };
        self.chunks.remove(at);
        self.paged -= 1;
        Some(reaped)
    }

    /// First sequences of the chunks that were put aside, ascending.
    pub(in crate::core) fn spilled_chunks(&self) -> Vec<u64> {
        let chunks = self.chunks.iter();
        let spilled = chunks.filter(|chunk| chunk.spilled().is_some());
        spilled.map(|chunk| chunk.base).collect()
    }

    /// Chunks that were put aside, that nobody reads yet, and in which something is due; at most `most`.
    pub(in crate::core) fn due_spilled(
        &self,
        now: crate::core::model::time::CoreTime,
        most: usize,
    ) -> Vec<(u64, SpillId)> {
        let chunks = self.chunks.iter().filter(|chunk| chunk.is_due(now));
        let spilled = chunks.filter_map(|chunk| Some((chunk.base, chunk.spilled()?)));
        spilled
            .filter(|(_, spilled)| !spilled.is_loading)
            .map(|(base, spilled)| (base, spilled.id))
            .take(most)
            .collect()
    }
}

impl Piece {
    fn want(&mut self, seq: u64, source: Option<Source>) {
        match source {
            Some(source) => self.cold.push((seq, source)),
            None => self.lost.push(seq),
        }
    }
}

impl Open {
    fn source(&self, offset: u16, entry: &Entry) -> Option<Source> {
        self.cold.as_ref()?.source(offset, entry)
    }

    fn warm(&mut self, offset: u16, source: Source, message: Message) -> bool {
        let (Some(cold), Some(entry)) = (
            self.cold.as_deref_mut(),
            self.entries.get_mut(usize::from(offset)),
        ) else {
            return false;
        };
        if !entry.is_cold() || cold.source(offset, entry) != Some(source) {
            return false;
        }
        entry.warm(message);
        cold.remove(offset);
        true
    }

    fn chill(&mut self, put: Put<'_>) {
        let mut blobs = Blobs::default();
        let cold = self.cold.get_or_insert_default();
        for (offset, entry) in (0u16..).zip(&mut self.entries) {
            let is_here = matches!(entry.state, EntryState::Ready | EntryState::Leased);
            if !is_here || !entry.is_warm() {
                continue;
            }
            // A body in a file takes no memory; one that the log does not hold would go with its message.
            if !entry.keeps_file()
                && let Some(message) = cold.chill(offset, entry)
            {
                blobs.add(offset, &message, put);
            }
            // Looked at for room again and again, it would hide the chunks before it.
            self.must_stay |= entry.is_warm();
        }
        blobs.close(put);
        cold.blobs.append(&mut blobs.done);
        if cold.count == 0 {
            self.cold = None;
        }
    }

    /// What the header of a spilled chunk says; its id is not known yet.
    fn summary(&self, cold: &Cold) -> Spilled {
        let mut spilled = Spilled {
            id: SpillId(0),
            ready_bytes: 0,
            lsns: None,
            is_loading: false,
        };
        let live = (0u16..).zip(&self.entries);
        for (offset, entry) in live.filter(|(_, entry)| entry.is_cold()) {
            spilled.ready_bytes += u64::from(cold.body_len(offset));
            if let Some(lsn) = entry.lsn {
                let (low, high) = spilled.lsns.unwrap_or((lsn, lsn));
                spilled.lsns = Some((low.min(lsn), high.max(lsn)));
            }
        }
        spilled
    }
}

/// Collects messages that the log does not hold.
#[derive(Default)]
struct Blobs {
    done: Vec<Blob>,
    bytes: Vec<u8>,
    offsets: Vec<u16>,
}

impl Blobs {
    fn add(&mut self, offset: u16, message: &Message, put: Put<'_>) {
        blob::encode(&mut self.bytes, message);
        self.offsets.push(offset);
        if self.bytes.len() >= BLOB_BYTES {
            self.close(put);
        }
    }

    fn close(&mut self, put: Put<'_>) {
        if self.offsets.is_empty() {
            return;
        }
        let id = put(std::mem::take(&mut self.bytes));
        let offsets = std::mem::take(&mut self.offsets);
        self.done.push(Blob { id, offsets });
    }
}
