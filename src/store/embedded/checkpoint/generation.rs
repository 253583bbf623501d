//! One generation of a checkpoint: a file with what the log has said up to some record.
//!
//! Everything is written in one transaction, so a generation is there as it was before or after it, never between.
//!
//! ```text
//! catalog   key → value
//! live      block → which of its 32,768 records live, and how many references above one each has (`rows`)
//! left      block, queue → which of them the queue has left, though they live for others
//! leases    queue, entry → acquired, failed, until (0 = given up)
//! purges    queue, last, first → nothing
//! chunks    publish → how many chunk records before it its body is in
//! segments  id → first and last record, queues that its records name
//! holes     first record → what could not be read (JSON)
//! state     "serial", "catalog", "log", "last-catalog", "latest", "clean-stop" → number
//! ```

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use redb::Builder;
use redb::Database;
use redb::ReadTransaction;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::TableDefinition;
use redb::WriteTransaction;

use crate::core::log::store::StoreError;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use crate::store::journal::At;
use crate::store::journal::Delta;
use crate::store::journal::Lease;
use crate::store::journal::Purge;

use super::super::disk::Disk;
use super::super::is_full;
use super::super::meta::io_error;
use super::Changes;
use super::rows;

/// What the library may keep of a generation in memory: it is read once, at a start, and its commits are small, and far
/// between. The library's own bound is 1 GiB.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

const CATALOG: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("catalog");
const LIVE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("live");
const LEFT: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("left");
const LEASES: TableDefinition<'_, (u64, u64), (u16, u16, u64)> = TableDefinition::new("leases");
const PURGES: TableDefinition<'_, (u64, u64, u64), ()> = TableDefinition::new("purges");
const CHUNKS: TableDefinition<'_, u64, u32> = TableDefinition::new("chunks");
const SEGMENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("segments");
const HOLES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("holes");
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("state");

const LEGACY_CATALOG: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("shard-0");
const LEGACY_APPLIED: TableDefinition<'_, u8, u64> = TableDefinition::new("applied");

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

/// The catalog's checkpoint of format 1.
pub(in super::super) struct Legacy {
    file: RedbFile,
}

/// A database in a file that is written by nobody else.
struct RedbFile {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    database: Option<Database>,
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
        self.file.database = None;
    }

    pub(super) fn remove(&mut self) -> Result<(), StoreError> {
        self.file.database = None;
        self.file.remove()
    }

    pub(super) fn damaged(&self, what: &str) -> StoreError {
        self.file.damaged(what)
    }

    /// What the file has absorbed.
    pub(super) fn saved(&mut self) -> Result<Saved, StoreError> {
        if !self.exists() {
            return Err(self.damaged("it is missing"));
        }
        let saved = self.file.read(|transaction| {
            let state = transaction.open_table(STATE)?;
            let get = |key| Ok::<u64, redb::Error>(state.get(key)?.map_or(0, |v| v.value()));
            Ok(Saved {
                serial: get("serial")?,
                catalog: get("catalog")?,
                at: At {
                    log: get("log")?,
                    last_catalog: get("last-catalog")?,
                    latest: CoreTime::from_ms(get("latest")?),
                    is_clean_stop: get("clean-stop")? == 1,
                },
            })
        })?;
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
        self.file.database = None;
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
        self.file.database = None;
        other.file.database = None;
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
        self.file.read(|transaction| {
            for row in transaction.open_table(CATALOG)?.iter()? {
                let (key, value) = row?;
                visit(key.value(), value.value());
            }
            Ok(())
        })
    }

    /// Everything but the catalog.
    pub(super) fn load(&mut self) -> Result<Delta, StoreError> {
        let delta = self.file.read(load)?;
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
        self.file.write(|transaction| {
            write_catalog(transaction, changes)?;
            write_delta(transaction, delta)?;
            let mut state = transaction.open_table(STATE)?;
            let at = &saved.at;
            state.insert("serial", saved.serial)?;
            state.insert("catalog", saved.catalog)?;
            state.insert("log", at.log)?;
            state.insert("last-catalog", at.last_catalog)?;
            state.insert("latest", at.latest.as_ms())?;
            state.insert("clean-stop", u64::from(at.is_clean_stop))?;
            Ok(())
        })?;
        self.is_good = true;
        Ok(())
    }
}

impl Legacy {
    /// The file in a data dir of format 1.
    pub(in super::super) fn new(dir: &Path, disk: Arc<dyn Disk>) -> Self {
        Self {
            file: RedbFile::new(dir.join("catalog.redb"), disk),
        }
    }

    /// Whether there is a file.
    pub(in super::super) fn exists(&self) -> bool {
        self.file.exists()
    }

    /// The catalog, and the last record of it.
    pub(super) fn read(&mut self) -> Result<(Changes, u64), StoreError> {
        if !self.exists() {
            return Err(self.file.damaged("it is missing"));
        }
        let (changes, applied) = self.file.read(|transaction| {
            let applied = transaction.open_table(LEGACY_APPLIED)?.get(0)?;
            let mut changes = Changes::new();
            for row in transaction.open_table(LEGACY_CATALOG)?.iter()? {
                let (key, value) = row?;
                changes.insert(key.value().to_owned(), Some(value.value().to_vec()));
            }
            Ok((changes, applied.map(|applied| applied.value())))
        })?;
        let missing = || self.file.damaged("the checkpoint is missing in it");
        Ok((changes, applied.ok_or_else(missing)?))
    }

    /// Removes the file, which was taken over or never finished.
    pub(in super::super) fn remove(&mut self) -> Result<(), StoreError> {
        self.file.database = None;
        self.file.remove()
    }
}

fn load(transaction: &ReadTransaction) -> Result<Option<Delta>, redb::Error> {
    let mut delta = Delta::default();
    for row in transaction.open_table(LIVE)?.iter()? {
        let (block, bytes) = row?;
        let Some(read) = rows::read_block(bytes.value()) else {
            return Ok(None);
        };
        delta
            .live
            .blocks
            .insert(block.value(), Some(Arc::new(read)));
    }
    for row in transaction.open_table(LEFT)?.iter()? {
        let (key, bytes) = row?;
        let (block, queue) = key.value();
        let Some(bits) = rows::read_bits(&mut bytes.value()) else {
            return Ok(None);
        };
        let key = (block, QueueId(queue));
        delta.live.left.insert(key, Some(Arc::new(bits)));
    }
    for row in transaction.open_table(LEASES)?.iter()? {
        let (key, lease) = row?;
        let ((queue, entry), (acquired, failed, until)) = (key.value(), lease.value());
        let lease = Lease {
            acquired,
            failed,
            until: (until > 0).then(|| CoreTime::from_ms(until)),
        };
        delta.leases.insert((QueueId(queue), entry), Some(lease));
    }
    for row in transaction.open_table(PURGES)?.iter()? {
        let (queue, upto, from) = row?.0.value();
        let queue = QueueId(queue);
        delta.purges.push(Purge { queue, upto, from });
    }
    for row in transaction.open_table(CHUNKS)?.iter()? {
        let (number, chunks) = row?;
        delta.chunked.insert(number.value(), chunks.value());
    }
    for row in transaction.open_table(SEGMENTS)?.iter()? {
        let (id, bytes) = row?;
        let Some(segment) = rows::read_segment(bytes.value()) else {
            return Ok(None);
        };
        delta.segments.insert(id.value(), Some(segment));
    }
    for row in transaction.open_table(HOLES)?.iter()? {
        let Some(hole) = rows::read_hole(row?.1.value()) else {
            return Ok(None);
        };
        delta.holes.push(hole);
    }
    Ok(Some(delta))
}

fn write_catalog(transaction: &WriteTransaction, changes: &Changes) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(CATALOG)?;
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key.as_str(), value.as_slice())?,
            None => table.remove(key.as_str())?,
        };
    }
    Ok(())
}

fn write_delta(transaction: &WriteTransaction, delta: &Delta) -> Result<(), redb::Error> {
    let mut live = transaction.open_table(LIVE)?;
    for (block, now) in &delta.live.blocks {
        match now {
            Some(now) => live.insert(block, rows::block(now).as_slice())?,
            None => live.remove(block)?,
        };
    }
    let mut left = transaction.open_table(LEFT)?;
    for ((block, queue), now) in &delta.live.left {
        match now {
            Some(now) => left.insert((*block, queue.0), rows::bits(now).as_slice())?,
            None => left.remove((*block, queue.0))?,
        };
    }
    let mut leases = transaction.open_table(LEASES)?;
    for ((queue, entry), now) in &delta.leases {
        match now {
            Some(now) => {
                let until = now.until.map_or(0, CoreTime::as_ms);
                leases.insert((queue.0, *entry), (now.acquired, now.failed, until))?
            }
            None => leases.remove((queue.0, *entry))?,
        };
    }
    let mut segments = transaction.open_table(SEGMENTS)?;
    for (id, now) in &delta.segments {
        match now {
            Some(now) => segments.insert(id, rows::segment(now).as_slice())?,
            None => segments.remove(id)?,
        };
    }
    // These are few, and told as a whole.
    let mut purges = transaction.open_table(PURGES)?;
    purges.retain(|_, ()| false)?;
    for purge in &delta.purges {
        purges.insert((purge.queue.0, purge.upto, purge.from), ())?;
    }
    let mut chunks = transaction.open_table(CHUNKS)?;
    chunks.retain(|_, _| false)?;
    for (number, count) in &delta.chunked {
        chunks.insert(number, count)?;
    }
    let mut holes = transaction.open_table(HOLES)?;
    holes.retain(|_, _| false)?;
    for hole in &delta.holes {
        holes.insert(hole.first.number(), rows::hole(hole).as_slice())?;
    }
    Ok(())
}

impl RedbFile {
    fn new(path: PathBuf, disk: Arc<dyn Disk>) -> Self {
        Self {
            path,
            disk,
            database: None,
        }
    }

    fn exists(&self) -> bool {
        self.disk.exists(&self.path)
    }

    fn builder() -> Builder {
        let mut builder = Database::builder();
        // Without it the library trusts what it finds, and panics on a file that was cut off.
        builder.set_check_integrity_on_open(true);
        builder.set_cache_size(CACHE_BYTES);
        builder
    }

    fn read<T>(
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
    fn write(
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

    fn remove(&self) -> Result<(), StoreError> {
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
