//! The segments of the main chain, read in order.

use std::io;

use crate::core::log::store::StoreError;

use crate::store::embedded::frame::FrameHeader;
use crate::store::embedded::frame::SegmentHeader;
use crate::store::embedded::meta::io_error;
use crate::store::embedded::segment::LogDir;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::walk;
use crate::store::embedded::walk::Bad;
use crate::store::embedded::walk::Walk;

use super::Progress;
use super::judge::of_frame;

/// The only one.
pub(super) const SHARD: u8 = 0;

/// A good frame.
pub(crate) struct Frame<'a> {
    /// Where it begins.
    pub(crate) offset: u64,
    /// What it says of itself.
    pub(crate) header: FrameHeader,
    /// Its records.
    pub(crate) body: &'a [u8],
    /// Bytes that it takes in the file.
    pub(crate) length: u64,
    /// The frame's CRC.
    pub(crate) crc: u32,
}

/// What a segment is found to be.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its header, or what its frames say that it was.
    pub(crate) header: SegmentHeader,
    /// Whether the header stands in the file.
    pub(crate) has_header: bool,
    /// What is damaged, with good frames behind it.
    pub(crate) bad: Vec<Bad>,
    /// Whether it ends in a seal.
    pub(crate) is_sealed: bool,
    /// Where something stands behind the last good frame, if that is no seal, that was written and is not good.
    pub(crate) torn: Option<u64>,
    /// Where the last good frame ends.
    pub(crate) end: u64,
    /// Number behind the last record.
    pub(crate) next: u64,
    /// CRC of the last good frame.
    pub(crate) crc: u32,
}

/// A segment that was read.
pub(crate) struct Segment {
    /// Its id.
    pub(crate) id: u64,
    /// Length of its file.
    pub(crate) len: u64,
    /// What it was found to be; none if it has neither a header nor a frame.
    pub(crate) found: Option<Found>,
}

/// Is shown every good frame of a segment; an error says what is wrong with its records.
pub(crate) type OnFrame<'a> = dyn FnMut(u64, &Frame<'_>) -> Result<(), String> + 'a;

/// Reads the segments of a chain.
///
/// # Errors
/// The disk's, and the end that somebody asked for.
pub(crate) fn read(
    dir: &LogDir,
    ids: &[u64],
    progress: &Progress,
    on_frame: &mut OnFrame<'_>,
) -> Result<Vec<Segment>, StoreError> {
    let mut segments = Vec::new();
    for id in ids {
        let read = read_one(dir, *id, progress, on_frame);
        segments.push(read.map_err(|e| io_error("read", &dir.segment(*id), e))?);
    }
    Ok(segments)
}

/// Reads one segment.
pub(crate) fn read_one(
    dir: &LogDir,
    id: u64,
    progress: &Progress,
    on_frame: &mut OnFrame<'_>,
) -> io::Result<Segment> {
    let file = dir.disk.open_read(&dir.segment(id))?;
    let len = file.len()?;
    let mut at = 0;
    let mut bad = Vec::new();
    let found = match Walk::open(file, SegmentId::Main(id), SHARD)? {
        None => None,
        Some(mut walk) => {
            loop {
                let (header, offset) = match walk.next(|_| true)? {
                    walk::Found::Frame(header, offset) => (header, offset),
                    walk::Found::Gap(gap) => {
                        bad.push(gap);
                        continue;
                    }
                    walk::Found::End => break,
                };
                let frame = Frame::of(&mut walk, header, offset)?;
                if on_frame(id, &frame).is_err() {
                    bad.push(of_frame(&frame));
                }
                progress.done(walk.offset.saturating_sub(at))?;
                at = walk.offset;
            }
            Some(Found::of(walk, bad)?)
        }
    };
    progress.done(len.saturating_sub(at))?;
    Ok(Segment { id, len, found })
}

impl<'a> Frame<'a> {
    /// The frame that a walk has just found, at `offset`.
    pub(crate) fn of(walk: &'a mut Walk, header: FrameHeader, offset: u64) -> io::Result<Self> {
        let (length, crc) = (walk.offset - offset, walk.crc);
        Ok(Self {
            offset,
            header,
            body: walk.records(&header, offset)?,
            length,
            crc,
        })
    }
}

impl Found {
    /// What a walk at its end has found, and what it met on its way.
    pub(crate) fn of(mut walk: Walk, bad: Vec<Bad>) -> io::Result<Self> {
        let torn = match walk.is_sealed {
            true => None,
            false => walk.torn()?,
        };
        Ok(Self {
            header: walk.header,
            has_header: walk.has_header,
            bad,
            is_sealed: walk.is_sealed,
            torn: torn.map(|_| walk.offset),
            end: walk.offset,
            next: walk.next,
            crc: walk.crc,
        })
    }
}
