//! A start that is tried: what lives in which queue, and what is missing.

use std::path::Path;

use crate::core::log::store::Hole;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Shard;

use crate::store::format::BodyFact;
use crate::store::journal::Journal;

use super::super::checkpoint::Checkpoints;
use super::super::cold;
use super::super::places::Places;
use super::super::recover::Known;
use super::super::recover::Recovery;
use super::super::segment::LogDir;
use super::super::shared::limits;
use super::super::survey::Damage;
use super::Examiner;
use super::file_damage;

/// Bounds frames, of which a trial start makes none.
const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;

/// What a start came to.
#[derive(Default)]
pub(super) struct Tried {
    /// Whether the checkpoint knows of something that is missing.
    pub(super) has_losses: bool,
    /// Publishes that live, and whose body is in a file.
    pub(super) named: Vec<(u64, BodyFact)>,
}

impl Examiner<'_> {
    /// Tries a start: what lives in which queue, and what is missing.
    pub(super) fn start(
        &mut self,
        log: &LogDir,
        checkpoints: Option<Checkpoints>,
    ) -> Result<Tried, StoreError> {
        let mut checkpoints = checkpoints.unwrap_or_else(|| Checkpoints::new(self.dir, &self.disk));
        let tally = &mut self.tally;
        checkpoints.catalog(&mut |key, value| tally.catalog_value(key, Some(value)))?;
        let mut journal = Journal::new(Shard(0), limits(SEGMENT_BYTES));
        let (known, coverage) = Known::load(&mut checkpoints, &mut journal)?;
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
                return Ok(Tried::default());
            }
            Err(error) => return Err(error),
        };
        let has_losses = !holes.is_empty();
        for hole in holes {
            self.hole(&hole);
        }
        Ok(Tried {
            has_losses,
            named: journal.publishes_with_files(),
        })
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
}
