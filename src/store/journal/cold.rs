//! What a checkpoint keeps of the cold chain: which queues the records of its segments name.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Journal;
use super::SegmentRow;

/// The segments of the cold chain with what was copied to them for good.
#[derive(Debug, Default)]
pub(super) struct ColdRows {
    rows: BTreeMap<u64, SegmentRow>,
    /// Those that changed or went since [`ColdRows::take_changes`].
    changed: BTreeSet<u64>,
}

impl ColdRows {
    /// Takes over what a checkpoint holds.
    pub(super) fn load(&mut self, saved: BTreeMap<u64, Option<SegmentRow>>) {
        let there = saved.into_iter().filter_map(|(id, row)| Some((id, row?)));
        self.rows.extend(there);
    }

    /// What changed since the last call; none is a segment that went.
    pub(super) fn take_changes(&mut self) -> BTreeMap<u64, Option<SegmentRow>> {
        let changed = std::mem::take(&mut self.changed);
        let row = |id| (id, self.rows.get(&id).cloned());
        changed.into_iter().map(row).collect()
    }
}

impl Journal {
    /// What was copied to a cold segment so far, for good. To be said before the sources are let go of: a checkpoint that
    /// has forgotten a source then knows where its records are.
    pub(crate) fn know_cold(&mut self, id: u64, row: SegmentRow) {
        self.cold.rows.insert(id, row);
        self.cold.changed.insert(id);
    }

    /// A cold segment is gone.
    pub(crate) fn forget_cold(&mut self, id: u64) {
        if self.cold.rows.remove(&id).is_some() {
            self.cold.changed.insert(id);
        }
    }

    /// What is known of the cold segments.
    pub(crate) fn cold_rows(&self) -> &BTreeMap<u64, SegmentRow> {
        &self.cold.rows
    }
}
