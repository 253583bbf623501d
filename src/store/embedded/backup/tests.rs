//! Backups over the simulated disk and the real one.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyWriter;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::telemetry::Metrics;

use crate::store::contract::visitors::Keys;
use crate::store::embedded::Every;
use crate::store::embedded::Settings;
use crate::store::embedded::sim::SimDisk;

use super::*;

const SHARD: Shard = Shard(0);
/// Only when a test asks for one.
const CHECKPOINT: Every = Every {
    log_bytes: u64::MAX,
    time: std::time::Duration::from_secs(3_600),
    idle: std::time::Duration::from_secs(3_600),
};
const SETTINGS: Settings = Settings {
    segment_bytes: 64 * 1024,
    patience: Duration::from_millis(5),
    checkpoint: CHECKPOINT,
};

/// Opens the log in a folder of the simulated disk, and says what it holds.
fn open(disk: &SimDisk, dir: &str) -> (Arc<EmbeddedLog>, Vec<String>) {
    let metrics = Arc::new(Metrics::new());
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let log = EmbeddedLog::open_on(Path::new(dir), SETTINGS, metrics, disk).unwrap();
    let mut keys = Keys::default();
    log.recover(SHARD, &mut keys).unwrap();
    (log, keys.0)
}

fn append(log: &EmbeddedLog, key: &str) -> Lsn {
    let mut record = std::iter::once(Record::Catalog { key, value: None });
    let lsn = log
        .append(SHARD, CoreTime::from_ms(1), false, &mut record)
        .unwrap();
    assert!(log.shared.wait_durable(lsn));
    lsn
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{n}-{}", "x".repeat(3_000)))
        .collect()
}

#[test]
fn a_backup_of_a_running_log_is_what_was_durable_and_is_restored_elsewhere() {
    let disk = SimDisk::new(1);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _) = open(&disk, "data");
    let keys = names(40);
    for key in &keys {
        append(&log, key);
    }
    let saved = log
        .backup(Path::new("saved"), &Progress::default())
        .unwrap();
    assert_eq!(saved.upto, 40);
    append(&log, "later");
    let again = log.backup(Path::new("saved"), &Progress::default());
    assert!(again.is_err(), "the folder is not empty");
    let restored = restore_on_sim(&shared, "saved", "restored").unwrap();
    assert_eq!(restored, saved);
    let (copy, found) = open(&disk, "restored");
    assert_eq!(found, keys);
    let before = log.identity();
    assert!(copy.identity().incarnation > before.incarnation + 1_000);
    assert_eq!(copy.identity().uuid, before.uuid);
    append(&copy, "goes on");
}

fn restore_on_sim(disk: &Arc<dyn Disk>, from: &str, to: &str) -> Result<Saved, StoreError> {
    restore::restore_on(disk, Path::new(from), Path::new(to), &Progress::default())
}

#[test]
fn a_backup_without_a_manifest_or_with_another_byte_is_refused() {
    let disk = SimDisk::new(2);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _) = open(&disk, "data");
    append(&log, "one");
    log.backup(Path::new("saved"), &Progress::default())
        .unwrap();
    let segment = Path::new("saved/log/0000000001.seg");
    let mut bytes = disk.read_file(segment).unwrap();
    bytes[5_000] ^= 1;
    disk.write_file(segment, &bytes).unwrap();
    let error = restore_on_sim(&shared, "saved", "a").unwrap_err();
    assert!(error.to_string().contains("manifest"), "{error}");
    disk.remove(Path::new("saved/MANIFEST")).unwrap();
    let error = restore_on_sim(&shared, "saved", "b").unwrap_err();
    assert!(error.to_string().contains("MANIFEST"), "{error}");
    let opened = EmbeddedLog::open_on(Path::new("a"), SETTINGS, Metrics::new().into(), shared);
    assert!(opened.is_err(), "what was not restored is no data dir");
}

#[test]
fn who_gives_a_backup_up_leaves_none_and_segments_come_back() {
    let disk = SimDisk::new(3);
    let (log, _) = open(&disk, "data");
    for key in &names(40) {
        append(&log, key);
    }
    let progress = Progress::default();
    progress.cancel();
    log.backup(Path::new("saved"), &progress).unwrap_err();
    assert!(!disk.exists(Path::new("saved/MANIFEST")));
    let last = append(&log, "last");
    let names = || shared_names(&disk);
    let before = names();
    absorb(&log, last);
    // No pin is left: what the checkpoint freed is recycled.
    let mut tries = 0;
    while names() >= before {
        tries += 1;
        assert!(tries < 5_000, "nothing was recycled");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Both generations of the checkpoint take in the catalog.
fn absorb(log: &EmbeddedLog, upto: Lsn) {
    for _ in 0..2 {
        log.checkpoint(SHARD, upto, &mut std::iter::empty())
            .unwrap();
    }
}

fn shared_names(disk: &SimDisk) -> usize {
    let names = disk.names(Path::new("data/log")).unwrap();
    names.iter().filter(|name| name.ends_with(".seg")).count()
}

#[test]
fn what_is_recycled_meanwhile_stays_until_the_backup_ends() {
    let disk = SimDisk::new(4);
    let (log, _) = open(&disk, "data");
    for key in &names(40) {
        append(&log, key);
    }
    let pin = Pin::new(&log.shared);
    let segments = shared_names(&disk);
    let last = append(&log, "last");
    absorb(&log, last);
    // The journal gives them up.
    let mut tries = 0;
    while log.space().segments > 2 {
        tries += 1;
        assert!(tries < 5_000, "nothing was given up");
        std::thread::park_timeout(Duration::from_millis(2));
    }
    assert!(shared_names(&disk) >= segments);
    drop(pin);
    tries = 0;
    while shared_names(&disk) >= segments {
        tries += 1;
        assert!(tries < 5_000, "nothing was recycled");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn a_stopped_data_dir_on_the_real_disk_is_backed_up_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("data");
    let log = EmbeddedLog::open(&dir, SETTINGS, Metrics::new().into()).unwrap();
    append(&log, "one");
    let target = folder.path().join("saved");
    let locked = backup(&dir, &target, &Progress::default());
    assert!(matches!(locked, Err(StoreError::Locked { .. })));
    log.close(CoreTime::from_ms(2)).unwrap();
    let saved = backup(&dir, &target, &Progress::default()).unwrap();
    let restored = folder.path().join("restored");
    assert_eq!(
        restore(&target, &restored, &Progress::default()).unwrap(),
        saved
    );
    let report = super::super::check(&restored, &Progress::default()).unwrap();
    assert!(report.is_sound(), "{:?}", report.damages);
    assert_eq!(report.records.get("catalog"), Some(&1));
}

/// A body that is being written.
#[derive(Default)]
struct Upload {
    is_whole: Mutex<bool>,
    changed: Condvar,
}

impl BodyWriter for Upload {
    fn written(&self, _: usize) {}

    fn ended(&self, outcome: Result<(), BodyError>) {
        outcome.unwrap();
        *self.is_whole.lock() = true;
        self.changed.notify_all();
    }
}

#[test]
fn a_large_body_is_in_the_backup() {
    let disk = SimDisk::new(5);
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (log, _) = open(&disk, "data");
    let upload = Arc::new(Upload::default());
    let id = log.bodies().begin(true, Arc::clone(&upload) as _);
    log.bodies().append(id, vec![7; 1_000]);
    log.bodies().finish(id);
    let mut is_whole = upload.is_whole.lock();
    while !*is_whole {
        upload.changed.wait(&mut is_whole);
    }
    let publish = Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::File { id, bytes: 1_000 },
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
        elidable: false,
    });
    let lsn = log
        .append(
            SHARD,
            CoreTime::from_ms(1),
            false,
            &mut std::iter::once(publish),
        )
        .unwrap();
    assert!(log.shared.wait_durable(lsn));
    log.backup(Path::new("saved"), &Progress::default())
        .unwrap();
    restore_on_sim(&shared, "saved", "restored").unwrap();
    let (copy, _) = open(&disk, "restored");
    let path = |dir: &str| Path::new(dir).join(format!("big/{:016x}", id.0));
    drop(copy);
    assert_eq!(
        disk.read_file(&path("restored")).unwrap(),
        disk.read_file(&path("data")).unwrap()
    );
}
