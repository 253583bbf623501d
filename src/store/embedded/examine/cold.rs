//! The cold chain. What lives of it and cannot be read is found by the start that is tried; this says where in the files
//! the damage is, and what is damaged without a loss.

use crate::core::log::store::StoreError;

use super::super::cold::UNSURE;
use super::super::meta::io_error;
use super::super::segment::LogDir;
use super::super::segment::SegmentId;
use super::super::survey;
use super::super::survey::ColdSegment;
use super::super::survey::Damage;
use super::super::walk::Bad;
use super::Examiner;
use super::records;

impl Examiner<'_> {
    /// Reads every cold segment, and counts its frames.
    pub(super) fn cold(
        &mut self,
        log: &LogDir,
        ids: &[u64],
    ) -> Result<Vec<ColdSegment>, StoreError> {
        let mut segments = Vec::new();
        for id in ids {
            let report = &mut self.report;
            let read = survey::read_cold(log, *id, self.progress, &mut |_, frame| {
                report.frames += 1;
                records(frame, |_, record| {
                    let kind = survey::kind_name(record);
                    *report.records.entry(kind.to_owned()).or_default() += 1;
                })
            });
            let path = log.path_of(SegmentId::Cold(*id));
            let segment = read.map_err(|e| io_error("read", &path, e))?;
            self.report.files += 1;
            self.report.bytes += segment.len;
            segments.push(segment);
        }
        Ok(segments)
    }

    /// Says where the damaged places are, and which segments have some that cost something.
    pub(super) fn cold_damage(&mut self, log: &LogDir, segments: &[ColdSegment]) -> Vec<u64> {
        let sure = segments.len().saturating_sub(UNSURE);
        let mut damaged = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let path = log.path_of(SegmentId::Cold(segment.id));
            let file = path.display().to_string();
            for bad in &segment.bad {
                let is_its = |damage: &&mut Damage| damage.file == file && may_be(damage, bad);
                if let Some(damage) = self.report.damages.iter_mut().find(is_its) {
                    damage.offset = bad.start;
                    damage.bytes = bad.end.saturating_sub(bad.start);
                } else if at < sure {
                    // The newest may have what was being written when the power went.
                    self.report.notes.push(format!(
                        "{file}: {} bytes at {} are not what was written ({}); nothing that lives was in them",
                        bad.end.saturating_sub(bad.start),
                        bad.start,
                        bad.what
                    ));
                }
            }
            let is_lossy = self.report.damages.iter().any(|damage| damage.file == file);
            if is_lossy {
                damaged.push(segment.id);
            }
        }
        damaged
    }
}

/// Whether missing records may have been in a bad place.
fn may_be(damage: &Damage, bad: &Bad) -> bool {
    let is_unplaced = damage.bytes == 0;
    is_unplaced
        && bad
            .next
            .is_none_or(|next| damage.first < next && damage.last >= bad.first)
}
