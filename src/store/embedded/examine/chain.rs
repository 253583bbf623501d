//! The segments of the log, each by itself.

use roaring::RoaringTreemap;

use crate::core::log::record::Record;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::format;

use super::super::cold;
use super::super::meta::io_error;
use super::super::segment::LogDir;
use super::super::segment::SegmentId;
use super::super::survey;
use super::super::survey::Frame;
use super::super::survey::Segment;
use super::Examiner;

impl Examiner<'_> {
    /// Tells the progress how much there is to read: the log, and so many bytes of bodies.
    pub(super) fn expect(
        &self,
        log: &LogDir,
        main: &[u64],
        cold: &[u64],
        bodies: u64,
    ) -> Result<(), StoreError> {
        let main = main.iter().map(|id| SegmentId::Main(*id));
        for segment in main.chain(cold.iter().map(|id| SegmentId::Cold(*id))) {
            let path = log.path_of(segment);
            let len = self.disk.open_read(&path).and_then(|file| file.len());
            self.progress
                .expect(len.map_err(|e| io_error("read", &path, e))?);
        }
        self.progress.expect(bodies);
        Ok(())
    }

    /// Reads every segment, and counts its records.
    pub(super) fn log(&mut self, log: &LogDir, ids: &[u64]) -> Result<Vec<Segment>, StoreError> {
        let (report, incarnation) = (&mut self.report, &mut self.incarnation);
        let segments = survey::read_chain(log, ids, self.progress, &mut |_, frame| {
            report.frames += 1;
            records(frame, |_, record| {
                let kind = survey::kind_name(record);
                *report.records.entry(kind.to_owned()).or_default() += 1;
                if let Record::Epoch { epoch, .. } = record {
                    *incarnation = (*incarnation).max(*epoch);
                }
            })
        })?;
        for segment in &segments {
            report.files += 1;
            report.bytes += segment.len;
        }
        Ok(segments)
    }

    /// Says where the log ends, and what is torn there.
    pub(super) fn torn(&mut self, log: &LogDir, segments: &[Segment]) {
        let last = segments.iter().rev().find_map(|s| s.found.as_ref());
        self.report.last = last.map_or(0, |found| found.next.saturating_sub(1));
        if let Some(torn) = last.and_then(|found| found.torn) {
            let file = segments.last().map(|s| log.segment(s.id));
            let file = file.unwrap_or_default().display().to_string();
            self.report.notes.push(format!(
                "{file}: the last frame, at {torn}, is torn; nobody was told that it is safe, and a start drops it"
            ));
        }
    }
}

/// Numbers of records that segments have, or good copies.
pub(super) fn covered(log: &LogDir, segments: &[Segment]) -> Result<RoaringTreemap, StoreError> {
    let mut numbers = RoaringTreemap::new();
    for found in segments.iter().filter_map(|s| s.found.as_ref()) {
        numbers.insert_range(found.header.first..found.next);
    }
    let (_, frames) = cold::find(log, Shard(0))?;
    for frame in &frames {
        let path = log.path_of(SegmentId::Cold(frame.segment));
        let read = cold::records(log, frame).map_err(|e| io_error("read", &path, e))?;
        let Some((version, body)) = read else {
            continue;
        };
        let mut body = body.as_slice();
        while let Ok(Some(copy)) = format::split(&mut body) {
            if let Ok(Record::Copy { original, .. }) = format::decode_as(version, copy) {
                numbers.insert(original.number());
            }
        }
    }
    Ok(numbers)
}

/// Decodes the records of a frame.
pub(in super::super) fn records(
    frame: &Frame<'_>,
    mut visit: impl FnMut(Lsn, &Record<'_>),
) -> Result<(), String> {
    let mut body = frame.body;
    let mut number = frame.header.first;
    while let Some(bytes) = format::split(&mut body).map_err(|e| e.to_string())? {
        let record = format::decode_as(frame.header.version, bytes).map_err(|e| e.to_string())?;
        if let Some(lsn) = Lsn::new(Shard(frame.header.shard), number) {
            visit(lsn, &record);
        }
        number += 1;
    }
    let count = number - frame.header.first;
    if count == u64::from(frame.header.count) {
        return Ok(());
    }
    Err(format!("{count} records instead of {}", frame.header.count))
}
