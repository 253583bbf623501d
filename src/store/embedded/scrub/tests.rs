//! What a scrub finds, and what it leaves alone.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::telemetry::Metrics;

use crate::store::embedded::Settings;
use crate::store::embedded::crew::Acted;
use crate::store::embedded::crew::Actor;

use super::*;

/// A log of several small segments.
fn log(dir: &Path) -> Arc<EmbeddedLog> {
    let settings = Settings {
        segment_bytes: 64 * 1024,
        ..Settings::default()
    };
    let log = EmbeddedLog::open(dir, settings, Metrics::new().into()).unwrap();
    for n in 0..60 {
        let key = format!("{n}-{}", "x".repeat(3_000));
        let mut record = std::iter::once(Record::Catalog {
            key: &key,
            value: None,
        });
        let lsn = log
            .append(Shard(0), CoreTime::from_ms(1), false, &mut record)
            .unwrap();
        assert!(log.shared.wait_durable(lsn));
    }
    log
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_found_and_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let sound = log.check(&Progress::default()).unwrap();
    assert!(sound.is_sound(), "{:?}", sound.damages);
    assert!(sound.frames > 20 && sound.records["catalog"] > 20);
    let path = dir.path().join("log/0000000002.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 * 4096 + 100] ^= 4;
    fs::write(&path, bytes).unwrap();
    for _ in 0..2 {
        let report = log.check(&Progress::default()).unwrap();
        let [damage] = report.damages.as_slice() else {
            panic!("{:?}", report.damages)
        };
        assert_eq!((damage.offset, damage.bytes), (3 * 4096, 4096));
        assert_eq!(damage.first, damage.last);
        assert!(damage.file.ends_with("0000000002.seg"));
    }
    assert_eq!(log.damages().len(), 1);
    assert_eq!(log.shared.metrics.scrub_damages.get(), 1);
}

#[test]
fn a_segment_that_went_meanwhile_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let mut round = Round::begin(&log.shared).unwrap();
    fs::rename(
        dir.path().join("log/0000000001.seg"),
        dir.path().join("log/0000000077.spare"),
    )
    .unwrap();
    while round.step(&log.shared).unwrap().is_some() {}
    assert_eq!(round.end().damages, []);
}

#[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn the_scrub_reads_at_its_pace_and_ends_with_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(dir.path());
    let path = dir.path().join("log/0000000002.seg");
    let mut bytes = fs::read(&path).unwrap();
    bytes[3 * 4096 + 100] ^= 4;
    fs::write(&path, bytes).unwrap();
    let metrics = &log.shared.metrics;
    let mut scrubber = Scrubber::new(Arc::clone(&log.shared), 64 * 1024);
    assert_eq!(scrubber.act(now()), Acted::Rests(Some(REST)));
    let mut rested = Duration::ZERO;
    for step in 0.. {
        assert!(step < 100, "a round ends");
        match scrubber.act(now()) {
            Acted::Rests(Some(REST)) => break,
            Acted::Rests(Some(rest)) => rested += rest,
            other @ (Acted::Rests(None) | Acted::Done | Acted::Ended) => panic!("{other:?}"),
        }
    }
    assert_eq!(metrics.scrub_damages.get(), 1);
    let read = metrics.scrub_bytes.get();
    assert!(read >= 3 * 64 * 1024);
    let expected = read * 1_000 / (64 * 1024);
    assert!(rested.as_millis().abs_diff(u128::from(expected)) < 100);
    log.close(CoreTime::from_ms(2)).unwrap();
    assert_eq!(scrubber.act(now()), Acted::Ended);
}
