//! How far a long piece of work is, for whoever watches it, and whether somebody wants it to end.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use std::io;

/// Bytes done of bytes to do, shared between who works and who watches.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    total: AtomicU64,
    /// Whether what is expected is to be done once more later, and how much of that was not expected again yet.
    is_twice: AtomicBool,
    later: AtomicU64,
    is_cancelled: AtomicBool,
}

impl Progress {
    /// Bytes done so far, and in all as far as is known.
    pub fn get(&self) -> (u64, u64) {
        let total = self.total.load(Ordering::Relaxed);
        (self.done.load(Ordering::Relaxed).min(total), total)
    }

    /// Asks the work to end soon, unfinished.
    pub fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// From now on what is expected is to be done once more later, or not any more: so a bar does not jump back when it is.
    pub(crate) fn expect_twice(&self, is_twice: bool) {
        self.is_twice.store(is_twice, Ordering::Relaxed);
    }

    /// So many bytes more are to be done. Called by one thread only.
    pub(crate) fn expect(&self, bytes: u64) {
        let later = self.later.load(Ordering::Relaxed);
        let (later, more) = if self.is_twice.load(Ordering::Relaxed) {
            (later + bytes, bytes.saturating_mul(2))
        } else {
            (later.saturating_sub(bytes), bytes.saturating_sub(later))
        };
        self.later.store(later, Ordering::Relaxed);
        self.total.fetch_add(more, Ordering::Relaxed);
    }

    /// So many bytes were done.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] if the work is to end.
    pub(crate) fn done(&self, bytes: u64) -> io::Result<()> {
        self.done.fetch_add(bytes, Ordering::Relaxed);
        if self.is_cancelled.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::Interrupted, "cancelled"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_twice_is_expected_once() {
        let progress = Progress::default();
        progress.expect_twice(true);
        progress.expect(10);
        progress.expect(20);
        progress.expect_twice(false);
        progress.done(30).unwrap();
        assert_eq!(progress.get(), (30, 60));
        // The second time there is a little more.
        progress.expect(10);
        progress.expect(25);
        progress.done(35).unwrap();
        assert_eq!(progress.get(), (65, 65));
    }
}
