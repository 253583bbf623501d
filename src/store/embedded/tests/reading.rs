//! Reading back from files that are damaged, gone, another's, or that the disk does not give.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::core::log::read::ReadError;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::store::contract::reading::Listener;
use crate::store::contract::reading::Told;
use crate::telemetry::Metrics;

use super::super::frame::BLOCK_BYTES;
use super::super::read::Asked;
use super::super::segment::SegmentId;
use super::super::test_disk::TestDisk;
use super::EmbeddedLog;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::image::frames;
use super::segments;
use super::wait;

/// Messages in a frame.
const EACH: usize = 3;
/// Frames in a log.
const FRAMES: usize = 8;

/// A log with frames of three messages each, whose bodies are what `name` says and their place.
fn log_of(dir: &Path, name: &str) -> (Arc<EmbeddedLog>, Arc<TestDisk>, Vec<Lsn>) {
    let disk = Arc::new(TestDisk::default());
    let metrics = Arc::new(Metrics::new());
    let log = EmbeddedLog::open_on(dir, SETTINGS, metrics, Arc::clone(&disk) as _).expect("opens");
    let mut lsns = Vec::new();
    for frame in 0..FRAMES {
        let bodies: Vec<String> = (0..EACH).map(|n| format!("{name} {frame} {n}")).collect();
        let first = append(&log, &bodies);
        wait(&log, first.plus(2));
        lsns.extend((0..).map(|n| first.plus(n)).take(EACH));
    }
    (log, disk, lsns)
}

fn append(log: &EmbeddedLog, bodies: &[String]) -> Lsn {
    let mut records = bodies.iter().map(|body| {
        Record::Publish(Publish {
            message: MessageFields {
                body: BodyFields::Inline(Cow::Owned(vec![body.as_bytes()])),
                ..MessageFields::default()
            },
            entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
            elidable: true,
        })
    });
    log.append(SHARD, NOW, false, &mut records).expect("taken")
}

fn read(log: &EmbeddedLog, lsns: &[Lsn]) -> Told {
    let listener = Listener::new();
    log.read(SHARD, lsns.to_vec(), listener.reader());
    listener.wait()
}

/// Makes what was read of the first segment before be read again.
fn forget(log: &EmbeddedLog) {
    log.shared.asked.push(Asked::Forget(SegmentId::Main(1)));
}

/// Which messages were read and how the others were not, as places in `lsns`.
fn outcome(told: &Told, lsns: &[Lsn], name: &str) -> (Vec<usize>, Vec<(usize, ReadError)>) {
    let at = |lsn: &Lsn| lsns.iter().position(|l| l == lsn).expect("asked for");
    for (lsn, _, body) in &told.messages {
        let expected = format!("{name} {} {}", at(lsn) / EACH, at(lsn) % EACH);
        assert_eq!(String::from_utf8_lossy(body), expected, "another message");
    }
    let read = told.messages.iter().map(|(lsn, ..)| at(lsn)).collect();
    let unread = told
        .unread
        .iter()
        .map(|(lsn, error)| (at(lsn), *error))
        .collect();
    (read, unread)
}

fn all_but(frame: usize) -> Vec<usize> {
    (0..FRAMES * EACH).filter(|n| n / EACH != frame).collect()
}

fn damaged(frame: usize) -> Vec<(usize, ReadError)> {
    let of_frame = frame * EACH..(frame + 1) * EACH;
    of_frame.map(|n| (n, ReadError::Damaged)).collect()
}

#[test]
fn a_flipped_bit_costs_the_messages_of_its_frame_and_no_other() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, _, lsns) = log_of(dir.path(), "m");
    let path = &segments(dir.path())[0];
    let good = fs::read(path).expect("readable");
    let frame = 4;
    let (offset, _) = frames(&good)[frame];
    // In the header, and in the first and in the last record.
    for byte in [0, 9, 20, 45, 63, 64, 70, 130] {
        for asked in [
            lsns.clone(),
            lsns[frame * EACH..].to_vec(),
            vec![lsns[frame * EACH + 1]],
        ] {
            let mut bad = good.clone();
            bad[offset + byte] ^= 4;
            fs::write(path, &bad).expect("written");
            forget(&log);
            let told = read(&log, &asked);
            let is_asked = |n: &usize| asked.contains(&lsns[*n]);
            let (read_back, unread) = outcome(&told, &lsns, "m");
            let expected: Vec<_> = all_but(frame).into_iter().filter(is_asked).collect();
            assert_eq!(read_back, expected, "byte {byte}");
            let expected: Vec<_> = damaged(frame)
                .into_iter()
                .filter(|(n, _)| is_asked(n))
                .collect();
            assert_eq!(unread, expected, "byte {byte}");
            // What is damaged is not kept: whoever puts the file right can read it.
            fs::write(path, &good).expect("written");
            assert_eq!(read(&log, &[lsns[frame * EACH]]).unread, []);
        }
    }
}

#[test]
fn a_file_that_was_cut_off_costs_what_is_missing() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, _, lsns) = log_of(dir.path(), "m");
    let path = &segments(dir.path())[0];
    let mut bytes = fs::read(path).expect("readable");
    let (offset, _) = frames(&bytes)[FRAMES - 1];
    for cut in [offset, offset + 1, offset + 64, offset + 70] {
        bytes.truncate(offset + 70);
        fs::write(path, &bytes[..cut]).expect("written");
        forget(&log);
        let told = read(&log, &lsns);
        let expected = (all_but(FRAMES - 1), damaged(FRAMES - 1));
        assert_eq!(outcome(&told, &lsns, "m"), expected, "cut at {cut}");
    }
    fs::remove_file(path).expect("removed");
    forget(&log);
    assert_eq!(read(&log, &lsns).unread.len(), FRAMES * EACH);
    assert!(!path.exists(), "what is read is not made by it");
}

#[test]
fn frames_of_another_life_of_the_file_are_never_taken_for_its_own() {
    let dirs = [TempDir::new(), TempDir::new()].map(|dir| dir.expect("a temporary directory"));
    let (log, _, lsns) = log_of(dirs[0].path(), "mine");
    let (_, _, others) = log_of(dirs[1].path(), "its");
    assert_eq!(
        lsns, others,
        "the same numbers, in a segment of the same id"
    );
    let mine = fs::read(&segments(dirs[0].path())[0]).expect("readable");
    let its = fs::read(&segments(dirs[1].path())[0]).expect("readable");
    // All of it, and block by block as a file is overwritten while it is read.
    for upto in (BLOCK_BYTES..=BLOCK_BYTES * (FRAMES + 1)).step_by(BLOCK_BYTES) {
        let mixed = [&its[..upto], &mine[upto..]].concat();
        fs::write(&segments(dirs[0].path())[0], mixed).expect("written");
        forget(&log);
        let (read_back, unread) = outcome(&read(&log, &lsns), &lsns, "mine");
        assert_eq!(read_back.len() + unread.len(), lsns.len());
        let lost = (upto / BLOCK_BYTES - 1) * EACH;
        assert!(
            unread
                .iter()
                .all(|(n, error)| *n < lost && *error == ReadError::Damaged)
        );
        assert_eq!(read_back, (lost..FRAMES * EACH).collect::<Vec<_>>());
    }
}

#[test]
fn a_disk_that_does_not_read_may_be_asked_again() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, disk, lsns) = log_of(dir.path(), "m");
    disk.fail_reads(true);
    let told = read(&log, &lsns);
    let unread: Vec<_> = lsns.iter().map(|lsn| (*lsn, ReadError::Io)).collect();
    assert_eq!((told.messages.len(), told.unread), (0, unread));
    disk.fail_reads(false);
    let told = read(&log, &lsns);
    assert_eq!(outcome(&told, &lsns, "m").0.len(), lsns.len());
}

#[test]
fn who_asks_of_a_closed_log_is_told_so() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, _, lsns) = log_of(dir.path(), "m");
    log.close(NOW).expect("closed");
    let told = read(&log, &lsns[..1]);
    assert_eq!(told.unread, [(lsns[0], ReadError::Closed)]);
}
