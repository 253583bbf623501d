//! Backups: a copy of a data dir as of one record, taken while the broker runs or while it is stopped.
//!
//! ```text
//! DIR/ log/NNNNNNNNNN.seg · log/NNNNNNNNNN.cold · checkpoint.N.redb · big/… · MANIFEST (last: without it a backup is none)
//! ```
//! While one is taken nothing that it may still have to copy goes: recycled segments and ended bodies wait ([`Pin`]). What is
//! copied of the log ends with one record that is durable; what a start makes of the copy is what it would have made
//! of the data dir had the power gone right then. There is no `meta` in it, so no broker can be started on it by
//! mistake: [`restore`] writes one.

mod copier;
mod manifest;
mod restore;
mod segments;

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::core::log::store::StoreError;
use crate::core::log::store::Watermark;

use crate::store::format::Version;

use super::EmbeddedLog;
use super::checkpoint::Checkpoints;
use super::disk::Disk;
use super::disk::RealDisk;
use super::meta;
use super::meta::Meta;
use super::meta::io_error;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::shared::Shared;
use super::survey::Progress;

pub(super) use copier::Copier;
use manifest::Manifest;
pub use restore::restore;

/// Name of the file that makes a folder a backup.
const MANIFEST: &str = "MANIFEST";

/// Longest pause after a piece that was copied: a disk that stalls once must not stop a backup for as long again.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Number of the last record in it, 0 = none.
    pub upto: u64,
    /// Files.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
}

/// What is copied from, and how.
struct Source<'a> {
    disk: &'a Arc<dyn Disk>,
    log: &'a LogDir,
    /// The folder of large bodies.
    big: PathBuf,
    meta: Meta,
    /// The last record to be copied; none: whatever is there.
    upto: Option<u64>,
    /// Whether somebody works with the disk meanwhile, who is to have half of it.
    is_shared: bool,
}

/// Keeps the files of a running broker from being used anew.
struct Pin<'a>(&'a Shared);

impl<'a> Pin<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.spares.pin();
        shared.files.pin();
        Self(shared)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.files.unpin();
        self.0.spares.unpin();
    }
}

/// Backs up the data dir of a stopped broker, under its lock.
///
/// # Errors
/// [`StoreError`]; then what was copied is no backup.
pub fn backup(dir: &Path, target: &Path, progress: &Progress) -> Result<Saved, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _lock = meta::lock(&*disk, dir)?;
    let Some((meta, version)) = meta::read(&*disk, dir)? else {
        let error = io::Error::new(
            io::ErrorKind::NotFound,
            "it has no file meta: no broker has run on it",
        );
        return Err(io_error("back up", dir, error));
    };
    if version == Version::One {
        let error =
            io::Error::other("an earlier version wrote it: start and stop this one on it first");
        return Err(io_error("back up", dir, error));
    }
    let log = LogDir::new(dir.join("log"), Arc::clone(&disk));
    let checkpoints = Checkpoints::new(dir, &disk);
    let source = Source {
        disk: &disk,
        log: &log,
        big: dir.join("big"),
        meta,
        upto: None,
        is_shared: false,
    };
    source.save(&checkpoints, target, progress)
}

impl EmbeddedLog {
    /// Backs up this data dir while it is written to: what is durable when the call begins is in the backup. Whoever
    /// appends meanwhile has half of the disk or more. Blocks until it is done.
    ///
    /// # Errors
    /// [`StoreError`]; then what was copied is no backup.
    pub fn backup(&self, target: &Path, progress: &Progress) -> Result<Saved, StoreError> {
        let shared = &self.shared;
        let _pin = Pin::new(shared);
        let meta = *shared.meta.lock();
        let mut source = Source {
            disk: &shared.dir.disk,
            log: &shared.dir,
            big: shared.files.folder().to_owned(),
            meta,
            upto: None,
            is_shared: true,
        };
        let mut copier = source.begin(target, progress)?;
        // What is copied forward from now on is still where it was copied from.
        segments::copy_cold(&source, &mut copier)?;
        // The checkpoint first: it must not have absorbed what the copied log does not have.
        shared.checkpoints.lock().copy(&mut copier)?;
        source.meta = *shared.meta.lock();
        let Watermark::Durable(upto) = shared.watermark.get() else {
            let error = io::Error::other("the log has failed");
            return Err(io_error("back up", &shared.path, error));
        };
        source.upto = Some(upto);
        source.finish(copier, upto)
    }
}

impl Source<'_> {
    /// Copies everything, with nobody else at work.
    fn save(
        &self,
        checkpoints: &Checkpoints,
        target: &Path,
        progress: &Progress,
    ) -> Result<Saved, StoreError> {
        let mut copier = self.begin(target, progress)?;
        segments::copy_cold(self, &mut copier)?;
        checkpoints.copy(&mut copier)?;
        self.finish(copier, 0)
    }

    /// Makes the target, which must be empty or missing.
    fn begin<'p>(&self, target: &Path, progress: &'p Progress) -> Result<Copier<'p>, StoreError> {
        let pause = if self.is_shared {
            PAUSE_MAX
        } else {
            Duration::ZERO
        };
        let copier = Copier::new(self.disk, target, progress, pause);
        copier.expect_empty()?;
        for folder in ["log", "big"] {
            copier.make_dir(folder)?;
        }
        let listing = self.log.list()?;
        let cold = listing.cold.into_iter().map(SegmentId::Cold);
        let main = listing.segments.into_iter().map(SegmentId::Main);
        for segment in main.chain(cold) {
            copier.expect(&self.log.path_of(segment))?;
        }
        Ok(copier)
    }

    /// Copies the log, and says that the backup is whole.
    fn finish(&self, mut copier: Copier<'_>, upto: u64) -> Result<Saved, StoreError> {
        let last = segments::copy(self, &mut copier)?;
        segments::copy_bodies(self, &mut copier)?;
        let manifest = Manifest {
            meta: self.meta,
            upto: upto.max(last),
            files: copier.finish()?,
        };
        let path = copier.target().join(MANIFEST);
        self.disk
            .write_file(&path, manifest.print().as_bytes())
            .and_then(|()| self.disk.sync_dir(copier.target()))
            .and_then(|()| super::sync_parent(&**self.disk, copier.target()))
            .map_err(|e| io_error("write", &path, e))?;
        Ok(manifest.saved())
    }
}

#[cfg(test)]
mod tests;
