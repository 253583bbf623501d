//! The data dir: its lock, its format, and parts that are missing.

use std::fs;
use std::os::unix::fs::MetadataExt;

use tempfile::TempDir;

use crate::core::log::store::Store;
use crate::core::log::store::StoreError;

use super::SHARD;
use super::append_durably;
use super::open;

/// A data dir with a record and a checkpoint.
fn used() -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    let opened = open(dir.path()).expect("opens");
    let lsn = append_durably(&opened.log, "queue/1");
    opened
        .log
        .checkpoint(SHARD, lsn, &mut std::iter::empty())
        .expect("written");
    dir
}

fn refusal(dir: &TempDir) -> StoreError {
    open(dir.path()).map(|_| ()).expect_err("refused")
}

#[test]
fn two_processes_never_have_the_same_data_dir() {
    let dir = used();
    let first = open(dir.path()).expect("opens");
    let refused = refusal(&dir);
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("in use by another process"));
    drop(first);
    assert!(open(dir.path()).is_ok(), "the lock went with its holder");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = used();
    let newer = "viaduct data, format 3\nand nobody knows what else\n";
    fs::write(dir.path().join("meta"), newer).expect("written");
    let refused = refusal(&dir);
    let StoreError::NewerFormat { found, known, .. } = refused else {
        panic!("{refused}");
    };
    assert_eq!((found, known), (3, 2));
    let left = fs::read_to_string(dir.path().join("meta")).expect("there");
    assert_eq!(left, newer);
}

#[test]
fn a_missing_part_is_no_empty_start() {
    for part in ["meta", "checkpoint.0.redb", "log"] {
        let dir = used();
        let path = dir.path().join(part);
        if path.is_dir() {
            fs::remove_dir_all(path).expect("removed");
        } else {
            fs::remove_file(path).expect("removed");
        }
        let refused = refusal(&dir);
        assert!(
            matches!(refused, StoreError::Damaged { .. }),
            "{part}: {refused}"
        );
    }
}

#[test]
fn a_catalog_that_lost_its_checkpoint_is_no_empty_broker() {
    let dir = used();
    let path = dir.path().join("checkpoint.0.redb");
    let meta = fs::read(dir.path().join("meta")).expect("there");
    let good = fs::read(&path).expect("there");
    let is_damage = |what: &str| {
        let refused = refusal(&dir);
        assert!(
            matches!(refused, StoreError::Damaged { .. }),
            "{what}: {refused}"
        );
        assert!(
            refused.to_string().contains("checkpoint.0.redb"),
            "{refused}"
        );
        let left = fs::read(dir.path().join("meta")).expect("there");
        assert_eq!(left, meta, "refused before anything is written");
    };
    for len in [0, 1, 100, 4_096, good.len() / 2, good.len() - 1] {
        fs::write(&path, &good[..len]).expect("written");
        is_damage(&format!("cut off at {len} of {}", good.len()));
    }
    fs::remove_file(&path).expect("removed");
    drop(redb::Database::create(&path).expect("a database"));
    is_damage("a new database");
    fs::write(&path, good).expect("written");
    assert!(open(dir.path()).is_ok());
}

#[test]
fn a_catalog_is_written_again_before_it_is_believed() {
    let dir = used();
    let path = dir.path().join("checkpoint.0.redb");
    let place = || fs::metadata(&path).expect("there").ino();
    let before = place();
    let opened = open(dir.path()).expect("opens");
    assert_ne!(place(), before, "its pages may be clean and not on disk");
    let absorbed = opened.log.load(SHARD, &mut |_, _| {});
    assert!(absorbed.expect("loads").is_some());
}

#[test]
fn a_checkpoint_ahead_of_the_log_is_refused() {
    let dir = used();
    let opened = open(dir.path()).expect("opens");
    let last = append_durably(&opened.log, "queue/2");
    let changes = || std::iter::empty();
    let ahead = opened.log.checkpoint(SHARD, last.plus(1), &mut changes());
    assert!(ahead.is_err(), "it would absorb what is not there");
    assert!(opened.log.checkpoint(SHARD, last, &mut changes()).is_ok());
}

#[test]
fn a_damaged_meta_is_refused() {
    let dir = used();
    let path = dir.path().join("meta");
    let good = fs::read_to_string(&path).expect("there");
    assert_eq!(good.lines().next(), Some("viaduct data, format 2"));
    let bad = good.replace("incarnation 1", "incarnation 7");
    for meta in ["", "viaduct", good[..good.len() - 3].as_ref(), &bad] {
        fs::write(&path, meta).expect("written");
        let refused = refusal(&dir);
        assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    }
    fs::write(&path, good).expect("written");
    assert_eq!(
        open(dir.path()).expect("opens").log.identity().incarnation,
        2
    );
}

#[test]
fn a_data_dir_that_cannot_be_made_names_its_path() {
    let dir = TempDir::new().expect("a temporary directory");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    let refused = open(&file).map(|_| ()).expect_err("refused");
    assert!(matches!(refused, StoreError::Io { .. }));
    assert!(refused.to_string().contains("file"), "{refused}");
}
