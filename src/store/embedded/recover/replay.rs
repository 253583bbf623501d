//! The first pass: what the checkpoint has not absorbed, in the order in which it was written.

use std::sync::Arc;

use crate::core::log::record::Record;
use crate::core::log::store::StoreError;

use crate::store::format;
use crate::store::format::DecodeError;
use crate::store::format::Fact;
use crate::store::journal::Absorbed;

use super::super::frame::FrameHeader;
use super::super::frame::SegmentHeader;
use super::super::meta::io_error;
use super::super::segment::SegmentId;
use super::super::walk::Found;
use super::super::walk::Walk;
use super::Holder;
use super::Recovery;
use super::Span;
use super::Tail;
use super::holes::Gap;

impl Recovery<'_> {
    /// The first pass. Says where the log goes on.
    pub(super) fn replay(&mut self) -> Result<Option<Tail>, StoreError> {
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
            let walk = Walk::open(file, SegmentId::Main(*id), self.shard.0)
                .map_err(|e| self.io(*id, e))?;
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
                Found::Gap(bad) => self.gap(id, Gap::of(&bad), "a frame is bad"),
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

    /// What the first pass may leave out.
    fn absorbed(&self) -> Absorbed {
        Absorbed {
            log: self.known.at.log,
            catalog: self.known.catalog,
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
