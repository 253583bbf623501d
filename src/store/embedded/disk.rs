//! What the log asks of a file system. Everything goes through here, so that a test can tear, delay or
//! refuse what is written, or simulate all of it.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use redb::Builder;
use redb::Database;
use redb::DatabaseError;

pub(crate) use super::segment_file::SegmentFile;

/// Directories with such files.
pub(crate) trait Disk: Send + Sync {
    /// Opens a file, which is made if it is missing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Opens a file that is there, to read it: one that is missing must not come into being by being read.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>>;
    /// Gives a file another name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory.
    fn names(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes new names in a directory survive a power cut.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a directory and those above it, if they are missing.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// What a file holds.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Makes a small file, or replaces what is in it, for good.
    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Whether there is such a file.
    fn exists(&self, path: &Path) -> bool;
    /// Takes a file, which is made if it is missing, for this process until the lock is dropped.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another process has it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>>;
    /// Writes a whole file again, to a place of its own, and gives the copy its name.
    ///
    /// After a sync that failed the system takes the file's pages for clean: what is read of it may never have reached
    /// the disk, and no later sync of the same file would tell.
    fn renew(&self, path: &Path) -> io::Result<()> {
        self.replace(path, path)
    }
    /// Writes what a file holds to a place of its own, and gives that the name `path`.
    fn replace(&self, path: &Path, from: &Path) -> io::Result<()> {
        let copy = path.with_extension("new");
        self.copy(from, &copy)?;
        self.rename(&copy, path)?;
        path.parent().map_or(Ok(()), |dir| self.sync_dir(dir))
    }
    /// Makes a file of what another holds, or replaces what is in it, for good: with blocks of its own, which no file
    /// system shares with the other's.
    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.write_file(to, &self.read_file(from)?)
    }
    /// Length of a file.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] if there is none.
    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.open_read(path)?.len()
    }
    /// Opens a database, which is begun if it is missing or empty.
    fn create_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError>;
    /// Opens a database that is there.
    fn open_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError>;
}

/// How much of a file is copied at once.
const COPY_BYTES: usize = 1024 * 1024;

/// The file system of the machine.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(File::open(path)?))
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(dir)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn write_file(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut from, mut to) = (File::open(from)?, File::create(to)?);
        let mut part = vec![0; COPY_BYTES];
        loop {
            let read = from.read(&mut part)?;
            if read == 0 {
                break;
            }
            to.write_all(part.get(..read).unwrap_or_default())?;
        }
        to.sync_all()
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        let mut options = OpenOptions::new();
        let file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Locked(file))),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.create(path)
    }

    fn open_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        builder.open(path)
    }
}

/// A file that is locked.
struct Locked(File);

impl Drop for Locked {
    /// A process that was forked and has not begun its program yet still has the file open, and the lock with it,
    /// unless it is given back in so many words.
    fn drop(&mut self) {
        // Closing it is the next thing that happens, which gives it back as well.
        let _ = self.0.unlock();
    }
}

impl SegmentFile for File {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let at = offset + u64::try_from(read).unwrap_or(u64::MAX);
            match FileExt::read_at(self, rest, at) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn expect(&self, offset: u64, bytes: u64) {
        // Who does not listen reads as it would have anyway.
        let _ = rustix::fs::fadvise(
            self,
            offset,
            NonZeroU64::new(bytes),
            rustix::fs::Advice::WillNeed,
        );
    }
}
