//! The last spare: who may take it, and when.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::core::log::store::AppendError;
use crate::core::log::store::Store;

use crate::telemetry::Metrics;

use super::super::active::Active;
use super::super::crew::Acted;
use super::super::crew::Actor;
use super::super::now;
use super::super::segment::SegmentId;
use super::super::test_disk::TestDisk;
use super::super::writer::Writer;
use super::EmbeddedLog;
use super::SHARD;
use super::eventually;
use super::room::SETTINGS;
use super::room::publish;
use super::room::settle;

/// A log whose threads have ended, with its spares; and its disk.
fn stopped(dir: &Path) -> (Arc<EmbeddedLog>, Arc<TestDisk>) {
    let disk = Arc::new(TestDisk::default());
    let metrics = Arc::new(Metrics::new());
    let log = EmbeddedLog::open_on(dir, SETTINGS, metrics, Arc::clone(&disk) as _);
    let log = log.expect("opens");
    eventually("the spares", || log.space().log_bytes >= 3 * 512 * 1024);
    log.stop();
    (log, disk)
}

/// Takes a spare for a segment: the bytes of it that have blocks.
fn take(log: &EmbeddedLog, segment: SegmentId) -> io::Result<u64> {
    let taken = log.shared.spares.take(segment, 0);
    taken.map(|spare| spare.file.filled())
}

#[test]
fn the_last_spare_is_for_the_main_chain_on_a_full_disk() {
    const WHOLE: u64 = 512 * 1024;
    let dir = TempDir::new().expect("a temporary directory");
    let (log, disk) = stopped(dir.path());
    let spares = &log.shared.spares;
    for left in [2, 1] {
        assert_eq!(take(&log, SegmentId::Cold(1)).expect("a spare"), WHOLE);
        assert_eq!(spares.ready_bytes(), left * WHOLE);
    }
    // Others are made while the disk has room: with blocks for a header and a seal, for now.
    assert_eq!(take(&log, SegmentId::Main(2)).expect("made"), 8 * 1024);
    assert_eq!(take(&log, SegmentId::Cold(2)).expect("made"), 8 * 1024);
    assert_eq!(
        (spares.ready_bytes(), spares.left_when_full()),
        (WHOLE, None)
    );

    disk.full_above(Some(0));
    let refused = take(&log, SegmentId::Cold(3)).expect_err("the reserve is not for it");
    assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    assert_eq!(take(&log, SegmentId::Main(3)).expect("the reserve"), WHOLE);
    assert_eq!(spares.left_when_full(), Some(0));
    assert!(take(&log, SegmentId::Main(4)).is_err());
}

/// The writer outran who makes spares, and its segment grows as it is written, when the disk turns out to be full.
#[test]
fn what_was_accepted_before_anybody_knew_goes_to_the_reserve() {
    fills_up(1);
}

/// It would be a second segment that begins with the same record.
#[test]
fn a_segment_with_nothing_in_it_gives_its_name_to_the_reserve() {
    fills_up(0);
}

/// Writes so many messages to a segment that grows, fills the disk, and writes another.
fn fills_up(count: usize) {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, disk) = stopped(dir.path());
    for _ in 0..2 {
        take(&log, SegmentId::Main(0)).expect("a spare");
    }
    let active = Active::begin(&log.shared, SegmentId::Main(8), 1, 0, 0).expect("made");
    {
        let mut state = log.shared.log.lock();
        state.is_open = true;
        state.is_stopping = false;
    }
    let mut writer = Writer::new(Arc::clone(&log.shared), active);
    let mut time = now();
    let mut write = |upto| {
        for _ in 0..100 {
            if let Acted::Rests(most) = writer.act(time) {
                time += most.unwrap_or_default();
            }
            if log.watermark(SHARD).covers(upto) {
                return true;
            }
        }
        false
    };
    let mut taken = Vec::new();
    for _ in 0..count {
        let lsn = publish(&log).expect("taken");
        assert!(write(lsn), "the segment grows");
        taken.push(lsn);
    }
    let last = publish(&log).expect("nobody knows yet");
    taken.push(last);
    disk.full_above(Some(0));
    assert!(write(last), "it has its place in the reserve");
    assert_eq!(log.shared.dir.segment(9).exists(), count > 0);
    let found = log.shared.places.find(&[last.number()], 1).expect("placed");
    assert_eq!(
        found.segment,
        SegmentId::Main(if count > 0 { 9 } else { 8 })
    );
    assert_eq!(publish(&log), Err(AppendError::Full));
    for lsn in taken {
        assert!(
            write(settle(&log, lsn)),
            "what is urgent goes there as well"
        );
    }
}
