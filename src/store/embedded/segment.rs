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

use crate::core::log::store::StoreError;

use super::disk::Disk;
use super::disk::SegmentFile;
use super::meta::io_error;

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
