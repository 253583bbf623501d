//! What is told of the cold segments that are written: which queues their records name.

use std::collections::BTreeMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::store::journal::Journal;
use crate::store::journal::SegmentRow;

/// Cold segments with frames that the journal has not been told of.
#[derive(Default)]
pub(super) struct Rows(BTreeMap<u64, SegmentRow>);

impl Rows {
    /// A frame was written to a segment: records between two numbers, which name these queues.
    pub(super) fn add(&mut self, segment: u64, first: u64, last: u64, queues: &RoaringTreemap) {
        let row = self.0.entry(segment).or_insert_with(|| SegmentRow {
            first,
            last,
            queues: Arc::default(),
        });
        row.first = row.first.min(first);
        row.last = row.last.max(last);
        *Arc::make_mut(&mut row.queues) |= queues;
    }

    /// Tells what was written, which is on disk. What is written to `active` later comes on top.
    pub(super) fn tell(&mut self, active: Option<u64>, journal: &mut Journal) {
        for (segment, row) in &self.0 {
            journal.know_cold(*segment, row.clone());
        }
        self.0.retain(|segment, _| Some(*segment) == active);
    }
}
