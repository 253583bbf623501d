//! How far a log is on disk, and who waits for it.

use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

/// How far a shard is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Watermark {
    /// Every record up to this number survives a power cut; 0 = none yet.
    Durable(u64),
    /// A sync failed. Nothing above the last watermark will ever be confirmed, and the process must stop.
    Failed,
}

impl Watermark {
    /// Whether the record at `lsn` is on disk.
    pub fn covers(self, lsn: Lsn) -> bool {
        matches!(self, Self::Durable(upto) if upto >= lsn.number())
    }
}

/// Whoever waits for a watermark.
pub trait Waiter: Send + Sync {
    /// The watermark of `shard` reached what was waited for, or the shard failed. Called from the
    /// store's thread without its lock; must be quick and must not call the store.
    fn watermark_moved(&self, shard: Shard);
}
