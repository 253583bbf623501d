//! loom's locks and atomics, with the ways of those that the broker uses.

use std::ops::Deref;
use std::ops::DerefMut;
use std::time::Duration;

pub(crate) use loom::sync::atomic::AtomicBool;
pub(crate) use loom::sync::atomic::AtomicU8;
pub(crate) use loom::sync::atomic::AtomicU64;
pub(crate) use loom::sync::atomic::AtomicUsize;
pub(crate) use loom::sync::atomic::Ordering;
pub(crate) use loom::sync::atomic::fence;

/// A lock that cannot be poisoned, as parking_lot's: a model that panics has failed anyway.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

/// It is held.
pub(crate) struct MutexGuard<'a, T>(Option<loom::sync::MutexGuard<'a, T>>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard(Some(self.0.lock().expect("loom does not poison")))
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("held, but while it waits")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.as_mut().expect("held, but while it waits")
    }
}

/// Waits for whoever says so, and for no time.
#[derive(Debug, Default)]
pub(crate) struct Condvar(loom::sync::Condvar);

/// How a wait ended, which nobody asks.
pub(crate) struct Waited;

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.0.take().expect("held, but while it waits");
        guard.0 = Some(self.0.wait(held).expect("loom does not poison"));
    }

    /// Never ends by itself: nothing may depend on a timer but how soon it happens.
    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _time: Duration) -> Waited {
        self.wait(guard);
        Waited
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}
