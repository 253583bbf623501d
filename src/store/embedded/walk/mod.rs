//! The frames of a segment one after the other, and what lies between good ones. Who reads a segment front to back, a
//! start, a check or the scrub, does it with this, and so believes the same bytes.
//!
//! A frame is good if its header's CRC and its records' CRC are right, it was written to this segment in this life of
//! its file, and it continues the frame before. Behind one that is not good the walk goes on with the next good frame
//! of the same life that has later records, and says what is missing between them. The frames of the cold chain
//! continue each other by their CRCs only: the numbers of their records are in no order.

mod header;

use std::io;
use std::sync::Arc;

use super::disk::SegmentFile;
use super::frame::BLOCK_BYTES;
use super::frame::FRAME_HEADER_BYTES;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::frame::padded;
use super::segment::SegmentId;
use super::window::Window;

/// A segment that is read front to back.
pub(super) struct Walk {
    /// What the segment says about itself, or its first good frame of it.
    pub(super) header: SegmentHeader,
    /// Whether the header stands in the file.
    pub(super) has_header: bool,
    /// Its file.
    pub(super) file: Arc<dyn SegmentFile>,
    window: Window,
    /// Where the last good frame starts, or the header if there was none.
    pub(super) last: u64,
    /// Where the next frame starts.
    pub(super) offset: u64,
    /// Number of the next record; means nothing in the cold chain.
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
    Gap(Bad),
    /// Nothing more that is good.
    End,
}

/// A part of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// Where it begins.
    pub(super) start: u64,
    /// Where what follows it begins, or the file ends.
    pub(super) end: u64,
    /// Number of the first record in it, 0 in the cold chain if no header says so.
    pub(super) first: u64,
    /// Number behind the last record in it; none if nothing in this segment says so.
    pub(super) next: Option<u64>,
    /// CRC of the frame before it; none if that is not known either.
    pub(super) before: Option<u32>,
    /// The CRC that what follows names as that of the frame before.
    pub(super) behind: Option<u32>,
    /// What is wrong.
    pub(super) what: &'static str,
}

impl Walk {
    /// Opens a segment; none if it has no header, and no frame that could say what it said.
    ///
    /// # Errors
    /// The disk's, here and below; what a file holds is never one.
    pub(super) fn open(
        file: Arc<dyn SegmentFile>,
        segment: SegmentId,
        shard: u8,
    ) -> io::Result<Option<Self>> {
        let mut window = Window::new(Arc::clone(&file))?;
        let read = header::read(&mut window, segment, shard)?;
        let header = match read {
            Some(header) => Some(header),
            None => header::guess(&mut window, segment, shard)?,
        };
        Ok(header.map(|header| Self {
            next: header.first,
            crc: header.previous,
            header,
            has_header: read.is_some(),
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
            found => {
                let header = found.map(|(header, _)| header);
                self.skip(header.filter(|header| self.continues(header)))
            }
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
        let is_next = self.is_cold() || frame.first == self.next;
        is_next && (self.has_skipped || frame.previous == self.crc)
    }

    fn is_cold(&self) -> bool {
        self.header.chain == SegmentId::Cold(0).chain()
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

    /// Looks for a good frame behind one that is not, of which only the header may be good.
    fn skip(&mut self, header: Option<FrameHeader>) -> io::Result<Found> {
        let mut offset = self.offset + block();
        while self.window.get(offset, FRAME_HEADER_BYTES)?.is_some() {
            if let Some((frame, _)) = self.good(offset)?
                && (self.is_cold() || frame.first >= self.next)
                && self.is_whole(&frame, offset)?
            {
                return Ok(Found::Gap(self.skip_to(&frame, offset, header)));
            }
            offset += block();
        }
        Ok(Found::End)
    }

    fn skip_to(&mut self, frame: &FrameHeader, offset: u64, header: Option<FrameHeader>) -> Bad {
        let (first, next) = match (self.is_cold(), &header) {
            (false, _) => (self.next, Some(frame.first)),
            // Only if it is alone: what is behind it and bad as well could have any.
            (true, Some(header)) if self.offset + length(header) == offset => {
                (header.first, Some(header.latest.as_ms() + 1))
            }
            (true, _) => (0, None),
        };
        let bad = Bad {
            start: self.offset,
            end: offset,
            first,
            next,
            before: Some(self.crc),
            behind: Some(frame.previous),
            what: match header {
                Some(_) => "the records are not those of their frame",
                None => "no frame is there",
            },
        };
        self.offset = offset;
        self.next = frame.first;
        self.has_skipped = true;
        bad
    }
}

/// Whether a frame was written to this segment, in this life of its file.
fn belongs(frame: &FrameHeader, segment: &SegmentHeader) -> bool {
    frame.segment == segment.id && frame.salt == segment.salt && frame.shard == segment.shard
}

/// Bytes of a file that a frame takes.
fn length(frame: &FrameHeader) -> u64 {
    let length = padded(FRAME_HEADER_BYTES.saturating_add(usize_of(frame.bytes)));
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// What everything is aligned to.
pub(super) fn block() -> u64 {
    u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn header_bytes() -> u64 {
    u64::try_from(FRAME_HEADER_BYTES).unwrap_or(u64::MAX)
}

fn usize_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
