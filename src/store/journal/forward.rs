//! What may be copied forward: which records of which segment live, and when what was copied is no longer needed.

use super::Journal;

/// A segment of the main chain, as far as it matters to who copies forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Its id.
    pub(crate) id: u64,
    /// Number of its first record.
    pub(crate) first: u64,
    /// Number of its last record.
    pub(crate) last: u64,
    /// Number of its records that live.
    pub(crate) live: u64,
    /// Whether what lives of it was copied.
    pub(crate) is_copied: bool,
}

/// A moment: what lives no more by then may still have to be known until that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The last record that was appended.
    upto: u64,
    /// The snapshot that has to be absorbed, for references that ended without a record.
    snapshot: u64,
}

impl Journal {
    /// The segments with records, oldest first.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.ledger.spans().collect()
    }

    /// What lives of a segment is in the cold chain for good: nothing of it holds the segment any more.
    pub(crate) fn copied(&mut self, segment: u64) {
        self.ledger.copied(segment);
    }

    /// Now.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            upto: self.last(),
            snapshot: self.ledger.ended_cold(),
        }
    }

    /// Whether no start can find anything alive that was dead at that moment.
    pub(crate) fn is_sure(&self, moment: Moment) -> bool {
        moment.upto <= self.durable && moment.snapshot <= self.ledger.absorbed_snapshot()
    }
}
