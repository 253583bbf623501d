//! What only the embedded log has to prove: files, frames, damage, syncs, a full disk.

mod checkpoints;
pub(super) mod cold;
mod damage;
mod dir;
mod fixture;
mod image;
mod large;
mod reading;
mod reserve;
mod room;
pub(crate) mod show;
mod syncs;
mod tail;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::core::log::record::Record;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::telemetry::Metrics;

use super::EmbeddedLog;
use super::Every;
use super::Settings;

const SHARD: Shard = Shard(0);
const NOW: CoreTime = CoreTime::from_ms(1);
/// Small segments, so that a test fills many, and no checkpoint that a test does not ask for.
const SETTINGS: Settings = Settings {
    segment_bytes: 64 * 1024,
    patience: Duration::from_millis(5),
    checkpoint: NEVER,
};
/// No checkpoint but those that are asked for.
const NEVER: Every = Every {
    log_bytes: u64::MAX,
    time: Duration::from_secs(3600),
    idle: Duration::from_secs(3600),
};
/// A checkpoint as soon as nothing happens.
const SOON: Every = Every {
    idle: Duration::from_millis(5),
    ..NEVER
};

/// A log and what its start found.
struct Opened {
    log: Arc<EmbeddedLog>,
    /// Numbers and keys of catalog records, which stand for any.
    records: Vec<(u64, String)>,
    scanned: Scanned,
}

/// Listens to a start.
#[derive(Default)]
struct Listener {
    /// Numbers and keys of catalog records.
    records: Vec<(u64, String)>,
    /// Numbers and queues of entries.
    entries: Vec<(u64, u64)>,
}

impl Visitor for Listener {
    fn catalog(&mut self, lsn: Lsn, key: &str, _: Option<&[u8]>) {
        self.records.push((lsn.number(), key.to_owned()));
    }

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        let name = (entry.entry.number(), entry.fields.queue.0);
        self.entries.push(name);
        true
    }
}

/// Opens and recovers a log.
fn open(dir: &Path) -> Result<Opened, StoreError> {
    let log = EmbeddedLog::open(dir, SETTINGS, Arc::new(Metrics::new()))?;
    let mut listener = Listener::default();
    let scanned = log.recover(SHARD, &mut listener)?;
    Ok(Opened {
        log,
        records: listener.records,
        scanned,
    })
}

/// Appends a record with a text to be recognised by; it holds its segment.
fn append(log: &EmbeddedLog, key: &str) -> Lsn {
    let mut record = std::iter::once(Record::Catalog { key, value: None });
    log.append(SHARD, NOW, false, &mut record).expect("taken")
}

/// Appends a record and waits until it is durable: it has a frame of its own.
fn append_durably(log: &EmbeddedLog, key: &str) -> Lsn {
    let lsn = append(log, key);
    wait(log, lsn);
    lsn
}

/// Waits until `lsn` is durable.
fn wait(log: &EmbeddedLog, lsn: Lsn) {
    let done = Arc::new(Done::default());
    log.wait(lsn, Arc::clone(&done) as Arc<dyn Waiter>);
    done.wait();
    assert!(log.watermark(SHARD).covers(lsn));
}

/// Polls until `done`, for what other threads do.
fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    panic!("{what} never came");
}

/// A waiter that a thread waits for.
#[derive(Default)]
struct Done {
    is_done: Mutex<bool>,
    changed: Condvar,
}

impl Done {
    fn wait(&self) {
        let mut is_done = self.is_done.lock();
        while !*is_done {
            let patience = Duration::from_secs(20);
            let waited = self.changed.wait_for(&mut is_done, patience);
            assert!(!waited.timed_out(), "a wake-up was lost");
        }
    }
}

impl Waiter for Done {
    fn watermark_moved(&self, _shard: Shard) {
        *self.is_done.lock() = true;
        self.changed.notify_all();
    }
}

/// A copy of a data dir, as a power cut would leave it.
fn copy(dir: &Path) -> TempDir {
    loop {
        let copy = TempDir::new().expect("a temporary directory");
        match copy_to(dir, copy.path()) {
            Ok(()) => return copy,
            // A spare became a segment meanwhile, or a segment a spare: its new name may have been missed.
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
        }
    }
}

fn copy_to(dir: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to.join("log"))?;
    for part in ["", "log"] {
        for entry in fs::read_dir(dir.join(part))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(part).join(entry.file_name()))?;
            }
        }
    }
    Ok(())
}

/// Segments of a data dir, in order.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("log"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "seg"))
        .collect();
    paths.sort();
    paths
}
