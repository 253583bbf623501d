//! The embedded log: a data dir on the local disk (format 1, `docs/format.md`).
//!
//! ```text
//! data/ LOCK · meta · catalog.redb · log/0000000042.seg · log/0000000007.spare
//! ```
//! An append encodes its records into a pending batch under the log's lock; the [`writer`] makes frames
//! of batches. Everything that touches the disk happens on the writer's thread or the one that makes
//! spares, or in open, scan, load, checkpoint and close.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Capabilities;
use crate::core::log::store::Dead;
use crate::core::log::store::Scanned;
use crate::core::log::store::Space;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::log::store::Waiter;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::telemetry::Metrics;

use crate::store::journal::Journal;
use crate::store::journal::Limits;
use crate::store::journal::Waiters;
use crate::store::watermark::AtomicWatermark;

mod catalog;
mod disk;
mod frame;
mod meta;
mod recover;
mod segment;
mod spares;
mod window;
mod writer;

use catalog::Catalog;
use disk::Disk;
use disk::RealDisk;
use meta::Meta;
use meta::io_error;
use recover::Replay;
use segment::LogDir;
use spares::Spares;
use writer::Active;
use writer::Writer;

/// Largest frame: larger ones gain nothing, and delay those who wait for the next.
const FRAME_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Pending bytes above which appends are refused, which bounds the memory of a log that is too slow.
const BUSY_BYTES: usize = 8 * 1024 * 1024;
/// Smallest segment.
const SEGMENT_MIN_BYTES: u64 = 64 * 1024;
/// What a full disk leaves to urgent appends.
const RESERVE_BYTES: u64 = 64 * 1024 * 1024;
/// What it does not leave to anyone, so that a frame that was accepted can be written.
const RESERVE_MIN_BYTES: u64 = 64 * 1024;

/// What can be chosen about an embedded log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment's file, at least 64 KiB. May differ from start to start.
    pub segment_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
        }
    }
}

/// A log in a data dir, which it holds until it is dropped.
///
/// It must be scanned before the first append, unless it is empty.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    /// Holds the data dir's lock.
    _lock: File,
}

/// The threads of an open log.
struct Threads {
    writer: JoinHandle<()>,
    spares: JoinHandle<()>,
}

/// What the threads share.
struct Shared {
    shard: Shard,
    path: std::path::PathBuf,
    segment_bytes: u64,
    dir: Arc<LogDir>,
    spares: Spares,
    catalog: Catalog,
    meta: Mutex<Meta>,
    identity: Identity,
    watermark: AtomicWatermark,
    metrics: Arc<Metrics>,
    log: Mutex<Log>,
    /// Tells the writer that there is something to do, when it is idle.
    kick: Condvar,
}

/// What the log's lock guards.
struct Log {
    journal: Journal,
    waiters: Waiters,
    /// The writer sleeps.
    is_idle: bool,
    /// The writer is to end when nothing is pending.
    is_stopping: bool,
    /// Appends are taken.
    is_open: bool,
    /// Bytes that fit in the segment that is written, without new blocks.
    active_left: u64,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, which is made if it is missing.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::NewerFormat`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn open(
        dir: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::open_on(dir, settings, metrics, Arc::new(RealDisk))
    }

    /// Opens the log with its segments on a given disk.
    pub(crate) fn open_on(
        dir: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        disk: Arc<dyn Disk>,
    ) -> Result<Arc<Self>, StoreError> {
        let log_path = dir.join("log");
        std::fs::create_dir_all(&log_path).map_err(|e| io_error("make", &log_path, e))?;
        let lock = meta::lock(dir)?;
        let log_dir = Arc::new(LogDir::new(log_path, disk));
        let listing = log_dir.list()?;
        let catalog = Catalog::new(dir.join("catalog.redb"));
        let meta = next_meta(dir, !listing.segments.is_empty(), &catalog)?;
        meta::write(dir, &meta)?;
        let shared = Arc::new(Shared::new(dir, settings, metrics, log_dir, catalog, meta));
        shared
            .spares
            .adopt(&listing.spares)
            .map_err(|source| io_error("open a spare in", shared.dir.path(), source))?;
        let log = Self {
            shared,
            threads: Mutex::default(),
            _lock: lock,
        };
        if listing.segments.is_empty() {
            let first = Active::first(&log.shared);
            log.start(first, 0)?;
        }
        Ok(Arc::new(log))
    }

    /// Starts the threads: from now on records can be appended.
    fn start(&self, active: io::Result<Active>, last: u64) -> Result<(), StoreError> {
        let shared = &self.shared;
        let active = active.map_err(|e| io_error("write the log in", shared.dir.path(), e))?;
        {
            let mut log = shared.log.lock();
            log.journal.continue_after(last);
            log.active_left = active.left();
            log.is_open = true;
            shared.watermark.reach(last);
        }
        let writer = Writer::new(Arc::clone(shared), active);
        let makes_spares = Arc::clone(shared);
        *self.threads.lock() = Some(Threads {
            writer: self.spawn("viaduct-log", move || writer.run())?,
            spares: self.spawn("viaduct-spares", move || makes_spares.spares.run())?,
        });
        Ok(())
    }

    fn spawn(
        &self,
        name: &str,
        body: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, StoreError> {
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|e| io_error("start a thread for", self.shared.dir.path(), e))
    }

    /// Lets the writer write what is pending, and waits for both threads to end.
    fn stop(&self) {
        {
            let mut log = self.shared.log.lock();
            log.is_open = false;
            log.is_stopping = true;
        }
        self.shared.kick.notify_one();
        let Some(threads) = self.threads.lock().take() else {
            return;
        };
        // A thread that panicked has said so; what it left undone is not durable.
        let _ = threads.writer.join();
        self.shared.spares.stop();
        let _ = threads.spares.join();
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `meta` shall say of this start.
fn next_meta(dir: &Path, has_log: bool, catalog: &Catalog) -> Result<Meta, StoreError> {
    let damaged = |what: &str| StoreError::Damaged {
        path: dir.display().to_string(),
        what: what.to_owned(),
    };
    match meta::read(dir)? {
        Some(meta) if meta.has_catalog && !catalog.exists() => {
            Err(damaged("catalog.redb is missing"))
        }
        Some(mut meta) => {
            meta.identity.incarnation += 1;
            Ok(meta)
        }
        None if has_log || catalog.exists() => Err(damaged("the file meta is missing")),
        None => {
            let mut uuid = [0; 16];
            getrandom::fill(&mut uuid)
                .map_err(|error| io_error("name", dir, io::Error::other(error)))?;
            Ok(Meta {
                identity: Identity {
                    uuid: u128::from_le_bytes(uuid),
                    incarnation: 1,
                },
                has_catalog: false,
            })
        }
    }
}

/// Whether an error says that there is no room.
fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
pub(crate) mod test_disk;

impl Shared {
    fn new(
        path: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        dir: Arc<LogDir>,
        catalog: Catalog,
        meta: Meta,
    ) -> Self {
        let segment_bytes = settings.segment_bytes.max(SEGMENT_MIN_BYTES);
        Self {
            shard: Shard(0),
            path: path.to_owned(),
            segment_bytes,
            spares: Spares::new(Arc::clone(&dir), segment_bytes),
            dir,
            catalog,
            meta: Mutex::new(meta),
            identity: meta.identity,
            watermark: AtomicWatermark::default(),
            metrics,
            log: Mutex::new(Log {
                journal: Journal::new(limits(segment_bytes)),
                waiters: Waiters::default(),
                is_idle: false,
                is_stopping: false,
                is_open: false,
                active_left: 0,
            }),
            kick: Condvar::new(),
        }
    }

    /// Whether a full disk still has room for an append.
    fn has_room(&self, log: &Log, urgent: bool) -> bool {
        let Some(ready) = self.spares.left_when_full() else {
            return true;
        };
        let pending = u64::try_from(log.journal.pending_bytes()).unwrap_or(u64::MAX);
        let reserve = if urgent {
            RESERVE_MIN_BYTES
        } else {
            RESERVE_BYTES.min(self.segment_bytes)
        };
        (ready + log.active_left).saturating_sub(pending) > reserve
    }

    /// What the checkpoint has absorbed of a log that ends with `last`.
    fn applied(&self, last: Option<Lsn>) -> Result<Option<Lsn>, StoreError> {
        let applied = self.catalog.applied(self.shard)?;
        if applied <= last {
            return Ok(applied);
        }
        Err(StoreError::Damaged {
            path: self.dir.path().display().to_string(),
            what: "the log ends before what catalog.redb has absorbed of it".to_owned(),
        })
    }

    /// Waits until record `upto` is durable; false if the log has failed.
    fn wait_durable(self: &Arc<Self>, upto: Lsn) -> bool {
        let done = Arc::new(Signal::default());
        self.wait(upto, Arc::clone(&done) as Arc<dyn Waiter>);
        done.wait();
        !self.watermark.has_failed()
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        if lsn.shard() == self.shard {
            let mut log = self.log.lock();
            if !self.watermark.answers(lsn.number()) {
                log.waiters.add(lsn.number(), waiter);
                return;
            }
        }
        waiter.watermark_moved(lsn.shard());
    }
}

/// How a log with such segments cuts frames.
fn limits(segment_bytes: u64) -> Limits {
    let half = usize::try_from(segment_bytes / 2).unwrap_or(usize::MAX);
    Limits {
        batch_bytes: FRAME_MAX_BYTES.min(half),
        busy_bytes: BUSY_BYTES,
        merge: true,
        prefix: frame::FRAME_HEADER_BYTES,
    }
}

/// A thread that waits for a watermark.
#[derive(Default)]
struct Signal {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Signal {
    fn wait(&self) {
        let mut is_set = self.is_set.lock();
        while !*is_set {
            self.changed.wait(&mut is_set);
        }
    }
}

impl Waiter for Signal {
    fn watermark_moved(&self, _shard: Shard) {
        *self.is_set.lock() = true;
        self.changed.notify_one();
    }
}

impl Store for EmbeddedLog {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shards: 1,
            frame_max_bytes: limits(self.shared.segment_bytes).batch_bytes,
        }
    }

    fn identity(&self) -> Identity {
        self.shared.identity
    }

    fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError> {
        self.shared.catalog.load(shard, visit)
    }

    fn scan(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(Lsn, Record<'_>),
    ) -> Result<Scanned, StoreError> {
        let shared = &self.shared;
        if shard != shared.shard {
            return Ok(Scanned::default());
        }
        let mut log = shared.log.lock();
        if log.is_open && log.journal.last() == 0 {
            return Ok(Scanned::default());
        }
        if log.is_open {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "records were appended");
            return Err(io_error("scan", shared.dir.path(), error));
        }
        let recovered = Replay::new(&shared.dir, shard, &mut log.journal, visit).run()?;
        if let Some(applied) = shared.applied(recovered.scanned.last)? {
            log.journal.absorbed(applied.number());
        }
        drop(log);
        let mut scanned = recovered.scanned;
        let active = match recovered.tail {
            Some(tail) => {
                if tail.is_torn {
                    // A tombstone takes the place of the frame, and so the number of its first record.
                    scanned.last = Lsn::new(shard, recovered.next);
                }
                Active::resume(tail, shared.segment_bytes, recovered.next)
            }
            None => Active::first(shared),
        };
        self.start(active, scanned.last.map_or(0, Lsn::number))?;
        Ok(scanned)
    }

    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError> {
        let shared = &self.shared;
        let mut log = shared.log.lock();
        if shard != shared.shard || !log.is_open || shared.watermark.has_failed() {
            return Err(AppendError::Failed);
        }
        if !shared.has_room(&log, urgent) {
            return Err(AppendError::Full);
        }
        let first = log.journal.append(now, urgent, records)?;
        let was_idle = std::mem::take(&mut log.is_idle);
        drop(log);
        if was_idle {
            shared.kick.notify_one();
        }
        Lsn::new(shard, first).ok_or(AppendError::Failed)
    }

    fn watermark(&self, shard: Shard) -> Watermark {
        if shard == self.shared.shard {
            self.shared.watermark.get()
        } else {
            Watermark::Failed
        }
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        self.shared.wait(lsn, waiter);
    }

    fn dead(&self, dead: &[Dead]) {
        let was_idle = {
            let mut log = self.shared.log.lock();
            for dead in dead {
                log.journal.dead(dead);
            }
            log.journal.may_recycle() && std::mem::take(&mut log.is_idle)
        };
        if was_idle {
            self.shared.kick.notify_one();
        }
    }

    fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        // A checkpoint ahead of its log would take records for absorbed that are yet to come.
        if !shared.wait_durable(upto) {
            let error = io::Error::other("the log has failed");
            return Err(io_error("checkpoint", &shared.path, error));
        }
        shared.catalog.checkpoint(shard, upto, changes)?;
        let mut meta = shared.meta.lock();
        if !meta.has_catalog {
            meta.has_catalog = true;
            meta::write(&shared.path, &meta)?;
        }
        drop(meta);
        shared.log.lock().journal.absorbed(upto.number());
        shared.kick.notify_one();
        Ok(())
    }

    fn space(&self) -> Space {
        let space = self.shared.log.lock().journal.space();
        Space {
            log_bytes: space.segments * self.shared.segment_bytes
                + self.shared.spares.ready_bytes(),
            ..space
        }
    }

    fn close(&self, now: CoreTime) -> Result<(), StoreError> {
        let stop = Record::Epoch {
            epoch: self.shared.identity.incarnation,
            clean_stop: true,
        };
        // Refused when it was closed before, was never scanned, or has failed.
        let stopped = self.append(self.shared.shard, now, true, &mut std::iter::once(stop));
        self.stop();
        match stopped {
            Err(AppendError::Failed) if !self.shared.watermark.has_failed() => Ok(()),
            Ok(lsn) if self.shared.watermark.get().covers(lsn) => Ok(()),
            _ => {
                let error = io::Error::other("what was appended last is not on disk");
                Err(io_error("close", self.shared.dir.path(), error))
            }
        }
    }
}
