//! Every kind of damage: after a repair the log is read without a word, and what was not in the damaged place is there.

use std::fs;

use tempfile::TempDir;

use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;
use crate::telemetry::Metrics;

use crate::store::contract::visitors::Keys;
use crate::store::embedded::EmbeddedLog;
use crate::store::embedded::Every;
use crate::store::embedded::Settings;
use crate::store::embedded::check;

use crate::core::model::ids::Lsn;

use super::*;

/// Only when a test asks for one.
const CHECKPOINT: Every = Every {
    log_bytes: u64::MAX,
    time: std::time::Duration::from_secs(3_600),
    idle: std::time::Duration::from_secs(3_600),
};
const SETTINGS: Settings = Settings {
    segment_bytes: 64 * 1024,
    patience: std::time::Duration::from_millis(5),
    checkpoint: CHECKPOINT,
};
const RECORDS: usize = 50;

fn open(dir: &Path) -> Result<(Arc<EmbeddedLog>, Vec<String>), StoreError> {
    let log = EmbeddedLog::open(dir, SETTINGS, Metrics::new().into())?;
    let mut keys = Keys::default();
    log.recover(Shard(0), &mut keys)?;
    let number = |key: &String| key.split('-').next().unwrap_or_default().to_owned();
    Ok((log, keys.0.iter().map(number).collect()))
}

/// A log of several segments, with a record in each frame.
fn log() -> TempDir {
    let dir = TempDir::new().unwrap();
    let (log, _) = open(dir.path()).unwrap();
    for n in 0..RECORDS {
        append(&log, &format!("{n}-{}", "x".repeat(3_000)));
    }
    log.close(CoreTime::from_ms(2)).unwrap();
    dir
}

fn append(log: &EmbeddedLog, key: &str) {
    let mut record = std::iter::once(Record::Catalog { key, value: None });
    let lsn = log
        .append(Shard(0), CoreTime::from_ms(1), false, &mut record)
        .unwrap();
    assert!(log.shared.wait_durable(lsn));
}

fn segment(dir: &TempDir, id: u64) -> PathBuf {
    dir.path().join(format!("log/{id:010}.seg"))
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Repairs, and says what is left of the records.
fn repaired(dir: &TempDir, name: &str) -> Vec<String> {
    let before = files(dir.path());
    let report = check(dir.path(), &Progress::default()).unwrap();
    assert!(!report.is_sound());
    assert_eq!(files(dir.path()), before, "a check changes nothing");
    let done = repair(dir.path(), name, &Progress::default(), &mut |_| true).unwrap();
    let kept = done.unwrap().kept;
    assert!(kept.join("report.json").exists());
    let report = check(dir.path(), &Progress::default()).unwrap();
    assert_eq!(report.damages, []);
    let again = repair(dir.path(), "again", &Progress::default(), &mut |_| true);
    assert_eq!(again.unwrap(), None, "there is nothing left to do");
    let (log, keys) = open(dir.path()).unwrap();
    append(&log, "goes on-");
    drop(log);
    assert_eq!(open(dir.path()).unwrap().1.last().unwrap(), "goes on");
    keys
}

fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for part in ["", "log"] {
        for entry in fs::read_dir(dir.join(part)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push((path.clone(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// Every record but those of these numbers.
fn all_but(lost: &[usize]) -> Vec<String> {
    let left = (0..RECORDS).filter(|n| !lost.contains(n));
    left.map(|n| n.to_string()).collect()
}

#[test]
fn a_flipped_bit_in_records_costs_that_frame() {
    let dir = log();
    change(&segment(&dir, 2), |bytes| bytes[3 * 4096 + 500] ^= 1);
    let keys = repaired(&dir, "a");
    assert_eq!(keys.len(), RECORDS - 1);
    let kept = dir.path().join("quarantine/a/0000000002.seg");
    assert!(kept.exists(), "the damaged file is kept");
}

#[test]
fn damaged_headers_and_whole_runs_cost_those_frames() {
    let dir = log();
    // A frame's header, and three frames in a row elsewhere.
    change(&segment(&dir, 1), |bytes| bytes[2 * 4096 + 17] ^= 8);
    change(&segment(&dir, 2), |bytes| bytes[4 * 4096..7 * 4096].fill(0));
    let keys = repaired(&dir, "a");
    assert_eq!(keys.len(), RECORDS - 4);
    let first: usize = keys.iter().position(|key| key == "2").unwrap();
    assert_eq!(keys[..first], all_but(&[1])[..first]);
}

#[test]
fn a_segments_header_costs_nothing() {
    for id in [1, 2] {
        let dir = log();
        change(&segment(&dir, id), |bytes| bytes[20] ^= 1);
        assert_eq!(repaired(&dir, "a"), all_but(&[]), "segment {id}");
    }
}

#[test]
fn a_segments_header_and_first_frames_cost_those_frames() {
    let dir = log();
    change(&segment(&dir, 2), |bytes| bytes[..3 * 4096].fill(7));
    assert_eq!(repaired(&dir, "a").len(), RECORDS - 2);
}

#[test]
fn a_lost_seal_and_a_file_that_was_cut_are_made_good() {
    let dir = log();
    let bytes = fs::read(segment(&dir, 1)).unwrap();
    change(&segment(&dir, 1), |bytes| bytes.truncate(6 * 4096));
    let lost = repaired(&dir, "a");
    let frames = bytes.len() / 4096 - 1;
    assert!(lost.len() < RECORDS && lost.len() >= RECORDS - frames);
    let dir = log();
    change(&segment(&dir, 2), |bytes| {
        let blocks = bytes.len() / 4096;
        // The seal is the last block with something in it.
        let seal = (0..blocks)
            .rev()
            .find(|n| bytes[n * 4096..][..4] == *b"VFRM");
        bytes[seal.unwrap() * 4096] ^= 1;
    });
    assert_eq!(repaired(&dir, "a"), all_but(&[]));
}

#[test]
fn a_segment_of_which_nothing_is_left_is_set_aside() {
    let dir = log();
    change(&segment(&dir, 2), |bytes| bytes.fill(0));
    let keys = repaired(&dir, "a");
    assert!(keys.len() < RECORDS && keys.len() > RECORDS / 2);
    assert!(dir.path().join("quarantine/a/0000000002.seg").exists());
}

/// A log with two generations of a checkpoint.
fn log_with_checkpoints() -> TempDir {
    let dir = log();
    let (log, _) = open(dir.path()).unwrap();
    for n in [10, 11] {
        let upto = Lsn::new(Shard(0), n).unwrap();
        log.checkpoint(
            Shard(0),
            upto,
            &mut std::iter::once(("kept", Some(&b"1"[..]))),
        )
        .unwrap();
    }
    log.close(CoreTime::from_ms(3)).unwrap();
    dir
}

#[test]
fn a_generation_is_made_anew_from_the_other_one() {
    for name in CHECKPOINTS {
        let dir = log_with_checkpoints();
        change(&dir.path().join(name), |bytes| bytes.fill(0xaa));
        let report = check(dir.path(), &Progress::default()).unwrap();
        assert_eq!(report.damages.len(), 1, "{:?}", report.damages);
        assert!(report.damages[0].file.ends_with(name));
        repaired(&dir, "a");
        assert!(dir.path().join("quarantine/a").join(name).exists());
        let (log, _) = open(dir.path()).unwrap();
        let mut keys = Vec::new();
        log.load(Shard(0), &mut |key, _| keys.push(key.to_owned()))
            .unwrap();
        assert_eq!(keys, ["kept"]);
    }
}

#[test]
fn meta_and_both_generations_are_made_anew_from_the_log() {
    let dir = log_with_checkpoints();
    fs::write(dir.path().join("meta"), "nonsense").unwrap();
    for name in CHECKPOINTS {
        change(&dir.path().join(name), |bytes| bytes.fill(0xaa));
    }
    assert!(open(dir.path()).is_err());
    let keys = repaired(&dir, "a");
    assert!(keys.len() >= RECORDS - 30, "{}", keys.len());
    for name in CHECKPOINTS.iter().chain(&["meta"]) {
        assert!(dir.path().join("quarantine/a").join(name).exists());
    }
}

#[test]
fn a_log_that_lost_every_segment_goes_on_behind_them() {
    let dir = log_with_checkpoints();
    fs::remove_dir_all(dir.path().join("log")).unwrap();
    fs::create_dir(dir.path().join("log")).unwrap();
    repaired(&dir, "a");
    let (log, _) = open(dir.path()).unwrap();
    assert!(log.shared.log.lock().journal.last() > 50);
}

#[test]
fn who_does_not_agree_changes_nothing() {
    let dir = log();
    change(&segment(&dir, 1), |bytes| bytes[2 * 4096 + 17] ^= 8);
    let before = files(dir.path());
    let done = repair(dir.path(), "a", &Progress::default(), &mut |_| false).unwrap();
    assert_eq!(done, None);
    assert_eq!(files(dir.path()), before);
    assert!(!dir.path().join(QUARANTINE).exists());
}
