//! Files of the log: `NNNNNNNNNN.seg` are its main chain, `NNNNNNNNNN.cold` what was copied forward, and
//! `NNNNNNNNNN.spare` wait to be one of them.
//!
//! A spare is zero-filled ahead of use, because `fdatasync` of a file that neither grows nor gets new
//! blocks is twice as fast; or it is a segment that nothing held any more, whose old bytes never parse
//! in another segment (see [`super::frame`]).

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::core::log::store::StoreError;

use super::disk::Disk;
use super::disk::SegmentFile;
use super::meta::io_error;

/// How much is zero-filled in one write.
const FILL_STEP_BYTES: usize = 1024 * 1024;

/// A segment of one of the log's chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SegmentId {
    /// What is appended.
    Main(u64),
    /// What was copied forward.
    Cold(u64),
}

impl SegmentId {
    /// Its place in its chain.
    pub(super) fn number(self) -> u64 {
        match self {
            Self::Main(id) | Self::Cold(id) => id,
        }
    }

    /// The chain, as a segment's header has it.
    pub(super) fn chain(self) -> u8 {
        match self {
            Self::Main(_) => 0,
            Self::Cold(_) => 1,
        }
    }
}

/// The directory of the log.
pub(super) struct LogDir {
    path: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
}

/// The files of a directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Ids of segments, ascending.
    pub(super) segments: Vec<u64>,
    /// Ids of cold segments, ascending.
    pub(super) cold: Vec<u64>,
    /// Numbers of spares, ascending.
    pub(super) spares: Vec<u64>,
}

impl LogDir {
    /// The log in `path`, which exists.
    pub(super) fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self { path, disk }
    }

    /// Path of a segment of either chain.
    pub(super) fn path_of(&self, segment: SegmentId) -> PathBuf {
        match segment {
            SegmentId::Main(id) => self.segment(id),
            SegmentId::Cold(id) => self.path.join(format!("{id:010}.cold")),
        }
    }

    /// Path of a segment of the main chain.
    pub(super) fn segment(&self, id: u64) -> PathBuf {
        self.path.join(format!("{id:010}.seg"))
    }

    /// Path of a spare.
    pub(super) fn spare(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:010}.spare"))
    }

    /// Lists the files.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn list(&self) -> Result<Listing, StoreError> {
        let names = self
            .disk
            .names(&self.path)
            .map_err(|source| io_error("list", &self.path, source))?;
        let numbered = |suffix: &str| {
            let mut numbers: Vec<u64> = names
                .iter()
                .filter_map(|name| name.strip_suffix(suffix)?.parse().ok())
                .collect();
            numbers.sort_unstable();
            numbers
        };
        Ok(Listing {
            segments: numbered(".seg"),
            cold: numbered(".cold"),
            spares: numbered(".spare"),
        })
    }

    /// Opens a segment that exists.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn open(&self, id: u64) -> Result<Arc<dyn SegmentFile>, StoreError> {
        let path = self.segment(id);
        self.disk
            .open(&path)
            .map_err(|source| io_error("open", &path, source))
    }

    /// Makes new names survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.path)
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

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
