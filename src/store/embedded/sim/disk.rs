//! The simulated disk, as the store sees it and as a test plays with it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::Builder;
use redb::Database;
use redb::DatabaseError;
use redb::StorageBackend;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::SegmentFile;

use super::file::SimFile;
use super::names::Names;
use super::random::Random;

/// A disk in memory. A handle, cheap to clone: all clones are the same disk.
#[derive(Clone)]
pub(crate) struct SimDisk(Arc<Mutex<State>>);

struct State {
    random: Random,
    names: Names,
    /// Files by number; one without a name lives as long as somebody has it open, which nobody looks after.
    files: BTreeMap<usize, SimFile>,
    next_file: usize,
    /// Bytes of all files that have a name.
    capacity: u64,
    faults: Faults,
    /// Counts the power cuts: what was opened before one cannot be used after it.
    life: u64,
}

/// What is to go wrong next: after so many operations of a kind, counted down.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    write: Option<u64>,
    sync: Option<u64>,
    read: Option<u64>,
}

/// An open file.
struct Opened {
    disk: SimDisk,
    file: usize,
    life: u64,
}

impl SimDisk {
    /// An empty disk of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            names: Names::default(),
            files: BTreeMap::new(),
            next_file: 0,
            capacity: u64::MAX,
            faults: Faults::default(),
            life: 0,
        })))
    }

    /// The power goes and comes back. Whoever still has a file open gets errors for it.
    pub(crate) fn lose_power(&self) {
        let state = &mut *self.0.lock();
        state.life += 1;
        state.faults = Faults::default();
        state.names.lose_power(&mut state.random);
        let named: Vec<usize> = state.names.iter().map(|(_, file)| file).collect();
        state.files.retain(|file, _| named.contains(file));
        for file in state.files.values_mut() {
            file.lose_power(&mut state.random);
        }
    }

    /// The `nth` write from now on (0 = the next) fails, after a part of it.
    pub(crate) fn fail_write(&self, nth: u64) {
        self.0.lock().faults.write = Some(nth);
    }

    /// The `nth` sync of a file from now on fails, and what it should have made durable may be lost without a word.
    pub(crate) fn fail_sync(&self, nth: u64) {
        self.0.lock().faults.sync = Some(nth);
    }

    /// The `nth` read from now on fails.
    pub(crate) fn fail_read(&self, nth: u64) {
        self.0.lock().faults.read = Some(nth);
    }

    /// Files may have so many bytes together, from now on.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.0.lock().capacity = bytes;
    }

    /// Bytes of all files together.
    pub(crate) fn used(&self) -> u64 {
        self.0.lock().used()
    }

    /// Flips a bit of a file whose name ends like this; the name, or none if there is no such file.
    pub(crate) fn flip_bit(&self, suffix: &str) -> Option<String> {
        let state = &mut *self.0.lock();
        let suits = |path: &Path| path.to_string_lossy().ends_with(suffix);
        let files: Vec<_> = state.names.iter().filter(|(path, _)| suits(path)).collect();
        if files.is_empty() {
            return None;
        }
        let (path, file) = files[state.random.index(files.len())];
        let name = path.display().to_string();
        let file = state.files.get_mut(&file)?;
        file.flip_bit(&mut state.random).then_some(name)
    }

    fn open(&self, path: &Path) -> Opened {
        let state = &mut *self.0.lock();
        let file = state.names.get(path).unwrap_or_else(|| state.create(path));
        Opened {
            disk: self.clone(),
            file,
            life: state.life,
        }
    }
}

impl State {
    fn create(&mut self, path: &Path) -> usize {
        let file = self.next_file;
        self.next_file += 1;
        self.files.insert(file, SimFile::default());
        self.names.link(path, file);
        file
    }

    fn used(&self) -> u64 {
        let files = self
            .names
            .iter()
            .filter_map(|(_, file)| self.files.get(&file));
        files.map(|file| number(file.cached.len())).sum()
    }

    fn write(&mut self, file: usize, bytes: &[u8], offset: usize) -> io::Result<()> {
        if strikes(&mut self.faults.write) {
            let part = self.random.index(bytes.len() + 1);
            self.file(file)?.write(&bytes[..part], offset);
            return Err(io::Error::from_raw_os_error(5));
        }
        let growth = self.file(file)?.growth(offset, bytes.len());
        if self.used().saturating_add(number(growth)) > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file(file)?.write(bytes, offset);
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        if strikes(&mut self.faults.sync) {
            let mut random = self.random.clone();
            self.file(file)?.fail_sync(&mut random);
            self.random = random;
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file(file)?.sync();
        Ok(())
    }

    fn read(&mut self, file: usize, bytes: &mut [u8], offset: usize) -> io::Result<usize> {
        if strikes(&mut self.faults.read) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(self.file(file)?.read(bytes, offset))
    }

    fn file(&mut self, file: usize) -> io::Result<&mut SimFile> {
        let gone = || io::Error::other("the file went with the power");
        self.files.get_mut(&file).ok_or_else(gone)
    }
}

/// Counts a fault down; true when it strikes.
fn strikes(fault: &mut Option<u64>) -> bool {
    match fault {
        Some(0) => {
            *fault = None;
            true
        }
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Opened {
    /// Acts on the file, unless the power went since it was opened.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.0.lock();
        if state.life != self.life {
            return Err(io::Error::other("opened before the power went"));
        }
        act(&mut state)
    }
}

impl SegmentFile for Opened {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state| state.write(self.file, bytes, index(offset)))
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|state| state.read(self.file, bytes, index(offset)))
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|state| state.sync(self.file))
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|state| Ok(number(state.file(self.file)?.cached.len())))
    }
}

impl StorageBackend for Opened {
    fn len(&self) -> io::Result<u64> {
        SegmentFile::len(self)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.read_at(out, offset)?;
        if read < out.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|state| {
            let growth = len.saturating_sub(number(state.file(self.file)?.cached.len()));
            if state.used().saturating_add(growth) > state.capacity {
                return Err(io::ErrorKind::StorageFull.into());
            }
            state.file(self.file)?.set_len(index(len));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        SegmentFile::sync(self)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.write_all_at(data, offset)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opened({})", self.file)
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(Self::open(self, path)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        match Disk::exists(self, path) {
            true => Disk::open(self, path),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        found(self.0.lock().names.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        found(self.0.lock().names.unlink(path))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.in_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        if strikes(&mut state.faults.sync) {
            return Err(io::Error::from_raw_os_error(5));
        }
        state.names.sync(dir);
        Ok(())
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.0.lock();
        let file = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        if strikes(&mut state.faults.read) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(state.file(file)?.cached.clone())
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        let file = state.names.get(path).unwrap_or_else(|| state.create(path));
        state.file(file)?.set_len(0);
        state.write(file, bytes, 0)?;
        state.sync(file)
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.lock().names.get(path).is_some()
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send>> {
        // One process at a time uses it; two of them are what `tests/promises` is about.
        Ok(Box::new(()))
    }

    fn create_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create_with_backend(Self::open(self, path))
    }

    fn open_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        if !self.exists(path) {
            return Err(io::Error::from(io::ErrorKind::NotFound).into());
        }
        builder.create_with_backend(Self::open(self, path))
    }
}

fn found(is_there: bool) -> io::Result<()> {
    is_there.then_some(()).ok_or(io::ErrorKind::NotFound.into())
}

fn number(len: usize) -> u64 {
    u64::try_from(len).expect("fits")
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a small file")
}
