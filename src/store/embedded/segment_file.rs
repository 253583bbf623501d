//! A file of the log, as all of them are used.

use std::io;

/// A file that is written at offsets.
pub(crate) trait SegmentFile: Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reads up to the end of `bytes`; less only at the end of the file.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Makes what was written survive a power cut.
    fn sync(&self) -> io::Result<()>;
    /// Length of the file.
    fn len(&self) -> io::Result<u64>;
    /// Says that this part of the file is read next: who can fetches it meanwhile.
    fn expect(&self, _offset: u64, _bytes: u64) {}
}
