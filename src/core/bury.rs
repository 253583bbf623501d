//! Dead letters: a move from a queue to wherever its policy says (SEMANTICS §8).
//!
//! One record settles the source and makes the targets. While an entry moves, its queue's mover holds
//! it: nobody else can take it, and if a target refuses it stays and is tried again.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::Core;
use crate::core::death::closes_a_cycle;
use crate::core::death::current_key;
use crate::core::death::died;
use crate::core::error::CoreError;
use crate::core::inter::Burial;
use crate::core::inter::Buried;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Doomed;
use crate::core::queue::settings::DeadLetterTarget;
use crate::core::topology::Route;
use crate::telemetry::DropReason;

/// Dead letters to be moved, with the queue that each is in.
pub(in crate::core) type Work = VecDeque<(Arc<Queue>, Doomed)>;

/// Moves in a row without a delivery to a consumer: more is a circle that nobody reads.
const MAX_HOPS: u8 = 16;

/// How long a dead letter that its target refused stays with the mover.
const RETRY_MS: u64 = 1000;

impl Core {
    /// Moves dead letters until none is left; each may push another out of its target.
    pub(in crate::core) fn bury_all(&self, mut work: Work, now: CoreTime) -> Result<(), CoreError> {
        while let Some((queue, doomed)) = work.pop_front() {
            self.bury(&queue, doomed, now, &mut work)?;
        }
        Ok(())
    }

    fn bury(
        &self,
        queue: &Arc<Queue>,
        doomed: Doomed,
        now: CoreTime,
        work: &mut Work,
    ) -> Result<(), CoreError> {
        let target = queue.settings().dead_letter.get(&doomed.cause).cloned();
        let hops = doomed
            .overlay
            .as_ref()
            .filter(|_| !doomed.was_delivered)
            .map_or(0, |overlay| overlay.hops);
        let resting = match target {
            Some(_) if hops >= MAX_HOPS => Err(DropReason::DeadLetterCycle),
            Some(target) => self.resting_place(queue, &doomed, &target, hops, now),
            None => Err(DropReason::DeadLetterUnroutable),
        };
        let (route, overlay) = match resting {
            Ok(found) => found,
            Err(reason) => {
                self.inner.metrics.dropped.of(reason).inc();
                let kind = doomed.cause.settle_kind();
                self.on_queue_into(queue, now, work, |state, effects| {
                    state.lay_down(doomed.seq, kind, effects);
                })?;
                return Ok(());
            }
        };
        // The log does not have it: a target that demands durability gets a message of its own.
        let copy = match doomed.reference {
            Some(_) => None,
            None => doomed.message.copy_alone(&self.inner.budget),
        };
        let burial = Burial {
            message: copy.as_ref().unwrap_or(&doomed.message),
            overlay,
            cause: doomed.cause,
            route,
            source: Some((queue, &doomed)),
        };
        if let Buried::Refused = self.inter(&burial, now, work)? {
            drop(burial);
            self.on_queue_into(queue, now, work, |state, effects| {
                state.strand(doomed, now, now + RETRY_MS, effects);
            })?;
        }
        Ok(())
    }

    /// A message that `queue` refused goes to its dead letters, though it was never in it.
    pub(in crate::core) fn bury_refused(
        &self,
        queue: &Arc<Queue>,
        message: &Message,
        cause: Cause,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        let Some(target) = queue.settings().dead_letter.get(&cause).cloned() else {
            self.count_drop(cause.settle_kind(), 1);
            return Ok(());
        };
        let Some(message) = message.copy_alone(&self.inner.budget) else {
            return Ok(());
        };
        let doomed = Doomed {
            seq: 0,
            cause,
            message: message.clone(),
            overlay: None,
            reference: None,
            was_delivered: false,
        };
        let mut work = Work::new();
        match self.resting_place(queue, &doomed, &target, 0, now) {
            Err(reason) => {
                self.inner.metrics.dropped.of(reason).inc();
            }
            Ok((route, overlay)) => {
                let burial = Burial {
                    message: &message,
                    overlay,
                    cause,
                    route,
                    source: None,
                };
                if let Buried::Refused = self.inter(&burial, now, &mut work)? {
                    self.count_drop(cause.settle_kind(), 1);
                }
            }
        }
        self.bury_all(work, now)
    }

    /// Where a dead letter goes, and what its entry there says about it.
    fn resting_place(
        &self,
        queue: &Queue,
        doomed: &Doomed,
        target: &DeadLetterTarget,
        hops: u8,
        now: CoreTime,
    ) -> Result<(Route, Arc<Overlay>), DropReason> {
        let vhost = self
            .vhost(queue.vhost().as_str())
            .map_err(|_| DropReason::DeadLetterUnroutable)?;
        let mut overlay = died(queue, doomed, now);
        overlay.hops = hops + 1;
        let route = match target {
            DeadLetterTarget::Queue(name) => vhost.queue(name).map(|queue| Route::to_queue(&queue)),
            DeadLetterTarget::Exchange {
                exchange,
                routing_key,
            } => {
                let key = routing_key
                    .clone()
                    .unwrap_or_else(|| current_key(doomed).to_vec());
                let route = vhost.route(exchange.as_str(), &key, &mut || {
                    self.inner.formats.properties(&doomed.message)
                });
                overlay.routed = Some((exchange.clone(), key));
                route
            }
        };
        let route = route.map_err(|_| DropReason::DeadLetterUnroutable)?;
        let (open, circular): (Vec<_>, Vec<_>) = route
            .queues()
            .iter()
            .cloned()
            .partition(|target| !closes_a_cycle(target, &overlay));
        match (open.is_empty(), circular.is_empty()) {
            (true, true) => Err(DropReason::DeadLetterUnroutable),
            (true, false) => Err(DropReason::DeadLetterCycle),
            (false, true) => Ok((route, Arc::new(overlay))),
            (false, false) => Ok((Route::to_queues(open), Arc::new(overlay))),
        }
    }
}
