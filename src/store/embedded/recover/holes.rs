//! What cannot be read, and whom it concerns.

use roaring::RoaringTreemap;

use crate::core::log::store::Hole;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::store::journal::SegmentRow;

use super::super::segment::SegmentId;
use super::super::walk::Bad;
use super::Recovery;

/// Records that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Where they would be in their file.
    pub(super) offset: u64,
    /// The first one.
    pub(super) first: u64,
    /// The last one; less than `first` if there is none.
    pub(super) last: u64,
}

impl Gap {
    /// What a damaged part of a main segment had, which has a good frame behind it.
    pub(super) fn of(bad: &Bad) -> Self {
        Self {
            offset: bad.start,
            first: bad.first,
            last: bad.next.unwrap_or(bad.first).saturating_sub(1),
        }
    }
}

impl Recovery<'_> {
    /// Notes what the first pass could not read, if the checkpoint has not absorbed it, or not the catalog's changes
    /// that may be in it.
    pub(super) fn gap(&mut self, segment: u64, gap: Gap, what: &str) {
        let (at, catalog) = (&self.known.at, self.known.catalog);
        let may_change_catalog = gap.first <= at.last_catalog && gap.last > catalog;
        let absorbed = match may_change_catalog {
            true => at.log.min(catalog),
            false => at.log,
        };
        let first = gap.first.max(absorbed + 1);
        if first > gap.last {
            return;
        }
        let queues = None;
        let gap = Gap { first, ..gap };
        if let Some(hole) = self.hole(SegmentId::Main(segment), gap, what, queues) {
            self.journal.add_hole(hole);
        }
    }

    /// Notes what lives in numbers from `first` to before `end`, which no segment has.
    pub(super) fn lost(&mut self, first: u64, end: u64) {
        let gap = Gap {
            offset: 0,
            first,
            last: end.saturating_sub(1),
        };
        if let Some(segment) = self.holder_of(gap) {
            self.lost_at(segment, gap, "records of it are missing");
        } else {
            self.lost_at(SegmentId::Main(0), gap, "a segment is missing");
        }
    }

    /// The segment that had the records of a gap when the checkpoint was made, or one that may have been.
    fn holder_of(&self, gap: Gap) -> Option<SegmentId> {
        let meets = |row: &SegmentRow| row.first <= gap.last && row.last >= gap.first;
        let mut main = self.known.rows.iter().filter(|(_, row)| meets(row));
        let mut cold = self.journal.cold_rows().iter();
        match main.next() {
            Some((id, _)) => Some(SegmentId::Main(*id)),
            None => {
                let of_gap = cold.find(|(_, row)| meets(row));
                of_gap.map(|(id, _)| SegmentId::Cold(*id))
            }
        }
    }

    /// Notes what lives in a part of a segment that cannot be read.
    pub(super) fn lost_at(&mut self, segment: SegmentId, gap: Gap, what: &str) {
        if gap.first > gap.last || self.journal.count_live(gap.first, gap.last) == 0 {
            return;
        }
        // What the first pass could not read is told already.
        let is_known =
            |hole: &Hole| hole.first.number() <= gap.first && hole.last.number() >= gap.last;
        if self.scanned.holes.iter().any(is_known) {
            return;
        }
        let queues = self.queues_in(segment, gap);
        let hole = self.hole(segment, gap, what, queues);
        self.scanned.holes.extend(hole);
    }

    /// Queues that what lives in a gap may name, as the checkpoint's rows of their segments have it; none if it does not
    /// know all of them.
    ///
    /// Whatever lived when the checkpoint was made was in a segment that has a row in it, so the rows that a gap meets
    /// have at least the queues of what is missing.
    fn queues_in(&self, segment: SegmentId, gap: Gap) -> Option<Vec<QueueId>> {
        let cold = self.journal.cold_rows();
        let only = match segment {
            // Numbers between the lowest and the highest of a frame are nowhere else.
            SegmentId::Cold(id) if gap.offset > 0 => cold.get(&id),
            SegmentId::Cold(_) | SegmentId::Main(_) => None,
        };
        let meets = |row: &&SegmentRow| row.first <= gap.last && row.last >= gap.first;
        let rows: Vec<&SegmentRow> = match only {
            Some(row) => vec![row],
            None => self
                .known
                .rows
                .values()
                .chain(cold.values())
                .filter(meets)
                .collect(),
        };
        if self.lives_outside(&rows, gap) {
            return None;
        }
        let mut queues = RoaringTreemap::new();
        rows.iter().for_each(|row| queues |= &*row.queues);
        Some(queues.iter().map(QueueId).collect())
    }

    /// Whether something lives in a gap that none of these rows has.
    fn lives_outside(&self, rows: &[&SegmentRow], gap: Gap) -> bool {
        let mut spans: Vec<(u64, u64)> = rows.iter().map(|row| (row.first, row.last)).collect();
        spans.sort_unstable();
        let mut next = gap.first;
        for (first, last) in spans {
            if first > next && self.journal.count_live(next, first.min(gap.last + 1) - 1) > 0 {
                return true;
            }
            next = next.max(last + 1);
        }
        next <= gap.last && self.journal.count_live(next, gap.last) > 0
    }

    pub(super) fn hole(
        &self,
        segment: SegmentId,
        gap: Gap,
        what: &str,
        queues: Option<Vec<QueueId>>,
    ) -> Option<Hole> {
        let path = self.dir.path_of(segment).display().to_string();
        let hole = Hole {
            path,
            what: format!("{what} (offset {})", gap.offset),
            first: Lsn::new(self.shard, gap.first)?,
            last: Lsn::new(self.shard, gap.last)?,
            queues,
        };
        tracing::error!(
            file = hole.path,
            first = %hole.first,
            last = %hole.last,
            what = hole.what,
            "records of the log cannot be read"
        );
        Some(hole)
    }
}
