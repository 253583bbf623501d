//! Which segment holds which records, and what holds a segment.
//!
//! A segment may be recycled when nothing in it is needed: no reference is left, and every record that
//! released one is durable; a checkpoint absorbed its catalog records; and every segment that its
//! settles, moves, grants and counters are about is gone, since replay needs them as long as it meets
//! what they are about.

use std::collections::VecDeque;

use super::Batch;

/// The segments with records, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    segments: VecDeque<Segment>,
    /// A checkpoint has the catalog up to this number.
    absorbed: u64,
    /// Whether something changed since the last look for a free segment.
    changed: bool,
    /// Lowest number that has to become durable before another look may help.
    waits_for: Option<u64>,
}

#[derive(Debug)]
struct Segment {
    id: u64,
    first: u64,
    last: u64,
    references: u64,
    /// The last record that released something here.
    released_by: u64,
    last_catalog: u64,
    /// Sorted ids.
    about: Vec<u64>,
}

impl Ledger {
    /// A batch is about to be written to `segment`.
    pub(super) fn place(&mut self, segment: u64, batch: &Batch) {
        self.extend(segment, batch.first(), batch.last());
        let earlier = self
            .segments
            .partition_point(|segment| segment.last < batch.about_pending);
        let about_pending: Vec<u64> = self.segments.range(earlier..).map(|s| s.id).collect();
        if let Some(newest) = self.segments.back_mut() {
            newest.references += batch.references();
            newest.last_catalog = newest.last_catalog.max(batch.last_catalog);
            for id in batch.about.iter().chain(&about_pending) {
                insert(&mut newest.about, *id);
            }
        }
    }

    /// A record was read from `segment`.
    pub(super) fn replay(&mut self, segment: u64, number: u64) {
        self.extend(segment, number, number);
    }

    /// What was read last is about these segments.
    pub(super) fn about_replayed(&mut self, about: &mut Vec<u64>) {
        if let Some(newest) = self.segments.back_mut() {
            for id in about.drain(..) {
                insert(&mut newest.about, id);
            }
        }
    }

    fn extend(&mut self, segment: u64, first: u64, last: u64) {
        match self.segments.back_mut() {
            Some(newest) if newest.id == segment => newest.last = last,
            _ => {
                self.segments.push_back(Segment {
                    id: segment,
                    first,
                    last,
                    references: 0,
                    released_by: 0,
                    last_catalog: 0,
                    about: Vec::new(),
                });
                self.changed = true;
            }
        }
    }

    /// The newest segment has catalog record `number`.
    pub(super) fn catalog(&mut self, number: u64) {
        if let Some(newest) = self.segments.back_mut() {
            newest.last_catalog = newest.last_catalog.max(number);
        }
    }

    /// Whether a segment has this record.
    pub(super) fn has(&self, number: u64) -> bool {
        self.find(number).is_some()
    }

    /// Adds references to a record.
    pub(super) fn retain(&mut self, number: u64, references: u64) {
        if let Some(segment) = self.find_mut(number) {
            segment.references += references;
        }
    }

    /// Takes references from a record, because of record `by`. A record that is gone has none.
    pub(super) fn release(&mut self, number: u64, references: u64, by: u64) {
        let Some(segment) = self.find_mut(number) else {
            return;
        };
        segment.references = segment.references.saturating_sub(references);
        segment.released_by = segment.released_by.max(by);
        if segment.references == 0 {
            self.changed = true;
        }
    }

    /// A checkpoint has the catalog up to `number`.
    pub(super) fn absorbed(&mut self, number: u64) {
        self.absorbed = self.absorbed.max(number);
        self.changed = true;
    }

    /// Adds the segment of a record to `about`.
    pub(super) fn add_segment_of(&self, number: u64, about: &mut Vec<u64>) {
        if let Some(segment) = self.find(number).and_then(|at| self.segments.get(at)) {
            insert(about, segment.id);
        }
    }

    /// Adds every segment with a record up to `number` to `about`.
    pub(super) fn all_upto(&self, number: u64, about: &mut Vec<u64>) {
        for segment in self.segments.iter().filter(|s| s.first <= number) {
            insert(about, segment.id);
        }
    }

    /// Whether [`Self::recyclable`] may find something.
    pub(super) fn may_recycle(&self, durable: u64) -> bool {
        self.changed || self.waits_for.is_some_and(|number| number <= durable)
    }

    /// Forgets a segment that nothing holds, and names it. The newest is never one.
    pub(super) fn recyclable(&mut self, durable: u64) -> Option<u64> {
        if !self.may_recycle(durable) {
            return None;
        }
        self.waits_for = None;
        for at in 0..self.segments.len().saturating_sub(1) {
            let Some(segment) = self.segments.get(at).filter(|s| self.is_free(s)) else {
                continue;
            };
            if segment.released_by > durable {
                let lowest = self.waits_for.unwrap_or(u64::MAX);
                self.waits_for = Some(lowest.min(segment.released_by));
                continue;
            }
            // Others may be free now that this one is gone.
            self.changed = true;
            return self.segments.remove(at).map(|segment| segment.id);
        }
        self.changed = false;
        None
    }

    fn is_free(&self, segment: &Segment) -> bool {
        segment.references == 0
            && segment.last_catalog <= self.absorbed
            && !segment
                .about
                .iter()
                .any(|id| *id != segment.id && self.has_segment(*id))
    }

    fn has_segment(&self, id: u64) -> bool {
        self.segments.binary_search_by_key(&id, |s| s.id).is_ok()
    }

    /// Number of segments with records.
    pub(super) fn segments(&self) -> u64 {
        u64::try_from(self.segments.len()).unwrap_or(u64::MAX)
    }

    /// References that hold a segment.
    pub(super) fn references(&self) -> u64 {
        self.segments.iter().map(|segment| segment.references).sum()
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

/// Adds `id` to sorted ids.
fn insert(ids: &mut Vec<u64>, id: u64) {
    if let Err(at) = ids.binary_search(&id) {
        ids.insert(at, id);
    }
}
