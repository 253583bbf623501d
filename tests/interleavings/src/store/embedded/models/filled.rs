//! Files that are filled while they are written: zeros never land on records.

use std::io;
use std::sync::Arc;

use loom::sync::atomic::AtomicBool;
use loom::sync::atomic::AtomicU8;
use loom::sync::atomic::Ordering;
use loom::thread;

use crate::store::embedded::filled::FilledFile;
use crate::store::embedded::segment_file::SegmentFile;

/// Bytes that are filled in one step.
const STEP_BYTES: usize = 1024 * 1024;

/// A file of two steps.
#[derive(Default)]
struct Steps {
    of: [Step; 2],
}

/// What is written there, and whether somebody is at it.
#[derive(Default)]
struct Step {
    is_busy: AtomicBool,
    value: AtomicU8,
}

impl Step {
    fn of(value: u8) -> Self {
        Self {
            value: AtomicU8::new(value),
            ..Self::default()
        }
    }

    fn write(&self, value: u8) {
        let was_busy = self.is_busy.swap(true, Ordering::AcqRel);
        assert!(!was_busy, "two threads write to the same place");
        self.value.store(value, Ordering::Relaxed);
        self.is_busy.store(false, Ordering::Release);
    }
}

impl SegmentFile for Steps {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let first = usize::try_from(offset).expect("small") / STEP_BYTES;
        let count = bytes.len().div_ceil(STEP_BYTES);
        for step in self.of.iter().skip(first).take(count) {
            step.write(bytes[0]);
        }
        Ok(())
    }

    fn read_at(&self, _bytes: &mut [u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The writer comes to the end of what is filled while the rest is being filled.
pub fn zeros_never_land_on_records() {
    loom::model(|| {
        let steps = Arc::new(Steps::default());
        let opened = || Arc::clone(&steps) as Arc<dyn SegmentFile>;
        let size = 2 * STEP_BYTES as u64;
        let file = Arc::new(FilledFile::empty(opened(), opened(), size));
        let filler = {
            let file = Arc::clone(&file);
            thread::spawn(move || {
                for _ in 0..2 {
                    file.fill_step().expect("fills");
                }
            })
        };
        for (value, offset) in [(1, 0), (2, STEP_BYTES as u64)] {
            file.grow(offset + STEP_BYTES as u64).expect("grows");
            file.write_all_at(&[value; 512], offset).expect("writes");
        }
        filler.join().expect("ends");
        let values = steps
            .of
            .each_ref()
            .map(|step| step.value.load(Ordering::Relaxed));
        assert_eq!(values, [1, 2]);
        assert!(file.is_full() && file.filled() > STEP_BYTES as u64);
    });
}

/// What is said to have its blocks has them, for whoever looks without the lock.
pub fn what_is_filled_has_its_blocks() {
    loom::model(|| {
        let steps = Arc::new(Steps {
            of: [1, 1].map(Step::of),
        });
        let opened = || Arc::clone(&steps) as Arc<dyn SegmentFile>;
        let file = Arc::new(FilledFile::empty(opened(), opened(), STEP_BYTES as u64));
        let filler = {
            let file = Arc::clone(&file);
            thread::spawn(move || file.fill_step().expect("fills"))
        };
        if file.filled() > 0 {
            let [first, _] = &steps.of;
            assert_eq!(first.value.load(Ordering::Relaxed), 0, "it is not filled");
        }
        filler.join().expect("ends");
    });
}
