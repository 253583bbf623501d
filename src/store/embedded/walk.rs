//! The frames of a segment one after the other, and what lies between good ones.
//!
//! A frame is good if its header's CRC and its records' CRC are right, it was written to this segment in this life of
//! its file, and it continues the frame before. Behind one that is not good the walk goes on with the next good frame
//! of the same life that has later records, and says which records are missing between them.

use std::io;
use std::sync::Arc;

use super::disk::SegmentFile;
use super::frame::BLOCK_BYTES;
use super::frame::FRAME_HEADER_BYTES;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::frame::padded;
use super::window::Window;

/// A segment that is read front to back.
pub(super) struct Walk {
    /// What the segment says about itself.
    pub(super) header: SegmentHeader,
    /// Its file.
    pub(super) file: Arc<dyn SegmentFile>,
    window: Window,
    /// Where the last good frame starts, or the header if there was none.
    pub(super) last: u64,
    /// Where the next frame starts.
    pub(super) offset: u64,
    /// Number of the next record.
    pub(super) next: u64,
    /// CRC of the frame before.
    pub(super) crc: u32,
    /// Nothing follows.
    pub(super) is_sealed: bool,
    /// Whether frames were skipped, so that the CRC of the one before says nothing.
    has_skipped: bool,
}

/// What comes next in a segment.
pub(super) enum Found {
    /// A good frame, and where it starts.
    Frame(FrameHeader, u64),
    /// Bytes that are no good frame, with a good one behind them.
    Gap(Gap),
    /// Nothing more that is good.
    End,
}

/// Part of a segment that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Where it starts.
    pub(super) offset: u64,
    /// The first record that is missing.
    pub(super) first: u64,
    /// The last one; less than `first` if none is.
    pub(super) last: u64,
}

impl Walk {
    /// Opens a segment; none if it has no header, and no frame that could say what it said.
    pub(super) fn open(file: Arc<dyn SegmentFile>, id: u64, shard: u8) -> io::Result<Option<Self>> {
        let mut window = Window::new(Arc::clone(&file))?;
        let header = window
            .get(0, BLOCK_BYTES)?
            .and_then(SegmentHeader::decode)
            .filter(|header| header.id == id && header.shard == shard && header.chain == 0);
        let header = match header {
            Some(header) => header,
            None => match header_of(&mut window, id, shard)? {
                Some(header) => header,
                None => return Ok(None),
            },
        };
        Ok(Some(Self {
            next: header.first,
            crc: header.previous,
            header,
            file,
            window,
            last: 0,
            offset: block(),
            is_sealed: false,
            has_skipped: false,
        }))
    }

    /// The next frame. Its records are checked if `wants` says so, and then [`Self::records`] has them.
    pub(super) fn next(&mut self, wants: impl Fn(&FrameHeader) -> bool) -> io::Result<Found> {
        if self.is_sealed {
            return Ok(Found::End);
        }
        match self.good(self.offset)? {
            Some((header, crc))
                if self.continues(&header)
                    && (!wants(&header) || self.is_whole(&header, self.offset)?) =>
            {
                let start = self.offset;
                self.pass(&header, crc);
                Ok(Found::Frame(header, start))
            }
            _ => self.skip(),
        }
    }

    /// Records of the frame that starts at `offset`.
    pub(super) fn records(&mut self, header: &FrameHeader, offset: u64) -> io::Result<&[u8]> {
        let records = self
            .window
            .get(offset + header_bytes(), usize_of(header.bytes))?;
        Ok(records.unwrap_or_default())
    }

    /// Length of the torn frame of which something stands at the end: at least a block, if its header cannot tell.
    pub(super) fn torn(&mut self) -> io::Result<Option<u64>> {
        let salt = self.header.salt.to_le_bytes();
        let head = self.window.get(self.offset, FRAME_HEADER_BYTES)?;
        let torn = head.filter(|head| head.get(24..32) == Some(&salt));
        Ok(torn.map(|head| FrameHeader::decode(head).map_or(block(), |(frame, _)| length(&frame))))
    }

    fn good(&mut self, offset: u64) -> io::Result<Option<(FrameHeader, u32)>> {
        let head = self.window.get(offset, FRAME_HEADER_BYTES)?;
        let found = head.and_then(FrameHeader::decode);
        Ok(found.filter(|(frame, _)| belongs(frame, &self.header)))
    }

    fn continues(&self, frame: &FrameHeader) -> bool {
        frame.first == self.next && (self.has_skipped || frame.previous == self.crc)
    }

    fn is_whole(&mut self, frame: &FrameHeader, offset: u64) -> io::Result<bool> {
        let records = self
            .window
            .get(offset + header_bytes(), usize_of(frame.bytes))?;
        Ok(records.is_some_and(|records| crc32c::crc32c(records) == frame.body))
    }

    fn pass(&mut self, frame: &FrameHeader, crc: u32) {
        self.last = self.offset;
        self.offset += length(frame);
        self.next += u64::from(frame.count);
        self.crc = crc;
        self.is_sealed = frame.is_seal;
        self.has_skipped = false;
    }

    /// Looks for a good frame behind one that is not.
    fn skip(&mut self) -> io::Result<Found> {
        let mut offset = self.offset + block();
        while self.window.get(offset, FRAME_HEADER_BYTES)?.is_some() {
            if let Some((frame, _)) = self.good(offset)?
                && frame.first >= self.next
                && self.is_whole(&frame, offset)?
            {
                let gap = Gap {
                    offset: self.offset,
                    first: self.next,
                    last: frame.first - 1,
                };
                self.offset = offset;
                self.next = frame.first;
                self.has_skipped = true;
                return Ok(Found::Gap(gap));
            }
            offset += block();
        }
        Ok(Found::End)
    }
}

/// What a damaged header said, as the first frame has it. Bytes of an earlier life of the file have another id.
fn header_of(window: &mut Window, id: u64, shard: u8) -> io::Result<Option<SegmentHeader>> {
    let head = window.get(block(), FRAME_HEADER_BYTES)?;
    let frame = head.and_then(FrameHeader::decode);
    let frame = frame.filter(|(frame, _)| frame.segment == id && frame.shard == shard);
    Ok(frame.map(|(frame, _)| SegmentHeader {
        shard,
        chain: 0,
        id,
        first: frame.first,
        salt: frame.salt,
        previous: frame.previous,
    }))
}

/// Whether a frame was written to this segment, in this life of its file.
fn belongs(frame: &FrameHeader, segment: &SegmentHeader) -> bool {
    frame.segment == segment.id && frame.salt == segment.salt && frame.shard == segment.shard
}

/// Bytes of a file that a frame takes.
fn length(frame: &FrameHeader) -> u64 {
    let length = padded(FRAME_HEADER_BYTES + usize_of(frame.bytes));
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn block() -> u64 {
    u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn header_bytes() -> u64 {
    u64::try_from(FRAME_HEADER_BYTES).unwrap_or(u64::MAX)
}

fn usize_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
