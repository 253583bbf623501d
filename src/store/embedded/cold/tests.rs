//! Space comes back, whatever little lives, and nothing that lives is lost on the way, at whatever step it ends.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::test_runner::Config;
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
use crate::core::model::ids::Shard;
use crate::store::contract::bench::publish;
use crate::store::contract::reading::Listener;
use crate::store::embedded::EmbeddedLog;
use crate::store::embedded::Every;
use crate::store::embedded::Progress;
use crate::store::embedded::Settings;
use crate::store::embedded::backup;
use crate::store::embedded::check;
use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::RealDisk;
use crate::store::embedded::restore;
use crate::store::embedded::test_disk::TestDisk;
use crate::telemetry::Metrics;

use super::*;

const SHARD: Shard = Shard(0);
const NOW: CoreTime = CoreTime::from_ms(1);
const SEGMENT: u64 = 64 * 1024;

/// What lives: LSN and body.
type Live = BTreeMap<Lsn, Vec<u8>>;

/// A log, and a test in the place of the thread that copies.
struct Bench {
    log: Arc<EmbeddedLog>,
    forward: Forward,
    now: Instant,
}

/// Entries that a start tells.
#[derive(Default)]
struct Told(Vec<Lsn>);

impl Visitor for Told {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, scanned: &Scanned) {
        assert_eq!(scanned.holes, []);
    }

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        self.0.push(entry.entry);
        true
    }
}

#[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
fn start() -> Instant {
    Instant::now()
}

impl Bench {
    /// Opens a log, which must tell and give back exactly what lives.
    fn open(dir: &Path, live: &Live) -> Self {
        Self::open_on(dir, Arc::new(RealDisk), live)
    }

    fn open_on(dir: &Path, disk: Arc<dyn Disk>, live: &Live) -> Self {
        let settings = Settings {
            segment_bytes: SEGMENT,
            ..Settings::default()
        };
        let metrics = Arc::new(Metrics::new());
        let log = EmbeddedLog::open_on(dir, settings, metrics, disk).unwrap();
        let mut told = Told::default();
        log.recover(SHARD, &mut told).unwrap();
        // Before its first look.
        log.shared.forward.stop();
        let expected: Vec<Lsn> = live.keys().copied().collect();
        assert_eq!(told.0, expected, "what a start tells");
        let segments = log.shared.cold.lock().clone();
        let bench = Self {
            forward: Forward::new(Arc::clone(&log.shared), &segments),
            log,
            now: start(),
        };
        bench.read(live);
        bench
    }

    /// Publishes messages to queue 1, `each` to an append, and waits for each append if they are to be alone in a frame.
    fn publish(&self, count: usize, each: usize, bytes: usize, is_alone: bool, live: &mut Live) {
        let mut last = None;
        for _ in 0..count / each {
            let bodies: Vec<Vec<u8>> = (0..each)
                .map(|n| (live.len() + n).to_le_bytes().repeat(bytes / 8))
                .collect();
            let mut records = bodies.iter().map(|body| publish(&[1], body));
            let first = self.log.append(SHARD, NOW, true, &mut records).unwrap();
            live.extend((0..).zip(bodies).map(|(n, body)| (first.plus(n), body)));
            last = Some(first);
            if is_alone {
                assert!(self.log.shared.wait_durable(first));
            }
        }
        assert!(last.is_none_or(|last| self.log.shared.wait_durable(last)));
    }

    /// Settles all but some.
    fn settle(&self, live: &mut Live, is_kept: impl Fn(usize) -> bool) {
        let all: Vec<Lsn> = live.keys().copied().collect();
        let settled: Vec<Lsn> = (0..)
            .zip(all)
            .filter(|(n, _)| !is_kept(*n))
            .map(|(_, lsn)| lsn)
            .collect();
        for some in settled.chunks(500) {
            let entry = |lsn: &Lsn| EntryRef {
                entry: *lsn,
                message: *lsn,
            };
            let record = Record::Settle {
                queue: QueueId(1),
                outcome: SettleKind::Accepted,
                entries: some.iter().map(entry).collect(),
            };
            let lsn = self
                .log
                .append(SHARD, NOW, true, &mut std::iter::once(record))
                .unwrap();
            assert!(self.log.shared.wait_durable(lsn));
            for lsn in some {
                live.remove(lsn);
            }
        }
    }

    /// Reads everything that lives.
    fn read(&self, live: &Live) {
        let lsns: Vec<Lsn> = live.keys().copied().collect();
        for some in lsns.chunks(300) {
            let listener = Listener::new();
            self.log.read(SHARD, some.to_vec(), listener.reader());
            let told = listener.wait();
            assert_eq!(told.unread, []);
            for (lsn, _, body) in told.messages {
                assert_eq!(live.get(&lsn), Some(&body));
            }
        }
    }

    fn step(&mut self) -> Step {
        self.now += Duration::from_secs(20);
        self.forward.step(self.now).unwrap()
    }

    /// Lets both generations of the checkpoint know everything.
    fn checkpoint(&self) {
        for _ in 0..2 {
            self.log.shared.checkpoint(None).unwrap();
        }
    }

    /// Steps until nothing is left to do.
    fn settle_down(&mut self) {
        for _ in 0..100_000 {
            if self.step() == Step::Idle {
                return;
            }
        }
        panic!("it never comes to an end");
    }

    /// Bytes of the files with records, spares included.
    fn disk(dir: &Path) -> u64 {
        let files = fs::read_dir(dir.join("log")).unwrap();
        // Files come and go meanwhile.
        files
            .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
            .sum()
    }

    /// Steps until the log takes no more than it may.
    fn reach_floor(&mut self, dir: &Path, live: &Live) {
        let bytes: usize = live.values().map(Vec::len).sum();
        let allowed = bytes_of(bytes) * 5 / 2 + 8 * SEGMENT;
        for _ in 0..2_000 {
            self.checkpoint();
            self.settle_down();
            if Self::disk(dir) <= allowed {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        panic!("{} bytes instead of {allowed}", Self::disk(dir));
    }
}

#[test]
fn one_unsettled_in_a_thousand_holds_little_more_than_itself() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    bench.publish(4_000, 50, 1_000, false, &mut live);
    assert!(Bench::disk(dir.path()) > 40 * SEGMENT);
    bench.settle(&mut live, |n| n % 1_000 == 7);
    bench.reach_floor(dir.path(), &live);
    bench.read(&live);
    drop(bench);
    let mut bench = Bench::open(dir.path(), &live);
    bench.publish(500, 50, 1_000, false, &mut live);
    bench.read(&live);
    bench.settle(&mut live, |_| false);
    for _ in 0..5 {
        bench.checkpoint();
        bench.settle_down();
    }
    assert!(bench.forward.segments.len() <= 1, "the one that is written");
    bench.reach_floor(dir.path(), &live);
}

#[test]
fn one_message_of_each_segment_takes_little_more_than_itself() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    // Each is alone in its frame of the cold chain at first, most of which is padding.
    bench.publish(4_000, 50, 1_000, false, &mut live);
    bench.settle(&mut live, |n| n % 50 == 7);
    bench.reach_floor(dir.path(), &live);
    bench.read(&live);
    drop(bench);
    Bench::open(dir.path(), &live);
}

#[test]
fn messages_alone_in_their_frame_take_little_more_than_themselves() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    bench.publish(400, 1, 100, true, &mut live);
    assert!(Bench::disk(dir.path()) > 24 * SEGMENT);
    bench.reach_floor(dir.path(), &live);
    bench.read(&live);
    drop(bench);
    Bench::open(dir.path(), &live);
}

#[test]
fn what_is_copied_is_copied_again_when_most_of_it_has_ended() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    for round in 0..4 {
        bench.publish(2_000, 50, 800, false, &mut live);
        bench.settle(&mut live, |n| n % 4 == round % 2);
        bench.reach_floor(dir.path(), &live);
        bench.read(&live);
    }
    let most = bench.forward.next_id;
    bench.settle(&mut live, |n| n % 11 == 0);
    bench.reach_floor(dir.path(), &live);
    assert!(bench.forward.next_id > most);
    bench.read(&live);
    drop(bench);
    Bench::open(dir.path(), &live);
}

/// A copy of a data dir, as a power cut would leave it.
fn copy(dir: &Path) -> TempDir {
    let copy = TempDir::new().unwrap();
    fs::create_dir(copy.path().join("log")).unwrap();
    for part in ["", "log"] {
        for entry in fs::read_dir(dir.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                fs::copy(&path, copy.path().join(part).join(name)).unwrap();
            }
        }
    }
    copy
}

/// The newest cold segment of a data dir.
fn newest_cold(dir: &Path) -> Option<std::path::PathBuf> {
    let files = fs::read_dir(dir.join("log")).unwrap();
    let paths = files.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|end| end == "cold"))
        .max()
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    for keep in [5, 2] {
        bench.publish(600, 30, 900, false, &mut live);
        bench.settle(&mut live, |n| n % keep == 1);
        bench.checkpoint();
        // All steps when new cases are looked for, some of every kind when a change is judged.
        let every = if Config::default().cases > 1_000 {
            1
        } else {
            7
        };
        for n in 0..10_000 {
            if bench.step() == Step::Idle {
                break;
            }
            if n % every != 0 {
                continue;
            }
            let cut = copy(dir.path());
            // What was not synced is half there.
            if let (Some(job), Some(path)) = (&bench.forward.job, newest_cold(cut.path()))
                && let Some(frame) = job.frames().last()
            {
                let mut bytes = fs::read(&path).unwrap();
                let start = usize::try_from(frame.end).unwrap() - 2_048;
                bytes[start..].fill(0);
                fs::write(&path, bytes).unwrap();
            }
            let mut again = Bench::open(cut.path(), &live);
            // It goes on from there, and is cut once more.
            for _ in 0..3 {
                again.step();
            }
            drop(again);
            let mut again = Bench::open(cut.path(), &live);
            again.checkpoint();
            again.settle_down();
            again.read(&live);
        }
    }
}

#[test]
fn what_a_disk_does_not_read_or_take_stays_where_it_is() {
    let dir = TempDir::new().unwrap();
    let disk = Arc::new(TestDisk::default());
    let mut live = Live::new();
    let mut bench = Bench::open_on(dir.path(), Arc::clone(&disk) as _, &live);
    bench.publish(2_500, 50, 1_000, false, &mut live);
    bench.settle(&mut live, |n| n % 50 == 7);
    bench.checkpoint();
    let files = || fs::read_dir(dir.path().join("log")).unwrap().count();
    disk.fail_reads(true);
    let mut refused = 0;
    for _ in 0..100 {
        bench.now += Duration::from_secs(20);
        refused += usize::from(bench.forward.step(bench.now).is_err());
    }
    assert!(refused > 10 && files() > 30, "tried again and again");
    disk.fail_reads(false);
    // No spare can be made any more; those that there are are taken, and then there is no room for another header.
    disk.full_above(Some(0));
    while bench
        .log
        .shared
        .spares
        .take(super::SegmentId::Main(0), 0)
        .is_ok_and(|spare| spare.file.filled() > 0)
    {}
    for _ in 0..10 {
        bench.now += Duration::from_secs(20);
        while bench
            .forward
            .step(bench.now)
            .is_ok_and(|step| step != Step::Idle)
        {}
    }
    assert_eq!(newest_cold(dir.path()), None);
    bench.read(&live);
    disk.full_above(None);
    for _ in 0..4 {
        bench.checkpoint();
        bench.settle_down();
    }
    assert!(newest_cold(dir.path()).is_some());
    bench.read(&live);
    drop(bench);
    Bench::open(dir.path(), &live);
}

#[test]
fn a_damaged_source_is_left_where_it_is() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    bench.publish(3_000, 50, 1_000, false, &mut live);
    bench.settle(&mut live, |n| n % 100 == 7);
    bench.checkpoint();
    let spans = bench.log.shared.log.lock().journal.spans();
    let source = spans.iter().find(|span| span.live > 0).unwrap();
    let path = bench.log.shared.dir.segment(source.id);
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    for byte in bad.iter_mut().skip(5_000).step_by(4_096) {
        *byte ^= 1;
    }
    fs::write(&path, &bad).unwrap();
    bench.settle_down();
    assert!(path.exists());
    fs::write(&path, &good).unwrap();
    bench.read(&live);
    drop(bench);
    Bench::open(dir.path(), &live);
}

/// The whole of it by itself: its own threads, at full size where tests may take minutes, and within a minute.
#[test]
fn the_log_keeps_to_its_floor_by_itself() {
    let is_full_size = Config::default().cases > 1_000;
    let (segment_bytes, checkpoint, messages, one_in) = if is_full_size {
        (64 * 1024 * 1024, Every::default(), 1_500_000, 1_000)
    } else {
        let soon = Every {
            idle: Duration::from_millis(100),
            ..Every::default()
        };
        (SEGMENT, soon, 1_500, 50)
    };
    let settings = Settings {
        segment_bytes,
        checkpoint,
        ..Settings::default()
    };
    let dir = TempDir::new().unwrap();
    let metrics = Arc::new(Metrics::new());
    let log = EmbeddedLog::open(dir.path(), settings, Arc::clone(&metrics)).unwrap();
    let bench = Bench {
        forward: Forward::new(Arc::clone(&log.shared), &[]),
        log,
        now: start(),
    };
    let mut live = Live::new();
    for _ in 0..messages / 1_500 {
        let mut fresh = Live::new();
        bench.publish(1_500, 50, 1_000, false, &mut fresh);
        bench.settle(&mut fresh, |n| n % one_in == 7);
        live.append(&mut fresh);
    }
    let bytes: usize = live.values().map(Vec::len).sum();
    let allowed = bytes_of(bytes) * 5 / 2 + 8 * segment_bytes;
    let before = Bench::disk(dir.path());
    assert!(before > allowed, "{before} bytes");
    let quiet = start();
    while Bench::disk(dir.path()) > allowed {
        let took = quiet.elapsed();
        assert!(
            took < Duration::from_secs(60),
            "{} bytes",
            Bench::disk(dir.path())
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
    bench.read(&live);
    assert!(metrics.log_reclaimed_bytes.get() >= before - allowed);
    assert!(metrics.log_copied_bytes.get() > 0);
}

#[test]
fn a_backup_has_what_was_copied_and_a_check_finds_it_sound() {
    let dir = TempDir::new().unwrap();
    let mut live = Live::new();
    let mut bench = Bench::open(dir.path(), &live);
    bench.publish(4_000, 50, 1_000, false, &mut live);
    bench.settle(&mut live, |n| n % 1_000 == 7);
    bench.reach_floor(dir.path(), &live);
    assert!(!bench.forward.segments.is_empty(), "something was copied");
    let progress = Progress::default();
    let (running, stopped) = (dir.path().join("running"), dir.path().join("stopped"));
    bench.log.backup(&running, &progress).unwrap();
    drop(bench);
    backup(dir.path(), &stopped, &progress).unwrap();
    for saved in [&running, &stopped] {
        let restored = TempDir::new().unwrap();
        restore(saved, restored.path(), &progress).unwrap();
        let report = check(restored.path(), &progress).unwrap();
        assert!(report.is_sound(), "{:?}", report.damages);
        Bench::open(restored.path(), &live);
    }
}
