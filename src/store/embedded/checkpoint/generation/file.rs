//! A database in a file: opened when it is first needed, closed after an error.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::Builder;
use redb::Database;
use redb::ReadTransaction;
use redb::ReadableDatabase;
use redb::WriteTransaction;

use crate::core::log::store::StoreError;

use super::super::super::disk::Disk;
use super::super::super::meta::io_error;

/// What the library may keep of a generation in memory: it is read once, at a start, and its commits are small, and far
/// between. The library's own bound is 1 GiB.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// A database in a file that is written by nobody else.
pub(super) struct RedbFile {
    pub(super) path: PathBuf,
    pub(super) disk: Arc<dyn Disk>,
    database: Option<Database>,
}

impl RedbFile {
    /// A file that need not be there; nothing is opened yet.
    pub(super) fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            path,
            disk,
            database: None,
        }
    }

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.disk.exists(&self.path)
    }

    /// Gives the file back, so that somebody else may write it.
    pub(super) fn close(&mut self) {
        self.database = None;
    }

    fn builder() -> Builder {
        let mut builder = Database::builder();
        // Without it the library trusts what it finds, and panics on a file that was cut off.
        builder.set_check_integrity_on_open(true);
        builder.set_cache_size(CACHE_BYTES);
        builder
    }

    /// Reads in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is no such database; [`StoreError::Io`].
    pub(super) fn read<T>(
        &mut self,
        act: impl FnOnce(&ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let done = match self.database.take() {
            Some(database) => Ok(database),
            None => self.disk.open_database(&self.path, &Self::builder()),
        };
        let done = done.map_err(redb::Error::from).and_then(|database| {
            let done = act(&database.begin_read()?)?;
            Ok((done, database))
        });
        // After an error the file stays closed: the next call opens it again.
        let (done, database) = done.map_err(|error| self.error("read", error))?;
        self.database = Some(database);
        Ok(done)
    }

    /// Writes in one synced transaction, to a file that is begun if it is missing. After an error the file stays closed,
    /// for the library takes no more from one that could not be written once.
    pub(super) fn write(
        &mut self,
        act: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let opened = match self.database.take() {
            Some(database) => Ok(database),
            None => self.disk.create_database(&self.path, &Self::builder()),
        };
        let written = opened.map_err(redb::Error::from).and_then(|database| {
            // A transaction of redb is synced when it is committed, unless one asks for less.
            let transaction = database.begin_write()?;
            act(&transaction)?;
            transaction.commit()?;
            Ok(database)
        });
        self.database = Some(written.map_err(|error| self.error("write", error))?);
        Ok(())
    }

    /// Removes the file, if it is there.
    pub(super) fn remove(&self) -> Result<(), StoreError> {
        match self.disk.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.path, error))
            }
            _ => Ok(()),
        }
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the other errors are ones of use, and of a file that is not what was written"
    )]
    fn error(&self, action: &'static str, error: redb::Error) -> StoreError {
        match error {
            redb::Error::Io(source) if !is_of_content(&source) => {
                io_error(action, &self.path, source)
            }
            redb::Error::PreviousIo => {
                let source = io::Error::other("an earlier error of the disk");
                io_error(action, &self.path, source)
            }
            other => self.damaged(&other.to_string()),
        }
    }

    /// An error that says what is wrong with it.
    pub(super) fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.path.display().to_string(),
            what: what.to_owned(),
        }
    }
}

/// Whether an error of the system is one of what the file holds: no such database, or cut off.
fn is_of_content(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}
