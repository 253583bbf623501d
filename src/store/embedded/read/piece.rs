//! A stretch of a segment in memory: its frames, and the records in them.

use std::ops::Range;

use bytes::Bytes;

use crate::core::log::record::Record;

use crate::store::format;
use crate::store::format::Version;

use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::frame::padded;
use super::super::places::Stretch;
use super::super::segment::SegmentId;

/// Consecutive frames of a segment, as they were read.
pub(super) struct Piece {
    pub(super) stretch: Stretch,
    bytes: Bytes,
    /// Its frames, in the order of the file.
    frames: Vec<Frame>,
    /// The records of cold frames by the numbers that they keep, ascending.
    copies: Vec<(u64, Version, Range<usize>)>,
    /// The frame that was used last, if its records are right.
    current: Option<usize>,
    /// Number of the record there that comes next, and where it starts.
    next: (u64, usize),
}

/// A frame whose header is good.
struct Frame {
    version: Version,
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
        let frames = frames(&stretch, shard, &bytes);
        let copies = match stretch.segment {
            SegmentId::Main(_) => Vec::new(),
            SegmentId::Cold(_) => copies(&frames, &bytes),
        };
        Self {
            stretch,
            bytes,
            frames,
            copies,
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
        match self.stretch.segment {
            SegmentId::Main(_) => self.frame_of(number).is_some(),
            SegmentId::Cold(_) => self.copy(number).is_some(),
        }
    }

    /// The record `number`, without its length.
    ///
    /// # Errors
    /// What is wrong with its frame.
    pub(super) fn record(&mut self, number: u64) -> Result<(Version, Bytes), &'static str> {
        const MISSING: &str = "no good frame has the record";
        if let SegmentId::Cold(_) = self.stretch.segment {
            let (version, at) = self.copy(number).ok_or(MISSING)?;
            return Ok((version, self.bytes.slice(at)));
        }
        let at = self.frame_of(number).ok_or(MISSING)?;
        let frame = self.frames.get(at).ok_or(MISSING)?;
        if self.current != Some(at) {
            frame.records_in(&self.bytes)?;
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
                return Ok((frame.version, self.bytes.slice_ref(record)));
            }
        }
    }

    fn frame_of(&self, number: u64) -> Option<usize> {
        let after = self.frames.partition_point(|frame| frame.first <= number);
        let at = after.checked_sub(1)?;
        let frame = self.frames.get(at)?;
        (frame.last >= number).then_some(at)
    }

    fn copy(&self, number: u64) -> Option<(Version, Range<usize>)> {
        let found = self
            .copies
            .binary_search_by_key(&number, |(kept, ..)| *kept);
        let (_, version, at) = self.copies.get(found.ok()?)?;
        Some((*version, at.clone()))
    }
}

impl Frame {
    /// Its records.
    ///
    /// # Errors
    /// What is wrong with them.
    fn records_in<'b>(&self, bytes: &'b Bytes) -> Result<&'b [u8], &'static str> {
        let records = bytes.get(self.records.clone());
        let records = records.ok_or("a frame reaches beyond where it should end")?;
        if crc32c::crc32c(records) == self.crc {
            Ok(records)
        } else {
            Err("the records of a frame are not those that were written")
        }
    }
}

/// The frames of a stretch whose headers are good.
fn frames(stretch: &Stretch, shard: u8, bytes: &Bytes) -> Vec<Frame> {
    // Those have numbers of their source, in whatever order sources were copied.
    let is_cold = matches!(stretch.segment, SegmentId::Cold(_));
    let mut frames: Vec<Frame> = Vec::new();
    let mut offset = 0;
    while let Some(header) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let after = frames.last().map_or(0, |frame| frame.last);
        let header = FrameHeader::decode(header).map(|(header, _)| header);
        let header = header.filter(|h| {
            let is_its = h.segment == stretch.segment.number() && h.salt == stretch.salt;
            is_its && h.shard == shard && (is_cold || h.first > after)
        });
        let Some(header) = header else {
            offset += BLOCK_BYTES;
            continue;
        };
        let records = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        let len = FRAME_HEADER_BYTES.saturating_add(records);
        if header.count > 0 {
            frames.push(Frame {
                version: header.version,
                first: header.first,
                last: header.first.saturating_add(u64::from(header.count) - 1),
                records: offset + FRAME_HEADER_BYTES..offset.saturating_add(len),
                crc: header.body,
            });
        }
        offset = offset.saturating_add(padded(len));
    }
    frames
}

/// The records in cold frames, without those of frames that are damaged.
fn copies(frames: &[Frame], bytes: &Bytes) -> Vec<(u64, Version, Range<usize>)> {
    let mut copies = Vec::new();
    for frame in frames {
        let mut records = frame.records_in(bytes).unwrap_or_default();
        while let Ok(Some(record)) = format::split(&mut records) {
            if let Ok(Record::Copy { original, record }) = format::decode_as(frame.version, record)
            {
                let end = frame.records.end - records.len();
                copies.push((original.number(), frame.version, end - record.len()..end));
            }
        }
    }
    copies.sort_by_key(|(number, ..)| *number);
    copies
}
