//! The cold chain when something in it is damaged, and what is kept while something is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::store::contract::bench::publish;
use crate::telemetry::Metrics;

use super::super::cold::Forward;
use super::super::cold::Step;
use super::super::frame::BLOCK_BYTES;
use super::EmbeddedLog;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::eventually;
use super::wait;

/// Messages to each queue, of which one in [`KEPT`] stays.
const MESSAGES: usize = 2_000;
const KEPT: usize = 50;

/// What lives, by queue and number.
pub(in super::super) type Live = BTreeMap<u64, Vec<u64>>;

/// Hears what a start tells.
#[derive(Default)]
struct Told(Live);

impl Visitor for Told {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        let queue = self.0.entry(entry.fields.queue.0).or_default();
        queue.push(entry.entry.number());
        true
    }
}

/// Opens a log: what it tells, and what it cannot read.
pub(in super::super) fn open(dir: &Path) -> (Arc<EmbeddedLog>, Live, Scanned) {
    let log = EmbeddedLog::open(dir, SETTINGS, Arc::new(Metrics::new())).expect("opens");
    let mut told = Told::default();
    let scanned = log.recover(SHARD, &mut told).expect("a good log");
    (log, told.0, scanned)
}

/// Puts messages into a queue and settles most of them.
fn fill(log: &EmbeddedLog, queue: u64, live: &mut Live) {
    let body = [7; 1_000];
    for _ in 0..MESSAGES / KEPT {
        let mut records = (0..KEPT).map(|_| publish(&[queue], &body));
        let first = log.append(SHARD, NOW, true, &mut records).expect("taken");
        wait(log, first);
        let settled = (1..).map(|n| first.plus(n)).take(KEPT - 1);
        let entry = |lsn: Lsn| EntryRef {
            entry: lsn,
            message: lsn,
        };
        let record = Record::Settle {
            queue: QueueId(queue),
            outcome: SettleKind::Accepted,
            entries: settled.map(entry).collect(),
        };
        let settle = log.append(SHARD, NOW, true, &mut std::iter::once(record));
        wait(log, settle.expect("taken"));
        live.entry(queue).or_default().push(first.number());
    }
}

#[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
fn now() -> Instant {
    Instant::now()
}

/// A log most of whose messages of two queues, one after the other, are in the cold chain only.
pub(in super::super) fn cold_log() -> (TempDir, Live) {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, mut live, _) = open(dir.path());
    log.shared.forward.stop();
    fill(&log, 1, &mut live);
    fill(&log, 2, &mut live);
    log.shared.checkpoint(None).expect("made");
    log.shared.checkpoint(None).expect("made");
    let before = super::segments(dir.path()).len();
    let mut forward = Forward::new(Arc::clone(&log.shared), &[]);
    let mut time = now();
    for _ in 0..2 {
        loop {
            time += Duration::from_secs(20);
            if forward.step(time).expect("copied") == Step::Idle {
                break;
            }
        }
        log.shared.checkpoint(None).expect("made");
    }
    eventually("room", || super::segments(dir.path()).len() < before / 3);
    log.close(NOW).expect("closed");
    drop(log);
    assert!(cold(dir.path()).len() > 4);
    (dir, live)
}

/// Cold segments of a data dir, in order.
pub(in super::super) fn cold(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("log")).expect("a directory");
    let paths = files.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|ext| ext == "cold"))
        .collect();
    paths.sort();
    paths
}

/// Flips a bit of a byte of a file.
pub(in super::super) fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("there");
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("written");
}

/// What lives but for what is missing.
fn but(live: &Live, scanned: &Scanned) -> Live {
    let mut left = live.clone();
    let is_lost = |number: u64| {
        let mut holes = scanned.holes.iter();
        holes.any(|hole| hole.first.number() <= number && hole.last.number() >= number)
    };
    for numbers in left.values_mut() {
        numbers.retain(|number| !is_lost(*number));
    }
    left
}

#[test]
fn a_damaged_copy_concerns_the_queues_of_its_segment_and_nobody_else() {
    let (dir, live) = cold_log();
    let paths = cold(dir.path());
    let (_, told, scanned) = open(dir.path());
    assert_eq!((told, scanned.holes), (live.clone(), vec![]));
    flip(&paths[0], BLOCK_BYTES + 200);
    let (_, told, scanned) = open(dir.path());
    let [hole] = scanned.holes.as_slice() else {
        panic!("{:?}", scanned.holes)
    };
    assert_eq!(hole.path, paths[0].display().to_string());
    assert_eq!(hole.queues, Some(vec![QueueId(1)]));
    assert_eq!(told, but(&live, &scanned));
    assert!(told[&1].len() < live[&1].len() && told[&2] == live[&2]);
}

#[test]
fn a_cold_segment_that_is_gone_concerns_the_queues_that_it_had() {
    let (dir, live) = cold_log();
    let paths = cold(dir.path());
    fs::remove_file(&paths[1]).expect("removed");
    for _ in 0..2 {
        let (log, told, scanned) = open(dir.path());
        assert!(!scanned.holes.is_empty());
        for hole in &scanned.holes {
            assert_eq!(hole.path, paths[1].display().to_string());
            assert_eq!(hole.queues, Some(vec![QueueId(1)]), "{}", hole.what);
        }
        assert_eq!(told, but(&live, &scanned));
        assert_eq!(told[&2], live[&2]);
        log.close(NOW).expect("closed");
    }
}
