//! Copies files in pieces, notes what they hold, and leaves room for whoever else needs the disk.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::core::log::store::StoreError;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::SegmentFile;
use crate::store::embedded::meta::io_error;
use crate::store::embedded::survey::Progress;

use super::manifest::Listed;

/// How much is copied at once: what the disk does for a backup without a look at anybody else.
const PIECE_BYTES: usize = 1024 * 1024;
/// How much is written between two syncs, so that no sync of the log has to wait for a heap of it.
const SYNC_BYTES: u64 = 8 * 1024 * 1024;

/// Copies into one folder.
pub(in crate::store::embedded) struct Copier<'a> {
    disk: Arc<dyn Disk>,
    target: PathBuf,
    progress: &'a Progress,
    /// Longest pause after a piece; zero: none.
    pause: Duration,
    files: Vec<Listed>,
    piece: Vec<u8>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        disk: &Arc<dyn Disk>,
        target: &Path,
        progress: &'a Progress,
        pause: Duration,
    ) -> Self {
        Self {
            disk: Arc::clone(disk),
            target: target.to_owned(),
            progress,
            pause,
            files: Vec::new(),
            piece: vec![0; PIECE_BYTES],
        }
    }

    /// Where it copies to.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Makes the folder if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Io`] if something is in it: nothing of anybody's is ever written over.
    pub(super) fn expect_empty(&self) -> Result<(), StoreError> {
        let failed = |error| io_error("use", &self.target, error);
        self.disk.make_dir(&self.target).map_err(failed)?;
        let names = self.disk.names(&self.target).map_err(failed)?;
        // What a file system of its own has from the start.
        if names.iter().all(|name| name == "lost+found") {
            return Ok(());
        }
        let error = io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty");
        Err(failed(error))
    }

    /// Makes a folder in the target.
    pub(super) fn make_dir(&self, name: &str) -> Result<(), StoreError> {
        let path = self.target.join(name);
        self.disk
            .make_dir(&path)
            .map_err(|e| io_error("make", &path, e))
    }

    /// A file that will be copied, for the progress.
    pub(super) fn expect(&self, from: &Path) -> Result<(), StoreError> {
        let len = self.disk.open(from).and_then(|file| file.len());
        self.progress
            .expect(len.map_err(|e| io_error("read", from, e))?);
        Ok(())
    }

    /// Copies the first `bytes` of a file, or all of it, to `name`.
    ///
    /// # Errors
    /// [`StoreError::Io`], also if the file is shorter, or somebody wants the work to end.
    pub(in crate::store::embedded) fn copy(
        &mut self,
        from: &Path,
        name: &str,
        bytes: Option<u64>,
    ) -> Result<(), StoreError> {
        let file = self
            .disk
            .open(from)
            .map_err(|e| io_error("open", from, e))?;
        let len = file.len().map_err(|e| io_error("read", from, e))?;
        let wanted = bytes.unwrap_or(len);
        let to = self.target.join(name);
        let crc = self
            .pieces(&*file, &to, wanted)
            .map_err(|e| io_error("copy to", &to, e))?;
        // What is not copied was expected all the same.
        let _ = self.progress.done(len.saturating_sub(wanted));
        self.files.push(Listed {
            name: name.to_owned(),
            bytes: wanted,
            crc,
        });
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "measures the disk, to leave as much of it to others"
    )]
    fn pieces(&mut self, file: &dyn SegmentFile, to: &Path, wanted: u64) -> io::Result<u32> {
        let copy = self.disk.open(to)?;
        let (mut at, mut synced, mut crc) = (0, 0, 0);
        while at < wanted {
            let start = Instant::now();
            let left = usize::try_from(wanted - at).unwrap_or(usize::MAX);
            let piece = self.piece.len().min(left);
            let piece = self.piece.get_mut(..piece).unwrap_or_default();
            if file.read_at(piece, at)? < piece.len() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            copy.write_all_at(piece, at)?;
            crc = crc32c::crc32c_append(crc, piece);
            let copied = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            at += copied;
            if at - synced >= SYNC_BYTES {
                copy.sync()?;
                synced = at;
            }
            self.progress.done(copied)?;
            std::thread::sleep(start.elapsed().min(self.pause));
        }
        copy.sync()?;
        Ok(crc)
    }

    /// Makes the names of what was copied survive a power cut, and says what it is.
    pub(super) fn finish(&mut self) -> Result<Vec<Listed>, StoreError> {
        for folder in ["log", "big", ""] {
            let path = self.target.join(folder);
            self.disk
                .sync_dir(&path)
                .map_err(|e| io_error("sync", &path, e))?;
        }
        Ok(std::mem::take(&mut self.files))
    }
}
