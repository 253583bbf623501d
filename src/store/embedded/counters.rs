//! What the log counts about itself.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Counters that the writer moves.
#[derive(Debug, Default)]
pub(super) struct Counters {
    frames: AtomicU64,
    records: AtomicU64,
    bytes: AtomicU64,
    syncs: AtomicU64,
    sync_nanos: AtomicU64,
    pub(super) rolls: AtomicU64,
    pub(super) recycled: AtomicU64,
}

/// What the log did since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames written.
    pub frames: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of frames, padding included.
    pub bytes: u64,
    /// Syncs of frames.
    pub syncs: u64,
    /// Time that those took.
    pub sync_nanos: u64,
    /// Times that a new segment was begun because one was full.
    pub rolls: u64,
    /// Segments that nothing held any more.
    pub recycled: u64,
}

impl Counters {
    /// Counts a frame that was written.
    pub(super) fn count_frame(&self, records: usize, bytes: usize) {
        let count = |counter: &AtomicU64, n: usize| {
            counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        count(&self.frames, 1);
        count(&self.records, records);
        count(&self.bytes, bytes);
    }

    /// Counts a sync and the time that it takes.
    #[expect(
        clippy::disallowed_methods,
        reason = "measures the disk; no decision depends on it"
    )]
    pub(super) fn time_sync<T>(&self, sync: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = sync();
        let nanos = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_nanos.fetch_add(nanos, Ordering::Relaxed);
        done
    }

    /// The counters now.
    pub(super) fn read(&self) -> Stats {
        Stats {
            frames: self.frames.load(Ordering::Relaxed),
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            syncs: self.syncs.load(Ordering::Relaxed),
            sync_nanos: self.sync_nanos.load(Ordering::Relaxed),
            rolls: self.rolls.load(Ordering::Relaxed),
            recycled: self.recycled.load(Ordering::Relaxed),
        }
    }
}
