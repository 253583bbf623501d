//! A segment read front to back without believing a byte of it: what is good, what is damaged between, and where it
//! ends. It changes nothing, and an error is one of the disk, never of what a file holds.

use std::io;
use std::sync::Arc;

use crate::store::embedded::disk::SegmentFile;
use crate::store::embedded::frame::BLOCK_BYTES;
use crate::store::embedded::frame::FRAME_HEADER_BYTES;
use crate::store::embedded::frame::FrameHeader;
use crate::store::embedded::frame::SegmentHeader;
use crate::store::embedded::frame::padded;
use crate::store::embedded::window::Window;

/// A part of a segment that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    /// Where it begins.
    pub(crate) start: u64,
    /// Where what follows it begins, or the file ends.
    pub(crate) end: u64,
    /// Number of the first record in it.
    pub(crate) first: u64,
    /// Number of the record behind it; none if nothing in this segment says so.
    pub(crate) next: Option<u64>,
    /// CRC of the frame before it; none if that is not known either.
    pub(crate) before: Option<u32>,
    /// The CRC that what follows names as that of the frame before.
    pub(crate) behind: Option<u32>,
    /// What is wrong.
    pub(crate) what: &'static str,
}

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
    /// Its header, or what its frames say that it was; none if there is no frame either.
    pub(crate) header: Option<SegmentHeader>,
    /// Whether the header stands in the file.
    pub(crate) has_header: bool,
    /// What is damaged, with good frames behind it.
    pub(crate) bad: Vec<Bad>,
    /// Whether it ends in a seal.
    pub(crate) is_sealed: bool,
    /// What stands behind the last good frame, if that is no seal: bytes that were written, and are not good.
    pub(crate) tail: Option<Bad>,
    /// Where the last good frame ends.
    pub(crate) end: u64,
    /// Number behind the last record.
    pub(crate) next: u64,
    /// CRC of the last good frame.
    pub(crate) crc: Option<u32>,
}

/// A walk through one segment.
pub(crate) struct Walk {
    window: Window,
    len: u64,
    header: SegmentHeader,
    has_header: bool,
    offset: u64,
    next: u64,
    /// CRC of the frame before; none behind something damaged.
    crc: Option<u32>,
    is_sealed: bool,
    bad: Vec<Bad>,
    /// Damage with no good frame behind it so far.
    open: Option<Bad>,
}

impl Walk {
    /// Begins with a file that should be segment `id` of a chain. None: it has neither a header nor a frame.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn begin(
        file: &Arc<dyn SegmentFile>,
        chain: u8,
        id: u64,
    ) -> io::Result<Option<Self>> {
        let mut window = Window::new(Arc::clone(file))?;
        let len = file.len()?;
        let header = window
            .get(0, BLOCK_BYTES)?
            .and_then(SegmentHeader::decode)
            .filter(|header| header.id == id && header.chain == chain);
        let has_header = header.is_some();
        let header = match header {
            Some(header) => Some(header),
            None => guess(&mut window, chain, id)?,
        };
        Ok(header.map(|header| Self {
            window,
            len,
            header,
            has_header,
            offset: block(),
            next: header.first,
            crc: Some(header.previous),
            is_sealed: false,
            bad: Vec::new(),
            open: None,
        }))
    }

    /// The segment's header.
    pub(crate) fn header(&self) -> SegmentHeader {
        self.header
    }

    /// The next good frame; none at the end.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        loop {
            if self.is_sealed {
                return Ok(None);
            }
            let Some((header, crc)) = self.frame_at(self.offset)? else {
                if !self.skip()? {
                    return Ok(None);
                }
                continue;
            };
            let start = self.offset;
            let length = length(&header);
            let bytes = usize::try_from(header.bytes).unwrap_or(usize::MAX);
            let is_good = self
                .window
                .get(start + header_bytes(), bytes)?
                .is_some_and(|body| crc32c::crc32c(body) == header.body);
            if !is_good {
                self.bad_body(&header, crc);
                continue;
            }
            self.close(header.first, header.previous);
            self.offset = start + length;
            self.next = header.first + u64::from(header.count);
            self.crc = Some(crc);
            self.is_sealed = header.is_seal;
            let body = self.window.get(start + header_bytes(), bytes)?;
            return Ok(Some(Frame {
                offset: start,
                header,
                body: body.unwrap_or_default(),
                length,
                crc,
            }));
        }
    }

    /// What the segment was found to be. The walk must be at its end.
    pub(crate) fn end(self) -> Found {
        let written = self.open.as_ref().map_or(self.offset, |bad| bad.start);
        let before = self.open.as_ref().map_or(self.crc, |bad| bad.before);
        let next = self.open.as_ref().map_or(self.next, |bad| bad.first);
        Found {
            header: Some(self.header),
            has_header: self.has_header,
            bad: self.bad,
            is_sealed: self.is_sealed,
            tail: self.open,
            end: written,
            next,
            crc: before,
        }
    }

    /// A header at `offset` that can be the next one's.
    fn frame_at(&mut self, offset: u64) -> io::Result<Option<(FrameHeader, u32)>> {
        let segment = self.header;
        let (next, crc) = (self.next, self.crc);
        let found = self
            .window
            .get(offset, FRAME_HEADER_BYTES)?
            .and_then(FrameHeader::decode);
        Ok(found.filter(|(frame, _)| {
            let is_of_chain = match crc {
                Some(crc) => frame.first == next && frame.previous == crc,
                None => frame.first >= next,
            };
            belongs(frame, &segment) && is_of_chain
        }))
    }

    /// Nothing good is here: goes on at the next frame that is; false if there is none.
    fn skip(&mut self) -> io::Result<bool> {
        let start = self.offset;
        let before = self.crc.take();
        let mut later = start;
        while later + header_bytes() <= self.len {
            if self.frame_at(later)?.is_some() {
                self.open_bad(start, later, before, "no frame is there");
                self.offset = later;
                return Ok(true);
            }
            later += block();
        }
        // Old bytes and zeros are what any segment has behind its end.
        let has_begun = self.window.get(start, FRAME_HEADER_BYTES)?;
        let salt = self.header.salt.to_le_bytes();
        if has_begun.is_some_and(|bytes| bytes.get(24..32) == Some(&salt)) {
            self.open_bad(start, start + block(), before, "a frame was torn");
        }
        self.crc = before;
        self.offset = self.len;
        Ok(false)
    }

    /// A frame's header is good and its records are not.
    fn bad_body(&mut self, header: &FrameHeader, crc: u32) {
        let (start, before) = (self.offset, self.crc);
        let end = (start + length(header)).min(self.len.max(start + block()));
        self.open_bad(
            start,
            end,
            before,
            "the records are not those of their frame",
        );
        self.offset = end;
        self.next = header.first + u64::from(header.count);
        self.crc = Some(crc);
        self.is_sealed = false;
    }

    fn open_bad(&mut self, start: u64, end: u64, before: Option<u32>, what: &'static str) {
        match &mut self.open {
            // One range for what lies together.
            Some(bad) => {
                bad.end = end;
                bad.next = None;
                bad.behind = None;
            }
            None => {
                self.open = Some(Bad {
                    start,
                    end,
                    first: self.next,
                    next: None,
                    before,
                    behind: None,
                    what,
                });
            }
        }
    }

    /// A good frame follows: what was damaged before it is known.
    fn close(&mut self, first: u64, previous: u32) {
        if let Some(mut bad) = self.open.take() {
            bad.next = Some(first);
            bad.behind = Some(previous);
            self.bad.push(bad);
        }
    }
}

/// What a segment without its header was, as its first good frame tells.
fn guess(window: &mut Window, chain: u8, id: u64) -> io::Result<Option<SegmentHeader>> {
    let mut offset = block();
    while let Some(bytes) = window.get(offset, FRAME_HEADER_BYTES)? {
        if let Some((frame, _)) = FrameHeader::decode(bytes).filter(|(f, _)| f.segment == id) {
            return Ok(Some(SegmentHeader {
                shard: frame.shard,
                chain,
                id,
                first: frame.first,
                salt: frame.salt,
                previous: frame.previous,
            }));
        }
        offset += block();
    }
    Ok(None)
}

/// Whether a frame was written to this segment, in this life of its file.
fn belongs(frame: &FrameHeader, segment: &SegmentHeader) -> bool {
    frame.segment == segment.id && frame.salt == segment.salt && frame.shard == segment.shard
}

/// Bytes that a frame takes.
pub(crate) fn length(header: &FrameHeader) -> u64 {
    let records = usize::try_from(header.bytes).unwrap_or(usize::MAX);
    let padded = padded(FRAME_HEADER_BYTES.saturating_add(records));
    u64::try_from(padded).unwrap_or(u64::MAX)
}

/// What everything is aligned to.
pub(crate) fn block() -> u64 {
    u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn header_bytes() -> u64 {
    u64::try_from(FRAME_HEADER_BYTES).unwrap_or(u64::MAX)
}
