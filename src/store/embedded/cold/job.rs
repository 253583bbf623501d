//! One source on its way to the cold chain: first its live records are measured, then they are copied.

use std::sync::Arc;

use bytes::Bytes;
use roaring::RoaringTreemap;

use crate::core::log::read::ReadError;
use crate::core::log::record::Record;
use crate::core::model::ids::Lsn;

use crate::store::format;
use crate::store::format::Version;
use crate::store::journal::Moment;

use super::super::frame::FRAME_HEADER_BYTES;
use super::super::places::ColdFrame;
use super::super::read::Frames;
use super::super::segment::SegmentId;
use super::super::shared::Shared;

/// Bytes of records after which a frame ends.
const FRAME_BYTES: usize = 512 * 1024;
/// Records that are measured in a step.
const MEASURE: usize = 4_096;

/// A source.
pub(super) struct Job {
    pub(super) source: SegmentId,
    /// When its live records were listed.
    pub(super) begun: Moment,
    /// Those, ascending.
    live: Vec<u64>,
    /// Where frames may end: at these places of `live`, none if anywhere. A frame of copies holds whole frames of a cold
    /// source, so that after a crash none of those is replaced by half.
    ends: Option<Vec<usize>>,
    /// How many were measured or copied.
    at: usize,
    bytes: u64,
    is_measured: bool,
    frames: Frames,
    written: Vec<ColdFrame>,
}

/// How a piece of measuring went.
pub(super) enum Went {
    /// There is more.
    On,
    /// That was all.
    Through,
    /// A record cannot be read.
    Failed(ReadError),
}

/// What is to be written next.
pub(super) enum Next {
    Frame(Frame),
    /// Everything was.
    Through,
    /// A record cannot be read.
    Failed(ReadError),
}

/// Copies that stand in one frame.
pub(super) struct Frame {
    /// By which rules they are read.
    pub(super) version: Version,
    /// Room for the header, and the records.
    pub(super) bytes: Vec<u8>,
    /// The lowest number that one keeps.
    pub(super) first: u64,
    /// The highest.
    pub(super) last: u64,
    /// How many they are.
    pub(super) count: usize,
    /// Queues that they name.
    pub(super) queues: RoaringTreemap,
}

impl Job {
    /// What lives of a source now.
    pub(super) fn new(shared: &Arc<Shared>, source: SegmentId) -> Self {
        let cold = shared.places.cold();
        let log = shared.log.lock();
        let journal = &log.journal;
        let (mut live, mut ends, mut some) = (Vec::new(), None, Vec::new());
        match source {
            SegmentId::Main(id) => {
                let spans = journal.spans();
                if let Some(span) = spans.iter().find(|span| span.id == id) {
                    journal.live_in(span.first, span.last, &mut live);
                }
            }
            SegmentId::Cold(id) => {
                for frame in cold.iter().filter(|frame| frame.segment == id) {
                    journal.live_in(frame.first, frame.last, &mut some);
                    live.append(&mut some);
                    ends.get_or_insert_with(Vec::new).push(live.len());
                }
            }
        }
        Self {
            source,
            begun: journal.moment(),
            live,
            ends,
            at: 0,
            bytes: 0,
            is_measured: false,
            frames: Frames::new(Arc::clone(shared)),
            written: Vec::new(),
        }
    }

    /// Whether it is known how many bytes live.
    pub(super) fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// Bytes of records that live, once that is known.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of records that live.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.live.len()).unwrap_or(u64::MAX)
    }

    /// The frames that were written.
    pub(super) fn frames(&self) -> &[ColdFrame] {
        &self.written
    }

    /// Notes a frame that was written.
    pub(super) fn wrote(&mut self, frame: ColdFrame) {
        self.written.push(frame);
    }

    /// Measures some records.
    pub(super) fn measure(&mut self) -> Went {
        let end = self.live.len().min(self.at + MEASURE);
        while self.at < end {
            match self.read() {
                Ok(record) => self.bytes += record.map_or(0, |(_, r)| len_of(&r)),
                Err(error) => return Went::Failed(error),
            }
        }
        if end < self.live.len() {
            return Went::On;
        }
        self.at = 0;
        self.is_measured = true;
        Went::Through
    }

    /// The next frame.
    pub(super) fn next_frame(&mut self, shared: &Shared) -> Next {
        let mut frame: Option<Frame> = None;
        while let Some(end) = self.next_end() {
            let is_long = |frame: &Frame| frame.bytes.len() >= FRAME_BYTES;
            if frame.as_ref().is_some_and(is_long) || (frame.is_some() && !self.is_clear(shared)) {
                break;
            }
            let start = self.at;
            match self.add(end, &mut frame) {
                Ok(true) => {}
                Ok(false) => {
                    self.at = start;
                    break;
                }
                Err(error) => return Next::Failed(error),
            }
        }
        frame.map_or(Next::Through, Next::Frame)
    }

    /// Where the frame that is being filled may end next.
    fn next_end(&self) -> Option<usize> {
        match &self.ends {
            None => (self.at < self.live.len()).then_some(self.at + 1),
            Some(ends) => ends
                .get(ends.partition_point(|end| *end <= self.at))
                .copied(),
        }
    }

    /// Whether the next record may stand in the same frame as the last one.
    fn is_clear(&self, shared: &Shared) -> bool {
        let before = self.at.checked_sub(1).and_then(|at| self.live.get(at));
        match (&self.ends, before, self.live.get(self.at)) {
            (Some(_), Some(before), Some(after)) => {
                shared.places.is_clear_between(*before, *after, self.source)
            }
            _ => true,
        }
    }

    /// Adds the records up to place `end` to a frame; false if they are of another format than those that are in it.
    /// Records between two ends are of one format.
    fn add(&mut self, end: usize, frame: &mut Option<Frame>) -> Result<bool, ReadError> {
        while self.at < end {
            let number = self.live.get(self.at).copied().unwrap_or_default();
            let Some((version, record)) = self.read()? else {
                continue;
            };
            let frame = frame.get_or_insert_with(|| Frame {
                version,
                bytes: vec![0; FRAME_HEADER_BYTES],
                first: number,
                last: number,
                count: 0,
                queues: RoaringTreemap::new(),
            });
            if frame.version != version {
                return Ok(false);
            }
            let Some(original) = Lsn::new(self.frames.shard(), number) else {
                return Err(ReadError::NotThere);
            };
            let copy = Record::Copy {
                original,
                record: &record,
            };
            let named = format::fact_of(version, &record).and_then(|fact| {
                fact.queues(|queue| {
                    frame.queues.insert(queue.0);
                })
            });
            if named.is_err() || !format::encode(&copy, &mut frame.bytes) {
                return Err(ReadError::Damaged);
            }
            frame.last = number;
            frame.count += 1;
        }
        Ok(true)
    }

    /// Reads the next record; none if it is gone, which only one that lives no more can be.
    fn read(&mut self) -> Result<Option<(Version, Bytes)>, ReadError> {
        let wanted = self.live.get(self.at..).unwrap_or_default();
        let wanted = wanted.get(..wanted.len().min(MEASURE)).unwrap_or_default();
        let record = self.frames.record(wanted);
        self.at += 1;
        match record {
            Ok(record) => Ok(Some(record)),
            Err(ReadError::NotThere) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn len_of(record: &Bytes) -> u64 {
    u64::try_from(record.len()).unwrap_or(u64::MAX)
}
