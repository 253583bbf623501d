//! The embedded log: a data dir on the local disk (format 2, `docs/format.md`).
//!
//! ```text
//! data/ LOCK · meta · checkpoint.0.redb · checkpoint.1.redb · log/0000000042.seg · log/0000000007.spare · spill/0000000001
//!       big/0000000300000001
//! ```
//! An append encodes its records into a pending batch under the log's lock; the [`writer`] makes frames
//! of batches, notes their [`places`] for those who [`read`] them back, and what all threads share is in [`shared`].
//! The [`keeper`] makes [`checkpoint`]s of what the log has said. Everything that touches the disk is a step of one of
//! the log's actors (writer, spares, keeper, reader, spill, [`bodies`]; see [`crew`]), or happens in open, recover,
//! load, checkpoint and close.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Identity;

use crate::telemetry::Metrics;

use crate::store::format::Version;

mod active;
mod backup;
mod bell;
mod bodies;
mod checkpoint;
mod cold;
mod crew;
mod disk;
mod examine;
mod filled;
mod frame;
mod keeper;
mod making;
mod meta;
mod places;
mod read;
mod recover;
mod repair;
mod rest;
mod scrub;
mod segment;
mod segment_file;
mod shared;
mod spares;
mod spill;
mod store;
mod survey;
mod walk;
mod window;
mod writer;

pub use backup::Saved;
pub use backup::backup;
pub use backup::restore;
pub use examine::check;
pub use repair::Repaired;
pub use repair::repair;
pub use survey::Damage;
pub use survey::Progress;
pub use survey::QueueCount;
pub use survey::Report;

use active::Active;
use bodies::BigFiles;
use bodies::Reads;
use bodies::Writes;
use checkpoint::Checkpoints;
use checkpoint::Legacy;
use cold::Forward;
use crew::Actor;
use crew::Crew;
use crew::Threads;
use disk::Disk;
use disk::RealDisk;
use keeper::Keeper;
use meta::Meta;
use meta::io_error;
use read::Answerer;
use segment::LogDir;
use shared::Aside;
use shared::Shared;
use spares::Maker;
use spill::Spill;
use spill::Spiller;
use writer::Writer;

pub use keeper::Every;

/// What can be chosen about an embedded log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a segment's file, at least 64 KiB. May differ from start to start.
    pub segment_bytes: u64,
    /// How long grants and settles may wait for something else to be written with, when nobody waits for them.
    pub patience: Duration,
    /// When a checkpoint is made.
    pub checkpoint: Every,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 64 * 1024 * 1024,
            patience: Duration::from_millis(5),
            checkpoint: Every::default(),
        }
    }
}

/// A log in a data dir, which it holds until it is closed.
///
/// It must be recovered before the first append, unless it is empty.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    crew: Arc<dyn Crew>,
    /// When it was opened.
    begun: Instant,
    threads: Mutex<Option<Working>>,
    /// The thread that answers reads: while the log can be asked, even after it was closed.
    answers: Mutex<Option<JoinHandle<()>>>,
    /// The thread that puts things aside: from the start on, for whoever is told of a deep queue has no room for it.
    spill: Mutex<Option<JoinHandle<()>>>,
    /// Holds the data dir's lock.
    lock: Mutex<Option<Box<dyn Send>>>,
}

/// The thread of somebody who works on the log, if it has one.
type Hired = Option<JoinHandle<()>>;

/// Who works on an open log.
struct Working {
    writer: Hired,
    spares: Hired,
    bodies: [Hired; 2],
    keeper: Hired,
    forward: Hired,
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

    /// Opens the log on a given disk.
    pub(crate) fn open_on(
        dir: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        disk: Arc<dyn Disk>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::open_with(dir, settings, metrics, disk, Arc::new(Threads), now())
    }

    /// Opens the log at this time, with a crew that works on it.
    fn open_with(
        dir: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        disk: Arc<dyn Disk>,
        crew: Arc<dyn Crew>,
        now: Instant,
    ) -> Result<Arc<Self>, StoreError> {
        let log_path = dir.join("log");
        disk.make_dir(&log_path)
            .map_err(|e| io_error("make", &log_path, e))?;
        let lock = meta::lock(&*disk, dir)?;
        let mut checkpoints = Checkpoints::new(dir, &disk);
        let mut legacy = Legacy::new(dir, Arc::clone(&disk));
        let log_dir = Arc::new(LogDir::new(log_path, Arc::clone(&disk)));
        let mut listing = log_dir.list()?;
        let has_log = !listing.segments.is_empty();
        let meta = next_meta(&*disk, dir, has_log, &mut checkpoints, &mut legacy)?;
        write_meta(dir, &meta, &log_dir, &mut listing.spares)?;
        legacy.remove()?;
        if meta.identity.incarnation == 1 {
            sync_parent(&*log_dir.disk, dir).map_err(|e| io_error("sync the folder of", dir, e))?;
        }
        let (big_path, incarnation) = (dir.join("big"), meta.identity.incarnation);
        let bodies = BigFiles::open(&big_path, disk, Arc::clone(&metrics), incarnation)
            .map_err(|e| io_error("list", &big_path, e))?;
        let spill_path = dir.join("spill");
        let spill = Spill::open(
            &spill_path,
            Arc::clone(&log_dir.disk),
            settings.segment_bytes,
        )
        .map_err(|e| io_error("clear", &spill_path, e))?;
        let aside = Aside { bodies, spill };
        let shared = Shared::new(dir, settings, metrics, log_dir, aside, checkpoints, meta);
        let shared = Arc::new(shared);
        shared
            .spares
            .adopt(&listing.spares)
            .map_err(|source| io_error("open a spare in", shared.dir.path(), source))?;
        let log = Self {
            shared,
            crew,
            begun: now,
            threads: Mutex::default(),
            answers: Mutex::default(),
            spill: Mutex::default(),
            lock: Mutex::new(Some(lock)),
        };
        let spiller = Spiller::new(Arc::clone(&log.shared));
        *log.spill.lock() = log.hire("viaduct-spill", spiller)?;
        let answerer = Answerer::new(Arc::clone(&log.shared));
        *log.answers.lock() = log.hire("viaduct-reader", answerer)?;
        if listing.segments.is_empty() {
            log.shared.expect_log(None)?;
            let first = Active::first(&log.shared);
            log.start(first, 0)?;
            log.shared.recovered_bodies(&[]);
        }
        Ok(Arc::new(log))
    }

    /// Lets the crew begin: from now on records can be appended.
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
        let forward = Forward::new(Arc::clone(shared), &shared.cold.lock());
        let keeper = Keeper::new(Arc::clone(shared), self.begun);
        *self.threads.lock() = Some(Working {
            writer: self.hire("viaduct-log", writer)?,
            spares: self.hire("viaduct-spares", Maker::new(Arc::clone(shared)))?,
            bodies: [
                self.hire("viaduct-bodies", Writes(Arc::clone(&shared.files)))?,
                self.hire("viaduct-body-reads", Reads(Arc::clone(&shared.files)))?,
            ],
            keeper: self.hire("viaduct-keeper", keeper)?,
            forward: self.hire("viaduct-cold", forward)?,
        });
        Ok(())
    }

    /// Takes on somebody who works on the log.
    fn hire(&self, name: &str, actor: impl Actor + 'static) -> Result<Hired, StoreError> {
        let hired = self.crew.hire(name, Box::new(actor));
        hired.map_err(|e| io_error("start a thread for", self.shared.dir.path(), e))
    }

    /// Lets the writer write what is pending, and waits for the threads to end.
    fn stop(&self) {
        {
            let mut log = self.shared.log.lock();
            log.is_open = false;
            log.is_stopping = true;
        }
        self.shared.kick.notify_one();
        let threads = self.threads.lock().take();
        if let Some(threads) = threads {
            self.join(threads);
        }
        self.shared.spill.stop();
        join(self.spill.lock().take());
    }

    fn join(&self, threads: Working) {
        join(threads.writer);
        self.shared.scrub.stop();
        self.shared.spares.stop();
        join(threads.spares);
        self.shared.forward.stop();
        join(threads.forward);
        self.shared.bell.stop();
        join(threads.keeper);
        self.shared.files.stop();
        for thread in threads.bodies {
            join(thread);
        }
    }
}

impl std::fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedLog")
            .field("path", &self.shared.path)
            .finish_non_exhaustive()
    }
}

impl Drop for EmbeddedLog {
    fn drop(&mut self) {
        self.stop();
        self.shared.asked.stop();
        let answers = self.answers.lock().take();
        // Whoever was answered last may have been the last to hold the log.
        let is_other =
            |thread: &JoinHandle<()>| thread.thread().id() != std::thread::current().id();
        join(answers.filter(is_other));
    }
}

/// Waits for a thread. One that panicked has said so; what it left undone is not durable.
fn join(thread: Hired) {
    if let Some(thread) = thread {
        let _ = thread.join();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "from here on the keeper counts how long nothing happened"
)]
fn now() -> Instant {
    Instant::now()
}

/// Makes the name of a new data dir survive a power cut, as its files do.
fn sync_parent(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let parent = match dir.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    disk.sync_dir(parent)
}

/// What `meta` shall say of this start.
fn next_meta(
    disk: &dyn Disk,
    dir: &Path,
    has_log: bool,
    checkpoints: &mut Checkpoints,
    legacy: &mut Legacy,
) -> Result<Meta, StoreError> {
    let damaged = |what: &str| StoreError::Damaged {
        path: dir.display().to_string(),
        what: what.to_owned(),
    };
    match meta::read(disk, dir)? {
        Some((mut meta, version)) => {
            match (meta.has_checkpoint, version) {
                (false, _) => checkpoints.begin()?,
                (true, Version::One) => checkpoints.take_over(legacy)?,
                (true, Version::Two) => checkpoints.find()?,
            }
            meta.identity.incarnation += 1;
            Ok(meta)
        }
        None if has_log || legacy.exists() || checkpoints.exist() => {
            Err(damaged("the file meta is missing"))
        }
        None => {
            let mut uuid = [0; 16];
            getrandom::fill(&mut uuid)
                .map_err(|error| io_error("name", dir, io::Error::other(error)))?;
            Ok(Meta {
                identity: Identity {
                    uuid: u128::from_le_bytes(uuid),
                    incarnation: 1,
                },
                has_checkpoint: false,
            })
        }
    }
}

/// Writes `meta`. A full disk must not keep a log from starting, for only what is consumed makes room:
/// then spares are given up for it.
fn write_meta(
    dir: &Path,
    meta: &Meta,
    log_dir: &LogDir,
    spares: &mut Vec<u64>,
) -> Result<(), StoreError> {
    loop {
        let written = meta::write(&*log_dir.disk, dir, meta);
        let is_full = matches!(&written, Err(StoreError::Io { source, .. }) if is_full(source));
        let Some(number) = spares.pop_if(|_| is_full) else {
            return written;
        };
        let spare = log_dir.spare(number);
        tracing::warn!(spare = %spare.display(), "the disk is full: a spare is removed to start");
        log_dir
            .disk
            .remove(&spare)
            .map_err(|source| io_error("remove", &spare, source))?;
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
pub(crate) mod sim;

#[cfg(test)]
pub(crate) mod test_disk;

#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::show::show;
