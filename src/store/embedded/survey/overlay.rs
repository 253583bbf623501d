//! A database read without being changed: redb writes to the file that it opens (it notes that it is in use, and mends
//! what a crash left), so what it writes goes to memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::StorageBackend;

use crate::store::embedded::disk::SegmentFile;

/// What is kept in one piece of what was written.
const PAGE_BYTES: usize = 4096;

/// A file with what was written to it in memory.
pub(crate) struct Overlay {
    file: Arc<dyn SegmentFile>,
    state: Mutex<State>,
}

struct State {
    /// Length of the file now.
    len: u64,
    /// Up to where the file itself is believed: it may have been cut and grown again.
    believed: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    /// A view of `file`.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn new(file: Arc<dyn SegmentFile>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self {
            file,
            state: Mutex::new(State {
                len,
                believed: len,
                pages: BTreeMap::new(),
            }),
        })
    }

    fn page(&self, believed: u64, number: u64) -> io::Result<Box<[u8; PAGE_BYTES]>> {
        let mut page = Box::new([0; PAGE_BYTES]);
        let start = number.saturating_mul(page_bytes());
        let there = believed.saturating_sub(start).min(page_bytes());
        let there = usize::try_from(there).unwrap_or(PAGE_BYTES);
        if let Some(bytes) = page.get_mut(..there) {
            self.file.read_at(bytes, start)?;
        }
        Ok(page)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state.lock();
        let len = u64::try_from(out.len()).unwrap_or(u64::MAX);
        let end = offset.saturating_add(len);
        if end > state.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let read = self.file.read_at(out, offset)?;
        let believed = usize::try_from(state.believed.saturating_sub(offset)).unwrap_or(usize::MAX);
        if let Some(rest) = out.get_mut(read.min(believed)..) {
            rest.fill(0);
        }
        let pages = offset / page_bytes()..end.div_ceil(page_bytes());
        for (number, page) in state.pages.range(pages) {
            copy(page.as_slice(), number * page_bytes(), out, offset);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if len < state.len {
            let kept = len.div_ceil(page_bytes());
            state.pages.split_off(&kept);
            if let Some(page) = state.pages.get_mut(&(len / page_bytes())) {
                let cut = usize::try_from(len % page_bytes()).unwrap_or(0);
                page.get_mut(cut..).unwrap_or_default().fill(0);
            }
        }
        state.believed = state.believed.min(len);
        state.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        let end = offset.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
        state.len = state.len.max(end);
        for number in offset / page_bytes()..end.div_ceil(page_bytes()) {
            if !state.pages.contains_key(&number) {
                let page = self.page(state.believed, number)?;
                state.pages.insert(number, page);
            }
            if let Some(page) = state.pages.get_mut(&number) {
                copy(data, offset, page.as_mut_slice(), number * page_bytes());
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overlay")
    }
}

fn page_bytes() -> u64 {
    u64::try_from(PAGE_BYTES).unwrap_or(u64::MAX)
}

/// Copies what two pieces of a file, each with its offset, have in common.
fn copy(from: &[u8], from_offset: u64, to: &mut [u8], to_offset: u64) {
    let start = from_offset.max(to_offset);
    let skip_from = usize::try_from(start - from_offset).unwrap_or(usize::MAX);
    let skip_to = usize::try_from(start - to_offset).unwrap_or(usize::MAX);
    let from = from.get(skip_from..).unwrap_or_default();
    let to = to.get_mut(skip_to..).unwrap_or_default();
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::store::embedded::disk::Disk;
    use crate::store::embedded::sim::SimDisk;

    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_file_stays_as_it_is() {
        let disk = SimDisk::new(1);
        let path = Path::new("a");
        let before: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        disk.write_file(path, &before).unwrap();
        let file = Disk::open(&disk, path).unwrap();
        let overlay = Overlay::new(file).unwrap();
        overlay.write(4_090, &[1; 20]).unwrap();
        let mut out = vec![0; 10_000];
        overlay.read(0, &mut out).unwrap();
        let mut wanted = before.clone();
        wanted[4_090..4_110].fill(1);
        assert_eq!(out, wanted);
        overlay.set_len(5_000).unwrap();
        overlay.set_len(10_000).unwrap();
        overlay.read(0, &mut out).unwrap();
        wanted[5_000..].fill(0);
        assert_eq!(out, wanted);
        assert!(overlay.read(9_999, &mut [0; 2]).is_err());
        assert_eq!(disk.read_file(path).unwrap(), before);
    }
}
