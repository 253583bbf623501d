//! A store under test, and what tests do to it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::AppendError;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::Visitor;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::telemetry::Metrics;

use crate::store::embedded::EmbeddedLog;
use crate::store::embedded::Every;
use crate::store::embedded::Settings;
use crate::store::embedded::show;
use crate::store::embedded::test_disk::TestDisk;
use crate::store::format;
use crate::store::memory::MemoryStore;

use super::visitors::Silence;

/// Small segments, so that a test fills many.
pub(super) const SEGMENT_BYTES: usize = 64 * 1024;
/// How long a test waits for what must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// The time of appends that do not care.
pub(super) const NOW: CoreTime = CoreTime::from_ms(1_000);

/// A store, how to restart it, and how to hold it back.
pub(crate) struct Bench {
    kind: Kind,
    /// The shard that tests of one shard use: the last one.
    pub(super) shard: Shard,
}

enum Kind {
    Memory(Arc<MemoryStore>),
    Embedded {
        /// None only while it is restarted.
        log: Option<Arc<EmbeddedLog>>,
        disk: Arc<TestDisk>,
        dir: TempDir,
    },
}

/// A record as it was replayed: number and encoding.
pub(super) type Replayed = Vec<(u64, Vec<u8>)>;

impl Bench {
    /// A memory store.
    pub(crate) fn memory(shards: u8) -> Self {
        Self {
            kind: Kind::Memory(MemoryStore::with_segments(shards, SEGMENT_BYTES)),
            shard: Shard(shards - 1),
        }
    }

    /// An embedded log in a directory of its own.
    pub(crate) fn embedded() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let disk = Arc::new(TestDisk::default());
        Self {
            kind: Kind::Embedded {
                log: Some(open(&dir, &disk)),
                disk,
                dir,
            },
            shard: Shard(0),
        }
    }

    /// The store.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match &self.kind {
            Kind::Memory(store) => Arc::clone(store) as Arc<dyn Store>,
            Kind::Embedded { log, .. } => {
                Arc::clone(log.as_ref().expect("restarted")) as Arc<dyn Store>
            }
        }
    }

    /// Ends the store without a clean stop, starts it again, and replays the shard under test.
    pub(super) fn restart(&mut self) -> (Scanned, Replayed) {
        self.reopen();
        self.replay()
    }

    /// Ends the store without a clean stop, starts it again, and hears what the shard under test says.
    pub(super) fn recover(&mut self) -> Told {
        self.recover_with(|_| true)
    }

    /// The same, where some entries have no place.
    pub(super) fn recover_with(&mut self, has_place: impl Fn(QueueId) -> bool + 'static) -> Told {
        self.reopen();
        let store = self.store();
        let mut told = Told::default();
        for shard in (0..store.capabilities().shards).map(Shard) {
            let mut visitor = Listener {
                told: Told::default(),
                has_place: &has_place,
            };
            let scanned = store.recover(shard, &mut visitor).expect("a good log");
            assert_eq!(visitor.told.scanned.as_ref(), Some(&scanned));
            if shard == self.shard {
                told = visitor.told;
            }
        }
        told
    }

    fn reopen(&mut self) {
        match &mut self.kind {
            Kind::Memory(store) => *store = store.reopened(),
            Kind::Embedded { log, disk, dir } => {
                *log = None;
                *log = Some(open(dir, disk));
            }
        }
    }

    fn replay(&self) -> (Scanned, Replayed) {
        let store = self.store();
        let mut scanned = Scanned::default();
        for shard in (0..store.capabilities().shards).map(Shard) {
            let found = store.recover(shard, &mut Silence).expect("a good log");
            if shard == self.shard {
                scanned = found;
            }
        }
        let mut replayed = Vec::new();
        let mut visit = |lsn: Lsn, record: Record<'_>| {
            assert_eq!(lsn.shard(), self.shard);
            if !is_plug(&record) {
                replayed.push((lsn.number(), encoding(&record)));
            }
        };
        match &self.kind {
            Kind::Memory(store) => store.show(self.shard, &mut visit),
            Kind::Embedded { log, .. } => show(log.as_ref().expect("restarted"), &mut visit),
        }
        (scanned, replayed)
    }

    /// From now on nothing that is appended becomes durable.
    pub(super) fn hold(&self) {
        match &self.kind {
            Kind::Memory(store) => store.hold(),
            Kind::Embedded { disk, .. } => {
                disk.hold();
                // The writer takes one append before it is held: this one.
                self.append(vec![plug()]);
                disk.wait_for_held_sync();
            }
        }
    }

    /// Ends [`Self::hold`].
    pub(super) fn release(&self) {
        match &self.kind {
            Kind::Memory(store) => store.release(),
            Kind::Embedded { disk, .. } => disk.release(),
        }
    }

    /// Fails the shard under test, which is held.
    pub(super) fn fail(&self) {
        match &self.kind {
            Kind::Memory(store) => store.fail(self.shard),
            Kind::Embedded { disk, .. } => {
                disk.fail_syncs(true);
                disk.release();
            }
        }
    }

    /// Appends to the shard under test.
    pub(super) fn append(&self, records: Vec<Record<'_>>) -> Lsn {
        self.try_append(records, true).expect("taken")
    }

    /// Appends to the shard under test, or not.
    pub(super) fn try_append(
        &self,
        records: Vec<Record<'_>>,
        urgent: bool,
    ) -> Result<Lsn, AppendError> {
        self.store()
            .append(self.shard, NOW, urgent, &mut records.into_iter())
    }

    /// Waits until `lsn` is durable.
    pub(super) fn settle_down(&self, lsn: Lsn) {
        let flag = Flag::new();
        self.store().wait(lsn, flag.clone());
        flag.wait_for(1);
        assert!(self.store().watermark(lsn.shard()).covers(lsn));
    }

    /// Waits until the log takes at most so many segments: recycling is not instant.
    pub(super) fn wait_for_segments(&self, most: u64) {
        let last = self.append(vec![plug()]);
        self.settle_down(last);
        for _ in 0..2_000 {
            if self.store().space().segments <= most {
                return;
            }
            std::thread::yield_now();
            std::thread::park_timeout(Duration::from_millis(1));
        }
        panic!("{:?} instead of {most} segments", self.store().space());
    }
}

/// What a visitor was told, in order.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) catalog: Vec<(u64, String, Option<Vec<u8>>)>,
    pub(super) scanned: Option<Scanned>,
    pub(super) entries: Vec<ToldEntry>,
}

/// An entry as it was told.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ToldEntry {
    pub(super) entry: u64,
    pub(super) message: u64,
    pub(super) chunks: u32,
    pub(super) body_bytes: u64,
    pub(super) enqueued_at: CoreTime,
    pub(super) fields: EntryFields,
    pub(super) counts: (u16, u16),
    pub(super) until: Option<CoreTime>,
    pub(super) is_counted: bool,
}

struct Listener<'a> {
    told: Told,
    has_place: &'a dyn Fn(QueueId) -> bool,
}

impl Visitor for Listener<'_> {
    fn catalog(&mut self, lsn: Lsn, key: &str, value: Option<&[u8]>) {
        assert_eq!(self.told.scanned, None, "the catalog comes first");
        let value = value.map(<[u8]>::to_vec);
        let change = (lsn.number(), key.to_owned(), value);
        self.told.catalog.push(change);
    }

    fn entries(&mut self, scanned: &Scanned) {
        assert_eq!(self.told.scanned, None, "said once");
        self.told.scanned = Some(scanned.clone());
    }

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        assert!(self.told.scanned.is_some(), "the catalog comes first");
        self.told.entries.push(ToldEntry {
            entry: entry.entry.number(),
            message: entry.message.number(),
            chunks: entry.chunks,
            body_bytes: entry.body_bytes,
            enqueued_at: entry.enqueued_at,
            fields: entry.fields.clone(),
            counts: (entry.acquired, entry.failed),
            until: entry.until,
            is_counted: entry.is_counted,
        });
        (self.has_place)(entry.fields.queue)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // A test that fails while the store is held must not wait for it for ever.
        self.release();
    }
}

fn open(dir: &TempDir, disk: &Arc<TestDisk>) -> Arc<EmbeddedLog> {
    let settings = Settings {
        segment_bytes: u64::try_from(SEGMENT_BYTES).expect("small"),
        checkpoint: Every {
            idle: Duration::from_millis(5),
            ..Every::default()
        },
        ..Settings::default()
    };
    let disk = Arc::clone(disk);
    EmbeddedLog::open_on(dir.path(), settings, Arc::new(Metrics::new()), disk).expect("opens")
}

/// A record that only keeps the writer busy.
pub(super) fn plug() -> Record<'static> {
    Record::Epoch {
        epoch: u64::MAX,
        clean_stop: false,
    }
}

fn is_plug(record: &Record<'_>) -> bool {
    matches!(
        record,
        Record::Epoch {
            epoch: u64::MAX,
            ..
        }
    )
}

/// How a record is written: equal for equal records.
pub(super) fn encoding(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(format::encode(record, &mut bytes));
    bytes
}

/// A message in some queues, elidable.
pub(crate) fn publish<'a>(queues: &[u64], body: &'a [u8]) -> Record<'a> {
    let entries = queues.iter().map(|id| EntryFields::plain(QueueId(*id)));
    Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::Inline(Cow::Owned(vec![body])),
            ..MessageFields::default()
        },
        entries: Cow::Owned(entries.collect()),
        elidable: true,
    })
}

/// An entry that was never moved.
pub(super) fn at(lsn: Lsn) -> EntryRef {
    EntryRef {
        entry: lsn,
        message: lsn,
    }
}

/// Entries of a queue that were accepted.
pub(super) fn settle(queue: u64, entries: &[EntryRef]) -> Record<'static> {
    Record::Settle {
        queue: QueueId(queue),
        outcome: SettleKind::Accepted,
        entries: Cow::Owned(entries.to_vec()),
    }
}

/// A waiter that counts its calls.
#[derive(Default)]
pub(super) struct Flag {
    calls: Mutex<usize>,
    changed: Condvar,
}

impl Flag {
    /// A waiter that was not called yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Times that it was called.
    pub(super) fn calls(&self) -> usize {
        *self.calls.lock()
    }

    /// Waits until it was called so often.
    pub(super) fn wait_for(&self, wanted: usize) {
        let mut calls = self.calls.lock();
        while *calls < wanted {
            let waited = self.changed.wait_for(&mut calls, PATIENCE);
            assert!(!waited.timed_out(), "called {} of {wanted} times", *calls);
        }
    }
}

impl Waiter for Flag {
    fn watermark_moved(&self, _shard: Shard) {
        *self.calls.lock() += 1;
        self.changed.notify_all();
    }
}
