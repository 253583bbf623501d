//! What cannot be read, and whom it concerns.

use crate::core::log::store::Hole;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

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
    /// Notes what the first pass could not read, if the checkpoint has not absorbed it.
    pub(super) fn gap(&mut self, segment: u64, gap: Gap, what: &str) {
        let first = gap.first.max(self.known.at.log + 1);
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
        let rows = self.known.rows.iter();
        let mut rows = rows.filter(|(_, row)| row.first <= gap.last && row.last >= first);
        let segment = rows.next().map(|(id, _)| *id);
        self.lost_at(
            SegmentId::Main(segment.unwrap_or(0)),
            gap,
            "a segment is missing",
        );
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
        let queues = self.queues_in(gap);
        let hole = self.hole(segment, gap, what, queues);
        self.scanned.holes.extend(hole);
    }

    /// Queues that the records of a gap may name, as the checkpoint's rows of their segments have it.
    pub(super) fn queues_in(&self, gap: Gap) -> Option<Vec<QueueId>> {
        let mut queues = Vec::new();
        let mut next = gap.first;
        for row in self.known.rows.values() {
            if row.first <= next && row.last >= next {
                queues.extend(row.queues.iter().map(QueueId));
                next = row.last + 1;
            }
        }
        queues.sort_unstable();
        queues.dedup();
        (next > gap.last).then_some(queues)
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
