//! Acknowledgements of a round, grouped by queue and outcome: one settle in core for each run.

use std::sync::Arc;

use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;
use crate::protocols::amqp091::link::DOOR;

/// Most queues of a group, so that a search is a glance.
const GROUPS_MAX: usize = 16;

/// Leases that an idle connection keeps room for: 4 KiB.
const SPARE_MAX: usize = 256;

/// Leases to be settled, all with one outcome.
#[derive(Default)]
pub(super) struct Settles {
    outcome: Option<Outcome>,
    groups: Vec<(Arc<Queue>, Vec<LeaseRef>)>,
    /// Kept for its memory.
    spare: Vec<LeaseRef>,
}

impl Settles {
    /// Adds a lease. Another outcome than the last one's is settled behind it.
    pub(super) fn add(
        &mut self,
        core: &Core,
        queue: &Arc<Queue>,
        lease: LeaseRef,
        outcome: Outcome,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        let other = self.outcome.is_some_and(|last| last != outcome);
        if other || self.groups.len() >= GROUPS_MAX {
            self.flush(core, now)?;
        }
        self.outcome = Some(outcome);
        match self.groups.iter_mut().find(|(q, _)| q.id() == queue.id()) {
            Some((_, leases)) => leases.push(lease),
            None => {
                let mut leases = std::mem::take(&mut self.spare);
                leases.push(lease);
                self.groups.push((Arc::clone(queue), leases));
            }
        }
        Ok(())
    }

    /// Settles them.
    pub(super) fn flush(&mut self, core: &Core, now: CoreTime) -> Result<(), CoreError> {
        let Some(outcome) = self.outcome.take() else {
            return Ok(());
        };
        for (queue, mut leases) in self.groups.drain(..) {
            let settled = core.settle(&queue, &leases, outcome, now)?.settled as u64;
            match outcome {
                Outcome::Accept => core.metrics().acknowledged.of(DOOR).inc_by(settled),
                Outcome::Release { .. } => core.metrics().released.of(DOOR).inc_by(settled),
                Outcome::Reject | Outcome::Extend(_) => 0,
            };
            if leases.capacity() <= SPARE_MAX {
                leases.clear();
                self.spare = leases;
            }
        }
        Ok(())
    }
}
