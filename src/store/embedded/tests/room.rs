//! A full disk, and segments that come back.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::AppendError;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::telemetry::Metrics;

use crate::store::contract::visitors::Silence;

use super::super::test_disk::TestDisk;
use super::EmbeddedLog;
use super::Every;
use super::NOW;
use super::SHARD;
use super::SOON;
use super::Settings;
use super::append_durably;
use super::eventually;
use super::show::show;
use super::wait;

pub(super) const SETTINGS: Settings = Settings {
    segment_bytes: 512 * 1024,
    patience: Duration::from_millis(5),
    checkpoint: SOON,
};
static BODY: [u8; 10_000] = [7; 10_000];

pub(super) fn publish(log: &EmbeddedLog) -> Result<Lsn, AppendError> {
    let record = Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::Inline(Cow::Owned(vec![BODY.as_slice()])),
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
        elidable: true,
    });
    log.append(SHARD, NOW, false, &mut std::iter::once(record))
}

pub(super) fn settle(log: &EmbeddedLog, lsn: Lsn) -> Lsn {
    let entry = EntryRef {
        entry: lsn,
        message: lsn,
    };
    let record = Record::Settle {
        queue: QueueId(1),
        outcome: SettleKind::Accepted,
        entries: Cow::Owned(vec![entry]),
    };
    let settled = log.append(SHARD, NOW, true, &mut std::iter::once(record));
    settled.expect("the reserve is for settles")
}

#[test]
fn a_full_disk_takes_settles_and_then_publishes_again() {
    drains_a_full_disk(SETTINGS);
}

/// Nothing else makes a checkpoint due, and without one nothing that was settled makes room.
#[test]
fn a_full_disk_is_helped_by_a_checkpoint_at_once() {
    let never = Duration::from_secs(1 << 20);
    drains_a_full_disk(Settings {
        checkpoint: Every {
            log_bytes: u64::MAX,
            time: never,
            idle: never,
        },
        ..SETTINGS
    });
}

fn drains_a_full_disk(settings: Settings) {
    let dir = TempDir::new().expect("a temporary directory");
    let disk = Arc::new(TestDisk::default());
    let metrics = Arc::new(Metrics::new());
    let log =
        EmbeddedLog::open_on(dir.path(), settings, metrics, Arc::clone(&disk) as _).expect("opens");
    eventually("the spares", || log.space().log_bytes >= 3 * 512 * 1024);
    disk.full_above(Some(0));
    let mut taken = Vec::new();
    let refused = loop {
        match publish(&log) {
            Ok(lsn) => {
                wait(&log, lsn);
                taken.push(lsn);
            }
            Err(error) => break error,
        }
        assert!(taken.len() < 1_000, "the disk is full");
    };
    assert_eq!(refused, AppendError::Full);
    for lsn in taken {
        wait(&log, settle(&log, lsn));
    }
    let mut again = None;
    eventually("room", || {
        again = publish(&log).ok();
        again.is_some()
    });
    wait(&log, again.expect("taken"));
    // Still full, and no restart: what was recycled is enough.
    disk.full_above(None);
    drop(log);
    let log = EmbeddedLog::open(dir.path(), SETTINGS, Metrics::new().into()).expect("opens");
    let mut last = None;
    log.recover(SHARD, &mut Silence).expect("a good log");
    show(&log, &mut |lsn, record| {
        if let Record::Publish(_) = record {
            last = Some(lsn);
        }
    });
    assert_eq!(last, again);
}

#[test]
fn a_full_disk_ends_no_checkpoints() {
    let dir = TempDir::new().expect("a temporary directory");
    let disk = Arc::new(TestDisk::default());
    let metrics = Arc::new(Metrics::new());
    let log = EmbeddedLog::open_on(dir.path(), SETTINGS, metrics, Arc::clone(&disk) as _);
    let log = log.expect("opens");
    let checkpoint = |value: &[u8]| {
        let lsn = append_durably(&log, "queue/1");
        let done = log.checkpoint(SHARD, lsn, &mut [("queue/1", Some(value))].into_iter());
        done.map(|()| lsn)
    };
    // The first one, which begins the file, and a later one.
    let mut absorbed = None;
    for good in [b"1", b"2"] {
        disk.full_above(Some(u64::MAX));
        for _ in 0..2 {
            let error = checkpoint(&BODY).expect_err("the disk is full");
            assert!(matches!(error, StoreError::Io { .. }), "{error}");
        }
        disk.full_above(None);
        let loaded = log.load(SHARD, &mut |_, value| assert_eq!(value, b"1"));
        assert_eq!(loaded.expect("reads"), absorbed);
        absorbed = Some(checkpoint(good).expect("there is room again"));
    }
}

#[test]
fn a_log_starts_on_a_full_disk_so_that_consumers_can_drain() {
    let dir = TempDir::new().expect("a temporary directory");
    let disk = Arc::new(TestDisk::default());
    let start = || {
        EmbeddedLog::open_on(
            dir.path(),
            SETTINGS,
            Metrics::new().into(),
            Arc::clone(&disk) as _,
        )
    };
    let log = start().expect("opens");
    let lsn = publish(&log).expect("taken");
    wait(&log, lsn);
    eventually("two spares", || log.space().log_bytes >= 3 * 512 * 1024);
    drop(log);
    disk.fill();
    disk.full_above(Some(0));
    let log = start().expect("a spare makes room for what a start writes");
    log.recover(SHARD, &mut Silence).expect("a good log");
    wait(&log, settle(&log, lsn));
}

#[test]
fn a_full_disk_keeps_a_catalog_from_being_renewed_and_no_log_from_starting() {
    let dir = TempDir::new().expect("a temporary directory");
    let disk = Arc::new(TestDisk::default());
    let start = || {
        let disk = Arc::clone(&disk) as _;
        EmbeddedLog::open_on(dir.path(), SETTINGS, Arc::new(Metrics::new()), disk)
    };
    let log = start().expect("opens");
    let lsn = publish(&log).expect("taken");
    let checkpoint = log.checkpoint(SHARD, lsn, &mut std::iter::empty());
    checkpoint.expect("written");
    eventually("two spares", || log.space().log_bytes >= 3 * 512 * 1024);
    drop(log);
    disk.fill();
    let log = start().expect("a spare makes room for what a start writes");
    let absorbed = log.load(SHARD, &mut |_, _| {}).expect("loads");
    assert_eq!(absorbed, Some(lsn));
}
