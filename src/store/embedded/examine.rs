//! `viaduct check` on a stopped broker: reads everything in a data dir and says what is not what was written. Nothing is
//! changed, and what a start would mend by itself is no damage.

use std::path::Path;
use std::sync::Arc;

use crate::core::log::record::Record;
use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::format;
use crate::store::journal::Fold;

use super::catalog;
use super::disk::Disk;
use super::disk::RealDisk;
use super::frame::SegmentHeader;
use super::meta;
use super::meta::io_error;
use super::repair::end_of;
use super::segment::LogDir;
use super::survey;
use super::survey::Bad;
use super::survey::Damage;
use super::survey::Frame;
use super::survey::Progress;
use super::survey::Report;
use super::survey::Segment;
use super::survey::Tally;
use super::survey::Wound;
use super::survey::WoundKind;

/// Examines the data dir of a stopped broker, under its lock.
///
/// # Errors
/// [`StoreError::Locked`] if a broker runs on it, [`StoreError::NewerFormat`], [`StoreError::Io`]. Damage is no error.
pub fn check(dir: &Path, progress: &Progress) -> Result<Report, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let _lock = meta::lock(&*disk, dir)?;
    Ok(Examination::run(&disk, dir, progress)?.report)
}

/// What an examination found.
pub(super) struct Examination {
    pub(super) report: Report,
    /// What is wrong with the log's segments.
    pub(super) wounds: Vec<Wound>,
    /// The file `meta`, if it can be read.
    pub(super) meta: Option<meta::Meta>,
    /// Files beside the log that are damaged, by their names in the data dir.
    pub(super) files: Vec<String>,
    /// Whether there is a good checkpoint.
    pub(super) has_catalog: bool,
    /// The number that the log must go on with, if it ends before what a checkpoint knows of it.
    pub(super) goes_on_at: Option<u64>,
    /// The last segment, and its end.
    pub(super) last: Option<(SegmentHeader, Bad)>,
    /// The latest incarnation that something is named after.
    pub(super) incarnation: u64,
}

/// What is examined, and what is known so far.
struct Examiner<'a> {
    disk: &'a Arc<dyn Disk>,
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
        let mut examiner = Examiner {
            disk,
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
        let log = LogDir::new(dir.join("log"), Arc::clone(disk));
        let listing = log.list()?;
        examiner.expect(&log, &listing.segments)?;
        let (meta, absorbed) = examiner.head(!listing.segments.is_empty())?;
        let segments = examiner.log(&log, &listing.segments, absorbed)?;
        let wounds = survey::judge(&segments);
        for wound in &wounds {
            examiner.report.damages.push(damage(&log, wound));
        }
        let goes_on_at = examiner.ends(&log, &segments, absorbed);
        let last = segments.iter().rev().find_map(|segment| {
            let found = segment.found.as_ref()?;
            let end = end_of(found.end, found.next, found.crc);
            found.header.map(|header| (header, end))
        });
        let incarnation = examiner.incarnation.max(examiner.tally.incarnation());
        let mut report = examiner.report;
        report.queues = examiner.tally.queues();
        Ok(Self {
            report,
            wounds,
            meta,
            files: examiner.files,
            has_catalog: absorbed.is_some(),
            goes_on_at,
            last,
            incarnation,
        })
    }
}

impl Examiner<'_> {
    /// Tells the progress how much there is to read.
    fn expect(&self, log: &LogDir, segments: &[u64]) -> Result<(), StoreError> {
        for id in segments {
            let path = log.segment(*id);
            let len = self.disk.open(&path).and_then(|file| file.len());
            self.progress
                .expect(len.map_err(|e| io_error("read", &path, e))?);
        }
        Ok(())
    }

    /// Reads `meta` and the catalog's checkpoint: the first, and what the second has absorbed.
    fn head(&mut self, has_log: bool) -> Result<(Option<meta::Meta>, Option<Lsn>), StoreError> {
        let meta = match meta::read(&**self.disk, self.dir) {
            Ok(Some(meta)) => Some(meta),
            Ok(None) if has_log => {
                self.file_damage(
                    "meta",
                    "it is missing",
                    "it is made anew, with a new identity",
                );
                None
            }
            Ok(None) => None,
            Err(StoreError::Damaged { what, .. }) => {
                self.file_damage("meta", &what, "it is made anew, with a new identity");
                None
            }
            Err(error) => return Err(error),
        };
        let must_be = meta.is_none_or(|meta| meta.has_catalog);
        let is_sure = meta.is_some_and(|meta| meta.has_catalog);
        let remedy = "it is set aside and made anew from what the log still has: what was declared before that is lost";
        let absorbed = match self.catalog() {
            Ok(absorbed) if absorbed.is_some() || !is_sure => absorbed,
            Ok(_) => {
                self.file_damage("catalog.redb", "the checkpoint is missing", remedy);
                return Ok((meta, None));
            }
            Err(StoreError::Damaged { what, .. }) if must_be => {
                self.file_damage("catalog.redb", &what, remedy);
                return Ok((meta, None));
            }
            // It was begun, and the power went: a start begins it anew.
            Err(StoreError::Damaged { .. }) => None,
            Err(error) => return Err(error),
        };
        Ok((meta, absorbed))
    }

    fn file_damage(&mut self, name: &str, what: &str, remedy: &str) {
        self.files.push(name.to_owned());
        self.report.damages.push(Damage {
            file: self.dir.join(name).display().to_string(),
            offset: 0,
            bytes: 0,
            first: 0,
            last: 0,
            queues: None,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// Reads the catalog's checkpoint.
    fn catalog(&mut self) -> Result<Option<Lsn>, StoreError> {
        let path = self.dir.join("catalog.redb");
        if !self.disk.exists(&path) {
            return Ok(None);
        }
        let tally = &mut self.tally;
        let (absorbed, len) =
            catalog::inspect(&**self.disk, &path, Shard(0), &mut |key, value| {
                tally.catalog_value(key, Some(value));
            })?;
        self.report.files += 1;
        self.report.bytes += len;
        Ok(absorbed)
    }

    /// Reads the log and counts what it says.
    fn log(
        &mut self,
        log: &LogDir,
        ids: &[u64],
        absorbed: Option<Lsn>,
    ) -> Result<Vec<Segment>, StoreError> {
        let mut fold = Fold::new(absorbed);
        let (tally, report) = (&mut self.tally, &mut self.report);
        let incarnation = &mut self.incarnation;
        let mut scanned = Scanned::default();
        let segments = survey::read_chain(log, 0, ids, self.progress, &mut |_, frame| {
            report.frames += 1;
            records(frame, |lsn, record| {
                let kind = survey::kind_name(record);
                *report.records.entry(kind.to_owned()).or_default() += 1;
                scanned.last = Some(lsn);
                if let Record::Epoch { epoch, .. } = record {
                    *incarnation = (*incarnation).max(*epoch);
                }
                fold.record(lsn, record, tally);
            })
        })?;
        fold.finish(&scanned, tally);
        for segment in &segments {
            report.files += 1;
            report.bytes += segment.len;
        }
        Ok(segments)
    }

    /// What is to be said of the log's end; the number that it must go on with, if that is not where it ends.
    fn ends(&mut self, log: &LogDir, segments: &[Segment], absorbed: Option<Lsn>) -> Option<u64> {
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
        let last = self.report.last;
        let absorbed = absorbed.map(Lsn::number).filter(|number| *number > last)?;
        self.report.damages.push(Damage {
            file: log.path().display().to_string(),
            offset: 0,
            bytes: 0,
            first: last + 1,
            last: absorbed,
            queues: None,
            what: "the log ends before what catalog.redb has absorbed of it".to_owned(),
            remedy: "these records are given up; the log goes on behind them".to_owned(),
        });
        Some(absorbed + 1)
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
