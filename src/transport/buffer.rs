//! Buffers between a socket and its session.

use bytes::Buf;
use bytes::BytesMut;
use parking_lot::Mutex;

/// Bytes of one read: measured to be the optimum; 16 KiB and 256 KiB are a fifth slower.
pub const READ_BYTES: usize = 64 * 1024;

/// A session stops taking once this much waits to be written: that is what makes output bounded.
pub const WRITE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// Room of a buffer: a read behind the start of a message that came before it, or what a session encodes up to its high
/// water and the last frame beyond, so that neither has to be moved to a larger one.
const BUFFER_BYTES: usize = READ_BYTES + 8 * 1024;

/// A session reads nothing while this much waits to be written. Well above [`WRITE_HIGH_WATER_BYTES`]: a
/// peer that is busy writing to us (acknowledgements, its close) must be read from although it does not read,
/// or both sides wait for ever; what it sends may have answers, which need room.
pub const ANSWER_HIGH_WATER_BYTES: usize = 2 * WRITE_HIGH_WATER_BYTES;

/// A buffer larger than this is freed once it is empty.
const KEEP_BYTES: usize = 2 * WRITE_HIGH_WATER_BYTES;

/// What a session has encoded and the socket has not taken yet: one flat buffer.
#[derive(Debug, Default)]
pub struct WriteBuf {
    bytes: BytesMut,
}

impl WriteBuf {
    /// An empty buffer, without memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where to encode to. Comes with room for a whole write, from the pool.
    pub fn buf(&mut self) -> &mut BytesMut {
        if self.bytes.capacity() == 0 {
            self.bytes = take_buffer();
        }
        &mut self.bytes
    }

    /// How many bytes may still be encoded before the high water, 0 above it.
    pub fn room(&self) -> usize {
        WRITE_HIGH_WATER_BYTES.saturating_sub(self.bytes.len())
    }

    /// Whether there is room for the answers to what is read.
    pub fn has_room_for_answers(&self) -> bool {
        self.bytes.len() < ANSWER_HIGH_WATER_BYTES
    }

    /// What waits to be written.
    pub fn pending(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The socket took `n` bytes.
    pub fn advance(&mut self, n: usize) {
        self.bytes.advance(n);
        if !self.bytes.is_empty() {
            return;
        }
        // While nothing stands in it: reclaimed later, as it runs full, what was encoded by then would be moved.
        if self.bytes.try_reclaim(KEEP_BYTES + 1) || !self.bytes.try_reclaim(BUFFER_BYTES) {
            self.bytes = BytesMut::new();
        }
    }

    /// Gives the memory back: the connection is idle.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            give_buffer(std::mem::take(&mut self.bytes));
        }
    }
}

/// One pool for all threads: a task mostly ends a round on another thread than it began on, so pools of threads' own would
/// be empty here and full there. Its lock is taken when a connection wakes up and when it becomes idle, not in between.
static SPARE: Mutex<Vec<BytesMut>> = Mutex::new(Vec::new());

/// Spare buffers that are kept: input and output of 16 connections that are busy at the same time, 4 MiB at most.
const SPARE_MAX: usize = 32;

/// An empty buffer with room for a read or a write, from the pool.
pub fn take_buffer() -> BytesMut {
    let mut buffer = SPARE.lock().pop().unwrap_or_default();
    buffer.reserve(BUFFER_BYTES);
    buffer
}

/// Gives a buffer back to the pool; bytes in it are dropped.
pub fn give_buffer(mut buffer: BytesMut) {
    buffer.clear();
    // One whose bytes somebody still holds cannot be used again.
    if !buffer.try_reclaim(BUFFER_BYTES) || buffer.capacity() > KEEP_BYTES {
        return;
    }
    let mut spare = SPARE.lock();
    if spare.len() < SPARE_MAX {
        spare.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes spare buffers until there is the one at `place`. Other tests use the pool, too.
    fn find(place: *const u8) -> Option<BytesMut> {
        (0..2 * SPARE_MAX)
            .map(|_| take_buffer())
            .find(|buffer| buffer.as_ptr() == place)
    }

    #[test]
    fn a_buffer_is_used_again_however_much_of_it_was_used() {
        let mut buffer = take_buffer();
        buffer.extend_from_slice(&[7; READ_BYTES]);
        let place = buffer.as_ptr();
        buffer.advance(READ_BYTES);
        give_buffer(buffer);
        assert!(find(place).unwrap().is_empty());
    }

    #[test]
    fn a_buffer_that_somebody_holds_a_part_of_is_not_used_again() {
        let mut buffer = take_buffer();
        let place = buffer.as_ptr();
        buffer.extend_from_slice(b"body and the rest");
        let body = buffer.split_to(4).freeze();
        give_buffer(buffer);
        assert_eq!(find(place), None);
        assert_eq!(body, "body");
    }

    #[test]
    fn a_full_output_goes_to_the_same_place_each_time() {
        let mut out = WriteBuf::new();
        let place = out.buf().as_ptr();
        for _ in 0..3 {
            while out.room() > 0 {
                out.buf().extend_from_slice(&[7; 4096 + 64]);
            }
            assert_eq!(out.pending().as_ptr(), place);
            out.advance(1000);
            out.advance(out.pending().len());
        }
    }

    #[test]
    fn an_output_that_grew_large_is_freed_once_it_is_written() {
        let mut out = WriteBuf::new();
        out.buf().extend_from_slice(&[7; KEEP_BYTES + 1]);
        out.advance(KEEP_BYTES);
        assert_eq!(out.pending(), [7]);
        out.advance(1);
        assert_eq!(out.bytes.capacity(), 0);
        out.buf().extend_from_slice(b"next");
        out.advance(4);
        assert_ne!(out.bytes.capacity(), 0);
    }
}
