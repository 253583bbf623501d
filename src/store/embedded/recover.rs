//! A start: the records that the checkpoint has not absorbed, then every entry that lives.
//!
//! Segments are read in order, those that the checkpoint covers not at all until the second pass, which reads the
//! frames with something that lives. A frame that is bad is a *torn tail* only in the last segment and only if no
//! valid frame follows it: it was being written when the power went, and nobody was told that it is safe. Everything
//! else that is bad is a hole, if something that matters may have been in it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::core::log::record::Record;
use crate::core::log::store::Hole;
use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;

use crate::store::format;
use crate::store::format::DecodeError;
use crate::store::format::Fact;
use crate::store::journal::Absorbed;
use crate::store::journal::At;
use crate::store::journal::Journal;
use crate::store::journal::SegmentRow;
use crate::store::journal::Telling;

use super::cold;
use super::disk::SegmentFile;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::meta::io_error;
use super::places::ColdFrame;
use super::places::FramePlace;
use super::places::Places;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::walk::Found;
use super::walk::Gap;
use super::walk::Walk;

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
    /// Whether records behind it are lost, so that the next segment does not continue it.
    pub(super) is_cut: bool,
    /// Bytes of the torn frame whose start stands at `offset`.
    pub(super) torn: Option<u64>,
}

/// What a start found.
pub(super) struct Recovered {
    /// Where the log goes on, none if there is no log.
    pub(super) tail: Option<Tail>,
    /// Number of the next record.
    pub(super) next: u64,
    /// What [`crate::core::log::store::Store::recover`] says.
    pub(super) scanned: Scanned,
}

/// What the checkpoint says.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where it stands.
    pub(super) at: At,
    /// The last catalog record that it has absorbed.
    pub(super) catalog: u64,
    /// Its segments.
    pub(super) rows: BTreeMap<u64, SegmentRow>,
}

/// Numbers, and what may have records with them.
#[derive(Clone, Debug)]
struct Span {
    numbers: Range<u64>,
    of: Holder,
}

/// What may have records.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// A main segment.
    Main {
        id: u64,
        /// Whether the first pass has noted its frames.
        is_placed: bool,
    },
    /// A frame of copies.
    Cold(ColdFrame),
}

/// A start of one shard.
pub(super) struct Recovery<'a> {
    dir: &'a LogDir,
    shard: Shard,
    places: &'a Places,
    journal: &'a mut Journal,
    known: Known,
    visitor: &'a mut dyn Visitor,
    /// Number of the next record.
    next: u64,
    /// CRC of the last frame.
    crc: u32,
    /// The last segment that was read.
    previous: Option<u64>,
    /// Segments without a header.
    unreadable: BTreeSet<u64>,
    /// Frames of copies, in the order in which they were made.
    cold: Vec<ColdFrame>,
    spans: Vec<Span>,
    scanned: Scanned,
}

impl<'a> Recovery<'a> {
    /// A start that counts in `journal`, which has taken the checkpoint over, and notes where records are in `places`.
    pub(super) fn new(
        dir: &'a LogDir,
        shard: Shard,
        places: &'a Places,
        journal: &'a mut Journal,
        known: Known,
        visitor: &'a mut dyn Visitor,
    ) -> Self {
        let scanned = Scanned {
            latest: known.at.latest,
            clean_stop: known.at.is_clean_stop,
            ..Scanned::default()
        };
        Self {
            dir,
            shard,
            places,
            journal,
            known,
            visitor,
            next: 1,
            crc: 0,
            previous: None,
            unreadable: BTreeSet::new(),
            cold: Vec::new(),
            spans: Vec::new(),
            scanned,
        }
    }

    /// The same with what was found of the cold chain, in the order in which it was written.
    pub(super) fn with_copies(mut self, frames: Vec<ColdFrame>) -> Self {
        self.cold = frames;
        self
    }

    /// Reads what has to be read, and tells what lives.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when nothing is left to go on with; [`StoreError::Io`].
    pub(super) fn run(mut self) -> Result<Recovered, StoreError> {
        let mut tail = self.replay()?;
        let absorbed = self.known.at.log.max(self.known.catalog);
        if self.next <= absorbed {
            let Some(tail) = &mut tail else {
                let what = "the log ends before what the checkpoint has absorbed of it";
                return Err(self.damaged(what));
            };
            // What the end was may live; what it said is absorbed. Its numbers are never used again.
            (tail.is_sealed, tail.is_cut) = (true, true);
            tail.torn = None;
            self.next = absorbed + 1;
        }
        self.scanned.last = Lsn::new(self.shard, self.next - 1);
        self.journal.end_replay(self.next - 1, self.scanned.latest);
        self.scanned.holes = self.journal.holes().to_vec();
        self.place_cold();
        self.visitor.entries(&self.scanned);
        self.tell()?;
        Ok(Recovered {
            tail,
            next: self.next,
            scanned: self.scanned,
        })
    }

    /// What the first pass may leave out.
    fn absorbed(&self) -> Absorbed {
        Absorbed {
            log: self.known.at.log,
            catalog: self.known.catalog,
        }
    }

    /// The first number that the first pass must see.
    fn from(&self) -> u64 {
        let at = &self.known.at;
        let has_catalog = at.last_catalog > self.known.catalog;
        1 + if has_catalog {
            at.log.min(self.known.catalog)
        } else {
            at.log
        }
    }

    /// The first pass. Says where the log goes on.
    fn replay(&mut self) -> Result<Option<Tail>, StoreError> {
        let mut walks = self.open()?;
        let nexts = walks.iter().skip(1).map(|walk| Some(walk.header));
        let nexts: Vec<Option<SegmentHeader>> = nexts.chain([None]).collect();
        let mut tail = None;
        for (walk, next) in walks.drain(..).zip(nexts) {
            self.check_order(&walk.header)?;
            let next = next.as_ref();
            let last = next.and_then(|next| self.last_of(&walk.header, next));
            if let Some(last) = last.filter(|last| *last < self.from()) {
                self.pass_over(&walk.header, last);
            } else {
                let end = next.map_or(u64::MAX, |next| next.first);
                tail = self.segment(walk, end, next.is_none())?;
            }
        }
        Ok(tail)
    }

    /// Opens every segment that has a header, and removes a last one that was never begun.
    fn open(&mut self) -> Result<Vec<Walk>, StoreError> {
        let segments = self.dir.list()?.segments;
        let mut walks = Vec::new();
        for (at, id) in segments.iter().enumerate() {
            let file = self.dir.open(*id)?;
            let walk = Walk::open(file, *id, self.shard.0).map_err(|e| self.io(*id, e))?;
            match walk {
                Some(walk) => walks.push(walk),
                None if at + 1 == segments.len() => self.discard(*id)?,
                None => {
                    self.unreadable.insert(*id);
                }
            }
        }
        Ok(walks)
    }

    /// Checks that a segment continues the one before it, or notes what is missing between them.
    fn check_order(&mut self, header: &SegmentHeader) -> Result<(), StoreError> {
        if header.first < self.next || header.first == 0 {
            let what = "a segment starts before the last one ends";
            return Err(self.damaged_at(header.id, what));
        }
        // One that cannot be read is there all the same: recycled ones are not.
        let is_there = |id| self.unreadable.contains(&id);
        let follows = self
            .previous
            .is_some_and(|id| (id + 1..header.id).all(is_there));
        if follows {
            let gap = Gap {
                offset: 0,
                first: self.next,
                last: header.first - 1,
            };
            self.gap(header.id, gap, "the segment before it lost its end");
        }
        self.previous = Some(header.id);
        self.next = header.first;
        self.crc = header.previous;
        Ok(())
    }

    /// The last record of a segment, if that is known without reading it: the next one continues it, or it was left
    /// already when the checkpoint was made. What was pending then may have gone to the newest one that it knows.
    fn last_of(&self, header: &SegmentHeader, next: &SegmentHeader) -> Option<u64> {
        if next.id == header.id + 1 {
            return Some(next.first - 1);
        }
        let newest = self.known.rows.keys().next_back();
        let row = self.known.rows.get(&header.id);
        let row = row.filter(|_| newest.is_some_and(|newest| *newest > header.id));
        row.map(|row| row.last.min(next.first - 1))
    }

    /// A segment that the checkpoint covers, up to its last record, is not read.
    fn pass_over(&mut self, header: &SegmentHeader, last: u64) {
        let row = self.known.rows.get(&header.id);
        self.next = (last + 1).max(header.first);
        self.journal
            .replay_frame(header.id, header.first, self.next - 1);
        if let Some(row) = row {
            self.journal.know_queues(&row.queues);
        }
        self.spans.push(Span {
            numbers: header.first..self.next,
            of: Holder::Main {
                id: header.id,
                is_placed: false,
            },
        });
    }

    /// Reads a segment, which has no record from `end` on.
    fn segment(
        &mut self,
        mut walk: Walk,
        end: u64,
        is_last: bool,
    ) -> Result<Option<Tail>, StoreError> {
        let id = walk.header.id;
        let row = self.known.rows.get(&id).map(|row| Arc::clone(&row.queues));
        self.journal
            .replay_frame(id, walk.header.first, walk.header.first - 1);
        if let Some(queues) = row {
            self.journal.know_queues(&queues);
        }
        loop {
            match walk.next(|_| true).map_err(|e| self.io(id, e))? {
                Found::Frame(frame, offset) => self.frame(&mut walk, &frame, offset)?,
                Found::Gap(gap) => self.gap(id, gap, "a frame is bad"),
                Found::End => break,
            }
        }
        self.next = walk.next;
        self.spans.push(Span {
            numbers: walk.header.first..walk.next,
            of: Holder::Main {
                id,
                is_placed: true,
            },
        });
        if !walk.is_sealed && !is_last {
            let gap = Gap {
                offset: walk.offset,
                first: walk.next,
                last: end - 1,
            };
            self.gap(id, gap, "the segment lost its end");
            self.next = self.next.max(end);
        }
        self.tail(walk, is_last).map(Some)
    }

    fn tail(&self, mut walk: Walk, is_last: bool) -> Result<Tail, StoreError> {
        let torn = if walk.is_sealed || !is_last {
            None
        } else {
            walk.torn().map_err(|e| self.io(walk.header.id, e))?
        };
        if let Some(bytes) = torn {
            tracing::warn!(
                file = %self.dir.segment(walk.header.id).display(),
                offset = walk.offset,
                bytes,
                "the last frame of the log is torn and was dropped; nobody was told that it is safe"
            );
        }
        Ok(Tail {
            header: walk.header,
            file: walk.file,
            last: walk.last,
            offset: walk.offset,
            crc: walk.crc,
            is_sealed: walk.is_sealed,
            is_cut: false,
            torn,
        })
    }

    /// Follows the records of a frame.
    fn frame(
        &mut self,
        walk: &mut Walk,
        frame: &FrameHeader,
        offset: u64,
    ) -> Result<(), StoreError> {
        let id = walk.header.id;
        self.place(&walk.header, frame, offset, walk.offset);
        self.scanned.latest = self.scanned.latest.max(frame.latest);
        let last = frame.first + u64::from(frame.count) - 1;
        if frame.count == 0 {
            return Ok(());
        }
        self.journal.replay_frame(id, frame.first, last);
        let absorbed = self.absorbed();
        let body = walk.records(frame, offset).map_err(|e| self.io(id, e))?;
        let mut number = frame.first;
        let followed = records(frame, body, |fact| {
            self.scanned.clean_stop = is_clean_stop(&fact);
            self.journal.replay(absorbed, number, fact, self.visitor)?;
            number += 1;
            Ok(())
        });
        if let Err(what) = followed {
            let gap = Gap {
                offset,
                first: number,
                last,
            };
            self.gap(id, gap, &format!("a record in a good frame: {what}"));
        }
        Ok(())
    }

    fn place(&self, header: &SegmentHeader, frame: &FrameHeader, start: u64, end: u64) {
        let place = FramePlace {
            first: frame.first,
            last: frame.first + u64::from(frame.count) - 1,
            start,
            end,
            bytes: u64::from(frame.bytes),
        };
        self.places.add(header, place);
    }

    /// Notes what the first pass could not read, if the checkpoint has not absorbed it.
    fn gap(&mut self, segment: u64, gap: Gap, what: &str) {
        let first = gap.first.max(self.known.at.log + 1);
        if first > gap.last {
            return;
        }
        let queues = None;
        let gap = Gap { first, ..gap };
        if let Some(hole) = self.hole(SegmentId::Main(segment), gap, what, queues) {
            self.journal.add_hole(hole);
        }
    }

    fn hole(
        &self,
        segment: SegmentId,
        gap: Gap,
        what: &str,
        queues: Option<Vec<QueueId>>,
    ) -> Option<Hole> {
        let path = self.dir.path_of(segment).display().to_string();
        let hole = Hole {
            path,
            what: format!("{what} (offset {})", gap.offset),
            first: Lsn::new(self.shard, gap.first)?,
            last: Lsn::new(self.shard, gap.last)?,
            queues,
        };
        tracing::error!(
            file = hole.path,
            first = %hole.first,
            last = %hole.last,
            what = hole.what,
            "records of the log cannot be read"
        );
        Some(hole)
    }

    /// Places the copies, and takes up those whose source is gone: a main segment counts more than a copy of it.
    fn place_cold(&mut self) {
        let cold = std::mem::take(&mut self.cold);
        let is_gone = |frame: &ColdFrame| {
            let before = self
                .spans
                .partition_point(|span| span.numbers.start <= frame.last);
            let span = before.checked_sub(1).and_then(|at| self.spans.get(at));
            span.is_none_or(|span| span.numbers.end <= frame.first)
        };
        let cold: Vec<ColdFrame> = cold.into_iter().filter(is_gone).collect();
        self.places.add_cold(&cold);
        let frames = self.places.cold().into_iter().map(|frame| Span {
            numbers: frame.first..frame.last + 1,
            of: Holder::Cold(frame),
        });
        self.spans.extend(frames);
        self.spans.sort_by_key(|span| span.numbers.start);
    }

    /// The second pass.
    fn tell(&mut self) -> Result<(), StoreError> {
        let mut telling = Telling::default();
        let mut next = 1;
        for span in std::mem::take(&mut self.spans) {
            self.lost(next, span.numbers.start);
            if self
                .journal
                .count_live(span.numbers.start, span.numbers.end - 1)
                > 0
            {
                match span.of {
                    Holder::Main { id, is_placed } => {
                        self.tell_segment(id, span.numbers.clone(), is_placed, &mut telling)?;
                    }
                    Holder::Cold(frame) => self.tell_copies(&frame, &mut telling)?,
                }
            }
            next = span.numbers.end;
        }
        self.lost(next, self.next);
        telling.finish(self.journal);
        Ok(())
    }

    /// Tells what lives in a segment.
    fn tell_segment(
        &mut self,
        id: u64,
        numbers: Range<u64>,
        is_placed: bool,
        telling: &mut Telling,
    ) -> Result<(), StoreError> {
        let file = self.dir.open(id)?;
        let walk = Walk::open(file, id, self.shard.0).map_err(|e| self.io(id, e))?;
        let Some(mut walk) = walk else {
            self.lost(numbers.start, numbers.end);
            return Ok(());
        };
        let mut live = Vec::new();
        while walk.next < numbers.end {
            let journal = &*self.journal;
            let wants = |frame: &FrameHeader| {
                let last = (frame.first + u64::from(frame.count)).saturating_sub(1);
                journal.count_live(frame.first, last) > 0
            };
            match walk.next(wants).map_err(|e| self.io(id, e))? {
                Found::Frame(frame, offset) => {
                    if !is_placed {
                        self.place(&walk.header, &frame, offset, walk.offset);
                    }
                    let last = (frame.first + u64::from(frame.count)).saturating_sub(1);
                    self.journal.live_in(frame.first, last, &mut live);
                    if !live.is_empty() {
                        self.tell_frame(&mut walk, &frame, offset, &live, telling)?;
                    }
                }
                Found::Gap(gap) => self.lost_at(SegmentId::Main(id), gap, "a frame is bad"),
                Found::End => break,
            }
        }
        let gap = Gap {
            offset: walk.offset,
            first: walk.next,
            last: numbers.end - 1,
        };
        self.lost_at(SegmentId::Main(id), gap, "the segment lost its end");
        Ok(())
    }

    /// Tells what lives in a frame of copies.
    fn tell_copies(&mut self, frame: &ColdFrame, telling: &mut Telling) -> Result<(), StoreError> {
        let path = self.dir.path_of(SegmentId::Cold(frame.segment));
        let read = cold::records(self.dir, frame);
        let (version, body) = match read.map_err(|source| io_error("read", &path, source))? {
            Some(read) => read,
            None => {
                self.lost_copies(frame, frame.first..frame.last + 1, "a frame is bad");
                return Ok(());
            }
        };
        let mut live = Vec::new();
        self.journal.live_in(frame.first, frame.last, &mut live);
        let mut live = live.into_iter().peekable();
        let mut body = body.as_slice();
        while let Ok(Some(copy)) = format::split(&mut body) {
            let Ok(Record::Copy { original, record }) = format::decode_as(version, copy) else {
                break;
            };
            let number = original.number();
            while let Some(missing) = live.next_if(|live| *live < number) {
                self.lost_copies(frame, missing..missing + 1, "a copy is missing");
            }
            if live.next_if_eq(&number).is_none() {
                continue;
            }
            let told = format::fact_of(version, record)
                .and_then(|fact| telling.record(self.journal, version, number, fact, self.visitor));
            if let Err(what) = told {
                let what = format!("a record in a good frame: {what}");
                self.lost_copies(frame, number..number + 1, &what);
            }
        }
        for missing in live {
            self.lost_copies(frame, missing..missing + 1, "a copy is missing");
        }
        Ok(())
    }

    /// Notes what lives in numbers of a frame of copies that cannot be read.
    fn lost_copies(&mut self, frame: &ColdFrame, numbers: Range<u64>, what: &str) {
        let gap = Gap {
            offset: frame.start,
            first: numbers.start,
            last: numbers.end - 1,
        };
        self.lost_at(SegmentId::Cold(frame.segment), gap, what);
    }

    /// Tells what lives in a frame: these numbers.
    fn tell_frame(
        &mut self,
        walk: &mut Walk,
        frame: &FrameHeader,
        offset: u64,
        live: &[u64],
        telling: &mut Telling,
    ) -> Result<(), StoreError> {
        let id = walk.header.id;
        let body = walk.records(frame, offset).map_err(|e| self.io(id, e))?;
        let mut live = live.iter().copied().peekable();
        let mut numbers = frame.first..;
        let mut bad = Vec::new();
        let mut body = body;
        while let (Some(number), Ok(Some(record))) = (numbers.next(), format::split(&mut body)) {
            if live.next_if_eq(&number).is_none() {
                continue;
            }
            let told = format::fact_of(frame.version, record).and_then(|fact| {
                telling.record(self.journal, frame.version, number, fact, self.visitor)
            });
            if let Err(what) = told {
                bad.push((number, what));
            }
        }
        for (number, what) in bad {
            let gap = Gap {
                offset,
                first: number,
                last: number,
            };
            self.lost_at(
                SegmentId::Main(id),
                gap,
                &format!("a record in a good frame: {what}"),
            );
        }
        Ok(())
    }

    /// Notes what lives in numbers from `first` to before `end`, which no segment has.
    fn lost(&mut self, first: u64, end: u64) {
        let gap = Gap {
            offset: 0,
            first,
            last: end.saturating_sub(1),
        };
        let rows = self.known.rows.iter();
        let mut rows = rows.filter(|(_, row)| row.first <= gap.last && row.last >= first);
        let segment = rows.next().map(|(id, _)| *id);
        self.lost_at(
            SegmentId::Main(segment.unwrap_or(0)),
            gap,
            "a segment is missing",
        );
    }

    /// Notes what lives in a part of a segment that cannot be read.
    fn lost_at(&mut self, segment: SegmentId, gap: Gap, what: &str) {
        if gap.first > gap.last || self.journal.count_live(gap.first, gap.last) == 0 {
            return;
        }
        // What the first pass could not read is told already.
        let is_known =
            |hole: &Hole| hole.first.number() <= gap.first && hole.last.number() >= gap.last;
        if self.scanned.holes.iter().any(is_known) {
            return;
        }
        let queues = self.queues_in(gap);
        let hole = self.hole(segment, gap, what, queues);
        self.scanned.holes.extend(hole);
    }

    /// Queues that the records of a gap may name, as the checkpoint's rows of their segments have it.
    fn queues_in(&self, gap: Gap) -> Option<Vec<QueueId>> {
        let mut queues = Vec::new();
        let mut next = gap.first;
        for row in self.known.rows.values() {
            if row.first <= next && row.last >= next {
                queues.extend(row.queues.iter().map(QueueId));
                next = row.last + 1;
            }
        }
        queues.sort_unstable();
        queues.dedup();
        (next > gap.last).then_some(queues)
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

    fn io(&self, id: u64, source: std::io::Error) -> StoreError {
        io_error("read", &self.dir.segment(id), source)
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.dir.path().display().to_string(),
            what: what.to_owned(),
        }
    }

    fn damaged_at(&self, id: u64, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.dir.segment(id).display().to_string(),
            what: what.to_owned(),
        }
    }
}

/// Shows every record of every segment, in order, whatever became of it.
///
/// # Errors
/// [`StoreError`] when a file cannot be read.
pub(super) fn show(
    dir: &LogDir,
    shard: Shard,
    visit: &mut dyn FnMut(Lsn, Record<'_>),
) -> Result<(), StoreError> {
    for id in dir.list()?.segments {
        let io = |source| io_error("read", &dir.segment(id), source);
        let Some(mut walk) = Walk::open(dir.open(id)?, id, shard.0).map_err(io)? else {
            continue;
        };
        loop {
            let (frame, offset) = match walk.next(|_| true).map_err(io)? {
                Found::Frame(frame, offset) => (frame, offset),
                Found::Gap(_) => continue,
                Found::End => break,
            };
            let mut body = walk.records(&frame, offset).map_err(io)?;
            let mut numbers = frame.first..;
            while let (Some(number), Ok(Some(record))) = (numbers.next(), format::split(&mut body))
            {
                let record = format::decode_as(frame.version, record);
                if let (Some(lsn), Ok(record)) = (Lsn::new(shard, number), record) {
                    visit(lsn, record);
                }
            }
        }
    }
    Ok(())
}

/// Follows the records of a frame; why it ended early, if it did.
fn records<'a>(
    frame: &FrameHeader,
    mut body: &'a [u8],
    mut follow: impl FnMut(Fact<'a>) -> Result<(), DecodeError>,
) -> Result<(), String> {
    let mut count = 0;
    let text = |error: DecodeError| error.to_string();
    while let Some(record) = format::split(&mut body).map_err(text)? {
        let fact = format::fact_of(frame.version, record).map_err(text)?;
        follow(fact).map_err(text)?;
        count += 1;
    }
    if count == frame.count {
        Ok(())
    } else {
        Err(format!("{count} records instead of {}", frame.count))
    }
}

/// A mark of a clean stop.
fn is_clean_stop(fact: &Fact<'_>) -> bool {
    matches!(
        fact,
        Fact::Other(Record::Epoch {
            clean_stop: true,
            ..
        })
    )
}
