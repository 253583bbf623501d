//! Whether a connection's client has proved anything yet.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

/// What is known of the client of a connection.
#[derive(Debug, Default)]
pub(super) struct Login {
    is_verified: AtomicBool,
    admitting: AtomicU32,
}

/// A request that is being admitted, however that ends.
pub(super) struct Admitting<'a>(&'a Login);

impl Login {
    /// A request of the connection was verified.
    pub(super) fn verified(&self) {
        self.is_verified.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_verified(&self) -> bool {
        self.is_verified.load(Ordering::Relaxed)
    }

    /// A request's head was read; a body has time-outs of its own.
    pub(super) fn admit(&self) -> Admitting<'_> {
        self.admitting.fetch_add(1, Ordering::Relaxed);
        Admitting(self)
    }

    pub(super) fn is_admitting(&self) -> bool {
        self.admitting.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Admitting<'_> {
    fn drop(&mut self) {
        self.0.admitting.fetch_sub(1, Ordering::Relaxed);
    }
}
