//! The memory budget: what messages may take, all queues together.

use std::sync::Arc;

use crate::core::sync::AtomicU64;
use crate::core::sync::Ordering;

/// Counts the bytes that messages hold in memory. Added to and taken from once a batch.
#[derive(Debug)]
pub struct Budget {
    used: AtomicU64,
    limit: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            used: AtomicU64::new(0),
            limit,
        })
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes that may be used before publishers are blocked.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether the memory alarm belongs raised, or cleared; none: as it is, so that it does not flutter.
    pub(in crate::core) fn alarm(&self) -> Option<bool> {
        match self.used() {
            used if used >= self.limit => Some(true),
            used if used < self.limit / 10 * 9 => Some(false),
            _ => None,
        }
    }

    /// Takes `bytes` until the charge is dropped. Never refuses: the alarm stops publishers before they
    /// are read from, and what was read already is kept.
    pub fn charge(self: &Arc<Self>, bytes: u64) -> Charge {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Charge {
            budget: Arc::clone(self),
            bytes,
        }
    }
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
