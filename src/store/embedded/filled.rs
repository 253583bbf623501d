//! A file that gets its blocks ahead of what is written to it.

use std::io;
use std::sync::Arc;

use crate::core::sync::AtomicU64;
use crate::core::sync::Mutex;
use crate::core::sync::Ordering;

use super::segment_file::SegmentFile;

/// How much is zero-filled in one write.
const FILL_STEP_BYTES: usize = 1024 * 1024;

/// A file whose start is zero-filled, while its end may still be.
///
/// INVARIANT: zeros are written above `filled` only, with the lock held; whoever writes records above
/// `filled` first takes the lock and raises it to the end, so zeros never land on records.
pub(super) struct FilledFile {
    file: Arc<dyn SegmentFile>,
    /// The same file, opened once more: the system tells of a page that it could not write once per
    /// opening, and it must be the writer's sync that hears of it.
    zeros: Arc<dyn SegmentFile>,
    size: u64,
    filled: AtomicU64,
    filling: Mutex<()>,
}

impl FilledFile {
    /// A file that has no blocks yet, opened twice.
    pub(super) fn empty(
        file: Arc<dyn SegmentFile>,
        zeros: Arc<dyn SegmentFile>,
        size: u64,
    ) -> Self {
        Self {
            file,
            zeros,
            size,
            filled: AtomicU64::new(0),
            filling: Mutex::new(()),
        }
    }

    /// A file that has all its blocks.
    pub(super) fn whole(file: Arc<dyn SegmentFile>, size: u64) -> Self {
        Self {
            filled: AtomicU64::new(size),
            ..Self::empty(Arc::clone(&file), file, size)
        }
    }

    /// Makes what was written survive a power cut. An error is never one of a full disk, which could be
    /// tried again: after it nobody knows what is on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file
            .sync()
            .map_err(|error| io::Error::other(format!("sync: {error}")))
    }

    /// Bytes of the file that have their blocks.
    pub(super) fn filled(&self) -> u64 {
        self.filled.load(Ordering::Acquire)
    }

    /// Whether there is nothing left to fill.
    pub(super) fn is_full(&self) -> bool {
        self.filled() >= self.size
    }

    /// Fills the next piece, and syncs it, so that a sync of records never has to.
    pub(super) fn fill_step(&self) -> io::Result<()> {
        static ZEROS: [u8; FILL_STEP_BYTES] = [0; FILL_STEP_BYTES];
        let _filling = self.filling.lock();
        let start = self.filled();
        let left = usize::try_from(self.size.saturating_sub(start)).unwrap_or(usize::MAX);
        let Some(zeros) = ZEROS.get(..left.min(FILL_STEP_BYTES)) else {
            return Ok(());
        };
        if !zeros.is_empty() {
            self.zeros.write_all_at(zeros, start)?;
            self.zeros.sync()?;
            let end = start.saturating_add(u64::try_from(zeros.len()).unwrap_or(u64::MAX));
            self.filled.store(end, Ordering::Release);
        }
        Ok(())
    }

    /// Writes records. Above what is filled the file grows, and nothing is filled any more.
    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        if end > self.filled() {
            let _filling = self.filling.lock();
            if end > self.filled() {
                self.filled.store(end.max(self.size), Ordering::Release);
            }
        }
        self.file.write_all_at(bytes, offset)
    }
}
