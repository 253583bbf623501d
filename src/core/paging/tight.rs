//! A note from those who push to whoever keeps house: the memory is short, and it is not mine.

use crate::core::sync::AtomicBool;
use crate::core::sync::Ordering;

/// The note. One is as good as many.
#[derive(Debug, Default)]
pub(in crate::core) struct Tight(AtomicBool);

impl Tight {
    /// Leaves the note. Whoever takes it sees the memory in use as this thread did, or newer: else it could find
    /// enough and throw the note away. A swap, or the last who leaves one would hide what those before it saw.
    pub(in crate::core) fn note(&self) {
        self.0.swap(true, Ordering::Release);
    }

    /// Whether there is a note.
    pub(in crate::core) fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes the note, if there is one. Before the memory is looked at: what is noted meanwhile is for the next time.
    pub(in crate::core) fn take(&self) -> bool {
        self.0.swap(false, Ordering::Acquire)
    }
}
