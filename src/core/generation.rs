//! How who keeps an answer finds out that it no longer holds, without a lock.

use crate::core::sync::AtomicU64;
use crate::core::sync::Ordering;

/// Grows with every change of what is looked up.
///
/// INVARIANT: it grows, and is read for a new answer, with the lock held that guards what is looked up: an answer from
/// before a change never carries the number after it.
#[derive(Debug)]
pub(in crate::core) struct Generation(AtomicU64);

impl Generation {
    /// The first one; 0 is nobody's, for answers that hold but once.
    pub(in crate::core) fn first() -> Self {
        Self(AtomicU64::new(1))
    }

    /// The number of an answer that is looked up now. With the lock held.
    pub(in crate::core) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether answers with that number hold. Whoever heard of a change, however that was, is told no.
    pub(in crate::core) fn is(&self, number: u64) -> bool {
        self.0.load(Ordering::Relaxed) == number
    }

    /// Answers so far no longer hold. With the lock held for writing, before anybody hears of the change.
    pub(in crate::core) fn changed(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
