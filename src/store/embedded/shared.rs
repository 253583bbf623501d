//! What the threads of a log share.

use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::core::log::bodies::Bodies;
use crate::core::log::bodies::BodyId;
use crate::core::log::store::DamageObserver;
use crate::core::log::store::Hole;
use crate::core::log::store::StoreError;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::sync::Condvar;
use crate::core::sync::Mutex;

use crate::telemetry::Metrics;

use crate::store::journal::Journal;
use crate::store::journal::Limits;
use crate::store::journal::Waiters;
use crate::store::watermark::AtomicWatermark;
use crate::store::work::WorkQueue;

use super::Settings;
use super::bell::Bell;
use super::bodies::BigFiles;
use super::checkpoint::Checkpoints;
use super::frame;
use super::keeper::Every;
use super::meta::Meta;
use super::places::Places;
use super::read::Asked;
use super::rest::Rest;
use super::scrub::Scrub;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::spares::Spares;
use super::spill::Spill;

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

/// What the threads share.
pub(super) struct Shared {
    pub(super) shard: Shard,
    pub(super) path: PathBuf,
    pub(super) segment_bytes: u64,
    pub(super) patience: Duration,
    pub(super) dir: Arc<LogDir>,
    pub(super) spares: Spares,
    pub(super) scrub: Scrub,
    /// Who hears of damage.
    pub(super) observer: Mutex<Option<Arc<dyn DamageObserver>>>,
    pub(super) places: Places,
    pub(super) spill: Spill,
    /// What the answering thread is asked for.
    pub(super) asked: Arc<WorkQueue<Asked>>,
    pub(super) files: Arc<BigFiles>,
    /// The same, as core knows them.
    pub(super) bodies: Arc<dyn Bodies>,
    /// Locked before the log.
    pub(super) checkpoints: Mutex<Checkpoints>,
    pub(super) bell: Bell,
    /// Ends who copies forward.
    pub(super) forward: Bell,
    /// Ids of the cold segments that a start found.
    pub(super) cold: Mutex<Vec<u64>>,
    /// Number of cold segments.
    pub(super) cold_segments: AtomicU64,
    pub(super) every: Every,
    /// Bytes that were written since the keeper made a checkpoint.
    pub(super) unabsorbed: AtomicU64,
    pub(super) meta: Mutex<Meta>,
    pub(super) identity: Identity,
    pub(super) watermark: AtomicWatermark,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Mutex<Log>,
    /// Tells the writer that there is something to do, when it rests.
    pub(super) kick: Condvar,
    /// The data dir is another's to open.
    pub(super) is_closed: AtomicBool,
}

/// What is kept beside the log.
pub(super) struct Aside {
    pub(super) bodies: BigFiles,
    pub(super) spill: Spill,
}

/// What the log's lock guards.
pub(super) struct Log {
    pub(super) journal: Journal,
    pub(super) waiters: Waiters,
    /// Whether the writer rests.
    pub(super) rest: Rest,
    /// The disk is full.
    pub(super) is_starved: Arc<AtomicBool>,
    /// The writer is to end when nothing is pending.
    pub(super) is_stopping: bool,
    /// Appends are taken.
    pub(super) is_open: bool,
    /// Bytes that fit in the segment that is written, without new blocks.
    pub(super) active_left: u64,
    /// Bodies that a pending record names and that were never synced: the writer does, before that record.
    pub(super) unsynced: Vec<BodyId>,
}

impl Log {
    /// Whether what is pending must be written now: somebody waits, or will.
    ///
    /// On a full disk a waiting publisher says nothing about a settle, and a settle alone in its frame takes a block of
    /// the room that is left for it: settles share one, and make more room than they take.
    pub(super) fn is_pressing(&self) -> bool {
        let is_awaited = !self.waiters.is_empty() && !self.is_starved.load(Ordering::Acquire);
        self.is_stopping || is_awaited || self.journal.is_pressing()
    }

    /// Whether the writer must be kicked, which is for the caller to do without the lock.
    pub(super) fn must_kick(&mut self) -> bool {
        let is_urgent =
            self.rest == Rest::Dozing && (self.is_pressing() || self.journal.may_recycle());
        self.rest.must_kick(is_urgent)
    }
}

impl Shared {
    pub(super) fn new(
        path: &Path,
        settings: Settings,
        metrics: Arc<Metrics>,
        dir: Arc<LogDir>,
        aside: Aside,
        checkpoints: Checkpoints,
        meta: Meta,
    ) -> Self {
        let segment_bytes = settings.segment_bytes.max(SEGMENT_MIN_BYTES);
        let files = Arc::new(aside.bodies);
        let spares = Spares::new(Arc::clone(&dir), segment_bytes);
        let is_starved = spares.starved();
        Self {
            shard: Shard(0),
            path: path.to_owned(),
            segment_bytes,
            patience: settings.patience,
            spares,
            dir,
            scrub: Scrub::default(),
            observer: Mutex::default(),
            places: Places::default(),
            spill: aside.spill,
            asked: Arc::new(WorkQueue::new()),
            bodies: Arc::clone(&files) as Arc<dyn Bodies>,
            files,
            checkpoints: Mutex::new(checkpoints),
            bell: Bell::default(),
            forward: Bell::default(),
            cold: Mutex::default(),
            cold_segments: AtomicU64::new(0),
            every: settings.checkpoint,
            unabsorbed: AtomicU64::new(0),
            meta: Mutex::new(meta),
            identity: meta.identity,
            watermark: AtomicWatermark::default(),
            metrics,
            log: Mutex::new(Log {
                is_starved,
                journal: Journal::new(Shard(0), limits(segment_bytes)),
                waiters: Waiters::default(),
                rest: Rest::Awake,
                is_stopping: false,
                is_open: false,
                active_left: 0,
                unsynced: Vec::new(),
            }),
            kick: Condvar::new(),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Whether nothing can be known of the log any more: it was closed or has failed.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire) || self.watermark.has_failed()
    }

    /// Number of a record of this shard, 0, which no record has, for one of another.
    pub(super) fn number(&self, lsn: Lsn) -> u64 {
        if lsn.shard() == self.shard {
            lsn.number()
        } else {
            0
        }
    }

    /// Notes the bodies that the last append named.
    pub(super) fn name_bodies(&self, log: &mut Log) {
        let mut named = Vec::new();
        if !log.journal.take_named(&mut named) {
            return;
        }
        self.files.named(&named);
        let unsynced = named
            .into_iter()
            .filter(|body| !self.files.is_durable(*body));
        log.unsynced.extend(unsynced);
    }

    /// Lets the bodies go that no record names any more, for good.
    pub(super) fn end_bodies(&self, log: &mut Log) {
        while let Some(body) = log.journal.take_ended_file() {
            self.files.ended(body);
        }
    }

    /// Tells whoever observes that records cannot be read, if one of them lives.
    pub(super) fn lost(&self, path: &str, (first, last): (u64, u64), what: &str) {
        if self.log.lock().journal.count_live(first, last) == 0 {
            return;
        }
        let (Some(first), Some(last)) = (Lsn::new(self.shard, first), Lsn::new(self.shard, last))
        else {
            return;
        };
        let observer = self.observer.lock().clone();
        if let Some(observer) = observer {
            observer.damaged(&Hole {
                path: path.to_owned(),
                what: what.to_owned(),
                first,
                last,
                queues: None,
            });
        }
    }

    /// A start has met every record that lives: bodies that none names are removed. What could not be read may name some,
    /// and may come back.
    pub(super) fn recovered_bodies(&self, holes: &[Hole]) {
        let mut log = self.log.lock();
        let named = log.journal.named_files();
        self.name_bodies(&mut log);
        self.end_bodies(&mut log);
        drop(log);
        if holes.is_empty() {
            self.files.keep(&named);
        }
    }

    /// Bytes of the files that hold records of so many main segments, of all cold ones, or of none yet.
    pub(super) fn log_bytes(&self, segments: u64) -> u64 {
        let files = segments + self.cold_segments.load(Ordering::Relaxed);
        files * self.segment_bytes + self.spares.ready_bytes()
    }

    /// Gives the file of a segment that nothing needs to whoever makes spares.
    pub(super) fn recycle(&self, segment: SegmentId) {
        self.places.forget(segment);
        self.asked.push(Asked::Forget(segment));
        self.spares.recycle(segment);
        self.metrics.log_reclaimed_bytes.inc_by(self.segment_bytes);
    }

    /// Whether a full disk still has room for an append.
    pub(super) fn has_room(&self, log: &Log, urgent: bool) -> bool {
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

    /// Gives the log up: nothing more will be durable, and whoever waits is told so.
    pub(super) fn fail(&self) {
        let mut woken = Vec::new();
        {
            let mut log = self.log.lock();
            log.waiters.fail(&self.watermark, &mut woken);
        }
        for waiter in woken {
            waiter.watermark_moved(self.shard);
        }
    }

    /// Expects that a log which ends with `last` has what the checkpoint has absorbed of it.
    pub(super) fn expect_log(&self, last: Option<Lsn>) -> Result<(), StoreError> {
        let saved = self.checkpoints.lock().saved().unwrap_or_default();
        if saved.catalog.max(saved.at.log) <= last.map_or(0, Lsn::number) {
            return Ok(());
        }
        Err(StoreError::Damaged {
            path: self.dir.path().display().to_string(),
            what: "the log ends before what the checkpoint has absorbed of it".to_owned(),
        })
    }

    /// Waits until record `upto` is durable; false if the log has failed.
    pub(super) fn wait_durable(self: &Arc<Self>, upto: Lsn) -> bool {
        let done = Arc::new(Signal::default());
        self.wait(upto, Arc::clone(&done) as Arc<dyn Waiter>);
        done.wait();
        !self.watermark.has_failed()
    }

    pub(super) fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        if lsn.shard() != self.shard {
            return waiter.watermark_moved(lsn.shard());
        }
        let mut log = self.log.lock();
        let answered = log.waiters.wait(&self.watermark, lsn.number(), waiter);
        let must_kick = answered.is_none() && log.must_kick();
        drop(log);
        if let Some(waiter) = answered {
            waiter.watermark_moved(lsn.shard());
        }
        if must_kick {
            self.kick.notify_one();
        }
    }
}

/// How a log with such segments cuts frames.
pub(super) fn limits(segment_bytes: u64) -> Limits {
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
