//! The second pass: every entry that lives, wherever its record stands.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::core::log::record::Record;
use crate::core::log::store::StoreError;

use crate::store::format;
use crate::store::journal::Telling;

use super::super::cold;
use super::super::frame::FrameHeader;
use super::super::meta::io_error;
use super::super::places::ColdFrame;
use super::super::segment::SegmentId;
use super::super::walk::Found;
use super::super::walk::Walk;
use super::Holder;
use super::Recovery;
use super::Span;
use super::holes::Gap;

impl Recovery<'_> {
    /// Places the copies, and takes up those whose source is gone: a main segment counts more than a copy of it.
    pub(super) fn place_cold(&mut self) -> Result<(), StoreError> {
        let cold = std::mem::take(&mut self.cold);
        let is_gone = |frame: &ColdFrame| {
            let before = self
                .spans
                .partition_point(|span| span.numbers.start <= frame.last);
            let span = before.checked_sub(1).and_then(|at| self.spans.get(at));
            span.is_none_or(|span| span.numbers.end <= frame.first)
        };
        let cold: Vec<ColdFrame> = cold.into_iter().filter(is_gone).collect();
        self.places.add_cold(&self.without_torn(cold)?);
        let frames = self.places.cold().into_iter().map(|frame| Span {
            numbers: frame.first..frame.last + 1,
            of: Holder::Cold(frame),
        });
        self.spans.extend(frames);
        self.spans.sort_by_key(|span| span.numbers.start);
        Ok(())
    }

    /// The frames but those that were torn while what they were copied from was still there: none of them takes its place.
    fn without_torn(&self, frames: Vec<ColdFrame>) -> Result<Vec<ColdFrame>, StoreError> {
        let mut kept = BTreeMap::new();
        let mut good = Vec::new();
        for frame in frames {
            let before = kept.range(..=frame.last).next_back();
            let is_second = before.is_some_and(|(_, last)| *last >= frame.first);
            if is_second {
                let path = self.dir.path_of(SegmentId::Cold(frame.segment));
                let read = cold::records(self.dir, &frame);
                if read.map_err(|e| io_error("read", &path, e))?.is_none() {
                    continue;
                }
                kept.retain(|first, last| *first > frame.last || *last < frame.first);
            }
            kept.insert(frame.first, frame.last);
            good.push(frame);
        }
        Ok(good)
    }

    /// The second pass.
    pub(super) fn tell(&mut self) -> Result<(), StoreError> {
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
        let walk =
            Walk::open(file, SegmentId::Main(id), self.shard.0).map_err(|e| self.io(id, e))?;
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
                Found::Gap(bad) => {
                    self.lost_at(SegmentId::Main(id), Gap::of(&bad), "a frame is bad")
                }
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
            self.note_copy(frame, version, record);
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
}
