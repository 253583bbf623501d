//! Who takes from a queue: the list of consumers, and of those who wait.
//!
//! A push wakes one waiting consumer; a taker that leaves entries wakes the next. A running consumer is
//! never woken: it takes again until nothing is left, and then waits here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;

/// Dead places that the list of waiting may hold besides as many as there are live ones.
const DEAD_MAX: usize = 64;

/// A consumer's place in its queue's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct ConsumerSlot(pub(in crate::core) usize);

#[derive(Debug)]
struct Consumer {
    inbox: Arc<Inbox>,
    key: u64,
    /// Number of its wait, while it waits.
    ticket: Option<u64>,
    /// Told that there are entries, and has neither taken nor declined yet.
    woken: bool,
    /// Counts as a consumer for clients that ask; a waiting SQS poll does not.
    visible: bool,
}

/// All consumers of a queue. Whatever one of them does costs no look at the others: there may be very many,
/// and the queue is locked meanwhile.
#[derive(Debug, Default)]
pub(in crate::core) struct Consumers {
    slots: Vec<Option<Consumer>>,
    /// Slots that nobody has.
    free: Vec<usize>,
    /// Slots and tickets in the order of the waits. Who stops waiting leaves a dead place: one whose
    /// ticket its slot does not have.
    waiting: VecDeque<(usize, u64)>,
    /// Live places in `waiting`.
    live: usize,
    last_ticket: u64,
    woken: usize,
    visible: usize,
}

impl Consumers {
    pub(in crate::core) fn add(
        &mut self,
        inbox: &Arc<Inbox>,
        key: u64,
        visible: bool,
    ) -> ConsumerSlot {
        let consumer = Consumer {
            inbox: Arc::clone(inbox),
            key,
            ticket: None,
            woken: false,
            visible,
        };
        self.visible += usize::from(visible);
        if let Some(at) = self.free.pop()
            && let Some(slot) = self.slots.get_mut(at)
        {
            *slot = Some(consumer);
            return ConsumerSlot(at);
        }
        self.slots.push(Some(consumer));
        ConsumerSlot(self.slots.len() - 1)
    }

    /// Removes a consumer; true if it had been woken, so that another should be.
    pub(in crate::core) fn remove(&mut self, slot: ConsumerSlot) -> bool {
        let Some(consumer) = self.slots.get_mut(slot.0).and_then(Option::take) else {
            return false;
        };
        self.free.push(slot.0);
        self.visible -= usize::from(consumer.visible);
        self.live -= usize::from(consumer.ticket.is_some());
        self.sweep();
        self.woken -= usize::from(consumer.woken);
        consumer.woken
    }

    /// Consumers that clients see.
    pub(in crate::core) fn visible(&self) -> usize {
        self.visible
    }

    /// Others who could take now: they wait, or were woken and have not taken yet.
    pub(in crate::core) fn others(&self, slot: Option<ConsumerSlot>) -> usize {
        let own = slot
            .and_then(|slot| self.slots.get(slot.0))
            .and_then(Option::as_ref);
        let own = own.is_some_and(|consumer| consumer.ticket.is_some() || consumer.woken);
        self.live + self.woken - usize::from(own)
    }

    /// It is taking: it no longer waits, nor does it owe an answer to a wake.
    pub(in crate::core) fn running(&mut self, slot: ConsumerSlot) {
        let Some(Some(consumer)) = self.slots.get_mut(slot.0) else {
            return;
        };
        self.woken -= usize::from(std::mem::take(&mut consumer.woken));
        self.live -= usize::from(consumer.ticket.take().is_some());
        self.sweep();
    }

    /// It found nothing: the next push may wake it.
    pub(in crate::core) fn wait(&mut self, slot: ConsumerSlot) {
        let Some(Some(consumer)) = self.slots.get_mut(slot.0) else {
            return;
        };
        if consumer.ticket.is_none() {
            self.last_ticket += 1;
            consumer.ticket = Some(self.last_ticket);
            self.waiting.push_back((slot.0, self.last_ticket));
            self.live += 1;
        }
    }

    /// The longest waiting consumer, to be woken once the lock is free.
    pub(in crate::core) fn wake_one(&mut self) -> Option<(Arc<Inbox>, Event)> {
        while let Some((at, ticket)) = self.waiting.pop_front() {
            let consumer = self.slots.get_mut(at).and_then(Option::as_mut);
            if let Some(consumer) = consumer
                && consumer.ticket == Some(ticket)
            {
                consumer.ticket = None;
                consumer.woken = true;
                self.live -= 1;
                self.woken += 1;
                return Some((Arc::clone(&consumer.inbox), Event::Ready(consumer.key)));
            }
        }
        None
    }

    /// Removes the dead places once they are the most: each of them pays for one look.
    fn sweep(&mut self) {
        if self.waiting.len() <= 2 * self.live + DEAD_MAX {
            return;
        }
        let slots = &self.slots;
        self.waiting.retain(|&(at, ticket)| {
            let consumer = slots.get(at).and_then(Option::as_ref);
            consumer.is_some_and(|consumer| consumer.ticket == Some(ticket))
        });
    }

    /// All of them leave: the queue is gone.
    pub(in crate::core) fn cancel_all(&mut self) -> Vec<(Arc<Inbox>, Event)> {
        self.waiting.clear();
        self.free.clear();
        self.live = 0;
        self.woken = 0;
        self.visible = 0;
        let gone = self.slots.drain(..).flatten();
        gone.map(|consumer| (consumer.inbox, Event::Cancelled(consumer.key)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_waiting_is_woken_first_and_only_once() {
        let inbox = Inbox::new();
        let mut consumers = Consumers::default();
        let (a, b) = (
            consumers.add(&inbox, 1, true),
            consumers.add(&inbox, 2, true),
        );
        consumers.wait(b);
        consumers.wait(a);
        consumers.wait(b);
        assert_eq!(consumers.others(Some(a)), 1);
        assert_eq!(consumers.wake_one().unwrap().1, Event::Ready(2));
        assert_eq!(consumers.others(Some(a)), 1, "woken, but has not taken yet");
        assert_eq!(consumers.wake_one().unwrap().1, Event::Ready(1));
        assert!(consumers.wake_one().is_none());
        assert!(consumers.remove(b), "its wake must go to another");
        assert_eq!(consumers.visible(), 1);
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the bound is far above what it takes; a look at all others for each takes minutes"
    )]
    fn a_hundred_thousand_leave_and_come_back_without_a_look_at_the_others() {
        let started = std::time::Instant::now();
        let inbox = Inbox::new();
        let mut consumers = Consumers::default();
        for _ in 0..2 {
            let slots: Vec<_> = (0..100_000)
                .map(|key| consumers.add(&inbox, key, true))
                .collect();
            for slot in &slots {
                consumers.wait(*slot);
            }
            for slot in slots {
                assert!(!consumers.remove(slot));
                assert!(started.elapsed() < std::time::Duration::from_secs(10));
            }
        }
        assert_eq!(consumers.others(None), 0);
        assert!(consumers.wake_one().is_none());
    }

    #[test]
    fn who_takes_and_waits_again_stands_at_the_end_and_once() {
        let inbox = Inbox::new();
        let mut consumers = Consumers::default();
        let (a, b) = (
            consumers.add(&inbox, 1, true),
            consumers.add(&inbox, 2, true),
        );
        consumers.wait(a);
        consumers.wait(b);
        for _ in 0..1000 {
            consumers.running(a);
            consumers.wait(a);
        }
        assert!(consumers.waiting.len() < 200, "{}", consumers.waiting.len());
        assert_eq!(consumers.others(None), 2);
        assert_eq!(consumers.wake_one().unwrap().1, Event::Ready(2));
        assert_eq!(consumers.wake_one().unwrap().1, Event::Ready(1));
        assert!(consumers.wake_one().is_none());
    }

    #[test]
    fn a_place_that_is_used_again_does_not_inherit_the_wait_of_who_had_it() {
        let inbox = Inbox::new();
        let mut consumers = Consumers::default();
        let old = consumers.add(&inbox, 1, true);
        consumers.wait(old);
        consumers.remove(old);
        let new = consumers.add(&inbox, 2, true);
        assert!(consumers.wake_one().is_none(), "it does not wait yet");
        consumers.wait(new);
        assert_eq!(consumers.wake_one().unwrap().1, Event::Ready(2));
    }
}
