//! `viaduct check` on a stopped broker: reads everything in a data dir and says what is not what was written. Nothing is
//! changed, and what a start would mend by itself is no damage.

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::core::log::record::Record;
use crate::core::log::store::Hole;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::format;
use crate::store::format::Version;
use crate::store::journal::Coverage;
use crate::store::journal::Journal;

use super::checkpoint::Checkpoints;
use super::checkpoint::Legacy;
use super::cold;
use super::disk::Disk;
use super::disk::RealDisk;
use super::meta;
use super::meta::Meta;
use super::meta::io_error;
use super::places::Places;
use super::recover::Known;
use super::recover::Recovery;
use super::segment::LogDir;
use super::segment::SegmentId;
use super::shared::limits;
use super::survey;
use super::survey::Damage;
use super::survey::Frame;
use super::survey::Progress;
use super::survey::Report;
use super::survey::Segment;
use super::survey::Tally;
use super::survey::Wound;
use super::survey::WoundKind;

/// Bounds frames, of which a trial start makes none.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// Examines the data dir of a stopped broker, under its lock.
///
/// # Errors
/// [`StoreError::Locked`] if a broker runs on it, [`StoreError::NewerFormat`], [`StoreError::Io`]. Damage is no error.
pub fn check(dir: &Path, progress: &Progress) -> Result<Report, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _lock = meta::lock(&*disk, dir)?;
    Ok(Examination::run(&disk, dir, progress)?.report)
}

/// The files of the checkpoint.
pub(super) const CHECKPOINTS: [&str; 2] = ["checkpoint.0.redb", "checkpoint.1.redb"];

/// What an examination found.
pub(super) struct Examination {
    pub(super) report: Report,
    /// What is wrong with the log's segments.
    pub(super) wounds: Vec<Wound>,
    /// The file `meta`, if it can be read.
    pub(super) meta: Option<Meta>,
    /// Files beside the log that are damaged, by their names in the data dir.
    pub(super) files: Vec<String>,
    /// Whether there is a good checkpoint.
    pub(super) has_checkpoint: bool,
    /// Whether the checkpoint knows of records that are gone, or of holes.
    pub(super) has_losses: bool,
    /// Numbers of records that a segment has, or a copy.
    pub(super) covered: RoaringTreemap,
    /// The number that a log without a segment must go on with.
    pub(super) goes_on_at: Option<u64>,
    /// The latest incarnation that something is named after.
    pub(super) incarnation: u64,
}

/// What is examined, and what is known so far.
struct Examiner<'a> {
    /// Only looked at.
    disk: Arc<dyn Disk>,
    dir: &'a Path,
    progress: &'a Progress,
    report: Report,
    tally: Tally,
    files: Vec<String>,
    incarnation: u64,
}

impl Examination {
    /// Reads everything. The caller holds the data dir's lock.
    ///
    /// # Errors
    /// See [`check`].
    pub(super) fn run(
        disk: &Arc<dyn Disk>,
        dir: &Path,
        progress: &Progress,
    ) -> Result<Self, StoreError> {
        let disk: Arc<dyn Disk> = Arc::new(survey::Looking(Arc::clone(disk)));
        let mut examiner = Examiner {
            disk: Arc::clone(&disk),
            dir,
            progress,
            report: Report {
                data_dir: dir.display().to_string(),
                ..Report::default()
            },
            tally: Tally::default(),
            files: Vec::new(),
            incarnation: 0,
        };
        let log = LogDir::new(dir.join("log"), disk);
        let ids = log.list()?.segments;
        examiner.expect(&log, &ids)?;
        let meta = examiner.meta(!ids.is_empty())?;
        let checkpoints = examiner.checkpoints(meta)?;
        let segments = examiner.log(&log, &ids)?;
        let wounds = survey::judge(&segments);
        for wound in &wounds {
            examiner.report.damages.push(damage(&log, wound));
        }
        examiner.torn(&log, &segments);
        let has_checkpoint = checkpoints.is_some();
        let absorbed = checkpoints.as_ref().and_then(Checkpoints::saved);
        let absorbed = absorbed.map_or(0, |saved| saved.catalog.max(saved.at.log));
        let goes_on_at = (segments.is_empty() && absorbed > 0).then_some(absorbed + 1);
        if goes_on_at.is_some() {
            let what = "every segment is missing, though a checkpoint knows of some";
            let remedy = "the log goes on behind what is missing, which is lost";
            let found = file_damage(log.path(), what, remedy);
            examiner.report.damages.push(found);
        }
        // What a start would make of it, where it would be one.
        let has_losses = match (meta, goes_on_at) {
            (Some(_), None) => examiner.start(&log, checkpoints)?,
            _ => false,
        };
        let incarnation = examiner.incarnation.max(examiner.tally.incarnation());
        let covered = covered(&log, &segments)?;
        let mut report = examiner.report;
        report.queues = examiner.tally.queues();
        Ok(Self {
            report,
            wounds,
            meta: meta.map(|(meta, _)| meta),
            files: examiner.files,
            has_checkpoint,
            has_losses,
            covered,
            goes_on_at,
            incarnation,
        })
    }
}

/// Numbers of records that segments have, or good copies.
fn covered(log: &LogDir, segments: &[Segment]) -> Result<RoaringTreemap, StoreError> {
    let mut numbers = RoaringTreemap::new();
    for found in segments.iter().filter_map(|s| s.found.as_ref()) {
        if let Some(header) = found.header {
            numbers.insert_range(header.first..found.next);
        }
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

impl Examiner<'_> {
    /// Tells the progress how much there is to read.
    fn expect(&self, log: &LogDir, segments: &[u64]) -> Result<(), StoreError> {
        for id in segments {
            let path = log.segment(*id);
            let len = self.disk.open_read(&path).and_then(|file| file.len());
            self.progress
                .expect(len.map_err(|e| io_error("read", &path, e))?);
        }
        Ok(())
    }

    /// Reads `meta`.
    fn meta(&mut self, has_log: bool) -> Result<Option<(Meta, Version)>, StoreError> {
        let remedy = "it is made anew, with a new identity";
        match meta::read(&*self.disk, self.dir) {
            Ok(None) if has_log => {
                self.file_damage("meta", "it is missing", remedy);
                Ok(None)
            }
            Err(StoreError::Damaged { what, .. }) => {
                self.file_damage("meta", &what, remedy);
                Ok(None)
            }
            read => read,
        }
    }

    /// Reads the checkpoint; none if there is none that is good.
    fn checkpoints(
        &mut self,
        meta: Option<(Meta, Version)>,
    ) -> Result<Option<Checkpoints>, StoreError> {
        let mut checkpoints = Checkpoints::new(self.dir, &self.disk);
        let must_be = match meta {
            Some((meta, Version::One)) => return self.legacy(meta, checkpoints),
            Some((meta, Version::Two)) => meta.has_checkpoint,
            None => checkpoints.exist(),
        };
        if !must_be {
            return Ok(None);
        }
        for name in CHECKPOINTS {
            let file = self.disk.open_read(&self.dir.join(name));
            self.report.files += u64::from(file.is_ok());
            self.report.bytes += file.and_then(|file| file.len()).unwrap_or(0);
        }
        let faults = Checkpoints::faults(self.dir, &self.disk);
        let is_lost = faults.len() == CHECKPOINTS.len();
        let remedy = if is_lost {
            "it is set aside and made anew from what the log still has: what was declared before that is lost, and messages \
             that were settled may come back"
        } else {
            "it is set aside, and a copy of the other one takes its place"
        };
        for (name, error) in faults {
            let StoreError::Damaged { what, .. } = error else {
                return Err(error);
            };
            self.file_damage(&name, &what, remedy);
        }
        if is_lost {
            return Ok(None);
        }
        checkpoints.find()?;
        Ok(Some(checkpoints))
    }

    /// Reads the catalog's checkpoint of format 1.
    fn legacy(
        &mut self,
        meta: Meta,
        mut checkpoints: Checkpoints,
    ) -> Result<Option<Checkpoints>, StoreError> {
        if !meta.has_checkpoint {
            return Ok(None);
        }
        let mut legacy = Legacy::new(self.dir, Arc::clone(&self.disk));
        match checkpoints.take_over(&mut legacy) {
            Ok(()) => Ok(Some(checkpoints)),
            Err(StoreError::Damaged { what, .. }) => {
                let remedy =
                    "it is set aside, and the catalog is made anew from what the log still has";
                self.file_damage("catalog.redb", &what, remedy);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn file_damage(&mut self, name: &str, what: &str, remedy: &str) {
        self.files.push(name.to_owned());
        let found = file_damage(&self.dir.join(name), what, remedy);
        self.report.damages.push(found);
    }

    /// Reads every segment, and counts its records.
    fn log(&mut self, log: &LogDir, ids: &[u64]) -> Result<Vec<Segment>, StoreError> {
        let (report, incarnation) = (&mut self.report, &mut self.incarnation);
        let segments = survey::read_chain(log, 0, ids, self.progress, &mut |_, frame| {
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

    /// Tries a start: what lives in which queue, and what is missing. True if the checkpoint knows of something that is
    /// missing.
    fn start(
        &mut self,
        log: &LogDir,
        checkpoints: Option<Checkpoints>,
    ) -> Result<bool, StoreError> {
        let mut checkpoints = checkpoints.unwrap_or_else(|| Checkpoints::new(self.dir, &self.disk));
        let tally = &mut self.tally;
        checkpoints.catalog(&mut |key, value| tally.catalog_value(key, Some(value)))?;
        let mut journal = Journal::new(Shard(0), limits(SEGMENT_BYTES));
        let (known, coverage) = known(&mut checkpoints, &mut journal)?;
        journal.absorbed(coverage);
        let places = Places::default();
        let (_, copies) = cold::find(log, Shard(0))?;
        let recovery = Recovery::new(log, Shard(0), &places, &mut journal, known, tally);
        let recovery = recovery.with_copies(copies);
        let holes = match recovery.run() {
            Ok(recovered) => recovered.scanned.holes,
            // What a start cannot go on from was found as damage of its own, or is now.
            Err(StoreError::Damaged { path, what }) => {
                if self.report.damages.is_empty() {
                    let remedy = "the damaged segment is set aside";
                    let found = file_damage(Path::new(&path), &what, remedy);
                    self.report.damages.push(found);
                }
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        let has_losses = !holes.is_empty();
        for hole in holes {
            self.hole(&hole);
        }
        Ok(has_losses)
    }

    /// Notes records that are missing, unless they are in a damaged place that was found: then that place knows more now.
    fn hole(&mut self, hole: &Hole) {
        let queues = hole.queues.as_ref().map(|queues| {
            let names = queues.iter().map(|queue| self.tally.name(*queue));
            names.collect::<Vec<_>>()
        });
        let (first, last) = (hole.first.number(), hole.last.number());
        let overlaps = |d: &&mut Damage| d.first > 0 && d.first <= last && d.last >= first;
        if let Some(damage) = self.report.damages.iter_mut().find(overlaps) {
            damage.queues = queues;
            return;
        }
        self.report.damages.push(Damage {
            file: hole.path.clone(),
            offset: 0,
            bytes: 0,
            first,
            last,
            queues,
            what: hole.what.clone(),
            remedy: "these records are given up, and their queues serve again".to_owned(),
        });
    }

    /// Says where the log ends, and what is torn there.
    fn torn(&mut self, log: &LogDir, segments: &[Segment]) {
        let last = segments.iter().rev().find_map(|s| s.found.as_ref());
        self.report.last = last.map_or(0, |found| found.next.saturating_sub(1));
        if let Some(tail) = last.and_then(|found| found.tail.as_ref()) {
            let file = segments.last().map(|s| log.segment(s.id));
            let file = file.unwrap_or_default().display().to_string();
            self.report.notes.push(format!(
                "{file}: the last frame, at {}, is torn; nobody was told that it is safe, and a start drops it",
                tail.start
            ));
        }
    }
}

/// Takes over what a checkpoint knows.
fn known(
    checkpoints: &mut Checkpoints,
    journal: &mut Journal,
) -> Result<(Known, Coverage), StoreError> {
    let saved = checkpoints.saved().unwrap_or_default();
    let delta = checkpoints.load()?;
    let rows = delta.segments.iter();
    let known = Known {
        at: saved.at,
        catalog: saved.catalog,
        rows: rows
            .filter_map(|(id, row)| Some((*id, row.clone()?)))
            .collect(),
    };
    journal.load(saved.at, delta);
    Ok((known, checkpoints.coverage()))
}

/// A file that is damaged as a whole.
pub(super) fn file_damage(path: &Path, what: &str, remedy: &str) -> Damage {
    Damage {
        file: path.display().to_string(),
        offset: 0,
        bytes: 0,
        first: 0,
        last: 0,
        queues: None,
        what: what.to_owned(),
        remedy: remedy.to_owned(),
    }
}

/// Decodes the records of a frame.
pub(super) fn records(
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

/// A wound as a report has it.
pub(super) fn damage(log: &LogDir, wound: &Wound) -> Damage {
    let bad = &wound.bad;
    let last = bad.next.map_or(0, |next| next.saturating_sub(1));
    let has_records = bad.next.is_none_or(|next| next > bad.first);
    let remedy = match wound.kind {
        WoundKind::Header(_) => "the header is written anew from what the frames say",
        WoundKind::Range(_) if has_records => {
            "these records are given up; what stands behind them is kept"
        }
        WoundKind::Range(_) => "nothing is lost: the place is filled",
        WoundKind::End(_) => "these records are given up, and the segment is sealed",
        WoundKind::Whole => "the file is set aside, and its records are given up",
        WoundKind::Order => "the file is set aside, and its records are given up",
    };
    Damage {
        file: log.segment(wound.segment).display().to_string(),
        offset: bad.start,
        bytes: bad.end.saturating_sub(bad.start),
        first: if has_records { bad.first } else { 0 },
        last: if has_records { last } else { 0 },
        queues: None,
        what: bad.what.to_owned(),
        remedy: remedy.to_owned(),
    }
}
