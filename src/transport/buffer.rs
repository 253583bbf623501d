//! Buffers between a socket and its session.

use std::cell::RefCell;

use bytes::Buf;
use bytes::BytesMut;

/// Bytes of one read: measured to be the optimum; 16 KiB and 256 KiB are a fifth slower.
pub const READ_BYTES: usize = 64 * 1024;

/// A session stops taking once this much waits to be written: that is what makes output bounded.
pub const WRITE_HIGH_WATER_BYTES: usize = 64 * 1024;

/// A session reads nothing while this much waits to be written. Well above [`WRITE_HIGH_WATER_BYTES`]: a
/// peer that is busy writing to us (acknowledgements, its close) must be read from although it does not read,
/// or both sides wait for ever; what it sends may have answers, which need room.
pub const ANSWER_HIGH_WATER_BYTES: usize = 2 * WRITE_HIGH_WATER_BYTES;

/// An output buffer larger than this is given back once it is empty.
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

    /// Where to encode to.
    pub fn buf(&mut self) -> &mut BytesMut {
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
        if self.bytes.is_empty() {
            if self.bytes.capacity() > KEEP_BYTES {
                self.bytes = BytesMut::new();
            } else {
                self.bytes.clear();
            }
        }
    }

    /// Gives the memory back: the connection is idle.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
        }
    }
}

thread_local! {
    static SPARE: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// Spare read buffers kept a thread: connections that read at the same time on one thread.
const SPARE_MAX: usize = 4;

/// A buffer with at least [`READ_BYTES`] of room, from the thread's pool.
pub fn take_read_buffer() -> BytesMut {
    let mut buffer = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
    buffer.reserve(READ_BYTES);
    buffer
}

/// Gives a buffer back to the thread's pool; bytes in it are dropped.
pub fn give_read_buffer(mut buffer: BytesMut) {
    buffer.clear();
    SPARE.with_borrow_mut(|spare| {
        if spare.len() < SPARE_MAX && buffer.capacity() >= READ_BYTES / 2 {
            spare.push(buffer);
        }
    });
}
