//! One reading of everything, in steps.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::store::embedded::checkpoint::Checkpoints;
use crate::store::embedded::disk::Disk;
use crate::store::embedded::examine;
use crate::store::embedded::examine::damage;
use crate::store::embedded::examine::records;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::survey;
use crate::store::embedded::survey::Damage;
use crate::store::embedded::survey::Frame;
use crate::store::embedded::survey::Report;
use crate::store::embedded::survey::Segment;
use crate::store::embedded::survey::Wound;
use crate::store::embedded::walk::Bad;
use crate::store::embedded::walk::Found;
use crate::store::embedded::walk::Walk;

use super::Shared;

/// What one step reads, or a little more: a frame is read as a whole.
const STEP_BYTES: u64 = 1024 * 1024;

/// A round, as far as it is.
pub(super) struct Round {
    /// Segments that are to be read.
    segments: VecDeque<u64>,
    bytes: u64,
    current: Option<Reading>,
    has_read_checkpoints: bool,
    report: Report,
}

/// A segment that is being read.
struct Reading {
    id: u64,
    len: u64,
    at: u64,
    walk: Walk,
    bad: Vec<Bad>,
}

impl Round {
    /// Begins a round with every segment but the one that is written.
    pub(super) fn begin(shared: &Shared) -> io::Result<Self> {
        let listing = shared.dir.list().map_err(io::Error::other)?;
        let mut segments: VecDeque<u64> = listing.segments.into();
        segments.pop_back();
        let bytes = u64::try_from(segments.len()).unwrap_or(u64::MAX) * shared.segment_bytes;
        Ok(Self {
            segments,
            bytes,
            current: None,
            has_read_checkpoints: false,
            report: Report::default(),
        })
    }

    /// Bytes that it has to read, about.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads on, and says how much it read; none at the end.
    pub(super) fn step(&mut self, shared: &Shared) -> io::Result<Option<u64>> {
        if let Some(reading) = self.current.take() {
            return self.read_on(shared, reading).map(Some);
        }
        if let Some(id) = self.segments.pop_front() {
            return self.open(shared, id).map(Some);
        }
        if !std::mem::replace(&mut self.has_read_checkpoints, true) {
            return self.checkpoints(shared).map(Some);
        }
        Ok(None)
    }

    /// What was found since the last call.
    pub(super) fn take_damages(&mut self) -> Vec<Damage> {
        std::mem::take(&mut self.report.damages)
    }

    /// What was found in all.
    pub(super) fn end(self) -> Report {
        self.report
    }

    fn open(&mut self, shared: &Shared, id: u64) -> io::Result<u64> {
        let path = shared.dir.segment(id);
        if !shared.dir.disk.exists(&path) {
            // It was recycled since.
            return Ok(shared.segment_bytes);
        }
        let file = shared.dir.disk.open_read(&path)?;
        let len = file.len()?;
        match Walk::open(file, SegmentId::Main(id), shared.shard.0)? {
            Some(walk) => {
                self.current = Some(Reading {
                    id,
                    len,
                    at: 0,
                    walk,
                    bad: Vec::new(),
                });
                Ok(0)
            }
            None => {
                let segment = Segment {
                    id,
                    len,
                    found: None,
                };
                self.judge(shared, segment)?;
                Ok(len)
            }
        }
    }

    fn read_on(&mut self, shared: &Shared, mut reading: Reading) -> io::Result<u64> {
        let start = reading.at;
        let report = &mut self.report;
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
            report.frames += 1;
            let counted = records(&frame, |_, record| {
                let kind = survey::kind_name(record);
                // One look-up a record, and a name for the first of its kind.
                match report.records.get_mut(kind) {
                    Some(count) => *count += 1,
                    None => drop(report.records.insert(kind.to_owned(), 1)),
                }
            });
            if counted.is_err() {
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
        self.judge(shared, segment)?;
        Ok(reading.len.saturating_sub(start))
    }

    /// Notes what is wrong with a segment, if it still is when it is looked at once more.
    fn judge(&mut self, shared: &Shared, segment: Segment) -> io::Result<()> {
        if survey::judge_sealed(&segment).is_empty() {
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
            let damages = wounds.iter().map(|wound| damage(&shared.dir, wound));
            self.report.damages.extend(damages);
        }
        Ok(())
    }

    /// Reads both generations of the checkpoint. Nobody writes one meanwhile.
    fn checkpoints(&mut self, shared: &Shared) -> io::Result<u64> {
        let _held = shared.checkpoints.lock();
        let disk: Arc<dyn Disk> = Arc::new(survey::Looking(Arc::clone(&shared.dir.disk)));
        let mut read = 0;
        for name in examine::CHECKPOINTS {
            let path = shared.path.join(name);
            if disk.exists(&path) {
                read += disk.open_read(&path)?.len()?;
                self.report.files += 1;
            }
        }
        self.report.bytes += read;
        if shared.meta.lock().has_checkpoint {
            for (name, error) in Checkpoints::faults(&shared.path, &disk) {
                let path = shared.path.join(name);
                self.report.damages.push(examine::file_damage(
                    &path,
                    &error.to_string(),
                    "the other one is used, and a copy of it takes its place",
                ));
            }
        }
        Ok(read)
    }
}
