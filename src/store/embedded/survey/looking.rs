//! A disk that is only looked at: what somebody writes goes nowhere, or to memory, and nothing is made or removed. So a
//! start can be tried on a data dir to see what it would find.

use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::Builder;
use redb::Database;
use redb::DatabaseError;
use redb::backends::InMemoryBackend;

use crate::store::embedded::disk::Disk;
use crate::store::embedded::disk::SegmentFile;

use super::overlay::Overlay;

/// A view of a disk.
pub(crate) struct Looking(pub(crate) Arc<dyn Disk>);

/// A view of a file.
struct View(Arc<dyn SegmentFile>);

impl SegmentFile for View {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

impl Disk for Looking {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.open_read(path)
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(Arc::new(View(self.0.open_read(path)?)))
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn names(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.names(dir)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn make_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read_file(path)
    }

    fn write_file(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.0.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send>> {
        self.0.lock(path)
    }

    fn renew(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        match self.0.exists(path) {
            true => self.open_database(path, builder),
            false => builder.create_with_backend(InMemoryBackend::new()),
        }
    }

    fn open_database(&self, path: &Path, builder: &Builder) -> Result<Database, DatabaseError> {
        let file = self.0.open_read(path)?;
        if file.len()? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        builder.create_with_backend(Overlay::new(file)?)
    }
}
