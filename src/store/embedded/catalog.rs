//! The catalog's checkpoint: `catalog.redb`, with one table of keys and values a shard.
//!
//! The LSN that a table has absorbed is written in the same transaction (table `applied`, shard → LSN),
//! so a checkpoint is there as a whole or not at all.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use redb::Database;
use redb::DatabaseError;
use redb::ReadTransaction;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::StorageError;
use redb::TableDefinition;
use redb::TableError;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use super::disk::Disk;
use super::is_full;
use super::meta::io_error;

const APPLIED: TableDefinition<'_, u8, u64> = TableDefinition::new("applied");

/// What the library may keep of the file in memory. It is read once, at a start, and the library's own bound is 1 GiB.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// The checkpoint's file, opened when it is first needed.
pub(super) struct Catalog {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// A checkpoint was made: the file must be there and have one.
    has_checkpoint: AtomicBool,
    database: Mutex<Option<Database>>,
}

/// A change of the catalog: key, and value or deleted.
type Change<'k, 'v> = (&'k str, Option<&'v [u8]>);

impl Catalog {
    /// The checkpoint in a file.
    pub(super) fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            path,
            disk,
            has_checkpoint: AtomicBool::new(false),
            database: Mutex::new(None),
        }
    }

    /// Gives the file back. A later call would open it again, so there must be none.
    pub(super) fn close(&self) {
        self.database.lock().take();
    }

    /// Whether there is a file.
    pub(super) fn exists(&self) -> bool {
        self.disk.exists(&self.path)
    }

    /// Says that a checkpoint was made by an earlier start, which the file then must have.
    ///
    /// # Errors
    /// [`StoreError`] when it does not.
    pub(super) fn expect_checkpoint(&self, shard: Shard) -> Result<(), StoreError> {
        if !self.exists() {
            return Err(self.damaged("it is missing"));
        }
        self.has_checkpoint.store(true, Ordering::Release);
        self.applied(shard).map(drop)
    }

    /// Hands over the checkpoint of a shard, and says what it absorbed.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub(super) fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError> {
        if !self.exists() {
            return Ok(None);
        }
        let absorbed = self.with(|database| read(database, shard, visit));
        self.expected(absorbed)
    }

    /// What the checkpoint of a shard has absorbed.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub(super) fn applied(&self, shard: Shard) -> Result<Option<Lsn>, StoreError> {
        if !self.exists() {
            return Ok(None);
        }
        let absorbed = self.with(|database| applied(&database.begin_read()?, shard));
        self.expected(absorbed)
    }

    /// Applies changes and notes what is absorbed, in one synced transaction.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing has changed.
    pub(super) fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = Change<'_, '_>>,
    ) -> Result<(), StoreError> {
        self.with(|database| write(database, shard, upto, changes))
            .map_err(|error| self.error("write", error))?;
        self.has_checkpoint.store(true, Ordering::Release);
        Ok(())
    }

    /// An answer that says that no checkpoint is there, although one was made, is no answer.
    fn expected(
        &self,
        absorbed: Result<Option<Lsn>, redb::Error>,
    ) -> Result<Option<Lsn>, StoreError> {
        match absorbed {
            Ok(None) if self.has_checkpoint.load(Ordering::Acquire) => {
                Err(self.damaged("the checkpoint is missing in it"))
            }
            absorbed => absorbed.map_err(|error| self.error("read", error)),
        }
    }

    /// Acts on the file. After an error it is closed, for the library takes no more from one that could
    /// not be written once: the next call opens it again, with what was committed.
    fn with<T>(
        &self,
        act: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let mut guard = self.database.lock();
        let database = match guard.take() {
            Some(database) => database,
            None => self.open()?,
        };
        let done = act(&database)?;
        *guard = Some(database);
        Ok(done)
    }

    /// Opens the file. Only one that never had a checkpoint may be begun: an empty file is a new database
    /// otherwise, and a new database an empty broker.
    fn open(&self) -> Result<Database, redb::Error> {
        let mut builder = Database::builder();
        // Without it the library trusts what it finds, and panics on a file that was cut off.
        builder.set_check_integrity_on_open(true);
        builder.set_cache_size(CACHE_BYTES);
        if self.has_checkpoint.load(Ordering::Acquire) {
            self.renew()?;
            return Ok(self.disk.open_database(&self.path, &builder)?);
        }
        match self.disk.create_database(&self.path, &builder) {
            Err(DatabaseError::Storage(StorageError::Io(error))) if is_of_content(&error) => {
                // It was begun, and the power or the disk's room went. The log still has everything.
                self.disk.remove(&self.path)?;
                Ok(self.disk.create_database(&self.path, &builder)?)
            }
            created => Ok(created?),
        }
    }

    /// Makes sure that what will be read is on the disk: an earlier start, or the last call, may have failed to sync
    /// it. A full disk must not keep a log from starting, for only what is consumed makes room.
    fn renew(&self) -> io::Result<()> {
        match self.disk.renew(&self.path) {
            Err(error) if is_full(&error) => {
                tracing::warn!(path = %self.path.display(), "the disk is full: the catalog is used as it was found");
                // Part of a copy helps nobody; the next one begins anew in any case.
                let _ = self.disk.remove(&self.path.with_extension("new"));
                Ok(())
            }
            renewed => renewed,
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

    fn damaged(&self, what: &str) -> StoreError {
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

fn read(
    database: &Database,
    shard: Shard,
    visit: &mut dyn FnMut(&str, &[u8]),
) -> Result<Option<Lsn>, redb::Error> {
    let transaction = database.begin_read()?;
    let applied = applied(&transaction, shard)?;
    if applied.is_none() {
        return Ok(None);
    }
    let name = table_name(shard);
    for row in transaction.open_table(values(&name))?.iter()? {
        let (key, value) = row?;
        visit(key.value(), value.value());
    }
    Ok(applied)
}

fn applied(transaction: &ReadTransaction, shard: Shard) -> Result<Option<Lsn>, redb::Error> {
    match transaction.open_table(APPLIED) {
        Ok(table) => Ok(table
            .get(shard.0)?
            .and_then(|lsn| Lsn::from_raw(lsn.value()))),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn write(
    database: &Database,
    shard: Shard,
    upto: Lsn,
    changes: &mut dyn Iterator<Item = Change<'_, '_>>,
) -> Result<(), redb::Error> {
    // A transaction of redb is synced when it is committed, unless one asks for less.
    let transaction = database.begin_write()?;
    {
        let name = table_name(shard);
        let mut table = transaction.open_table(values(&name))?;
        for (key, value) in changes {
            match value {
                Some(value) => table.insert(key, value)?,
                None => table.remove(key)?,
            };
        }
        transaction
            .open_table(APPLIED)?
            .insert(shard.0, upto.get())?;
    }
    transaction.commit()?;
    Ok(())
}

fn table_name(shard: Shard) -> String {
    format!("shard-{}", shard.0)
}

fn values(name: &str) -> TableDefinition<'_, &'static str, &'static [u8]> {
    TableDefinition::new(name)
}
