//! A file that gets its blocks ahead of what is written to it.

use std::io;
use std::sync::Arc;

use crate::core::sync::AtomicU64;
use crate::core::sync::Mutex;
use crate::core::sync::Ordering;

use super::segment_file::SegmentFile;

/// How much is zero-filled in one write.
const FILL_STEP_BYTES: usize = 1024 * 1024;

static ZEROS: [u8; FILL_STEP_BYTES] = [0; FILL_STEP_BYTES];

/// A file whose start has its blocks, while its end may not.
///
/// INVARIANT: zeros are written above what is filled only, with the lock held; records are written below it only. So zeros
/// never land on records, and a full disk is met before a record is written, never in the middle of it.
pub(super) struct FilledFile {
    file: Arc<dyn SegmentFile>,
    /// The same file, opened once more: the system tells of a page that it could not write once per
    /// opening, and it must be the writer's sync that hears of it.
    zeros: Arc<dyn SegmentFile>,
    size: u64,
    /// Bytes that have their blocks, for whoever looks without the lock.
    filled: AtomicU64,
    filling: Mutex<Filling>,
}

/// How far a file is filled.
struct Filling {
    /// Bytes that have their blocks.
    end: u64,
    /// The writer came to the end, and goes on by itself.
    is_over: bool,
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
            filling: Mutex::new(Filling {
                end: 0,
                is_over: false,
            }),
        }
    }

    /// A file that has all its blocks.
    pub(super) fn whole(file: Arc<dyn SegmentFile>, size: u64) -> Self {
        let whole = Self::empty(Arc::clone(&file), file, size);
        whole.raise(&mut whole.filling.lock(), size);
        whole
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
        let filling = self.filling.lock();
        filling.is_over || filling.end >= self.size
    }

    /// Fills the next piece, and syncs it, so that a sync of records never has to.
    pub(super) fn fill_step(&self) -> io::Result<()> {
        let mut filling = self.filling.lock();
        let start = filling.end;
        let zeros = zeros(self.size.saturating_sub(start));
        if !filling.is_over && !zeros.is_empty() {
            self.zeros.write_all_at(zeros, start)?;
            self.zeros.sync()?;
            self.raise(&mut filling, start + len_of(zeros));
        }
        Ok(())
    }

    /// Sees to it that the file has its blocks up to `end`, for records that come next. Above what is filled it grows,
    /// and nothing is filled ahead any more. What is new is not synced: the sync of the records does that.
    pub(super) fn grow(&self, end: u64) -> io::Result<()> {
        if end <= self.filled() {
            return Ok(());
        }
        let mut filling = self.filling.lock();
        while filling.end < end {
            filling.is_over = true;
            let (start, zeros) = (filling.end, zeros(end - filling.end));
            self.file.write_all_at(zeros, start)?;
            self.raise(&mut filling, start + len_of(zeros));
        }
        Ok(())
    }

    fn raise(&self, filling: &mut Filling, end: u64) {
        filling.end = end;
        self.filled.store(end, Ordering::Release);
    }

    /// Writes records, below what is filled.
    pub(super) fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
}

/// So many zeros, or as many as are written at once.
fn zeros(most: u64) -> &'static [u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    ZEROS.get(..most).unwrap_or(&ZEROS)
}

fn len_of(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
