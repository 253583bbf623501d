//! The segment that is written: frames go to its end, until the next one begins.

use std::io;
use std::sync::Arc;

use crate::core::model::time::CoreTime;

use crate::store::format::Version;

use super::filled::FilledFile;
use super::frame::BLOCK_BYTES;
use super::frame::FRAME_HEADER_BYTES;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::frame::padded;
use super::recover::Tail;
use super::segment::SegmentId;
use super::shared::Shared;

/// Zeros that are written before the first segment is used; the rest follows in the background.
const FIRST_FILL_BYTES: u64 = 4 * 1024 * 1024;

/// The segment that is written.
pub(super) struct Active {
    pub(super) header: SegmentHeader,
    pub(super) file: Arc<FilledFile>,
    offset: u64,
    /// CRC of the last frame.
    crc: u32,
    is_sealed: bool,
    /// A replay ended in the middle of it, and the segment after it leaves an id out.
    is_cut: bool,
}

impl Active {
    /// Goes on where a replay ended. What was found last may never have been synced, so it is now.
    ///
    /// It is written again before: after a sync that failed the system takes its pages for clean, so what
    /// a replay reads may be in memory only, and another sync would not touch it.
    pub(super) fn resume(tail: Tail, segment_bytes: u64, next: u64) -> io::Result<Self> {
        rewrite_last(&tail)?;
        // A frame may be longer than a segment: what stands there is never grown over.
        let filled = tail.file.len()?.min(segment_bytes).max(tail.offset);
        let mut active = Self {
            header: tail.header,
            file: Arc::new(FilledFile::whole(tail.file, filled)),
            offset: tail.offset,
            crc: tail.crc,
            is_sealed: tail.is_sealed,
            is_cut: tail.is_cut,
        };
        if tail.is_cut {
            // An id is left out: the next segment does not continue this one.
            active.header.id += 1;
        }
        if tail.torn.is_some() {
            active.write_tombstone(next)?;
        }
        active.file.sync()?;
        Ok(active)
    }

    /// Begins the first segment of a log.
    pub(super) fn first(shared: &Shared) -> io::Result<Self> {
        Self::begin(shared, SegmentId::Main(1), 1, 0, FIRST_FILL_BYTES)
    }

    /// Begins a segment: nothing is written to it before its name and header are on disk.
    pub(super) fn begin(
        shared: &Shared,
        id: SegmentId,
        first: u64,
        previous: u32,
        filled: u64,
    ) -> io::Result<Self> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let header = SegmentHeader {
            shard: shared.shard.0,
            chain: id.chain(),
            id: id.number(),
            first,
            salt: u64::from_le_bytes(salt),
            previous,
        };
        let spare = shared.spares.take(id, filled)?;
        let name = shared.dir.path_of(id);
        shared
            .dir
            .disk
            .rename(&shared.dir.spare(spare.number), &name)?;
        spare.file.write_all_at(&header.encode(), 0)?;
        spare.file.sync()?;
        shared.dir.sync()?;
        Ok(Self {
            header,
            file: spare.file,
            offset: bytes_of(BLOCK_BYTES),
            crc: previous,
            is_sealed: false,
            is_cut: false,
        })
    }

    /// Where the next frame goes.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that can still be written without new blocks.
    pub(super) fn left(&self) -> u64 {
        let reserved = bytes_of(BLOCK_BYTES);
        self.file.filled().saturating_sub(self.offset + reserved)
    }

    /// Whether a frame with so many bytes of header and records has its blocks, and the seal that may come behind it:
    /// so a segment can be left on a full disk.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.end_of(bytes) <= self.file.filled()
    }

    /// Sees to it that it has.
    pub(super) fn make_room(&self, bytes: usize) -> io::Result<()> {
        self.file.grow(self.end_of(bytes))
    }

    fn end_of(&self, bytes: usize) -> u64 {
        self.offset + bytes_of(padded(bytes)) + bytes_of(BLOCK_BYTES)
    }

    /// Whether a frame with so many bytes of header and records must go to another segment.
    pub(super) fn must_roll(&self, bytes: usize, segment_bytes: u64) -> bool {
        let end = self.end_of(bytes);
        self.is_sealed || (end > segment_bytes && self.offset > bytes_of(BLOCK_BYTES))
    }

    /// Completes `frame`, whose records stand behind room for the header, and writes it.
    pub(super) fn write(
        &mut self,
        frame: &mut Vec<u8>,
        first: u64,
        count: usize,
        latest: CoreTime,
    ) -> io::Result<()> {
        self.write_as(Version::NEWEST, frame, first, count, latest)
    }

    /// The same with records as an earlier format wrote them.
    pub(super) fn write_as(
        &mut self,
        version: Version,
        frame: &mut Vec<u8>,
        first: u64,
        count: usize,
        latest: CoreTime,
    ) -> io::Result<()> {
        let header = FrameHeader {
            version,
            ..self.frame_header(frame, first, count, latest)
        };
        if !header.is_seal {
            self.make_room(frame.len())?;
        }
        let crc = header.encode_into(frame);
        frame.resize(padded(frame.len()), 0);
        self.file.write_all_at(frame, self.offset)?;
        self.crc = crc;
        self.is_sealed = header.is_seal;
        self.offset += bytes_of(frame.len());
        Ok(())
    }

    fn frame_header(
        &self,
        frame: &[u8],
        first: u64,
        count: usize,
        latest: CoreTime,
    ) -> FrameHeader {
        let body = frame.get(FRAME_HEADER_BYTES..).unwrap_or_default();
        FrameHeader {
            version: Version::NEWEST,
            is_seal: count == 0,
            is_cold: self.header.chain == SegmentId::Cold(0).chain(),
            shard: self.header.shard,
            segment: self.header.id,
            first,
            salt: self.header.salt,
            latest,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body: crc32c::crc32c(body),
            previous: self.crc,
        }
    }

    fn write_tombstone(&mut self, number: u64) -> io::Result<()> {
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        frame.extend_from_slice(&crate::store::format::TOMBSTONE);
        self.write(&mut frame, number, 1, CoreTime::default())
    }

    /// Ends this segment before record `next`: what stands in it is durable then. Returns the CRC of its last frame.
    pub(super) fn seal(&mut self, next: u64) -> io::Result<u32> {
        if !self.is_sealed {
            let mut seal = vec![0; FRAME_HEADER_BYTES];
            self.write(&mut seal, next, 0, CoreTime::default())?;
            self.file.sync()?;
        }
        Ok(self.crc)
    }

    /// Whether nothing stands in it yet.
    fn is_empty(&self) -> bool {
        self.offset == bytes_of(BLOCK_BYTES) && !self.is_sealed
    }

    /// Whether it can be left because the disk is full.
    pub(super) fn can_be_left(&self) -> bool {
        !(self.is_empty() && self.is_cut)
    }

    /// Seals this segment and begins the next one, with record `first`. One with nothing in it gives its name to the next
    /// one instead: no two segments begin with the same record.
    pub(super) fn roll(&mut self, shared: &Shared, first: u64) -> io::Result<()> {
        let is_replaced = self.is_empty() && !self.is_cut;
        if !is_replaced {
            self.seal(first)?;
        }
        let id = self.header.id + u64::from(!is_replaced);
        *self = Self::begin(shared, SegmentId::Main(id), first, self.crc, 0)?;
        Ok(())
    }
}

/// Writes the last frame, or the header if there is none, as it was read. Of a header that is damaged a frame may have
/// said what it was.
fn rewrite_last(tail: &Tail) -> io::Result<()> {
    if tail.last == 0 {
        return tail.file.write_all_at(&tail.header.encode(), 0);
    }
    let len = tail.offset.saturating_sub(tail.last);
    let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
    let read = tail.file.read_at(&mut bytes, tail.last)?;
    bytes.truncate(read);
    let is_same = FrameHeader::decode(&bytes).is_some_and(|(header, crc)| {
        let records = usize::try_from(header.bytes).unwrap_or(usize::MAX);
        let body = bytes.get(FRAME_HEADER_BYTES..FRAME_HEADER_BYTES.saturating_add(records));
        crc == tail.crc && body.is_some_and(|body| crc32c::crc32c(body) == header.body)
    });
    if !is_same {
        return Err(io::Error::other("the last frame is not what it was before"));
    }
    tail.file.write_all_at(&bytes, tail.last)
}

/// A length as the log's files count.
pub(super) fn bytes_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
