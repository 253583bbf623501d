//! Segments of the main chain. The one that is written is left out: it is read when it is sealed. One may be recycled
//! while it is read; what looks damaged is believed only if the file is still the same segment and looks so again.

use std::io;

use crate::store::embedded::examine::damage;
use crate::store::embedded::examine::records;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::survey;
use crate::store::embedded::survey::Frame;
use crate::store::embedded::survey::Segment;
use crate::store::embedded::survey::Wound;
use crate::store::embedded::survey::WoundKind;
use crate::store::embedded::walk::Bad;
use crate::store::embedded::walk::Found;
use crate::store::embedded::walk::Walk;

use super::Shared;
use super::finding::Finding;
use super::round::Round;
use super::round::STEP_BYTES;

/// A segment that is being read.
pub(super) struct Reading {
    id: u64,
    len: u64,
    at: u64,
    walk: Walk,
    bad: Vec<Bad>,
}

impl Round {
    /// Begins to read a segment, and says how much is done.
    pub(super) fn open(&mut self, shared: &Shared, id: u64) -> io::Result<u64> {
        let file = match shared.dir.disk.open_read(&shared.dir.segment(id)) {
            // It was recycled since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(shared.segment_bytes);
            }
            opened => opened?,
        };
        let len = file.len()?;
        let Some(walk) = Walk::open(file, SegmentId::Main(id), shared.shard.0)? else {
            let found = None;
            self.judge(shared, &Segment { id, len, found })?;
            return Ok(len);
        };
        self.current = Some(Reading {
            id,
            len,
            at: 0,
            walk,
            bad: Vec::new(),
        });
        Ok(0)
    }

    /// Reads on.
    pub(super) fn read_on(&mut self, shared: &Shared, mut reading: Reading) -> io::Result<u64> {
        let start = reading.at;
        loop {
            let (header, offset) = match reading.walk.next(|_| true)? {
                Found::Frame(header, offset) => (header, offset),
                Found::Gap(gap) => {
                    reading.bad.push(gap);
                    continue;
                }
                Found::End => break,
            };
            let frame = Frame::of(&mut reading.walk, header, offset)?;
            if self.count(&frame).is_err() {
                reading.bad.push(survey::of_frame(&frame));
            }
            reading.at = reading.walk.offset;
            if reading.at - start >= STEP_BYTES {
                let bytes = reading.at - start;
                self.current = Some(reading);
                return Ok(bytes);
            }
        }
        let found = survey::Found::of(reading.walk, reading.bad)?;
        let segment = Segment {
            id: reading.id,
            len: reading.len,
            found: Some(found),
        };
        self.report.files += 1;
        self.report.bytes += reading.len;
        self.judge(shared, &segment)?;
        Ok(reading.len.saturating_sub(start))
    }

    /// Counts a frame and its records; an error says what is wrong with them.
    fn count(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let report = &mut self.report;
        report.frames += 1;
        records(frame, |_, record| {
            let kind = survey::kind_name(record);
            // One look-up a record, and a name for the first of its kind.
            match report.records.get_mut(kind) {
                Some(count) => *count += 1,
                None => drop(report.records.insert(kind.to_owned(), 1)),
            }
        })
    }

    /// Notes what is wrong with a segment, if it still is when it is looked at once more.
    fn judge(&mut self, shared: &Shared, segment: &Segment) -> io::Result<()> {
        if survey::judge_sealed(segment).is_empty() {
            return Ok(());
        }
        let path = shared.dir.segment(segment.id);
        if !shared.dir.disk.exists(&path) {
            return Ok(());
        }
        let progress = survey::Progress::default();
        let again = survey::read_one(&shared.dir, segment.id, &progress, &mut |_, frame| {
            records(frame, |_, _| {})
        })?;
        let wounds: Vec<Wound> = survey::judge_sealed(&again);
        // Recycled meanwhile: the journal gives a segment up before its file gets another name.
        if shared.dir.disk.exists(&path) {
            let findings = wounds.iter().map(|wound| finding(shared, wound));
            self.findings.extend(findings);
        }
        Ok(())
    }
}

fn finding(shared: &Shared, wound: &Wound) -> Finding {
    let mut damage = damage(&shared.dir, wound);
    let row = shared.log.lock().journal.row(wound.segment);
    let bad = &wound.bad;
    // Where the segment does not say what is missing, the journal knows how far it went.
    let last = row.as_ref().map_or(u64::MAX, |row| row.last);
    let last = bad.next.map_or(last, |next| next.saturating_sub(1));
    if matches!(wound.kind, WoundKind::Header(_)) || last < bad.first {
        return Finding::harmless(damage);
    }
    damage.last = last;
    Finding::of_records(shared, damage, bad.first..=last, row)
}
