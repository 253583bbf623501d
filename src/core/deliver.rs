//! Consuming: consumers, takes, settles, and what follows from them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::core::Core;
use crate::core::bury::Work;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::inbox::Inbox;
use crate::core::log::record::EntryRef;
use crate::core::log::record::GrantedEntry;
use crate::core::log::record::Holder;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::queue::Consumer;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::Hit;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;
use crate::core::queue::take::Lease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;
use crate::core::telemetry_of::drop_reason;

/// What a settle hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The record; for those whose answer is a promise (SQS DeleteMessage, ChangeMessageVisibility).
    pub lsn: Option<Lsn>,
    /// Leases settled.
    pub settled: usize,
    /// Entries that are there, but whose lease has ended.
    pub lapsed: usize,
    /// Entries that are gone.
    pub gone: usize,
}

impl Core {
    /// Adds a consumer. Its events go to `inbox` under `key`. A consumer that is not `visible` is not
    /// counted for clients (a waiting SQS poll).
    ///
    /// # Errors
    /// [`CoreError::QueueNotFound`] when the queue is deleted meanwhile.
    pub fn subscribe(
        &self,
        queue: &Arc<Queue>,
        inbox: &Arc<Inbox>,
        key: u64,
        visible: bool,
    ) -> Result<Consumer, CoreError> {
        let consumer =
            Consumer::add(queue, inbox, key, visible).ok_or_else(|| CoreError::QueueNotFound {
                vhost: queue.vhost().to_string(),
                queue: queue.name().to_string(),
            })?;
        if visible {
            self.tell_consumers(queue);
        }
        Ok(consumer)
    }

    /// Removes a consumer. Its leases stay with its session.
    pub fn unsubscribe(&self, consumer: Consumer) {
        let wake = {
            let mut state = consumer.queue.lock();
            let owed = state.consumers.remove(consumer.slot);
            if owed && state.ready_count() > 0 {
                state.consumers.wake_one()
            } else {
                None
            }
        };
        if let Some((inbox, event)) = wake {
            inbox.post(event);
        }
        self.tell_consumers(&consumer.queue);
    }

    fn tell_consumers(&self, queue: &Queue) {
        let count = queue.lock().consumer_count();
        self.emit(&CoreEvent::Consumers(
            queue.vhost().clone(),
            queue.name().clone(),
            count,
        ));
    }

    /// Takes up to `terms` for a consumer. A consumer that was woken must take or [`Core::decline`].
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn take(
        &self,
        consumer: &Consumer,
        terms: Terms,
        now: CoreTime,
        out: &mut Vec<Delivery>,
    ) -> Result<Took, CoreError> {
        let mut effects = Effects::default();
        let before = out.len();
        let took = consumer
            .queue
            .lock()
            .take(Some(consumer.slot), terms, now, out, &mut effects);
        self.took(&consumer.queue, out.len() - before, effects, now)?;
        Ok(took)
    }

    /// Takes up to `terms` without a consumer, and without waiting (0-9-1 basic.get, SQS short poll).
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn take_once(
        &self,
        queue: &Arc<Queue>,
        terms: Terms,
        now: CoreTime,
        out: &mut Vec<Delivery>,
    ) -> Result<Took, CoreError> {
        let mut effects = Effects::default();
        let before = out.len();
        let took = queue.lock().take(None, terms, now, out, &mut effects);
        self.took(queue, out.len() - before, effects, now)?;
        Ok(took)
    }

    /// A woken consumer has no credit or no room: somebody else's turn.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn decline(&self, consumer: &Consumer, now: CoreTime) -> Result<(), CoreError> {
        let terms = Terms {
            lease: Lease::Link,
            entries: 0,
            bytes: 0,
            wait: false,
        };
        self.take(consumer, terms, now, &mut Vec::new()).map(|_| ())
    }

    fn took(
        &self,
        queue: &Arc<Queue>,
        entries: usize,
        effects: Effects,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        if entries > 0 {
            self.inner.metrics.takes.inc();
            self.inner.metrics.take_messages.inc_by(entries as u64);
        }
        self.carry_out(queue, effects, now).map(|_| ())
    }

    /// Settles leases of one queue, all with one outcome.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn settle(
        &self,
        queue: &Arc<Queue>,
        leases: &[LeaseRef],
        outcome: Outcome,
        now: CoreTime,
    ) -> Result<Settlement, CoreError> {
        let mut effects = Effects::default();
        let mut settlement = Settlement::default();
        {
            let mut state = queue.lock();
            for &lease in leases {
                match state.settle(lease, outcome, now, &mut effects) {
                    Hit::Settled => settlement.settled += 1,
                    Hit::Lapsed => settlement.lapsed += 1,
                    Hit::Gone => settlement.gone += 1,
                }
            }
            state.after_settle(&mut effects);
        }
        self.inner.metrics.settles.inc();
        self.inner
            .metrics
            .settle_messages
            .inc_by(settlement.settled as u64);
        settlement.lsn = self.carry_out(queue, effects, now)?;
        if self.alarms().memory() {
            self.refresh_memory_alarm();
        }
        Ok(settlement)
    }

    /// The entry that a lease from before the last restart names, if it is still leased or ready again.
    pub fn restored(&self, queue: &Queue, entry: Lsn) -> Option<u64> {
        queue.lock().restored.get(&entry).copied()
    }

    /// Does what an operation left: records, timer, wakes, dead letters. Returns the last record.
    pub(in crate::core) fn carry_out(
        &self,
        queue: &Arc<Queue>,
        effects: Effects,
        now: CoreTime,
    ) -> Result<Option<Lsn>, CoreError> {
        let mut work = Work::new();
        let lsn = self.carry_out_into(queue, effects, now, &mut work)?;
        self.bury_all(work, now)?;
        Ok(lsn)
    }

    /// As [`Core::carry_out`], but leaves dead letters to the caller: one may push out the next, and a
    /// chain of full queues must not become a chain of calls.
    pub(in crate::core) fn carry_out_into(
        &self,
        queue: &Arc<Queue>,
        mut effects: Effects,
        now: CoreTime,
        work: &mut Work,
    ) -> Result<Option<Lsn>, CoreError> {
        let lsn = self.log_effects(queue, &effects, now)?;
        for &(kind, n) in &effects.dropped {
            self.count_drop(kind, n);
        }
        if let Some(due) = effects.due {
            self.inner.timers.set(queue, due);
        }
        self.inner.metrics.wakes.inc_by(effects.wakes.len() as u64);
        effects.wake();
        work.extend(
            effects
                .doomed
                .into_iter()
                .map(|doomed| (Arc::clone(queue), doomed)),
        );
        Ok(lsn)
    }

    pub(in crate::core) fn count_drop(&self, kind: SettleKind, n: u64) {
        if let Some(reason) = drop_reason(kind) {
            self.inner.metrics.dropped.of(reason).inc_by(n);
        }
    }

    fn log_effects(
        &self,
        queue: &Queue,
        effects: &Effects,
        now: CoreTime,
    ) -> Result<Option<Lsn>, CoreError> {
        let Effects {
            settled,
            granted,
            counted,
            ..
        } = effects;
        if settled.is_empty() && granted.is_empty() && counted.is_empty() {
            return Ok(None);
        }
        let entries: Vec<EntryRef> = settled.iter().map(|(_, entry)| *entry).collect();
        let grants: Vec<GrantedEntry> = granted.iter().map(|(_, entry)| *entry).collect();
        let id = queue.id();
        let settles = runs(settled, |(kind, _)| *kind).map(|(outcome, range)| Record::Settle {
            queue: id,
            outcome,
            entries: Cow::Borrowed(entries.get(range).unwrap_or_default()),
        });
        let grants = runs(granted, |(until, _)| *until).map(|(until, range)| Record::Grant {
            queue: id,
            holder: Holder::Nobody,
            until,
            entries: Cow::Borrowed(grants.get(range).unwrap_or_default()),
        });
        let counters = counted.iter().map(|counted| Record::Counters {
            queue: id,
            entry: counted.entry,
            acquired: counted.acquired,
            failed: counted.failed,
        });
        let mut number = 0;
        let mut records = settles
            .chain(grants)
            .chain(counters)
            .inspect(|_| number += 1);
        let first = self
            .inner
            .store
            .append(queue.shard(), now, true, &mut records)?;
        drop(records);
        Ok(Some(first.plus(number - 1)))
    }
}

/// Ranges of neighbours with the same key.
fn runs<T, K: PartialEq + Copy>(
    items: &[T],
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = (K, Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = key(items.get(at)?);
        let start = at;
        let len = items
            .iter()
            .skip(start)
            .take_while(|item| key(item) == first)
            .count();
        at += len;
        Some((first, start..at))
    })
}
