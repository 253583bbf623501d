//! A disk for tests: it can hold the log's syncs back, and refuse to write or sync.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use redb::Builder;
use redb::Database;
use redb::DatabaseError;
use redb::StorageBackend;
use redb::backends::FileBackend;

use super::disk::Disk;
use super::disk::RealDisk;
use super::disk::SegmentFile;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

/// The file system, with a test between it and the log.
#[derive(Default)]
pub(crate) struct TestDisk {
    control: Arc<Control>,
}

/// What the test wants.
#[derive(Debug, Default)]
struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_held: bool,
    /// A sync of the log waits.
    has_waiting: bool,
    fails_sync: bool,
    fails_reads: bool,
    /// Whether writes are remembered, for a power cut.
    remembers: bool,
    /// What writes since the last sync replaced: offset and bytes.
    unsynced: Vec<(u64, Vec<u8>)>,
    /// What is on disk where a sync failed, and the system believes otherwise.
    lost: Vec<(u64, Vec<u8>)>,
    /// Bytes of a file above which writes find the disk full.
    full_above: Option<u64>,
    /// The disk has no room for small files until something is removed.
    is_full: bool,
}

struct TestFile {
    file: Arc<dyn SegmentFile>,
    control: Arc<Control>,
}

impl TestDisk {
    /// Holds the syncs of the log's writer back.
    pub(crate) fn hold(&self) {
        self.control.state.lock().is_held = true;
    }

    /// Waits until a sync is held back: what is appended from now on stays pending.
    pub(crate) fn wait_for_held_sync(&self) {
        let mut state = self.control.state.lock();
        while !state.has_waiting {
            let waited = self.control.changed.wait_for(&mut state, PATIENCE);
            assert!(!waited.timed_out(), "no sync came");
        }
    }

    /// Lets syncs go on.
    pub(crate) fn release(&self) {
        self.control.state.lock().is_held = false;
        self.control.changed.notify_all();
    }

    /// Makes the syncs of the writer fail, or no longer.
    pub(crate) fn fail_syncs(&self, fails: bool) {
        self.control.state.lock().fails_sync = fails;
    }

    /// Makes reads of files fail, or no longer.
    pub(crate) fn fail_reads(&self, fails: bool) {
        self.control.state.lock().fails_reads = fails;
    }

    /// Remembers from now on what a power cut would undo. For a log of one segment.
    pub(crate) fn remember(&self) {
        self.control.state.lock().remembers = true;
    }

    /// Puts back into a segment what a failed sync left on disk, unless it was written again.
    pub(crate) fn cut_power(&self, segment: &Path) {
        let file = RealDisk.open(segment).expect("a segment");
        for (offset, was) in std::mem::take(&mut self.control.state.lock().lost) {
            file.write_all_at(&was, offset).expect("written");
        }
    }

    /// Leaves no room for small files until something is removed.
    pub(crate) fn fill(&self) {
        self.control.state.lock().is_full = true;
    }

    /// Lets no file grow above `bytes`, or again. Databases do not grow then; with `u64::MAX` only they find the disk full.
    pub(crate) fn full_above(&self, bytes: Option<u64>) {
        self.control.state.lock().full_above = bytes;
    }
}

/// A database whose writes find the disk full when the log's do.
#[derive(Debug)]
struct TestDatabase {
    file: FileBackend,
    control: Arc<Control>,
}

impl TestDatabase {
    /// Whether a write that ends there finds the disk full. What has blocks can be written again, unless only databases
    /// find it full.
    fn is_full(&self, end: u64) -> io::Result<bool> {
        let full_above = self.control.state.lock().full_above;
        Ok(match full_above {
            None => false,
            Some(u64::MAX) => true,
            Some(_) => end > self.file.len()?,
        })
    }
}

impl StorageBackend for TestDatabase {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.is_full(len)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let end = offset + u64::try_from(data.len()).expect("a small write");
        if self.is_full(end)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(offset, data)
    }
}

impl TestDisk {
    fn database(&self, options: &OpenOptions, path: &Path) -> Result<TestDatabase, DatabaseError> {
        Ok(TestDatabase {
            file: FileBackend::new(options.open(path)?)?,
            control: Arc::clone(&self.control),
        })
    }
}

impl Disk for TestDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(TestFile {
            file: RealDisk.open(path)?,
            control: Arc::clone(&self.control),
        }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(TestFile {
            file: RealDisk.open_read(path)?,
            control: Arc::clone(&self.control),
        }))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        self.control.state.lock().is_full = false;
        Ok(())
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if self.control.state.lock().is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        RealDisk.write_file(path, bytes)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        RealDisk.names(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read_file(path)
    }

    fn exists(&self, path: &Path) -> bool {
        RealDisk.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        RealDisk.lock(path)
    }

    fn create_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        builder.create_with_backend(self.database(&options, path)?)
    }

    fn open_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        builder.create_with_backend(self.database(&options, path)?)
    }
}

impl SegmentFile for TestFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let end = offset + u64::try_from(bytes.len()).expect("a small write");
        let full_above = self.control.state.lock().full_above;
        if full_above.is_some_and(|full| end > full && end > self.len().unwrap_or(0)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.control.state.lock().remembers && !is_of_spares() {
            let mut was = vec![0; bytes.len()];
            let read = self.file.read_at(&mut was, offset)?;
            was.truncate(read);
            let mut state = self.control.state.lock();
            state.lost.retain(|(at, _)| *at != offset);
            state.unsynced.push((offset, was));
        }
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.control.state.lock().fails_reads {
            return Err(io::Error::other("injected"));
        }
        self.file.read_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // Only the log's own syncs: those of spares say nothing to anyone.
        if std::thread::current().name() == Some("viaduct-log") {
            let mut state = self.control.state.lock();
            state.has_waiting = true;
            self.control.changed.notify_all();
            while state.is_held {
                self.control.changed.wait(&mut state);
            }
            state.has_waiting = false;
            if state.fails_sync {
                let unsynced = std::mem::take(&mut state.unsynced);
                state.lost.extend(unsynced);
                return Err(io::Error::other("injected"));
            }
        }
        if !is_of_spares() {
            self.control.state.lock().unsynced.clear();
        }
        self.file.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}

/// Whether this is the thread that makes spares.
fn is_of_spares() -> bool {
    std::thread::current().name() == Some("viaduct-spares")
}
