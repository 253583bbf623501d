//! Dead letters: a move from a queue to wherever its policy says (SEMANTICS §8).
//!
//! One record settles the source and makes the targets. While an entry moves, its queue's mover holds
//! it: nobody else can take it, and if a target refuses it stays and is tried again.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use crate::core::Core;
use crate::core::catalog;
use crate::core::death::closes_a_cycle;
use crate::core::death::current_key;
use crate::core::death::died;
use crate::core::error::CoreError;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MoreEntryFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::Extra;
use crate::core::queue::settings::DeadLetterTarget;
use crate::core::queue::settings::Overflow;
use crate::core::queue::state::QueueState;
use crate::core::record_of::body_chunks;
use crate::core::record_of::chunks_of;
use crate::core::record_of::message_fields;
use crate::core::telemetry_of::dead_letter_cause;
use crate::core::topology::Route;
use crate::telemetry::DropReason;

/// Dead letters to be moved, with the queue that each is in.
pub(in crate::core) type Work = VecDeque<(Arc<Queue>, Doomed)>;

/// Moves in a row without a delivery to a consumer: more is a circle that nobody reads.
const MAX_HOPS: u8 = 16;

/// How long a dead letter that its target refused stays with the mover.
const RETRY_MS: u64 = 1000;

/// A dead letter and where it goes.
struct Burial<'a> {
    message: &'a Message,
    overlay: Arc<Overlay>,
    cause: Cause,
    route: Route,
    /// The entry that it leaves; none for a message that its queue never let in.
    source: Option<(&'a Arc<Queue>, &'a Doomed)>,
}

/// What became of a burial.
enum Buried {
    Moved,
    /// A target refused it.
    Refused,
}

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
        let mut effects = Effects::default();
        match resting {
            Err(reason) => {
                queue
                    .lock()
                    .lay_down(doomed.seq, doomed.cause.settle_kind(), &mut effects);
                self.inner.metrics.dropped.of(reason).inc();
            }
            Ok((route, overlay)) => {
                let (message, cause) = (doomed.message.clone(), doomed.cause);
                let burial = Burial {
                    message: &message,
                    overlay,
                    cause,
                    route,
                    source: Some((queue, &doomed)),
                };
                let buried = match self.inter(&burial, now, work) {
                    // The disk is full: the mover waits, as it does for a full queue.
                    Err(CoreError::Full | CoreError::Busy) => Buried::Refused,
                    buried => buried?,
                };
                if let Buried::Refused = buried {
                    queue
                        .lock()
                        .strand(vec![doomed], now + RETRY_MS, &mut effects);
                }
            }
        }
        self.carry_out_into(queue, effects, now, work)?;
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

    /// Makes the entries in the targets and takes the source out, in one record.
    fn inter(
        &self,
        burial: &Burial<'_>,
        now: CoreTime,
        work: &mut Work,
    ) -> Result<Buried, CoreError> {
        let targets = burial.route.queues();
        let mut locked: SmallVec<[&Arc<Queue>; 4]> = targets.iter().collect();
        locked.extend(burial.source.map(|(queue, _)| queue));
        locked.sort_by_key(|queue| queue.id());
        locked.dedup_by_key(|queue| queue.id());
        let mut guards: SmallVec<[(&Arc<Queue>, MutexGuard<'_, QueueState>); 4]> = locked
            .into_iter()
            .map(|queue| (queue, queue.lock()))
            .collect();
        let is_target = |queue: &Queue| targets.iter().any(|target| target.id() == queue.id());
        let bytes = burial.message.body_len() as u64;
        for (queue, state) in &guards {
            let source_gone = burial
                .source
                .is_some_and(|(source, _)| source.id() == queue.id())
                && state.is_deleted();
            if source_gone {
                // The queue was deleted meanwhile, with everything in it.
                return Ok(Buried::Moved);
            }
            let refuses =
                state.settings().overflow != Overflow::DropOldest && !state.has_room(0, 0, bytes);
            if is_target(queue) && !state.is_deleted() && refuses {
                return Ok(Buried::Refused);
            }
        }
        let entries: Vec<(EntryFields, bool)> = guards
            .iter()
            .filter(|(queue, state)| is_target(queue) && !state.is_deleted())
            .map(|(queue, state)| self.entry_for(queue, state, burial, now))
            .collect();
        let lsn = self.log_burial(burial, &entries, now)?;
        let mut all_effects: SmallVec<[(Arc<Queue>, Effects); 4]> = SmallVec::new();
        for (queue, state) in &mut guards {
            let mut effects = Effects::default();
            if let Some((_, doomed)) = burial
                .source
                .filter(|(source, _)| source.id() == queue.id())
            {
                state.moved(doomed.seq);
            }
            if let Some((fields, durable)) = entries
                .iter()
                .find(|(fields, _)| fields.queue == queue.id())
            {
                let expiry_ms = fields.expiry.map_or(0, CoreTime::as_ms);
                let entry = Entry::new(burial.message.clone(), lsn.filter(|_| *durable), expiry_ms);
                let extra = Extra {
                    overlay: Some(Arc::clone(&burial.overlay)),
                    first_received: None,
                };
                state.push(entry, extra, fields.not_before, now);
            }
            state.after_push(now, &mut effects);
            all_effects.push((Arc::clone(queue), effects));
        }
        drop(guards);
        self.inner
            .metrics
            .dead_lettered
            .of(dead_letter_cause(burial.cause))
            .inc();
        for (queue, effects) in all_effects {
            self.carry_out_into(&queue, effects, now, work)?;
        }
        Ok(Buried::Moved)
    }

    fn entry_for(
        &self,
        queue: &Queue,
        state: &QueueState,
        burial: &Burial<'_>,
        now: CoreTime,
    ) -> (EntryFields, bool) {
        let settings = state.settings();
        let in_log = match burial.source {
            Some((_, doomed)) => doomed.reference.is_some(),
            None => burial.message.is_durable() || settings.force_durable,
        };
        let durable = settings.durable && in_log;
        let expiry_ms = state.expiry_of(burial.message, burial.overlay.without_expiration, now);
        let fields = EntryFields {
            queue: queue.id(),
            expiry: (expiry_ms != 0).then(|| CoreTime::from_ms(expiry_ms)),
            not_before: (settings.delay_ms != 0).then(|| now + settings.delay_ms),
            priority: 0,
            more: Some(Box::new(MoreEntryFields {
                overlay: catalog::json(&*burial.overlay),
                ..MoreEntryFields::default()
            })),
        };
        (fields, durable)
    }

    fn log_burial(
        &self,
        burial: &Burial<'_>,
        entries: &[(EntryFields, bool)],
        now: CoreTime,
    ) -> Result<Option<Lsn>, CoreError> {
        let durable: Vec<EntryFields> = entries
            .iter()
            .filter(|(_, durable)| *durable)
            .map(|(fields, _)| fields.clone())
            .collect();
        let shard = match burial.source {
            Some((queue, _)) => queue.shard(),
            None => burial
                .route
                .queues()
                .first()
                .map(|queue| queue.shard())
                .unwrap_or_default(),
        };
        if let Some((queue, doomed)) = burial.source {
            let Some(entry) = doomed.reference else {
                burial.message.set_transient_id(0);
                return Ok(None);
            };
            let cause = burial.cause.settle_kind();
            let record = Record::Move(Move {
                source: queue.id(),
                entry,
                cause,
                targets: Cow::Owned(durable),
            });
            return Ok(Some(self.inner.store.append(
                shard,
                now,
                true,
                &mut std::iter::once(record),
            )?));
        }
        if durable.is_empty() {
            burial.message.set_transient_id(self.next_transient());
            return Ok(None);
        }
        let references = u32::try_from(durable.len()).unwrap_or(u32::MAX);
        let parts: Vec<&[u8]> = if chunks_of(burial.message) == 0 {
            burial.message.body().collect()
        } else {
            Vec::new()
        };
        let publish = Publish {
            message: message_fields(burial.message, &parts),
            entries: Cow::Owned(durable),
            elidable: true,
        };
        let chunks = body_chunks(burial.message).map(|bytes| Record::Chunk { references, bytes });
        let mut records = chunks.chain(std::iter::once(Record::Publish(publish)));
        let first = self.inner.store.append(shard, now, true, &mut records)?;
        let lsn = first.plus(u64::from(chunks_of(burial.message)));
        burial.message.set_lsn(lsn);
        Ok(Some(lsn))
    }
}

impl QueueState {
    /// The mover gives an entry up: it is dropped.
    fn lay_down(&mut self, seq: u64, kind: SettleKind, effects: &mut Effects) {
        let reference: Option<EntryRef> = self.reference_of(seq);
        effects.settled.extend(reference.map(|entry| (kind, entry)));
        self.moved(seq);
    }
}
