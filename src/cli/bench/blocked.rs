//! Whether the broker holds producers back, and why.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// What the broker said when it blocked publishers (AMQP connection.blocked); a copy knows the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocked(Arc<State>);

#[derive(Debug, Default)]
struct State {
    reason: OnceLock<String>,
    is_now: AtomicBool,
}

impl Blocked {
    /// The broker blocks.
    pub(super) fn block(&self, reason: String) {
        // The first reason is the one that began it.
        let _ = self.0.reason.set(reason);
        self.0.is_now.store(true, Relaxed);
    }

    /// It takes messages again.
    pub(super) fn unblock(&self) {
        self.0.is_now.store(false, Relaxed);
    }

    /// Whether it blocks now.
    pub(super) fn is_now(&self) -> bool {
        self.0.is_now.load(Relaxed)
    }

    /// Why it blocked, if it ever did.
    pub(super) fn reason(&self) -> Option<String> {
        self.0.reason.get().cloned()
    }
}
