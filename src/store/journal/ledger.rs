//! Which segment holds which records, and what holds a segment.
//!
//! A segment is free when nothing in it lives, what released the last record is durable, and both generations of the
//! checkpoint have absorbed the rest: what its settles, moves, grants and counters say, its catalog records, and
//! references that ended without a record. Without the last rule an older checkpoint, which a start may have to go
//! back to, would still believe in a record that is nowhere any more.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use roaring::RoaringTreemap;

use super::Batch;
use super::forward::Span;
use super::live::LiveSet;

/// The segments with records, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    segments: VecDeque<Segment>,
    absorbed: Coverage,
    /// Segments that begin up to this number stay, whatever is in them; 0 = none has to.
    held: u64,
    /// The snapshot that has to be absorbed, for references that ended without a record to what was copied forward.
    ended_cold: u64,
    /// Whether something changed since the last look for a free segment.
    changed: bool,
    /// Lowest number that has to become durable before another look may help.
    waits_for: Option<u64>,
    /// Segments that changed or went since [`Ledger::take_changes`].
    changed_rows: BTreeMap<u64, Option<()>>,
}

/// What a checkpoint has absorbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// Everything up to this number but the catalog.
    pub(crate) log: u64,
    /// The catalog up to this number.
    pub(crate) catalog: u64,
    /// References that ended without a record before this snapshot was made.
    pub(crate) snapshot: u64,
}

/// What a checkpoint keeps of a segment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SegmentRow {
    /// Number of its first record.
    pub(crate) first: u64,
    /// Number of its last record so far.
    pub(crate) last: u64,
    /// Queues that its records name so far.
    pub(crate) queues: Arc<RoaringTreemap>,
}

#[derive(Debug)]
struct Segment {
    id: u64,
    first: u64,
    last: u64,
    /// Records that live.
    live: u64,
    /// The last record that released something here.
    released_by: u64,
    last_catalog: u64,
    /// The last record that a checkpoint has to absorb.
    last_absorbable: u64,
    /// The snapshot that has to be absorbed, for references that ended without a record.
    ended_before: u64,
    /// What lives of it is in the cold chain.
    is_copied: bool,
    queues: Arc<RoaringTreemap>,
}

impl Segment {
    /// Whether nothing that lives is in it alone.
    fn is_free(&self) -> bool {
        self.live == 0 || self.is_copied
    }
}

impl Coverage {
    /// What both have absorbed.
    pub(crate) fn least(self, other: Self) -> Self {
        Self {
            log: self.log.min(other.log),
            catalog: self.catalog.min(other.catalog),
            snapshot: self.snapshot.min(other.snapshot),
        }
    }
}

impl Ledger {
    /// A batch, of which so many records live, is about to be written to `segment`.
    pub(super) fn place(&mut self, segment: u64, batch: &mut Batch, live: u64) {
        self.extend(segment, batch.first(), batch.last());
        if let Some(newest) = self.segments.back_mut() {
            newest.live += live;
            newest.released_by = newest.released_by.max(batch.released_by);
            newest.last_catalog = newest.last_catalog.max(batch.last_catalog);
            newest.last_absorbable = newest.last_absorbable.max(batch.last_absorbable);
            newest.ended_before = newest.ended_before.max(batch.ended_before);
            batch.named.move_to(Arc::make_mut(&mut newest.queues));
        }
    }

    /// What the newest segment was read to have: see [`Self::place`]; living records are counted later.
    pub(super) fn replayed(&mut self, batch: &mut Batch) {
        if let Some(newest) = self.segments.back_mut() {
            newest.last_catalog = newest.last_catalog.max(batch.last_catalog);
            newest.last_absorbable = newest.last_absorbable.max(batch.last_absorbable);
            if !batch.named.is_empty() {
                batch.named.move_to(Arc::make_mut(&mut newest.queues));
            }
        }
    }

    /// A segment, which is the newest or a new one, has these records.
    pub(crate) fn extend(&mut self, segment: u64, first: u64, last: u64) {
        match self.segments.back_mut() {
            Some(newest) if newest.id == segment => newest.last = newest.last.max(last),
            _ => {
                self.segments.push_back(Segment {
                    id: segment,
                    first,
                    last,
                    live: 0,
                    released_by: 0,
                    last_catalog: 0,
                    last_absorbable: 0,
                    ended_before: 0,
                    is_copied: false,
                    queues: Arc::default(),
                });
                self.changed = true;
            }
        }
        self.changed_rows.insert(segment, Some(()));
    }

    /// The newest segment stays until both generations have what was found in it up to record `last`, and were written by
    /// this start: the older one may lack what the newer has absorbed.
    pub(super) fn needs_absorbing(&mut self, last: u64) {
        if let Some(newest) = self.segments.back_mut() {
            newest.last_absorbable = newest.last_absorbable.max(last);
            newest.ended_before = 1;
        }
    }

    /// Takes over what a checkpoint knows of the newest segment.
    pub(super) fn load(&mut self, queues: &Arc<RoaringTreemap>) {
        if let Some(newest) = self.segments.back_mut() {
            newest.queues = Arc::clone(queues);
        }
    }

    /// Counts what lives in every segment.
    pub(super) fn count(&mut self, live: &LiveSet) {
        for segment in &mut self.segments {
            segment.live = live.count_in(segment.first..=segment.last);
        }
        self.changed = true;
    }

    /// A record lives no more, because of record `by`.
    pub(super) fn died(&mut self, number: u64, by: u64) {
        let Some(segment) = self.find_mut(number) else {
            return;
        };
        segment.live = segment.live.saturating_sub(1);
        segment.released_by = segment.released_by.max(by);
        if segment.live == 0 {
            self.changed = true;
        }
    }

    /// A reference to a record ended without a record that says so: only what is absorbed with `snapshot` knows of it.
    pub(super) fn ended(&mut self, number: u64, snapshot: u64) {
        match self.find_mut(number) {
            Some(segment) => segment.ended_before = segment.ended_before.max(snapshot),
            None => self.ended_cold = self.ended_cold.max(snapshot),
        }
    }

    /// Both generations of the checkpoint have this.
    pub(super) fn absorbed(&mut self, absorbed: Coverage) {
        self.absorbed = absorbed;
        self.changed = true;
    }

    /// Every segment that there is stays.
    pub(super) fn hold(&mut self) {
        self.held = self.segments.back().map_or(0, |segment| segment.last);
    }

    /// Whether segments stay.
    pub(super) fn is_held(&self) -> bool {
        self.held > 0
    }

    /// A checkpoint has a row of a segment that is gone.
    pub(super) fn forget_row(&mut self, id: u64) {
        self.changed_rows.insert(id, None);
    }

    /// What both generations had last.
    pub(super) fn absorbed_so_far(&self) -> Coverage {
        self.absorbed
    }

    /// Whether [`Self::recyclable`] may find something.
    pub(super) fn may_recycle(&self, durable: u64) -> bool {
        self.changed || self.waits_for.is_some_and(|number| number <= durable)
    }

    /// Whether a snapshot would free a segment.
    pub(super) fn wants_checkpoint(&self) -> bool {
        let but_newest = self.segments.len().saturating_sub(1);
        let dead = self.segments.iter().take(but_newest);
        let is_held = |segment: &Segment| segment.is_free() && !self.is_log_absorbed(segment);
        dead.into_iter().any(is_held) || self.ended_cold > self.absorbed.snapshot
    }

    /// Forgets a segment that nothing holds, and names it. The newest is never one.
    pub(super) fn recyclable(&mut self, durable: u64) -> Option<u64> {
        if !self.may_recycle(durable) {
            return None;
        }
        self.waits_for = None;
        for at in 0..self.segments.len().saturating_sub(1) {
            let Some(segment) = self.segments.get(at) else {
                break;
            };
            if segment.first <= self.held || !segment.is_free() || !self.is_absorbed(segment) {
                continue;
            }
            if segment.released_by > durable {
                let lowest = self.waits_for.unwrap_or(u64::MAX);
                self.waits_for = Some(lowest.min(segment.released_by));
                continue;
            }
            self.changed = true;
            let id = self.segments.remove(at).map(|segment| segment.id)?;
            self.changed_rows.insert(id, None);
            return Some(id);
        }
        self.changed = false;
        None
    }

    fn is_absorbed(&self, segment: &Segment) -> bool {
        segment.last_catalog <= self.absorbed.catalog && self.is_log_absorbed(segment)
    }

    fn is_log_absorbed(&self, segment: &Segment) -> bool {
        // Only a checkpoint says that a copy lives, once its publish is gone.
        let needed = match segment.live {
            0 => segment.last_absorbable,
            _ => segment.last,
        };
        needed <= self.absorbed.log && segment.ended_before <= self.absorbed.snapshot
    }

    /// The segments with records, oldest first.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.segments.iter().map(|segment| Span {
            id: segment.id,
            first: segment.first,
            last: segment.last,
            live: segment.live,
            is_copied: segment.is_copied,
        })
    }

    /// What lives of a segment was copied forward.
    pub(super) fn copied(&mut self, id: u64) {
        if let Ok(at) = self.segments.binary_search_by_key(&id, |s| s.id)
            && let Some(segment) = self.segments.get_mut(at)
        {
            segment.is_copied = true;
            self.changed = true;
        }
    }

    /// The snapshot that has to be absorbed, for references that ended without a record to what was copied forward.
    pub(super) fn ended_cold(&self) -> u64 {
        self.ended_cold
    }

    /// The snapshot that both generations of the checkpoint have.
    pub(super) fn absorbed_snapshot(&self) -> u64 {
        self.absorbed.snapshot
    }

    /// Number of segments with records.
    pub(super) fn segments(&self) -> u64 {
        u64::try_from(self.segments.len()).unwrap_or(u64::MAX)
    }

    /// What changed since the last call, as a checkpoint keeps it; none is a segment that went.
    pub(super) fn take_changes(&mut self) -> BTreeMap<u64, Option<SegmentRow>> {
        let changed = std::mem::take(&mut self.changed_rows);
        changed
            .into_iter()
            .map(|(id, is_there)| (id, is_there.and_then(|()| self.row(id))))
            .collect()
    }

    /// What is known of a segment.
    pub(super) fn row(&self, id: u64) -> Option<SegmentRow> {
        let at = self.segments.binary_search_by_key(&id, |s| s.id).ok()?;
        let segment = self.segments.get(at)?;
        Some(SegmentRow {
            first: segment.first,
            last: segment.last,
            queues: Arc::clone(&segment.queues),
        })
    }

    fn find(&self, number: u64) -> Option<usize> {
        // Most records that are named are young.
        let newest = self.segments.len().checked_sub(1)?;
        let at = match self.segments.get(newest) {
            Some(segment) if segment.first <= number => newest,
            _ => self
                .segments
                .partition_point(|segment| segment.last < number),
        };
        let segment = self.segments.get(at)?;
        (segment.first..=segment.last)
            .contains(&number)
            .then_some(at)
    }

    fn find_mut(&mut self, number: u64) -> Option<&mut Segment> {
        let at = self.find(number)?;
        self.segments.get_mut(at)
    }
}
