//! What the simulated disk promises, and what it does not.

use std::path::Path;

use crate::store::embedded::disk::Disk;

use super::SimDisk;

const DIR: &str = "data";

fn read(disk: &SimDisk, name: &str) -> Option<Vec<u8>> {
    disk.read_file(&Path::new(DIR).join(name)).ok()
}

/// A file of 2 KiB of ones, which is named and synced or not, after a power cut of this seed.
fn after_a_cut(seed: u64, sync: bool, sync_dir: bool) -> Option<Vec<u8>> {
    let disk = SimDisk::new(seed);
    let file = Disk::open(&disk, &Path::new(DIR).join("a")).unwrap();
    file.write_all_at(&[1; 2048], 0).unwrap();
    if sync {
        file.sync().unwrap();
    }
    if sync_dir {
        disk.sync_dir(Path::new(DIR)).unwrap();
    }
    disk.lose_power();
    assert!(file.len().is_err(), "it was opened before the power went");
    read(&disk, "a")
}

#[test]
fn what_was_synced_with_its_name_is_there_and_nothing_else_for_sure() {
    let mut fates = [0; 4];
    for seed in 0..200 {
        assert_eq!(after_a_cut(seed, true, true), Some(vec![1; 2048]));
        match after_a_cut(seed, false, true) {
            None => panic!("its name was synced"),
            Some(file) if file.is_empty() => fates[0] += 1,
            Some(file) if file == vec![1; 2048] => fates[1] += 1,
            Some(file) => {
                let torn = file.chunks(512).all(|s| s == [1; 512] || s == [0; 512]);
                assert!(torn, "a sector is whole or not there");
                fates[2] += 1;
            }
        }
        fates[3] += u32::from(after_a_cut(seed, true, false).is_none());
    }
    assert!(fates.iter().all(|seen| *seen > 5), "{fates:?}");
}

#[test]
fn a_seed_brings_the_same_again() {
    for seed in 0..50 {
        assert_eq!(
            after_a_cut(seed, false, true),
            after_a_cut(seed, false, true)
        );
    }
}

#[test]
fn a_sync_that_failed_is_not_made_up_for_by_the_next() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        let file = Disk::open(&disk, &Path::new(DIR).join("a")).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();
        file.write_all_at(&[1; 512], 0).unwrap();
        disk.fail_sync(0);
        assert!(file.sync().is_err());
        assert_eq!(read(&disk, "a"), Some(vec![1; 512]), "the cache has it");
        file.sync().unwrap();
        disk.lose_power();
        lost += u32::from(read(&disk, "a") != Some(vec![1; 512]));
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn a_full_disk_takes_what_does_not_make_a_file_longer() {
    let disk = SimDisk::new(1);
    let file = Disk::open(&disk, &Path::new(DIR).join("a")).unwrap();
    file.write_all_at(&[1; 100], 0).unwrap();
    disk.set_capacity(disk.used());
    file.write_all_at(&[2; 100], 0).unwrap();
    let error = file.write_all_at(&[3; 100], 1).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    disk.remove(&Path::new(DIR).join("a")).unwrap();
    disk.write_file(&Path::new(DIR).join("b"), &[4; 100])
        .unwrap();
}

#[test]
fn a_fault_strikes_when_it_is_told_to_and_once() {
    let disk = SimDisk::new(1);
    let file = Disk::open(&disk, &Path::new(DIR).join("a")).unwrap();
    disk.fail_write(1);
    disk.fail_read(0);
    file.write_all_at(&[1; 10], 0).unwrap();
    assert!(file.write_all_at(&[2; 10], 0).is_err());
    file.write_all_at(&[3; 10], 0).unwrap();
    let mut bytes = [0; 10];
    assert!(file.read_at(&mut bytes, 0).is_err());
    assert_eq!((file.read_at(&mut bytes, 0).unwrap(), bytes), (10, [3; 10]));
    file.sync().unwrap();
    let flipped = disk.flip_bit("a").unwrap();
    assert!(flipped.ends_with("data/a"));
    let differs = read(&disk, "a")
        .unwrap()
        .iter()
        .filter(|b| **b != 3)
        .count();
    assert_eq!(differs, 1);
}
