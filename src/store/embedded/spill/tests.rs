//! Files that are used again, and a disk that refuses.

use std::fs;
use std::sync::Arc;

use tempfile::TempDir;

use crate::store::embedded::test_disk::TestDisk;

use super::*;

/// A spill with files of 10,000 bytes whose thread is the test.
fn spill() -> (TempDir, Arc<TestDisk>, Spill) {
    let dir = TempDir::new().unwrap();
    let disk = Arc::new(TestDisk::default());
    let path = dir.path().join("spill");
    let spill = Spill::open(&path, Arc::clone(&disk) as _, 10_000).unwrap();
    (dir, disk, spill)
}

fn blob(id: u8) -> Vec<u8> {
    vec![id; 4_000]
}

/// Steps until there is nothing to do.
fn settle_down(spill: &Spill) {
    while spill.step().unwrap() {}
}

fn files(dir: &TempDir) -> usize {
    fs::read_dir(dir.path().join("spill")).unwrap().count()
}

#[test]
fn files_are_written_again_when_their_last_blob_is_dropped() {
    let (dir, _, spill) = spill();
    let mut ids = Vec::new();
    for n in 0..40 {
        ids.push((n, spill.put(blob(n))));
        settle_down(&spill);
    }
    assert_eq!(files(&dir), 20);
    for (_, id) in ids.extract_if(.., |(n, _)| *n % 4 != 0) {
        spill.forget(id);
    }
    settle_down(&spill);
    assert_eq!(files(&dir), 10 + 1, "one is kept for what comes");
    let before = spill.bytes().0;
    for n in 100..102 {
        ids.push((n, spill.put(blob(n))));
        settle_down(&spill);
    }
    assert_eq!(spill.bytes(), (before, 0), "in the room that was there");
    for (n, id) in &ids {
        assert_eq!(spill.get(*id), Ok(Bytes::from(blob(*n))));
    }
    for (_, id) in ids {
        spill.forget(id);
    }
    settle_down(&spill);
    assert_eq!(files(&dir), 1);
}

#[test]
fn a_blob_that_is_longer_than_a_file_has_one_of_its_own() {
    let (dir, _, spill) = spill();
    let ids = [3, 50_000, 3].map(|len| (len, spill.put(vec![7; len])));
    settle_down(&spill);
    assert!(files(&dir) >= 1);
    for (len, id) in ids {
        assert_eq!(spill.get(id), Ok(Bytes::from(vec![7; len])));
    }
}

#[test]
fn what_a_full_disk_does_not_take_stays_in_memory() {
    let (_dir, disk, spill) = spill();
    let first = spill.put(blob(1));
    settle_down(&spill);
    disk.full_above(Some(4_096));
    let second = spill.put(blob(2));
    let dropped = spill.put(blob(3));
    for _ in 0..3 {
        let refused = spill.step().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
    }
    spill.forget(dropped);
    assert_eq!(spill.bytes().1, 4_000);
    assert_eq!(spill.get(first), Ok(Bytes::from(blob(1))));
    assert_eq!(spill.get(second), Ok(Bytes::from(blob(2))));
    disk.full_above(None);
    settle_down(&spill);
    assert_eq!(spill.bytes().1, 0);
    assert_eq!(spill.get(second), Ok(Bytes::from(blob(2))));
    assert_eq!(spill.get(dropped), Err(ReadError::NotThere));
}

#[test]
fn what_is_not_what_was_put_aside_is_damaged() {
    let (dir, disk, spill) = spill();
    let ids = [spill.put(blob(1)), spill.put(blob(2))];
    settle_down(&spill);
    let path = dir.path().join("spill/0000000001");
    let good = fs::read(&path).unwrap();
    for byte in [0, 8, 12, 16, 4_015] {
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(&path, &bad).unwrap();
        assert_eq!(spill.get(ids[0]), Err(ReadError::Damaged), "byte {byte}");
        assert_eq!(spill.get(ids[1]), Ok(Bytes::from(blob(2))));
    }
    fs::write(&path, &good[..5_000]).unwrap();
    assert_eq!(spill.get(ids[1]), Err(ReadError::Damaged));
    disk.fail_reads(true);
    assert_eq!(spill.get(ids[1]), Err(ReadError::Io));
}

#[test]
fn a_start_removes_what_it_finds() {
    let (dir, disk, spill) = spill();
    spill.put(blob(1));
    settle_down(&spill);
    drop(spill);
    let spill = Spill::open(&dir.path().join("spill"), disk, 10_000).unwrap();
    assert_eq!((files(&dir), spill.bytes()), (0, (0, 0)));
}
