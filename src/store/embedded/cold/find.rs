//! What a start finds of the cold chain.

use std::io;
use std::sync::Arc;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Shard;

use crate::store::format::Version;

use super::super::disk::SegmentFile;
use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::frame::SegmentHeader;
use super::super::frame::padded;
use super::super::meta::io_error;
use super::super::places::ColdFrame;
use super::super::segment::LogDir;
use super::super::segment::SegmentId;

/// Segments in which the copies of one source may lie that were not synced when the power went.
pub(in super::super) const UNSURE: usize = 2;

/// The cold segments, and their frames in the order in which they were written. The records of all but the newest
/// are not looked at.
///
/// # Errors
/// [`StoreError::Io`].
pub(in super::super) fn find(
    dir: &LogDir,
    shard: Shard,
) -> Result<(Vec<u64>, Vec<ColdFrame>), StoreError> {
    let segments = dir.list()?.cold;
    let sure = segments.len().saturating_sub(UNSURE);
    let mut frames = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let path = dir.path_of(SegmentId::Cold(*segment));
        let found = dir.disk.open_read(&path).and_then(|file| {
            let file = File {
                file,
                segment: *segment,
                shard: shard.0,
            };
            file.find(at >= sure, &mut frames)
        });
        found.map_err(|source| io_error("read", &path, source))?;
    }
    Ok((segments, frames))
}

/// The records of a frame and by which rules they are read; none if they are not those that were written.
///
/// # Errors
/// What the system says of the file.
pub(in super::super) fn records(
    dir: &LogDir,
    frame: &ColdFrame,
) -> io::Result<Option<(Version, Vec<u8>)>> {
    let file = dir
        .disk
        .open_read(&dir.path_of(SegmentId::Cold(frame.segment)))?;
    let len = usize::try_from(frame.end - frame.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut bytes, frame.start)?;
    bytes.truncate(read);
    let Some((header, _)) = FrameHeader::decode(&bytes) else {
        return Ok(None);
    };
    let end = FRAME_HEADER_BYTES + usize::try_from(header.bytes).map_err(io::Error::other)?;
    let is_its = header.is_cold && header.salt == frame.salt && header.segment == frame.segment;
    let is_whole = bytes
        .get(FRAME_HEADER_BYTES..end)
        .is_some_and(|records| is_its && crc32c::crc32c(records) == header.body);
    if !is_whole {
        return Ok(None);
    }
    bytes.truncate(end);
    bytes.drain(..FRAME_HEADER_BYTES);
    Ok(Some((header.version, bytes)))
}

/// A cold segment.
struct File {
    file: Arc<dyn SegmentFile>,
    segment: u64,
    shard: u8,
}

impl File {
    /// Adds its frames.
    fn find(&self, is_unsure: bool, frames: &mut Vec<ColdFrame>) -> io::Result<()> {
        let Some(salt) = self.salt()? else {
            return Ok(());
        };
        let mut offset = block();
        while let Some(head) = self.read(offset, FRAME_HEADER_BYTES)? {
            let header = FrameHeader::decode(&head).map(|(header, _)| header);
            let header = header.filter(|h| self.is_its(h) && h.salt == salt);
            let Some(header) = header else {
                // What was torn, and what the file held before.
                offset += block();
                continue;
            };
            if header.is_seal {
                return Ok(());
            }
            let records = usize::try_from(header.bytes).unwrap_or(usize::MAX);
            let len = padded(FRAME_HEADER_BYTES.saturating_add(records));
            let end = offset + u64::try_from(len).unwrap_or(u64::MAX);
            if is_unsure && !self.is_whole(offset, &header)? {
                offset += block();
                continue;
            }
            frames.push(ColdFrame {
                first: header.first,
                last: header.latest.as_ms(),
                segment: self.segment,
                salt,
                start: offset,
                end,
                count: header.count,
                bytes: header.bytes,
            });
            offset = end;
        }
        Ok(())
    }

    /// The salt of this life of the file; none if it was never begun. A first frame knows it, too.
    fn salt(&self) -> io::Result<Option<u64>> {
        let head = self.read(0, BLOCK_BYTES)?;
        let header = head.as_deref().and_then(SegmentHeader::decode);
        let is_its =
            |h: &SegmentHeader| h.chain == 1 && h.id == self.segment && h.shard == self.shard;
        if let Some(header) = header.filter(is_its) {
            return Ok(Some(header.salt));
        }
        let head = self.read(block(), FRAME_HEADER_BYTES)?;
        let frame = head.as_deref().and_then(FrameHeader::decode);
        let frame = frame.filter(|(frame, _)| self.is_its(frame));
        Ok(frame.map(|(frame, _)| frame.salt))
    }

    fn is_its(&self, frame: &FrameHeader) -> bool {
        frame.is_cold && frame.segment == self.segment && frame.shard == self.shard
    }

    fn is_whole(&self, offset: u64, header: &FrameHeader) -> io::Result<bool> {
        let head = u64::try_from(FRAME_HEADER_BYTES).unwrap_or(u64::MAX);
        let records = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        let records = self.read(offset + head, records)?;
        Ok(records.is_some_and(|records| crc32c::crc32c(&records) == header.body))
    }

    fn read(&self, offset: u64, bytes: usize) -> io::Result<Option<Vec<u8>>> {
        let len = self.file.len()?;
        let wanted = u64::try_from(bytes).unwrap_or(u64::MAX);
        if offset.checked_add(wanted).is_none_or(|end| end > len) {
            return Ok(None);
        }
        let mut read = vec![0; bytes];
        let count = self.file.read_at(&mut read, offset)?;
        Ok((count == bytes).then_some(read))
    }
}

fn block() -> u64 {
    u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX)
}
