//! A damaged segment of the cold chain: its good copies are written to a file of their own, which takes its place.

use std::io;
use std::path::Path;

use crate::store::embedded::frame::FRAME_HEADER_BYTES;
use crate::store::embedded::frame::padded;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::walk::Found;
use crate::store::embedded::walk::Walk;

use super::Repair;

impl Repair<'_> {
    /// Leaves of a cold segment what is good; a segment without a good frame is taken out of the log. It was copied.
    pub(super) fn mend_cold(&self, id: u64, path: &Path) -> io::Result<()> {
        let Some(bytes) = self.good_copies(id, path)? else {
            return self.set_aside(path);
        };
        let new = path.with_extension("new");
        self.disk.write_file(&new, &bytes)?;
        self.disk.rename(&new, path)?;
        self.log.sync()
    }

    /// The bytes of a segment with nothing but good frames; none if there is none.
    fn good_copies(&self, id: u64, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = self.disk.open_read(path)?;
        let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let Some(mut walk) = Walk::open(file, SegmentId::Cold(id), 0)? else {
            return Ok(None);
        };
        let mut bytes = walk.header.encode().to_vec();
        let start = bytes.len();
        let mut crc = walk.header.previous;
        loop {
            let (mut header, offset) = match walk.next(|_| true)? {
                Found::Frame(header, offset) => (header, offset),
                Found::Gap(_) => continue,
                Found::End => break,
            };
            // Frames continue each other by their CRCs.
            header.previous = crc;
            let at = bytes.len();
            bytes.resize(at + FRAME_HEADER_BYTES, 0);
            crc = header.encode_into(bytes.get_mut(at..).unwrap_or_default());
            bytes.extend_from_slice(walk.records(&header, offset)?);
            bytes.resize(padded(bytes.len()), 0);
        }
        let has_frames = bytes.len() > start;
        // As long as it was: it becomes a spare one day.
        bytes.resize(len.max(bytes.len()), 0);
        Ok(has_frames.then_some(bytes))
    }
}
