//! What a scrub finds, and whom it concerns.

use std::ops::RangeInclusive;

use roaring::RoaringTreemap;

use crate::core::model::ids::QueueId;

use crate::store::embedded::survey::Damage;
use crate::store::embedded::survey::Tally;
use crate::store::journal::SegmentRow;

use super::Shared;

/// Something damaged on a running broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What, for people.
    pub(super) damage: Damage,
    /// Queues that have lost something by it, or may have; empty: nothing that lives was in it; none: any queue.
    pub(super) queues: Option<Vec<QueueId>>,
}

impl Finding {
    /// Damage that costs nobody anything: what was there is somewhere else as well.
    pub(super) fn harmless(damage: Damage) -> Self {
        Self {
            damage,
            queues: Some(Vec::new()),
        }
    }

    /// Damage of records in a segment with this row. Who names queues there is concerned, if a record of them lives.
    pub(super) fn of_records(
        shared: &Shared,
        damage: Damage,
        numbers: RangeInclusive<u64>,
        row: Option<SegmentRow>,
    ) -> Self {
        let (first, last) = numbers.into_inner();
        let lives = shared.log.lock().journal.count_live(first, last) > 0;
        let queues = match (lives, row) {
            (false, _) => Some(RoaringTreemap::new()),
            (true, row) => row.map(|row| (*row.queues).clone()),
        };
        Self::concerning(shared, damage, queues)
    }

    /// Damage that concerns these queues; none: any.
    pub(super) fn concerning(
        shared: &Shared,
        mut damage: Damage,
        queues: Option<RoaringTreemap>,
    ) -> Self {
        let queues: Option<Vec<QueueId>> =
            queues.map(|queues| queues.iter().map(QueueId).collect());
        damage.queues = match &queues {
            Some(queues) if !queues.is_empty() => Some(names(shared, queues)),
            Some(_) => Some(Vec::new()),
            None => None,
        };
        Self { damage, queues }
    }
}

/// Names of queues, as the newest checkpoint has them: those that were declared since are numbers.
fn names(shared: &Shared, queues: &[QueueId]) -> Vec<String> {
    let mut tally = Tally::default();
    let mut checkpoints = shared.checkpoints.lock();
    let read = checkpoints.catalog(&mut |key, value| tally.catalog_value(key, Some(value)));
    drop(checkpoints);
    if let Err(error) = read {
        tracing::warn!(%error, "queues are named by their numbers");
    }
    queues.iter().map(|queue| tally.name(*queue)).collect()
}
