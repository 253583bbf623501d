//! Frames of the cold chain, those with something that lives. They are read where readers would look for them, so what
//! was copied on or is recycled meanwhile is not missed.

use std::io;

use crate::store::embedded::cold;
use crate::store::embedded::places::ColdFrame;
use crate::store::embedded::segment::SegmentId;
use crate::store::embedded::survey::Damage;

use super::Shared;
use super::finding::Finding;
use super::round::Round;
use super::round::STEP_BYTES;

impl Round {
    /// Reads some frames, and says how many bytes that was.
    pub(super) fn cold(&mut self, shared: &Shared) -> io::Result<u64> {
        let mut bytes = 0;
        while bytes < STEP_BYTES
            && let Some(frame) = self.cold.pop_front()
        {
            bytes += frame.end - frame.start;
            if !is_needed(shared, &frame) {
                continue;
            }
            self.report.frames += 1;
            self.report.bytes += frame.end - frame.start;
            if is_good(shared, &frame)? || is_good(shared, &frame)? || !is_needed(shared, &frame) {
                continue;
            }
            let log = shared.log.lock();
            let row = log.journal.cold_rows().get(&frame.segment).cloned();
            drop(log);
            let numbers = frame.first..=frame.last;
            let finding = Finding::of_records(shared, damage(shared, &frame), numbers, row);
            self.findings.push(finding);
        }
        Ok(bytes)
    }
}

/// Whether readers would look for something that lives in this very frame.
fn is_needed(shared: &Shared, frame: &ColdFrame) -> bool {
    shared.places.is_cold_frame(frame)
        && shared
            .log
            .lock()
            .journal
            .count_live(frame.first, frame.last)
            > 0
}

fn is_good(shared: &Shared, frame: &ColdFrame) -> io::Result<bool> {
    match cold::records(&shared.dir, frame) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        read => Ok(read?.is_some()),
    }
}

fn damage(shared: &Shared, frame: &ColdFrame) -> Damage {
    let path = shared.dir.path_of(SegmentId::Cold(frame.segment));
    Damage {
        file: path.display().to_string(),
        offset: frame.start,
        bytes: frame.end - frame.start,
        first: frame.first,
        last: frame.last,
        queues: None,
        what: "a frame is bad".to_owned(),
        remedy: "what lived in it is given up; the good copies in the file are kept".to_owned(),
    }
}
