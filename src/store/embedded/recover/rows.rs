//! The checkpoint's rows, held against the segments that there are: a crash may have come between.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::format;
use crate::store::format::Version;
use crate::store::journal::SegmentRow;

use super::super::places::ColdFrame;
use super::Recovery;

/// What was told of cold segments that have no row yet.
pub(super) type FreshRows = BTreeMap<u64, SegmentRow>;

impl Recovery<'_> {
    /// Notes which queues a copy names that lives, if the checkpoint does not know its segment.
    pub(super) fn note_copy(&mut self, frame: &ColdFrame, version: Version, record: &[u8]) {
        if self.journal.cold_rows().contains_key(&frame.segment) {
            return;
        }
        let Ok(fact) = format::fact_of(version, record) else {
            return;
        };
        let fresh = self.fresh.entry(frame.segment);
        let row = fresh.or_insert_with(|| SegmentRow {
            first: frame.first,
            last: frame.last,
            queues: Arc::default(),
        });
        row.first = row.first.min(frame.first);
        row.last = row.last.max(frame.last);
        let queues = Arc::make_mut(&mut row.queues);
        // Telling it says what is wrong, if it cannot be read.
        let _ = fact.queues(|queue| {
            queues.insert(queue.0);
        });
    }

    /// Every record that lives was found: rows of segments that are gone mean nothing any more, and every cold segment
    /// gets one. Otherwise all of them stay, for they say whom what is missing concerns.
    pub(super) fn tidy_rows(&mut self) {
        let main: BTreeSet<u64> = self.journal.spans().iter().map(|span| span.id).collect();
        let gone = self.known.rows.keys().filter(|id| !main.contains(id));
        for id in gone {
            self.journal.forget_row(*id);
        }
        let frames = self.places.cold();
        let cold: BTreeSet<u64> = frames.iter().map(|frame| frame.segment).collect();
        let rows = self.journal.cold_rows().keys();
        let gone: Vec<u64> = rows.filter(|id| !cold.contains(id)).copied().collect();
        for id in gone {
            self.journal.forget_cold(id);
        }
        for (id, row) in std::mem::take(&mut self.fresh) {
            self.journal.know_cold(id, row);
        }
    }
}
