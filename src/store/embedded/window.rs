//! A file read front to back, in large pieces.

use std::io;
use std::sync::Arc;

use super::disk::SegmentFile;

/// How much is read at once.
const WINDOW_BYTES: usize = 4 * 1024 * 1024;

/// How many times as much the system fetches while that is looked at: a start reads as fast as the disk then.
const WINDOWS_AHEAD: usize = 2;

/// The part of a file that is in memory.
pub(super) struct Window {
    file: Arc<dyn SegmentFile>,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The file, nothing of it read yet.
    pub(super) fn new(file: Arc<dyn SegmentFile>) -> io::Result<Self> {
        Ok(Self {
            len: file.len()?,
            file,
            start: 0,
            bytes: Vec::new(),
        })
    }

    /// Bytes of the file; none if they reach beyond its end.
    pub(super) fn get(&mut self, offset: u64, bytes: usize) -> io::Result<Option<&[u8]>> {
        let wanted = u64::try_from(bytes).unwrap_or(u64::MAX);
        if offset.checked_add(wanted).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        if self.within(offset, bytes).is_none() {
            // No more than there is: a log of a few blocks takes no 4 MiB.
            let left = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
            let most = bytes.max(WINDOW_BYTES) + WINDOW_BYTES * WINDOWS_AHEAD;
            self.file
                .expect(offset, u64::try_from(most).unwrap_or(u64::MAX));
            self.bytes.resize(bytes.max(WINDOW_BYTES).min(left), 0);
            let read = self.file.read_at(&mut self.bytes, offset)?;
            self.bytes.truncate(read);
            self.start = offset;
        }
        Ok(self.within(offset, bytes))
    }

    fn within(&self, offset: u64, bytes: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        self.bytes.get(start..start.checked_add(bytes)?)
    }
}
