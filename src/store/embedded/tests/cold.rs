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
use crate::store::contract::reading::Listener;
use crate::telemetry::Metrics;

use super::super::check;
use super::super::cold::Forward;
use super::super::cold::Step;
use super::super::frame::BLOCK_BYTES;
use super::super::frame::FrameHeader;
use super::super::frame::SegmentHeader;
use super::super::repair::repair;
use super::super::survey::Progress;
use super::EmbeddedLog;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::eventually;
use super::wait;

/// Appends to each queue. One fills a segment, with what settles most of it.
const APPENDS: usize = 40;
/// Messages of an append.
const MESSAGES: u64 = 50;
/// One in so many stays: three of an append, which fill most of a block together.
const KEPT: u64 = 17;

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
    for _ in 0..APPENDS {
        let mut records = (0..MESSAGES).map(|_| publish(&[queue], &body));
        let first = log.append(SHARD, NOW, true, &mut records).expect("taken");
        wait(log, first);
        let numbers = (0..MESSAGES).map(|n| first.number() + n);
        let (kept, settled): (Vec<u64>, Vec<u64>) =
            numbers.partition(|number| (number - first.number()) % KEPT == 0);
        settle(log, queue, &settled);
        live.entry(queue).or_default().extend(kept);
    }
}

/// Key and value of a queue in the catalog, called `q` and its number.
fn declaration(queue: u64) -> (String, Vec<u8>) {
    let value = format!(r#"{{"id":{queue},"vhost":"/","name":"q{queue}","settings":{{}}}}"#);
    (format!("queue/{queue}"), value.into_bytes())
}

/// Declares a queue.
pub(super) fn declare(log: &EmbeddedLog, queue: u64) {
    let (key, value) = declaration(queue);
    let mut record = std::iter::once(Record::Catalog {
        key: &key,
        value: Some(&value),
    });
    wait(
        log,
        log.append(SHARD, NOW, true, &mut record).expect("taken"),
    );
}

/// Settles messages of a queue by their numbers.
pub(super) fn settle(log: &EmbeddedLog, queue: u64, numbers: &[u64]) {
    let entry = |number: &u64| {
        let lsn = Lsn::new(SHARD, *number).expect("a number");
        EntryRef {
            entry: lsn,
            message: lsn,
        }
    };
    let record = Record::Settle {
        queue: QueueId(queue),
        outcome: SettleKind::Accepted,
        entries: numbers.iter().map(entry).collect(),
    };
    let settle = log.append(SHARD, NOW, true, &mut std::iter::once(record));
    wait(log, settle.expect("taken"));
}

#[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
fn now() -> Instant {
    Instant::now()
}

/// Copies forward until nothing is left to copy.
fn copy_forward(log: &EmbeddedLog, forward: &mut Forward, mut time: Instant) -> Instant {
    while forward.step(time).expect("copied") != Step::Idle {
        time += Duration::from_secs(20);
    }
    // The first look at a segment only begins to wait for its calm.
    assert!(!log.shared.watermark.has_failed());
    time + Duration::from_secs(20)
}

/// A log most of whose messages of two queues, one after the other, are in the cold chain only.
pub(in super::super) fn cold_log() -> (TempDir, Live) {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, mut live, _) = open(dir.path());
    log.shared.forward.stop();
    declare(&log, 1);
    declare(&log, 2);
    fill(&log, 1, &mut live);
    fill(&log, 2, &mut live);
    let declared = [declaration(1), declaration(2)];
    let upto = Lsn::new(SHARD, live[&2][0]).expect("a number");
    for _ in 0..2 {
        let changes = declared.iter();
        let mut changes = changes.map(|(key, value)| (key.as_str(), Some(value.as_slice())));
        let made = log.checkpoint(SHARD, upto, &mut changes);
        made.expect("made");
    }
    let before = super::segments(dir.path()).len();
    let mut forward = Forward::new(Arc::clone(&log.shared), &[]);
    let mut time = now();
    for _ in 0..3 {
        time = copy_forward(&log, &mut forward, time);
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

#[test]
fn what_was_copied_before_a_checkpoint_knows_of_it_keeps_its_source() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, mut live, _) = open(dir.path());
    log.shared.forward.stop();
    // Nothing but messages, each alone in its frame: most of a segment is padding.
    for _ in 0..200 {
        let mut record = std::iter::once(publish(&[1], &[7; 100]));
        let lsn = log.append(SHARD, NOW, true, &mut record).expect("taken");
        wait(&log, lsn);
        live.entry(1).or_default().push(lsn.number());
    }
    let mut forward = Forward::new(Arc::clone(&log.shared), &[]);
    let mut time = now();
    for _ in 0..3 {
        time = copy_forward(&log, &mut forward, time);
    }
    assert!(!cold(dir.path()).is_empty());
    // The writer looks for what it may recycle whenever it has written something.
    for _ in 0..3 {
        super::append_durably(&log, "more");
    }
    let cut = super::copy(dir.path());
    let (_, told, scanned) = open(cut.path());
    assert_eq!((told, scanned.holes), (live, vec![]));
    let before = super::segments(dir.path()).len();
    log.shared.checkpoint(None).expect("made");
    log.shared.checkpoint(None).expect("made");
    eventually("room", || super::segments(dir.path()).len() < before);
}

#[test]
fn a_copy_that_was_torn_long_ago_takes_no_ones_place() {
    let (dir, live) = cold_log();
    let paths = cold(dir.path());
    let bytes = fs::read(&paths[0]).expect("there");
    let (frame, _) = FrameHeader::decode(&bytes[BLOCK_BYTES..]).expect("a frame");
    let next = paths.len() as u64 + 1;
    // Begun by starts that ended soon, the first of them in the middle of a copy of the very first one's records.
    for id in next..next + 4 {
        let header = SegmentHeader {
            shard: 0,
            chain: 1,
            id,
            first: frame.first,
            salt: id,
            previous: 0,
        };
        let mut bytes = header.encode().to_vec();
        bytes.resize(2 * BLOCK_BYTES, 0);
        if id == next {
            let torn = FrameHeader {
                segment: id,
                salt: id,
                previous: 0,
                ..frame
            };
            torn.encode_into(&mut bytes[BLOCK_BYTES..]);
        }
        let path = dir.path().join(format!("log/{id:010}.cold"));
        fs::write(path, bytes).expect("written");
    }
    let (_, told, scanned) = open(dir.path());
    assert_eq!((told, scanned.holes), (live, vec![]));
}

#[test]
fn a_repair_keeps_the_good_copies_and_sets_the_bad_ones_aside() {
    let (dir, live) = cold_log();
    let paths = cold(dir.path());
    // The records of a frame, the whole of another, and a segment of which nothing is left.
    flip(&paths[0], BLOCK_BYTES + 200);
    let mut bytes = fs::read(&paths[1]).expect("there");
    bytes[2 * BLOCK_BYTES..3 * BLOCK_BYTES].fill(0xee);
    fs::write(&paths[1], &bytes).expect("written");
    let whole = fs::read(&paths[3]).expect("there");
    fs::write(&paths[3], vec![0; whole.len()]).expect("written");
    let (log, told, scanned) = open(dir.path());
    drop(log);
    assert!(!scanned.holes.is_empty());
    let report = check(dir.path(), &Progress::default()).expect("read");
    let damage_of = |path: &Path| {
        let file = path.display().to_string();
        let mut damages = report.damages.iter();
        damages.find(|damage| damage.file == file)
    };
    for (path, at, bytes) in [
        (&paths[0], BLOCK_BYTES, None),
        (&paths[1], 2 * BLOCK_BYTES, Some(BLOCK_BYTES)),
    ] {
        let damage = damage_of(path).expect("found");
        assert_eq!(damage.queues, Some(vec!["/ q1".to_owned()]));
        assert_eq!(damage.offset, at as u64, "{damage:?}");
        assert!(
            bytes.is_none_or(|bytes| damage.bytes == bytes as u64),
            "{damage:?}"
        );
    }
    let done = repair(dir.path(), "a", &Progress::default(), &mut |_| true);
    let kept = done.expect("repaired").expect("something to do").kept;
    let name = paths[1].file_name().expect("a name");
    assert_eq!(fs::read(kept.join(name)).expect("kept"), bytes);
    let report = check(dir.path(), &Progress::default()).expect("read");
    assert_eq!(report.damages, []);
    let (log, left, scanned) = open(dir.path());
    assert_eq!((&left, scanned.holes), (&told, vec![]));
    let all = |live: &Live| live.values().map(Vec::len).sum::<usize>();
    assert!(all(&left) < all(&live));
    // What is left is read back, too.
    let lsns = left.values().flatten().copied();
    for number in lsns {
        let listener = Listener::new();
        let lsn = Lsn::new(SHARD, number).expect("a number");
        log.read(SHARD, vec![lsn], listener.reader());
        assert_eq!(listener.wait().unread, []);
    }
}

#[test]
fn a_running_log_names_the_queues_of_a_damaged_copy_once() {
    let (dir, live) = cold_log();
    let (log, told, _) = open(dir.path());
    assert_eq!(told, live);
    let sound = log.check(&Progress::default()).expect("read");
    assert!(sound.is_sound(), "{:?}", sound.damages);
    let path = &cold(dir.path())[0];
    flip(path, BLOCK_BYTES + 200);
    for _ in 0..2 {
        let report = log.check(&Progress::default()).expect("read");
        let [damage] = report.damages.as_slice() else {
            panic!("{:?}", report.damages)
        };
        assert_eq!(damage.file, path.display().to_string());
        assert_eq!(damage.offset, BLOCK_BYTES as u64);
        assert_eq!(damage.queues, Some(vec!["/ q1".to_owned()]));
    }
    assert_eq!(log.damages().len(), 1);
}

#[test]
fn no_segment_is_recycled_as_long_as_something_cannot_be_read() {
    let (dir, live) = cold_log();
    let (log, ..) = open(dir.path());
    for n in 0..60 {
        super::append_durably(&log, &format!("{n}-{}", "x".repeat(3_000)));
    }
    drop(log);
    // A frame with catalog records that no checkpoint has: anybody may be in it.
    let main = super::segments(dir.path());
    let damaged = &main[main.len() - 2];
    flip(damaged, 3 * BLOCK_BYTES + 100);
    let files = |dir: &Path| -> Vec<PathBuf> {
        let cold = cold(dir).into_iter();
        cold.chain(super::segments(dir)).collect()
    };
    let before = files(dir.path());
    let (log, told, scanned) = open(dir.path());
    assert_eq!((&told, scanned.holes.len()), (&live, 1));
    // Everything ends, and everything is absorbed.
    for (queue, numbers) in &live {
        settle(&log, *queue, numbers);
    }
    let absorb = |log: &EmbeddedLog| {
        for n in 0..60 {
            super::append_durably(log, &format!("{n}-{}", "x".repeat(3_000)));
        }
        let last = super::append_durably(log, "last");
        for _ in 0..2 {
            let done = log.checkpoint(SHARD, last, &mut std::iter::empty());
            done.expect("made");
        }
    };
    for _ in 0..2 {
        let now = files(dir.path()).len();
        absorb(&log);
        // What came later is recycled as ever.
        eventually("room", || files(dir.path()).len() < now + 5);
    }
    let left = files(dir.path());
    assert!(before.iter().all(|path| left.contains(path)));
    log.close(NOW).expect("closed");
    drop(log);
    let done = repair(dir.path(), "a", &Progress::default(), &mut |_| true);
    done.expect("repaired").expect("something to do");
    let (log, _, scanned) = open(dir.path());
    assert_eq!(scanned.holes, []);
    absorb(&log);
    eventually("room", || files(dir.path()).len() < 6);
}
