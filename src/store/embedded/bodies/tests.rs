//! Bodies in files, with every step taken by the test.

use std::path::PathBuf;

use bytes::Bytes;
use tempfile::TempDir;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyError;
use crate::store::embedded::disk::RealDisk;
use crate::store::embedded::sim::SimDisk;
use crate::store::embedded::test_disk::TestDisk;

use super::*;

/// What writers and readers were told.
#[derive(Default)]
struct Told {
    written: Mutex<usize>,
    ended: Mutex<Vec<Result<(), BodyError>>>,
    read: Mutex<Vec<Result<Bytes, BodyError>>>,
}

impl BodyWriter for Told {
    fn written(&self, bytes: usize) {
        *self.written.lock() += bytes;
    }

    fn ended(&self, outcome: Result<(), BodyError>) {
        self.ended.lock().push(outcome);
    }
}

impl BodyReader for Told {
    fn read(&self, _block: u64, bytes: Result<Bytes, BodyError>) {
        self.read.lock().push(bytes);
    }
}

struct Test {
    dir: TempDir,
    files: BigFiles,
    metrics: Arc<Metrics>,
    told: Arc<Told>,
}

impl Test {
    fn new() -> Self {
        Self::on(Arc::new(RealDisk))
    }

    fn on(disk: Arc<dyn Disk>) -> Self {
        let dir = TempDir::new().unwrap();
        let metrics = Arc::new(Metrics::new());
        let files = BigFiles::open(dir.path(), disk, Arc::clone(&metrics), 3).unwrap();
        Self {
            dir,
            files,
            metrics,
            told: Arc::default(),
        }
    }

    fn begin(&self) -> BodyId {
        self.files
            .begin(true, Arc::clone(&self.told) as Arc<dyn BodyWriter>)
    }

    fn write(&self, bytes: &[u8]) -> BodyId {
        let body = self.begin();
        for block in bytes.chunks(BODY_BLOCK_BYTES) {
            self.files.append(body, block.to_vec());
        }
        self.files.finish(body);
        self.files.step();
        body
    }

    /// The body, or why it cannot be read.
    fn read(&self, body: BodyId, bytes: usize) -> Result<Vec<u8>, BodyError> {
        read(&self.files, body, bytes)
    }

    fn path(&self, body: BodyId) -> PathBuf {
        self.files.folder.path(body)
    }

    fn names(&self) -> usize {
        std::fs::read_dir(self.dir.path()).unwrap().count()
    }
}

fn read(files: &BigFiles, body: BodyId, bytes: usize) -> Result<Vec<u8>, BodyError> {
    let told = Arc::new(Told::default());
    let bytes = bytes as u64;
    for block in 0..bytes.div_ceil(BODY_BLOCK_BYTES as u64) {
        files.read(body, bytes, block, Arc::clone(&told) as Arc<dyn BodyReader>);
    }
    files.step();
    let read = std::mem::take(&mut *told.read.lock());
    let blocks: Result<Vec<Bytes>, BodyError> = read.into_iter().collect();
    blocks.map(|blocks| blocks.concat())
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

#[test]
fn a_body_is_read_as_it_was_written() {
    let test = Test::new();
    for len in [1, BODY_BLOCK_BYTES, 2 * BODY_BLOCK_BYTES + 7] {
        let body = test.write(&bytes(len));
        assert_eq!(test.read(body, len).unwrap(), bytes(len));
        assert_eq!(test.told.ended.lock().pop(), Some(Ok(())));
        assert_eq!(std::mem::take(&mut *test.told.written.lock()), len);
    }
}

#[test]
fn ids_are_of_this_start_and_never_used_again() {
    let test = Test::new();
    let (one, two) = (test.write(b"1"), test.write(b"2"));
    assert_eq!([one.0 >> 32, two.0 >> 32], [3, 3]);
    assert_ne!(one, two);
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let test = Test::new();
    let body = test.begin();
    test.files.append(body, bytes(9));
    test.files.step();
    assert_eq!(test.names(), 1);
    test.files.append(body, bytes(9));
    test.files.release(body);
    test.files.step();
    assert_eq!(test.names(), 0);
    assert!(test.told.ended.lock().is_empty(), "nobody is told");
}

#[test]
fn a_body_goes_once_its_record_and_its_handles_have_gone() {
    let test = Test::new();
    let body = test.write(&bytes(9));
    test.files.named(&[body]);
    test.files.release(body);
    test.files.step();
    assert_eq!(test.read(body, 9).unwrap(), bytes(9));
    Bodies::open(&test.files, body);
    test.files.ended(body);
    test.files.step();
    assert_eq!(test.names(), 1, "somebody reads it");
    test.files.release(body);
    test.files.step();
    assert_eq!(test.names(), 0);
    assert_eq!(test.metrics.body_files.get(), 0);
    assert_eq!(test.metrics.body_file_bytes.get(), 0);
}

#[test]
fn a_full_disk_ends_an_upload_and_gets_its_room_back() {
    let disk = Arc::new(TestDisk::default());
    let test = Test::on(Arc::clone(&disk) as Arc<dyn Disk>);
    disk.full_above(Some(100_000));
    let body = test.write(&bytes(3 * BODY_BLOCK_BYTES));
    assert_eq!(*test.told.ended.lock(), [Err(BodyError::Full)]);
    assert_eq!(test.names(), 0);
    test.files.release(body);
    disk.full_above(None);
    let again = test.write(&bytes(3 * BODY_BLOCK_BYTES));
    assert_eq!(
        test.read(again, 3 * BODY_BLOCK_BYTES).unwrap().len(),
        3 * BODY_BLOCK_BYTES
    );
}

#[test]
fn damage_is_found_and_harms_no_other_body() {
    let test = Test::new();
    let len = BODY_BLOCK_BYTES + 100;
    for damage in [
        |path: &PathBuf| {
            let mut all = std::fs::read(path).unwrap();
            all[70_000 / 2] ^= 1;
            std::fs::write(path, all).unwrap();
        },
        |path: &PathBuf| {
            let mut all = std::fs::read(path).unwrap();
            all[9] ^= 1;
            std::fs::write(path, all).unwrap();
        },
        |path: &PathBuf| {
            let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(70_000 - 10_000).unwrap();
        },
        |path: &PathBuf| std::fs::remove_file(path).unwrap(),
    ] {
        let (one, two) = (test.write(&bytes(len)), test.write(&bytes(len)));
        let before = test.names();
        damage(&test.path(one));
        assert_eq!(test.read(one, len), Err(BodyError::Damaged));
        assert_eq!(test.read(two, len).unwrap(), bytes(len));
        assert!(test.names() <= before, "reading made a file");
        test.files.release(one);
        test.files.step();
    }
}

#[test]
fn a_start_keeps_what_records_name_and_removes_the_rest() {
    let test = Test::new();
    let (kept, left) = (test.write(&bytes(70_000)), test.write(&bytes(70_000)));
    let unfinished = test.begin();
    test.files.append(unfinished, bytes(9));
    test.files.step();
    std::fs::write(test.dir.path().join("note"), "not a body").unwrap();

    let (dir, metrics) = (test.dir.path(), Arc::new(Metrics::new()));
    let files = BigFiles::open(dir, Arc::new(RealDisk), metrics, 4).unwrap();
    let missing = BodyId(7);
    files.keep(&HashMap::from([(kept, 70_000), (missing, 1)]));
    assert_eq!(read(&files, kept, 70_000).unwrap(), bytes(70_000));
    assert_eq!(read(&files, missing, 1), Err(BodyError::Damaged));
    assert!(!test.path(left).exists());
    assert!(!test.path(unfinished).exists());
    assert_eq!(test.names(), 2, "the body and the note");
}

#[test]
fn what_is_pinned_stays_until_nobody_pins_it() {
    let test = Test::new();
    let body = test.write(b"some");
    test.files.pin();
    test.files.pin();
    test.files.release(body);
    test.files.unpin();
    test.files.step();
    assert!(test.path(body).exists());
    test.files.unpin();
    test.files.step();
    assert!(!test.path(body).exists());
}

/// What a confirm or a record stands on, over every way that a simulated disk has to lose the rest.
#[test]
fn a_body_that_is_safe_survives_a_power_cut() {
    for seed in 0..64 {
        let disk = Arc::new(SimDisk::new(seed));
        let test = Test::on(Arc::clone(&disk) as Arc<dyn Disk>);
        let len = 3 * BODY_BLOCK_BYTES + 7;
        let durable = test.write(&bytes(len));
        let transient = test
            .files
            .begin(false, Arc::clone(&test.told) as Arc<dyn BodyWriter>);
        test.files.append(transient, bytes(9));
        test.files.finish(transient);
        test.files.step();
        assert!(test.files.is_durable(durable) && !test.files.is_durable(transient));
        // A durable queue demands it.
        test.files.make_durable(transient).unwrap();
        assert!(test.files.is_durable(transient));
        disk.lose_power();
        let (dir, metrics) = (test.dir.path(), Arc::new(Metrics::new()));
        let files = BigFiles::open(dir, disk, metrics, 4).unwrap();
        files.keep(&HashMap::from([(durable, len as u64), (transient, 9)]));
        assert_eq!(
            read(&files, durable, len).unwrap(),
            bytes(len),
            "seed {seed}"
        );
        assert_eq!(read(&files, transient, 9).unwrap(), bytes(9), "seed {seed}");
    }
}
