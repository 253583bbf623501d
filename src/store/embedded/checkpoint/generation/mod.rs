//! One generation of a checkpoint: a file with what the log has said up to some record.
//!
//! Everything is written in one transaction, so a generation is there as it was before or after it, never between.

mod file;
mod legacy;
mod tables;

use std::path::PathBuf;
use std::sync::Arc;

use crate::core::log::store::StoreError;

use crate::store::journal::At;
use crate::store::journal::Delta;

use super::super::backup::Copier;
use super::super::disk::Disk;
use super::super::is_full;
use super::super::meta::io_error;
use super::Changes;

use file::RedbFile;

pub(in super::super) use legacy::Legacy;

/// What a generation has absorbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Saved {
    /// Grows with every commit of either generation; 0 = there was none.
    pub(in super::super) serial: u64,
    /// The last catalog record in it.
    pub(in super::super) catalog: u64,
    /// Where the rest of it stands.
    pub(in super::super) at: At,
}

/// A generation's file, opened when it is first needed.
pub(in super::super) struct Generation {
    file: RedbFile,
    /// Whether the file is known to be one.
    is_good: bool,
}

impl Generation {
    pub(super) fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            file: RedbFile::new(path, disk),
            is_good: false,
        }
    }

    pub(super) fn exists(&self) -> bool {
        self.file.exists()
    }

    pub(super) fn close(&mut self) {
        self.file.close();
    }

    pub(super) fn remove(&mut self) -> Result<(), StoreError> {
        self.file.close();
        self.file.remove()
    }

    /// Copies the file as the last commit left it; nothing if there is none.
    pub(super) fn copy(&self, copier: &mut Copier<'_>) -> Result<(), StoreError> {
        if !self.exists() {
            return Ok(());
        }
        let name = self.file.path.file_name().unwrap_or_default();
        copier.copy(&self.file.path, &name.to_string_lossy(), None)
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        self.file.damaged(what)
    }

    /// What the file has absorbed.
    pub(super) fn saved(&mut self) -> Result<Saved, StoreError> {
        if !self.exists() {
            return Err(self.damaged("it is missing"));
        }
        let saved = self.file.read(tables::saved)?;
        match saved.serial {
            0 => Err(self.damaged("the checkpoint is missing in it")),
            _ => {
                self.is_good = true;
                Ok(saved)
            }
        }
    }

    /// Makes sure that what was read is on the disk: an earlier start may have failed to sync it. A full disk must not
    /// keep a log from starting, for only what is consumed makes room.
    pub(super) fn renew(&mut self) -> Result<(), StoreError> {
        self.file.close();
        let path = &self.file.path;
        match self.file.disk.renew(path) {
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %path.display(), "the disk is full: the checkpoint is used as it was found");
                // Part of a copy helps nobody; the next one begins anew in any case.
                let _ = self.file.disk.remove(&path.with_extension("new"));
                Ok(())
            }
            renewed => renewed.map_err(|e| io_error("write again", path, e)),
        }
    }

    /// Becomes what another generation is.
    pub(super) fn copy_of(&mut self, other: &mut Self) -> Result<(), StoreError> {
        self.file.close();
        other.file.close();
        self.is_good = true;
        let path = &self.file.path;
        let new = path.with_extension("new");
        let disk = &self.file.disk;
        disk.read_file(&other.file.path)
            .and_then(|bytes| disk.write_file(&new, &bytes))
            .and_then(|()| disk.rename(&new, path))
            .and_then(|()| path.parent().map_or(Ok(()), |dir| disk.sync_dir(dir)))
            .map_err(|e| io_error("copy the other checkpoint to", path, e))
    }

    /// Hands over the catalog.
    pub(super) fn catalog(&mut self, visit: &mut dyn FnMut(&str, &[u8])) -> Result<(), StoreError> {
        self.file
            .read(|transaction| tables::catalog(transaction, visit))
    }

    /// Everything but the catalog.
    pub(super) fn load(&mut self) -> Result<Delta, StoreError> {
        let delta = self.file.read(tables::load)?;
        delta.ok_or_else(|| self.damaged("a row of it cannot be what was written"))
    }

    /// Applies changes, in one synced transaction.
    pub(super) fn write(
        &mut self,
        saved: &Saved,
        changes: &Changes,
        delta: &Delta,
    ) -> Result<(), StoreError> {
        if !self.is_good {
            // It was begun, and the power or the disk's room went.
            self.remove()?;
        }
        self.file
            .write(|transaction| tables::write(transaction, saved, changes, delta))?;
        self.is_good = true;
        Ok(())
    }
}
