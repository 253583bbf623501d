//! `viaduct check` on a stopped broker: reads everything in a data dir and says what is not what was written. Nothing is
//! changed, and what a start would mend by itself is no damage.

mod bodies;
mod chain;
mod cold;
mod damage;
mod files;
mod trial;

use std::path::Path;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::core::log::store::StoreError;

use super::checkpoint::Checkpoints;
use super::disk::Disk;
use super::disk::RealDisk;
use super::meta;
use super::meta::Meta;
use super::segment::LogDir;
use super::survey;
use super::survey::Progress;
use super::survey::Report;
use super::survey::Tally;
use super::survey::Wound;

use chain::covered;
use trial::Tried;

pub(super) use bodies::LostBody;
pub(super) use chain::records;
pub(super) use damage::damage;
pub(super) use damage::file_damage;

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
    /// Cold segments with a damaged place that cost something.
    pub(super) cold: Vec<u64>,
    /// Publishes that have lost their body.
    pub(super) bodies: Vec<LostBody>,
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
        let listing = log.list()?;
        let ids = listing.segments;
        let files = examiner.body_files()?;
        examiner.expect(&log, &ids, &listing.cold, files.values().sum())?;
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
        let cold = examiner.cold(&log, &listing.cold)?;
        // What a start would make of it, where it would be one.
        let tried = match (meta, goes_on_at) {
            (Some(_), None) => examiner.start(&log, checkpoints)?,
            _ => Tried::default(),
        };
        let bodies = examiner.bodies(&tried.named, &files)?;
        let cold = examiner.cold_damage(&log, &cold);
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
            has_losses: tried.has_losses,
            covered,
            cold,
            bodies,
            goes_on_at,
            incarnation,
        })
    }

    /// Whether every damage is one of a large body.
    pub(super) fn has_only_lost_bodies(&self) -> bool {
        self.report.damages.len() == self.bodies.len()
    }
}
