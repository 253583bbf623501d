//! A stretch of a segment in memory: its frames, and the records in them.

use std::ops::Range;

use bytes::Bytes;

use crate::store::format;

use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::frame::padded;
use super::super::places::Stretch;

/// Consecutive frames of a segment, as they were read.
pub(super) struct Piece {
    pub(super) stretch: Stretch,
    bytes: Bytes,
    /// Its frames, ascending.
    frames: Vec<Frame>,
    /// The frame that was used last, if its records are right.
    current: Option<usize>,
    /// Number of the record there that comes next, and where it starts.
    next: (u64, usize),
}

/// A frame whose header is good.
struct Frame {
    first: u64,
    last: u64,
    /// Where its records are.
    records: Range<usize>,
    /// CRC of the records.
    crc: u32,
}

impl Piece {
    /// Finds the frames in what was read of a stretch. Those with a bad header are left out.
    pub(super) fn new(stretch: Stretch, shard: u8, bytes: Bytes) -> Self {
        let mut frames: Vec<Frame> = Vec::new();
        let mut offset = 0;
        while let Some(header) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
            let after = frames.last().map_or(0, |frame| frame.last);
            let header = FrameHeader::decode(header)
                .map(|(header, _)| header)
                .filter(|h| {
                    h.segment == stretch.segment
                        && h.salt == stretch.salt
                        && h.shard == shard
                        && h.first > after
                });
            let Some(header) = header else {
                offset += BLOCK_BYTES;
                continue;
            };
            let len = FRAME_HEADER_BYTES
                .saturating_add(usize::try_from(header.bytes).unwrap_or(usize::MAX));
            if header.count > 0 {
                frames.push(Frame {
                    first: header.first,
                    last: header.first.saturating_add(u64::from(header.count) - 1),
                    records: offset + FRAME_HEADER_BYTES..offset.saturating_add(len),
                    crc: header.body,
                });
            }
            offset = offset.saturating_add(padded(len));
        }
        Self {
            stretch,
            bytes,
            frames,
            current: None,
            next: (0, 0),
        }
    }

    /// Number of bytes that it keeps.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has the frame of a record.
    pub(super) fn covers(&self, number: u64) -> bool {
        self.frame_of(number).is_some()
    }

    /// The record `number`, without its length.
    ///
    /// # Errors
    /// What is wrong with its frame.
    pub(super) fn record(&mut self, number: u64) -> Result<Bytes, &'static str> {
        let at = self
            .frame_of(number)
            .ok_or("no good frame has the record")?;
        let frame = self.frames.get(at).ok_or("no good frame has the record")?;
        if self.current != Some(at) {
            let records = self.bytes.get(frame.records.clone());
            let records = records.ok_or("a frame reaches beyond where it should end")?;
            if crc32c::crc32c(records) != frame.crc {
                return Err("the records of a frame are not those that were written");
            }
        }
        if self.current != Some(at) || self.next.0 > number {
            self.current = Some(at);
            self.next = (frame.first, frame.records.start);
        }
        let rest = self.bytes.get(self.next.1..frame.records.end);
        let mut rest = rest.unwrap_or_default();
        loop {
            let record = format::split(&mut rest).ok().flatten();
            let record = record.ok_or("a good frame has fewer records than it says")?;
            self.next = (self.next.0 + 1, frame.records.end - rest.len());
            if self.next.0 > number {
                return Ok(self.bytes.slice_ref(record));
            }
        }
    }

    fn frame_of(&self, number: u64) -> Option<usize> {
        let after = self.frames.partition_point(|frame| frame.first <= number);
        let at = after.checked_sub(1)?;
        self.frames
            .get(at)
            .filter(|frame| frame.last >= number)
            .map(|_| at)
    }
}
