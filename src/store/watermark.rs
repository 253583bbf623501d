//! A watermark that is read without a lock.

use crate::core::log::store::Watermark;
use crate::core::sync::AtomicU64;
use crate::core::sync::Ordering;

/// Above every number of a record, so that whoever compares sees a failure as "reached".
const FAILED: u64 = u64::MAX;

/// How far a shard is durable. Written under the log's lock only.
#[derive(Debug, Default)]
pub(crate) struct AtomicWatermark(AtomicU64);

impl AtomicWatermark {
    /// The watermark.
    pub(crate) fn get(&self) -> Watermark {
        match self.0.load(Ordering::Acquire) {
            FAILED => Watermark::Failed,
            upto => Watermark::Durable(upto),
        }
    }

    /// Whether a waiter for record `number` has nothing to wait for.
    pub(crate) fn answers(&self, number: u64) -> bool {
        self.0.load(Ordering::Acquire) >= number
    }

    /// Whether the shard has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.get() == Watermark::Failed
    }

    /// Everything up to record `number` is durable. It never moves back, and a failure stays one.
    pub(crate) fn reach(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Release);
    }

    /// Nothing more will be durable.
    pub(crate) fn fail(&self) {
        self.0.store(FAILED, Ordering::Release);
    }
}
