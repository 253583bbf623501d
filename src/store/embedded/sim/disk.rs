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
    /// Faults that have struck.
    struck: u64,
    /// The power is gone, until [`SimDisk::lose_power`] brings it back.
    is_dark: bool,
    /// Counts the power cuts: what was opened before one cannot be used after it.
    life: u64,
    /// Operations so far, and a hash of what they were.
    operations: u64,
    digest: u64,
}

/// What is to go wrong next: after so many operations of a kind, counted down.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    write: Option<u64>,
    sync: Option<u64>,
    read: Option<u64>,
    power: Option<u64>,
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
            struck: 0,
            is_dark: false,
            life: 0,
            operations: 0,
            digest: 0,
        })))
    }

    /// The power goes and comes back. Whoever still has a file open gets errors for it.
    pub(crate) fn lose_power(&self) {
        let state = &mut *self.0.lock();
        state.life += 1;
        state.is_dark = false;
        state.faults = Faults::default();
        state.names.lose_power(&mut state.random);
        let named: Vec<usize> = state.names.iter().map(|(_, file)| file).collect();
        state.files.retain(|file, _| named.contains(file));
        for file in state.files.values_mut() {
            file.lose_power(&mut state.random);
        }
    }

    /// The process ends where it stands: whoever still has a file open gets errors for it, and nothing is lost.
    pub(crate) fn kill(&self) {
        self.0.lock().life += 1;
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

    /// The power goes at the `nth` operation from now on, which is not done: nothing is, until [`Self::lose_power`].
    pub(crate) fn fail_power(&self, nth: u64) {
        self.0.lock().faults.power = Some(nth);
    }

    /// Nothing is to go wrong any more.
    pub(crate) fn heal(&self) {
        self.0.lock().faults = Faults::default();
    }

    /// Whether the power is gone.
    pub(crate) fn is_dark(&self) -> bool {
        self.0.lock().is_dark
    }

    /// Faults that have struck so far.
    pub(crate) fn struck(&self) -> u64 {
        self.0.lock().struck
    }

    /// Operations so far, and a hash of what they were: two runs of a seed have the same.
    pub(crate) fn history(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.operations, state.digest)
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
    /// Counts an operation, at which the power may go.
    fn begin(&mut self, kind: u64, file: u64, offset: u64, len: usize) -> io::Result<()> {
        for part in [kind, file, offset, number(len)] {
            self.digest = (self.digest ^ part).wrapping_mul(0x0000_0100_0000_01B3);
        }
        self.operations += 1;
        if !self.is_dark && self.strikes(|faults| &mut faults.power) {
            self.is_dark = true;
        }
        match self.is_dark {
            true => Err(io::Error::other("the power is gone")),
            false => Ok(()),
        }
    }

    /// The same of something with a name.
    fn begin_named(&mut self, kind: u64, path: &Path) -> io::Result<()> {
        let name = path.as_os_str().as_encoded_bytes();
        let hash = name.iter().fold(0, |hash: u64, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(*byte))
        });
        self.begin(kind, hash, 0, 0)
    }

    /// Counts a fault down; true when it strikes.
    fn strikes(&mut self, fault: impl FnOnce(&mut Faults) -> &mut Option<u64>) -> bool {
        let fault = fault(&mut self.faults);
        match fault {
            Some(0) => {
                *fault = None;
                self.struck += 1;
                true
            }
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

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
        self.begin(1, number(file), number(offset), bytes.len())?;
        if self.strikes(|faults| &mut faults.write) {
            let part = self.random.index(bytes.len() + 1);
            self.file(file)?.write(&bytes[..part], offset);
            return Err(io::Error::from_raw_os_error(5));
        }
        let growth = self.file(file)?.growth(offset, bytes.len());
        self.expect_room(number(growth))?;
        self.file(file)?.write(bytes, offset);
        Ok(())
    }

    fn sync(&mut self, file: usize) -> io::Result<()> {
        self.begin(2, number(file), 0, 0)?;
        if self.strikes(|faults| &mut faults.sync) {
            let mut random = self.random.clone();
            self.file(file)?.fail_sync(&mut random);
            self.random = random;
            return Err(io::Error::from_raw_os_error(5));
        }
        self.file(file)?.sync();
        Ok(())
    }

    fn read(&mut self, file: usize, bytes: &mut [u8], offset: usize) -> io::Result<usize> {
        self.begin(3, number(file), number(offset), bytes.len())?;
        if self.strikes(|faults| &mut faults.read) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(self.file(file)?.read(bytes, offset))
    }

    fn expect_room(&mut self, growth: u64) -> io::Result<()> {
        if growth == 0 || self.used().saturating_add(growth) <= self.capacity {
            return Ok(());
        }
        self.struck += 1;
        Err(io::ErrorKind::StorageFull.into())
    }

    fn file(&mut self, file: usize) -> io::Result<&mut SimFile> {
        let gone = || io::Error::other("the file went with the power");
        self.files.get_mut(&file).ok_or_else(gone)
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
            state.begin(4, number(self.file), len, 0)?;
            state.expect_room(growth)?;
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
        self.0.lock().begin_named(5, path)?;
        Ok(Arc::new(Self::open(self, path)))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        found(self.exists(path))?;
        Ok(Arc::new(Self::open(self, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_named(6, to)?;
        found(state.names.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_named(7, path)?;
        found(state.names.unlink(path))
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        Ok(self.0.lock().names.in_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_named(8, dir)?;
        if state.strikes(|faults| &mut faults.sync) {
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
        state.begin_named(9, path)?;
        if state.strikes(|faults| &mut faults.read) {
            return Err(io::Error::from_raw_os_error(5));
        }
        Ok(state.file(file)?.cached.clone())
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        state.begin_named(10, path)?;
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
