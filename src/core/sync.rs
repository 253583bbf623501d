//! Locks and atomics of whatever several threads use without asking the compiler's leave: flags, handshakes, counts.
//!
//! They come through this door so that `tests/interleavings` can put a model checker's in their place: it compiles the
//! files that import them as they are, with a `core::sync` of its own, and runs them through every interleaving and
//! every order of memory that the language allows.

pub(crate) use std::sync::atomic::AtomicBool;
pub(crate) use std::sync::atomic::AtomicU8;
pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::AtomicUsize;
pub(crate) use std::sync::atomic::Ordering;
pub(crate) use std::sync::atomic::fence;

pub(crate) use parking_lot::Condvar;
pub(crate) use parking_lot::Mutex;
pub(crate) use parking_lot::MutexGuard;
