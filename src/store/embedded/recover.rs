//! Replay of the log at start.
//!
//! Segments are read in order; every frame must continue the one before (record number and CRC), and
//! every segment but the last must end in a seal. A frame that is bad is a *torn tail* only in the last
//! segment and only if no valid frame follows it: it was being written when the power went, and nobody
//! was told that it is safe. Everything else is damage.

use std::ops::Range;
use std::sync::Arc;

use crate::core::log::record::Record;
use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::format;
use crate::store::journal::Journal;

use super::disk::SegmentFile;
use super::frame::BLOCK_BYTES;
use super::frame::FRAME_HEADER_BYTES;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::frame::padded;
use super::meta::io_error;
use super::places::FramePlace;
use super::places::Places;
use super::segment::LogDir;
use super::window::Window;

/// Where the log goes on.
pub(super) struct Tail {
    /// The last segment.
    pub(super) header: SegmentHeader,
    /// Its file.
    pub(super) file: Arc<dyn SegmentFile>,
    /// Where the last frame starts, or the header if there is none.
    pub(super) last: u64,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// CRC of the last frame.
    pub(super) crc: u32,
    /// Whether nothing may follow in this segment.
    pub(super) is_sealed: bool,
    /// Bytes of the torn frame whose start stands at `offset`.
    pub(super) torn: Option<u64>,
}

/// What a replay found.
pub(super) struct Recovered {
    /// Where the log goes on, none if there is no log.
    pub(super) tail: Option<Tail>,
    /// Number of the next record.
    pub(super) next: u64,
    /// What [`crate::core::log::store::Store::scan`] says.
    pub(super) scanned: Scanned,
}

/// Reads the whole log of a shard.
pub(super) struct Replay<'a> {
    dir: &'a LogDir,
    shard: Shard,
    places: &'a Places,
    journal: &'a mut Journal,
    visit: &'a mut dyn FnMut(Lsn, Record<'_>),
    /// Number of the next record.
    next: u64,
    /// CRC of the last frame.
    crc: u32,
    /// The last segment that was read.
    previous: Option<u64>,
    scanned: Scanned,
}

impl<'a> Replay<'a> {
    /// A replay that counts references in `journal`, and notes where records are in `places`.
    pub(super) fn new(
        dir: &'a LogDir,
        shard: Shard,
        places: &'a Places,
        journal: &'a mut Journal,
        visit: &'a mut dyn FnMut(Lsn, Record<'_>),
    ) -> Self {
        Self {
            dir,
            shard,
            places,
            journal,
            visit,
            next: 1,
            crc: 0,
            previous: None,
            scanned: Scanned::default(),
        }
    }

    /// Reads every segment.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] names file and offset; [`StoreError::Io`].
    pub(super) fn run(mut self) -> Result<Recovered, StoreError> {
        let segments = self.dir.list()?.segments;
        let mut tail = None;
        for (at, id) in segments.iter().enumerate() {
            let is_last = at + 1 == segments.len();
            match self.segment(*id, is_last)? {
                Some(read) => tail = Some(read),
                None if is_last => self.discard(*id)?,
                None => return Err(self.damaged(*id, 0, "the segment header is bad")),
            }
        }
        self.scanned.last = Lsn::new(self.shard, self.next - 1);
        Ok(Recovered {
            tail,
            next: self.next,
            scanned: self.scanned,
        })
    }

    /// Reads a segment; none if it was never begun.
    fn segment(&mut self, id: u64, is_last: bool) -> Result<Option<Tail>, StoreError> {
        let file = self.dir.open(id)?;
        let mut window = Window::new(Arc::clone(&file)).map_err(|e| self.io(id, e))?;
        let header = self
            .read(id, &mut window, 0, BLOCK_BYTES)?
            .and_then(SegmentHeader::decode)
            .filter(|header| header.id == id && header.shard == self.shard.0 && header.chain == 0);
        let Some(header) = header else {
            return self.is_unused(id, &mut window).map(|()| None);
        };
        self.check_order(&header)?;
        let (mut last, mut offset) = (0, block());
        loop {
            let frame = self.frame(&header, &mut window, offset)?;
            let Some((frame, crc)) = frame else {
                if !is_last {
                    return Err(self.damaged(id, offset, "a frame is bad, and others follow it"));
                }
                let torn = self.check_tail(&header, &mut window, offset)?;
                if let Some(bytes) = torn {
                    tracing::warn!(
                        file = %self.dir.segment(id).display(),
                        offset,
                        bytes,
                        "the last frame of the log is torn and was dropped; nobody was told that it is safe"
                    );
                }
                return Ok(Some(self.tail(header, file, last..offset, false, torn)));
            };
            self.crc = crc;
            last = offset;
            let length = padded(FRAME_HEADER_BYTES + usize_of(frame.bytes));
            offset += u64::try_from(length).unwrap_or(u64::MAX);
            let place = FramePlace {
                first: frame.first,
                last: self.next - 1,
                start: last,
                end: offset,
            };
            self.places.add(&header, place);
            if frame.is_seal {
                return Ok(Some(self.tail(header, file, last..offset, true, None)));
            }
        }
    }

    fn tail(
        &self,
        header: SegmentHeader,
        file: Arc<dyn SegmentFile>,
        last: Range<u64>,
        is_sealed: bool,
        torn: Option<u64>,
    ) -> Tail {
        Tail {
            header,
            file,
            last: last.start,
            offset: last.end,
            crc: self.crc,
            is_sealed,
            torn,
        }
    }

    /// Checks that a segment continues the one before it.
    fn check_order(&mut self, header: &SegmentHeader) -> Result<(), StoreError> {
        let follows = self.previous.is_some_and(|id| id + 1 == header.id);
        if header.first < self.next || header.first == 0 {
            return Err(self.damaged(header.id, 0, "the segment starts before the last one ends"));
        }
        if follows && (header.first != self.next || header.previous != self.crc) {
            return Err(self.damaged(header.id, 0, "the segment does not continue the last one"));
        }
        self.previous = Some(header.id);
        self.next = header.first;
        self.crc = header.previous;
        Ok(())
    }

    /// Reads and replays the frame at `offset`; none if there is no good one.
    fn frame(
        &mut self,
        segment: &SegmentHeader,
        window: &mut Window,
        offset: u64,
    ) -> Result<Option<(FrameHeader, u32)>, StoreError> {
        let Some((header, crc)) = self
            .read(segment.id, window, offset, FRAME_HEADER_BYTES)?
            .and_then(FrameHeader::decode)
        else {
            return Ok(None);
        };
        let continues =
            belongs(&header, segment) && header.first == self.next && header.previous == self.crc;
        if !continues {
            return Ok(None);
        }
        let start = offset + u64::try_from(FRAME_HEADER_BYTES).unwrap_or(u64::MAX);
        let bytes = usize_of(header.bytes);
        let body = match window.get(start, bytes) {
            Ok(Some(body)) if crc32c::crc32c(body) == header.body => body,
            Ok(_) => return Ok(None),
            Err(source) => return Err(self.io(segment.id, source)),
        };
        self.records(segment.id, &header, body).map_err(|what| {
            self.damaged(
                segment.id,
                offset,
                &format!("a record in a good frame: {what}"),
            )
        })?;
        Ok(Some((header, crc)))
    }

    /// Replays the records of a frame.
    fn records(
        &mut self,
        segment: u64,
        header: &FrameHeader,
        mut body: &[u8],
    ) -> Result<(), String> {
        let mut count = 0;
        while let Some(record) = format::split(&mut body).map_err(|e| e.to_string())? {
            let record = format::decode_as(header.version, record).map_err(|e| e.to_string())?;
            count += 1;
            let is_whole = self.journal.replay(segment, self.next, &record);
            self.scanned.clean_stop = is_clean_stop(&record);
            if let Some(lsn) = Lsn::new(self.shard, self.next).filter(|_| is_whole) {
                (self.visit)(lsn, record);
            }
            self.next += 1;
        }
        self.scanned.latest = self.scanned.latest.max(header.latest);
        if count == header.count {
            Ok(())
        } else {
            Err(format!("{count} records instead of {}", header.count))
        }
    }

    /// Checks that nothing valid follows the end of the log, and says how long a torn frame is that stands
    /// there: at least a block, if its header cannot tell.
    fn check_tail(
        &self,
        segment: &SegmentHeader,
        window: &mut Window,
        offset: u64,
    ) -> Result<Option<u64>, StoreError> {
        let torn = self
            .read(segment.id, window, offset, FRAME_HEADER_BYTES)?
            .filter(|header| header.get(24..32) == Some(&segment.salt.to_le_bytes()))
            .map(|header| {
                FrameHeader::decode(header).map_or(block(), |(frame, _)| {
                    let length = padded(FRAME_HEADER_BYTES + usize_of(frame.bytes));
                    u64::try_from(length).unwrap_or(u64::MAX)
                })
            });
        let mut later = offset + block();
        while let Some(bytes) = self.read(segment.id, window, later, FRAME_HEADER_BYTES)? {
            let frame = FrameHeader::decode(bytes);
            if frame.is_some_and(|(f, _)| belongs(&f, segment) && f.first >= self.next) {
                let what = format!("a frame is bad, and a good one follows at {later}");
                return Err(self.damaged(segment.id, offset, &what));
            }
            later += block();
        }
        Ok(torn)
    }

    /// A file without a header is one that was taken but not begun; a frame in it says otherwise.
    fn is_unused(&self, id: u64, window: &mut Window) -> Result<(), StoreError> {
        let frame = self.read(id, window, block(), FRAME_HEADER_BYTES)?;
        match frame.and_then(FrameHeader::decode) {
            Some((frame, _)) if frame.segment == id => {
                Err(self.damaged(id, 0, "the segment header is bad, and a frame follows it"))
            }
            _ => Ok(()),
        }
    }

    /// Removes a segment that was never begun.
    fn discard(&self, id: u64) -> Result<(), StoreError> {
        let path = self.dir.segment(id);
        self.dir
            .disk
            .remove(&path)
            .and_then(|()| self.dir.sync())
            .map_err(|source| io_error("remove", &path, source))
    }

    fn read<'w>(
        &self,
        id: u64,
        window: &'w mut Window,
        offset: u64,
        bytes: usize,
    ) -> Result<Option<&'w [u8]>, StoreError> {
        window
            .get(offset, bytes)
            .map_err(|source| self.io(id, source))
    }

    fn io(&self, id: u64, source: std::io::Error) -> StoreError {
        io_error("read", &self.dir.segment(id), source)
    }

    fn damaged(&self, id: u64, offset: u64, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.dir.segment(id).display().to_string(),
            what: format!("{what} (offset {offset})"),
        }
    }
}

/// Whether a frame was written to this segment, in this life of its file.
fn belongs(frame: &FrameHeader, segment: &SegmentHeader) -> bool {
    frame.segment == segment.id && frame.salt == segment.salt && frame.shard == segment.shard
}

/// A mark of a clean stop.
fn is_clean_stop(record: &Record<'_>) -> bool {
    matches!(
        record,
        Record::Epoch {
            clean_stop: true,
            ..
        }
    )
}

fn block() -> u64 {
    u64::try_from(BLOCK_BYTES).unwrap_or(u64::MAX)
}

fn usize_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
