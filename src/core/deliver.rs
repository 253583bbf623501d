//! Consuming: consumers, takes, settles, and what follows from them.

use std::sync::Arc;

use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::inbox::Inbox;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::queue::Consumer;
use crate::core::queue::Queue;
use crate::core::queue::consumers::ConsumerSlot;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::Hit;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;
use crate::core::queue::take::Lease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;

/// What a settle hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settlement {
    /// The record; for those whose answer is a promise (SQS DeleteMessage, ChangeMessageVisibility).
    pub lsn: Option<Lsn>,
    /// The disk is full: it holds now, but its record is written later, so nothing can be promised.
    pub is_deferred: bool,
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
    /// [`CoreError::Quarantined`]; [`CoreError::QueueNotFound`] when the queue is deleted meanwhile.
    pub fn subscribe(
        &self,
        queue: &Arc<Queue>,
        inbox: &Arc<Inbox>,
        key: u64,
        visible: bool,
    ) -> Result<Consumer, CoreError> {
        let consumer =
            Consumer::add(queue, inbox, key, visible).ok_or_else(|| queue.closed_because())?;
        if visible {
            self.tell_consumers(queue);
        }
        Ok(consumer)
    }

    /// Removes a consumer. Its leases stay with its session.
    pub fn unsubscribe(&self, consumer: Consumer) {
        let (queue, is_visible) = (Arc::clone(&consumer.queue), consumer.is_visible());
        drop(consumer);
        if is_visible {
            self.tell_consumers(&queue);
        }
    }

    /// Under the queue's lock, so that the last event has the last number. Of a queue that is deleted
    /// nobody hears any more.
    fn tell_consumers(&self, queue: &Queue) {
        let state = queue.lock();
        if state.is_deleted() {
            return;
        }
        self.emit(&CoreEvent::Consumers(
            queue.vhost().clone(),
            queue.name().clone(),
            state.consumer_count(),
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
        self.take_from(&consumer.queue, Some(consumer.slot()), terms, now, out)
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
        self.take_from(queue, None, terms, now, out)
    }

    fn take_from(
        &self,
        queue: &Arc<Queue>,
        slot: Option<ConsumerSlot>,
        terms: Terms,
        now: CoreTime,
        out: &mut Vec<Delivery>,
    ) -> Result<Took, CoreError> {
        let before = out.len();
        let (took, _) = self.on_queue(queue, now, |state, effects| {
            state.take(slot, terms, now, out, effects)
        })?;
        let entries = out.len() - before;
        if entries > 0 {
            self.inner.metrics.takes.inc();
            self.inner.metrics.take_messages.inc_by(entries as u64);
        }
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
        let (mut settlement, logged) = self.on_queue(queue, now, |state, effects| {
            let mut settlement = Settlement::default();
            effects.settled.expect(leases.len());
            for &lease in leases {
                match state.settle(lease, outcome, now, effects) {
                    Hit::Settled => settlement.settled += 1,
                    Hit::Lapsed => settlement.lapsed += 1,
                    Hit::Gone => settlement.gone += 1,
                }
            }
            state.after_push(now, effects);
            settlement
        })?;
        // What is gone may be gone in memory only: a repeated request is the same promise.
        settlement.lsn = match settlement.gone {
            0 => logged.lsn,
            _ => logged.covering,
        };
        settlement.is_deferred = logged.is_deferred;
        self.inner.metrics.settles.inc();
        self.inner
            .metrics
            .settle_messages
            .inc_by(settlement.settled as u64);
        if self.alarms().memory() {
            self.refresh_memory_alarm();
        }
        Ok(settlement)
    }

    /// The entry that a lease from before the last restart names, if it is still leased or ready again.
    pub fn restored(&self, queue: &Queue, entry: Lsn) -> Option<u64> {
        queue.lock().restored.get(&entry).copied()
    }
}
