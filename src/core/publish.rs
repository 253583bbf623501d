//! Publishing: one push per (route, consecutive messages), under the locks of its queues.
//!
//! Lock order: topology, queues by id, catalog, log. A push assigns sequences, appends to the log and
//! makes ready under the queues' locks, so nothing can be taken that has no LSN yet and a settle's LSN
//! is above its publish's.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;
use smallvec::SmallVec;

use crate::core::Core;
use crate::core::bury::Work;
use crate::core::error::CoreError;
use crate::core::log::record::EntryFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::model::batch::MessageBatch;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;
use crate::core::quarantine::Quarantined;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Extra;
use crate::core::queue::settings::Overflow;
use crate::core::queue::state::QueueState;
use crate::core::record_of::body_chunks;
use crate::core::record_of::chunks_of;
use crate::core::record_of::message_fields;
use crate::core::topology::Route;

/// What became of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The last record: a confirm of the whole push waits for it. None: nothing of it is durable.
    pub lsn: Option<Lsn>,
    /// Indexes into the batch of messages that a queue with a reject policy refused.
    pub refused: SmallVec<[usize; 4]>,
    /// A queue of the route is quarantined: it got nothing of all this.
    pub withheld: Option<Box<Withheld>>,
}

/// Why not every queue of a route was pushed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    /// The first queue that is quarantined.
    pub by: Quarantined,
    /// Whether another queue of the route is not.
    pub is_kept: bool,
}

type Guards<'a> = SmallVec<[MutexGuard<'a, QueueState>; 4]>;

/// Messages of one push that are planned without an allocation: a read of 64 KiB brings no more of 1 KiB.
const USUAL_MESSAGES: usize = 64;

/// One entry to be made.
struct Planned {
    /// Index into the route's queues.
    queue: usize,
    durable: bool,
    expiry: Option<CoreTime>,
    is_retention: bool,
    not_before: Option<CoreTime>,
}

/// The entries to be made for one message.
struct Plan {
    message: Message,
    /// How many of [`Plans::entries`] are its own.
    entries: usize,
    /// Those of [`Plans::fields`] that are its own.
    durable: Range<usize>,
}

/// What a push is going to do.
#[derive(Default)]
struct Plans {
    messages: SmallVec<[Plan; USUAL_MESSAGES]>,
    entries: SmallVec<[Planned; USUAL_MESSAGES]>,
    /// The log's words for the durable ones of them.
    fields: SmallVec<[EntryFields; USUAL_MESSAGES]>,
    /// Messages that a queue refuses, by index into the route's queues.
    too_long: Vec<(usize, Message)>,
}

impl Core {
    /// Pushes messages of a batch to the queues of a route. The caller has answered for messages whose
    /// route is empty.
    ///
    /// # Errors
    /// [`CoreError::Busy`] and [`CoreError::Full`]: nothing was pushed, try again when the watermark or an
    /// alarm moves. [`CoreError::LogFailed`].
    pub fn publish(
        &self,
        batch: &MessageBatch,
        range: Range<usize>,
        route: &Route,
        now: CoreTime,
    ) -> Result<Published, CoreError> {
        let Some(shard) = route.queues().first().map(|queue| queue.shard()) else {
            return Ok(Published::default());
        };
        let mut plans = Plans::default();
        plans.reserve(range.len(), route.queues().len());
        let mut guards: Guards<'_> = route.queues().iter().map(|queue| queue.lock()).collect();
        let mut published = Published::default();
        let admission = Admission::new(&guards);
        if admission.is_withheld {
            published.withheld = self.withhold(route, &guards, range.len());
        }
        plans.fill(
            batch,
            range,
            route,
            (&guards, admission),
            now,
            &mut published,
        );
        let first = self.append_plans(shard, now, &plans)?;
        published.lsn = self.name_messages(first, &plans.messages);
        let entries = plans.entries.len() as u64;
        plans.push_all(&mut guards, now);
        let mut effects: SmallVec<[Effects; 4]> =
            guards.iter().map(|_| Effects::default()).collect();
        let queues = route.queues().iter();
        for ((queue, state), effects) in queues.zip(&mut guards).zip(&mut effects) {
            state.after_push(now, effects);
            self.make_room(queue, state);
            self.log_effects(queue, state, effects, now)?;
        }
        drop(guards);
        self.inner.metrics.pushes.inc();
        self.inner.metrics.push_messages.inc_by(entries);
        self.inner.metrics.routed.inc_by(entries);
        let mut work = Work::new();
        for (queue, effects) in route.queues().iter().zip(effects) {
            self.finish(queue, effects, &mut work);
        }
        self.bury_all(work, now)?;
        self.dead_letter_refused(route.queues(), plans.too_long, now)?;
        self.refresh_memory_alarm();
        Ok(published)
    }

    /// Counts what quarantined queues do not get of a push of so many messages, and says which is the first of them.
    #[cold]
    fn withhold(
        &self,
        route: &Route,
        guards: &Guards<'_>,
        messages: usize,
    ) -> Option<Box<Withheld>> {
        let mut first = None;
        let mut number = 0;
        for (queue, state) in route.queues().iter().zip(guards) {
            if let Some(why) = state.quarantined() {
                number += messages as u64;
                first.get_or_insert_with(|| queue.quarantined(why));
            }
        }
        let before = self.inner.metrics.withheld.inc_by(number);
        let by = first?;
        if before == 0 {
            tracing::warn!(%by, "a publish is withheld; viaduct_messages_withheld_total counts them from here on");
        }
        let is_kept = guards.iter().any(|state| state.is_open());
        Some(Box::new(Withheld { by, is_kept }))
    }

    fn append_plans(
        &self,
        shard: crate::core::model::ids::Shard,
        now: CoreTime,
        plans: &Plans,
    ) -> Result<Option<Lsn>, CoreError> {
        let (plans, fields) = (&plans.messages, &plans.fields);
        if fields.is_empty() {
            return Ok(None);
        }
        let mut parts: SmallVec<[&[u8]; USUAL_MESSAGES]> = SmallVec::new();
        let mut ranges: SmallVec<[Range<usize>; USUAL_MESSAGES]> = SmallVec::new();
        parts.reserve(plans.len());
        ranges.reserve(plans.len());
        for plan in plans {
            let start = parts.len();
            if !plan.durable.is_empty() && chunks_of(&plan.message) == 0 {
                parts.extend(plan.message.body());
            }
            ranges.push(start..parts.len());
        }
        let durable = plans
            .iter()
            .zip(&ranges)
            .filter(|(plan, _)| !plan.durable.is_empty());
        let mut records = durable.flat_map(|(plan, range)| {
            let references = u32::try_from(plan.durable.len()).unwrap_or(u32::MAX);
            let chunks =
                body_chunks(&plan.message).map(move |bytes| Record::Chunk { references, bytes });
            let publish = Publish {
                message: message_fields(
                    &plan.message,
                    parts.get(range.clone()).unwrap_or_default(),
                ),
                entries: Cow::Borrowed(fields.get(plan.durable.clone()).unwrap_or_default()),
                elidable: true,
            };
            chunks.chain(std::iter::once(Record::Publish(publish)))
        });
        Ok(Some(self.inner.store.append(
            shard,
            now,
            false,
            &mut records,
        )?))
    }

    /// Gives every message its id, and says which is the last record of the append.
    fn name_messages(&self, first: Option<Lsn>, plans: &[Plan]) -> Option<Lsn> {
        let mut next = first;
        let mut last = None;
        let transient = plans.iter().filter(|plan| plan.durable.is_empty()).count() as u64;
        let mut serial = match transient {
            0 => 0,
            n => self.inner.transient_serial.fetch_add(n, Ordering::Relaxed),
        };
        for plan in plans {
            match next {
                Some(lsn) if !plan.durable.is_empty() => {
                    let own = lsn.plus(u64::from(chunks_of(&plan.message)));
                    plan.message.set_lsn(own);
                    last = Some(own);
                    next = Some(own.plus(1));
                }
                _ => {
                    serial += 1;
                    plan.message.set_transient_id(serial);
                }
            }
        }
        last
    }

    /// `reject-publish-dlx`: what a queue refused goes to its dead letters, though it never was in it.
    fn dead_letter_refused(
        &self,
        queues: &[Arc<Queue>],
        refused: Vec<(usize, Message)>,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        for (at, message) in refused {
            let Some(queue) = queues.get(at) else {
                continue;
            };
            if queue.settings().overflow == Overflow::RejectDeadLetter {
                self.bury_refused(queue, &message, Cause::MaxLength, now)?;
            } else {
                self.count_drop(SettleKind::MaxLength, 1);
            }
        }
        Ok(())
    }
}

impl Plans {
    /// Makes room for a push before its queues are locked: to grow step by step copies everything several times.
    fn reserve(&mut self, messages: usize, queues: usize) {
        self.messages.reserve(messages);
        self.entries.reserve(messages.saturating_mul(queues));
    }

    /// Plans every message of a batch's range for every queue of a route.
    fn fill(
        &mut self,
        batch: &MessageBatch,
        range: Range<usize>,
        route: &Route,
        (guards, mut admission): (&Guards<'_>, Admission),
        now: CoreTime,
        published: &mut Published,
    ) {
        for index in range {
            let Some(message) = batch.message(index) else {
                break;
            };
            let first = (self.entries.len(), self.fields.len());
            for (at, (queue, state)) in route.queues().iter().zip(guards).enumerate() {
                if !state.is_open() {
                    continue;
                }
                if !admission.admits(at, state, &message) {
                    published.refused.push(index);
                    self.too_long.push((at, message.clone()));
                    continue;
                }
                let entry = Planned::new(at, state, &message, now);
                if entry.durable {
                    if self.fields.is_empty() {
                        // The first of them: the others mostly are, too.
                        self.fields.reserve(self.entries.capacity());
                    }
                    self.fields.push(entry.fields(queue));
                }
                self.entries.push(entry);
            }
            published.refused.dedup();
            self.messages.push(Plan {
                message,
                entries: self.entries.len() - first.0,
                durable: first.1..self.fields.len(),
            });
        }
    }

    /// Makes the entries.
    fn push_all(&mut self, guards: &mut Guards<'_>, now: CoreTime) {
        let mut entries = self.entries.drain(..);
        for plan in self.messages.drain(..) {
            let lsn = plan.message.lsn();
            for entry in entries.by_ref().take(plan.entries) {
                let Some(state) = guards.get_mut(entry.queue) else {
                    continue;
                };
                let lsn = lsn.filter(|_| entry.durable);
                let made = state.entry(plan.message.clone(), lsn, entry.expiry);
                state.push(made, Extra::default(), entry.not_before, now);
            }
        }
    }
}

impl Planned {
    fn new(queue: usize, state: &QueueState, message: &Message, now: CoreTime) -> Self {
        let settings = state.settings();
        let delay = message.delay_ms().unwrap_or(settings.delay_ms);
        let expiry_ms = state.expiry_of(message, false, now);
        let expiry = (expiry_ms != 0).then(|| CoreTime::from_ms(expiry_ms));
        Self {
            queue,
            durable: settings.durable && (message.is_durable() || settings.force_durable),
            expiry,
            is_retention: state.is_retention(message, expiry),
            not_before: (delay != 0).then(|| now + delay),
        }
    }

    fn fields(&self, queue: &Queue) -> EntryFields {
        EntryFields {
            expiry: self.expiry,
            not_before: self.not_before,
            is_retention: self.is_retention,
            ..EntryFields::plain(queue.id())
        }
    }
}

/// Which queues let how much in, where a policy refuses.
struct Admission {
    /// Messages and bytes let in by this push, per queue; empty when no queue refuses.
    used: SmallVec<[(u64, u64); 4]>,
    /// Whether a queue is quarantined, and gets nothing.
    is_withheld: bool,
}

impl Admission {
    fn new(guards: &Guards<'_>) -> Self {
        let (mut refuses, mut is_withheld) = (false, false);
        for state in guards {
            refuses |= state.settings().overflow != Overflow::DropOldest;
            is_withheld |= state.quarantined().is_some();
        }
        Self {
            used: if refuses {
                guards.iter().map(|_| (0, 0)).collect()
            } else {
                SmallVec::new()
            },
            is_withheld,
        }
    }

    fn admits(&mut self, at: usize, state: &QueueState, message: &Message) -> bool {
        let Some(used) = self.used.get_mut(at) else {
            return true;
        };
        let bytes = message.body_len() as u64;
        if state.settings().overflow != Overflow::DropOldest
            && !state.has_room(used.0, used.1, bytes)
        {
            return false;
        }
        *used = (used.0 + 1, used.1 + bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_push_allocates_nothing_and_a_larger_one_once() {
        let mut plans = Plans::default();
        plans.reserve(USUAL_MESSAGES, 1);
        assert!(!plans.messages.spilled() && !plans.entries.spilled());
        plans.reserve(1_000, 3);
        assert!(plans.messages.capacity() >= 1_000);
        assert!(plans.entries.capacity() >= 3_000);
    }
}
