//! One reading of everything, in steps.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::store::embedded::checkpoint::Checkpoints;
use crate::store::embedded::disk::Disk;
use crate::store::embedded::examine;
use crate::store::embedded::places::ColdFrame;
use crate::store::embedded::survey;
use crate::store::embedded::survey::Report;
use crate::store::format::BodyFact;

use super::Shared;
use super::bodies;
use super::finding::Finding;
use super::segments;

/// What one step reads, or a little more: a frame is read as a whole.
pub(super) const STEP_BYTES: u64 = 1024 * 1024;

/// A round, as far as it is.
pub(super) struct Round {
    /// Segments that are to be read.
    segments: VecDeque<u64>,
    pub(super) current: Option<segments::Reading>,
    /// Frames of the cold chain that are to be read.
    pub(super) cold: VecDeque<ColdFrame>,
    /// Publishes whose body is to be read, and that body.
    bodies: VecDeque<(u64, BodyFact)>,
    pub(super) body: Option<bodies::Reading>,
    has_read_checkpoints: bool,
    bytes: u64,
    pub(super) report: Report,
    pub(super) findings: Vec<Finding>,
}

impl Round {
    /// Begins a round with every segment but the one that is written.
    pub(super) fn begin(shared: &Shared) -> io::Result<Self> {
        let listing = shared.dir.list().map_err(io::Error::other)?;
        let mut segments: VecDeque<u64> = listing.segments.into();
        segments.pop_back();
        let cold = VecDeque::from(shared.places.cold());
        let bodies = shared.log.lock().journal.publishes_with_files();
        let cold_bytes: u64 = cold.iter().map(|frame| frame.end - frame.start).sum();
        let body_bytes: u64 = bodies.iter().map(|(_, body)| body.bytes).sum();
        let main_bytes = u64::try_from(segments.len()).unwrap_or(u64::MAX) * shared.segment_bytes;
        Ok(Self {
            segments,
            current: None,
            cold,
            bodies: bodies.into(),
            body: None,
            has_read_checkpoints: false,
            bytes: main_bytes + cold_bytes + body_bytes,
            report: Report::default(),
            findings: Vec::new(),
        })
    }

    /// Bytes that it has to read, about.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads on, and says how much it read; none at the end.
    pub(super) fn step(&mut self, shared: &Arc<Shared>) -> io::Result<Option<u64>> {
        if let Some(reading) = self.current.take() {
            return self.read_on(shared, reading).map(Some);
        }
        if let Some(id) = self.segments.pop_front() {
            return self.open(shared, id).map(Some);
        }
        if !self.cold.is_empty() {
            return self.cold(shared).map(Some);
        }
        if let Some(reading) = self.body.take() {
            return self.read_body(shared, reading).map(Some);
        }
        if let Some((number, body)) = self.bodies.pop_front() {
            return self.open_body(shared, number, body).map(Some);
        }
        if !std::mem::replace(&mut self.has_read_checkpoints, true) {
            return self.checkpoints(shared).map(Some);
        }
        Ok(None)
    }

    /// What was found since the last call.
    pub(super) fn take_findings(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.findings)
    }

    /// What was counted.
    pub(super) fn end(self) -> Report {
        self.report
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
                let remedy = "the other one is used, and a copy of it takes its place";
                let damage = examine::file_damage(&path, &error.to_string(), remedy);
                self.findings.push(Finding::harmless(damage));
            }
        }
        Ok(read)
    }
}
