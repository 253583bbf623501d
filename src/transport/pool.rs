//! Memory for input and output, which an idle connection does not hold.

use bytes::BytesMut;
use parking_lot::Mutex;

use super::buffer::READ_BYTES;

/// Room of a buffer: a read behind the start of a message that came before it, or what a session encodes up to its high
/// water and the last frame beyond, so that neither has to be moved to a larger one.
pub(super) const BUFFER_BYTES: usize = READ_BYTES + 8 * 1024;

/// A buffer larger than this is freed rather than used again. One that had to grow has doubled, and is kept: it would only
/// grow again, and be freed again, with every write that the socket takes a part of.
pub(super) const KEEP_BYTES: usize = 2 * BUFFER_BYTES;

/// Spare buffers that are kept: input and output of 16 connections that are busy at the same time, 4.5 MiB at most.
const SPARE_MAX: usize = 32;

/// One pool for all threads: a task mostly ends a round on another thread than it began on, so pools of threads' own would
/// be empty here and full there. Its lock is taken when a connection wakes up and when it becomes idle, not in between.
static SPARE: Pool = Pool::new();

/// An empty buffer with room for a read or a write, from the pool.
pub fn take_buffer() -> BytesMut {
    SPARE.take()
}

/// Gives a buffer back to the pool; bytes in it are dropped.
pub fn give_buffer(buffer: BytesMut) {
    SPARE.give(buffer);
}

/// Whether an empty buffer is worth using again: neither has it grown large, nor does somebody still hold bytes of it.
///
/// `capacity` cannot say: it counts from where the buffer was read to, while its whole memory would be kept. To ask moves
/// the buffer to the start of it.
pub(super) fn is_reusable(empty: &mut BytesMut) -> bool {
    !empty.try_reclaim(KEEP_BYTES + 1) && empty.try_reclaim(BUFFER_BYTES)
}

/// Spare buffers, empty and of [`BUFFER_BYTES`] to [`KEEP_BYTES`] each.
struct Pool {
    spare: Mutex<Vec<BytesMut>>,
}

impl Pool {
    const fn new() -> Self {
        Self {
            spare: Mutex::new(Vec::new()),
        }
    }

    fn take(&self) -> BytesMut {
        let mut buffer = self.spare.lock().pop().unwrap_or_default();
        buffer.reserve(BUFFER_BYTES);
        buffer
    }

    fn give(&self, mut buffer: BytesMut) {
        buffer.clear();
        if !is_reusable(&mut buffer) {
            return;
        }
        let mut spare = self.spare.lock();
        if spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf;

    use super::*;

    impl Pool {
        fn len(&self) -> usize {
            self.spare.lock().len()
        }
    }

    #[test]
    fn a_buffer_is_used_again_however_much_of_it_was_used() {
        let pool = Pool::new();
        for used in [0, 1, READ_BYTES, BUFFER_BYTES] {
            let mut buffer = pool.take();
            let place = buffer.as_ptr();
            buffer.extend_from_slice(&vec![7; used]);
            buffer.advance(used);
            pool.give(buffer);
            assert_eq!(pool.len(), 1, "{used}");
            let again = pool.take();
            assert_eq!(pool.len(), 0);
            assert_eq!(again.as_ptr(), place);
            assert!(again.is_empty() && again.capacity() >= BUFFER_BYTES);
            pool.give(again);
        }
    }

    #[test]
    fn bytes_that_are_left_in_a_buffer_are_dropped() {
        let pool = Pool::new();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"left");
        pool.give(buffer);
        assert_eq!(pool.len(), 1);
        assert!(pool.take().is_empty());
    }

    #[test]
    fn a_buffer_that_somebody_holds_a_part_of_is_not_used_again() {
        let pool = Pool::new();
        let mut buffer = pool.take();
        buffer.extend_from_slice(b"body and the rest");
        let body = buffer.split_to(4).freeze();
        pool.give(buffer);
        assert_eq!(pool.len(), 0);
        assert_eq!(body, "body");
    }

    #[test]
    fn a_buffer_that_grew_once_is_used_again() {
        let pool = Pool::new();
        let mut buffer = pool.take();
        buffer.extend_from_slice(&[7; BUFFER_BYTES]);
        buffer.advance(1000);
        buffer.extend_from_slice(&[7; 2000]);
        pool.give(buffer);
        assert_eq!(pool.len(), 1);
    }

    /// Whether its last bytes alone stand in it, or all of them.
    #[test]
    fn a_large_buffer_is_freed_although_little_of_it_is_left() {
        let pool = Pool::new();
        for used in [0, 1 << 19, (1 << 20) - 10] {
            let mut buffer = BytesMut::with_capacity(1 << 20);
            buffer.extend_from_slice(&vec![7; 1 << 20]);
            buffer.advance(used);
            pool.give(buffer);
            assert_eq!(pool.len(), 0, "{used}");
        }
        // As `Bytes` that were split off share it.
        let mut buffer = BytesMut::with_capacity(1 << 20);
        buffer.extend_from_slice(&vec![7; (1 << 20) - BUFFER_BYTES]);
        drop(buffer.split().freeze());
        assert_eq!(buffer.capacity(), BUFFER_BYTES);
        pool.give(buffer);
        assert_eq!(pool.len(), 0);
    }

    #[test]
    fn spares_are_bounded() {
        let pool = Pool::new();
        let taken: Vec<BytesMut> = (0..SPARE_MAX + 3).map(|_| pool.take()).collect();
        for buffer in taken {
            pool.give(buffer);
        }
        assert_eq!(pool.len(), SPARE_MAX);
    }

    #[test]
    fn nothing_is_no_spare() {
        let pool = Pool::new();
        pool.give(BytesMut::new());
        assert_eq!(pool.len(), 0);
    }
}
