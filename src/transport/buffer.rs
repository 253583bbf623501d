//! Buffers between a socket and its session.

use bytes::Buf;
use bytes::BytesMut;

use super::pool::give_buffer;
use super::pool::is_reusable;
use super::pool::take_buffer;

/// Bytes of one read: measured to be the optimum; 16 KiB and 256 KiB are a fifth slower.
pub const READ_BYTES: usize = 64 * 1024;

/// A session stops taking once this much waits to be written: that is what makes output bounded.
pub const WRITE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// A session reads nothing while this much waits to be written. Well above [`WRITE_HIGH_WATER_BYTES`]: a
/// peer that is busy writing to us (acknowledgements, its close) must be read from although it does not read,
/// or both sides wait for ever; what it sends may have answers, which need room.
pub const ANSWER_HIGH_WATER_BYTES: usize = 2 * WRITE_HIGH_WATER_BYTES;

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
        if !is_reusable(&mut self.bytes) {
            self.bytes = BytesMut::new();
        }
    }

    /// Gives the memory back, if nothing waits in it: the connection does nothing for now.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            give_buffer(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::transport::pool::BUFFER_BYTES;
    use crate::transport::pool::KEEP_BYTES;

    use super::*;

    impl WriteBuf {
        /// Whether it has memory.
        pub(crate) fn holds_memory(&self) -> bool {
            self.bytes.capacity() > 0
        }
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

    /// A socket that takes a part of each write makes the output grow once: not once for every write.
    #[test]
    fn an_output_that_is_filled_again_before_it_is_written_grows_once() {
        let mut out = WriteBuf::new();
        out.buf().extend_from_slice(&[7; BUFFER_BYTES]);
        let mut place = None;
        for _ in 0..3 {
            out.advance(1000);
            out.buf().extend_from_slice(&[7; 2000]);
            assert_eq!(
                out.pending().as_ptr(),
                *place.get_or_insert(out.pending().as_ptr())
            );
            out.advance(out.pending().len());
            assert!(out.holds_memory());
            out.buf().extend_from_slice(&[7; BUFFER_BYTES]);
        }
    }

    #[test]
    fn an_output_that_grew_large_is_freed_once_it_is_written() {
        let mut out = WriteBuf::new();
        out.buf().extend_from_slice(&[7; KEEP_BYTES + 1]);
        out.advance(KEEP_BYTES);
        assert_eq!(out.pending(), [7]);
        out.advance(1);
        assert!(!out.holds_memory());
        out.buf().extend_from_slice(b"next");
        out.advance(4);
        assert!(out.holds_memory());
    }

    #[test]
    fn only_an_empty_output_gives_its_memory_back() {
        let mut out = WriteBuf::new();
        out.buf().extend_from_slice(b"waits");
        out.release();
        assert_eq!(out.pending(), b"waits");
        out.advance(5);
        out.release();
        assert!(!out.holds_memory());
    }
}
