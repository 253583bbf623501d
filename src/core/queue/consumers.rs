//! Who takes from a queue: the list of consumers, and of those who wait.
//!
//! A push wakes one waiting consumer; a taker that leaves entries wakes the next. A running consumer is
//! never woken: it takes again until nothing is left, and then waits here.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::inbox::Event;
use crate::core::inbox::Inbox;

/// A consumer's place in its queue's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) struct ConsumerSlot(pub(in crate::core) usize);

#[derive(Debug)]
struct Consumer {
    inbox: Arc<Inbox>,
    key: u64,
    waiting: bool,
    /// Told that there are entries, and has neither taken nor declined yet.
    woken: bool,
    /// Counts as a consumer for clients that ask; a waiting SQS poll does not.
    visible: bool,
}

#[derive(Debug, Default)]
pub(in crate::core) struct Consumers {
    slots: Vec<Option<Consumer>>,
    waiting: VecDeque<usize>,
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
            waiting: false,
            woken: false,
            visible,
        };
        self.visible += usize::from(visible);
        match self.slots.iter_mut().position(|slot| slot.is_none()) {
            Some(at) => {
                self.slots[at] = Some(consumer);
                ConsumerSlot(at)
            }
            None => {
                self.slots.push(Some(consumer));
                ConsumerSlot(self.slots.len() - 1)
            }
        }
    }

    /// Removes a consumer; true if it had been woken, so that another should be.
    pub(in crate::core) fn remove(&mut self, slot: ConsumerSlot) -> bool {
        let Some(consumer) = self.slots.get_mut(slot.0).and_then(Option::take) else {
            return false;
        };
        self.visible -= usize::from(consumer.visible);
        if consumer.waiting {
            self.waiting.retain(|&at| at != slot.0);
        }
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
        let own = own.is_some_and(|consumer| consumer.waiting || consumer.woken);
        self.waiting.len() + self.woken - usize::from(own)
    }

    /// It is taking: it no longer waits, nor does it owe an answer to a wake.
    pub(in crate::core) fn running(&mut self, slot: ConsumerSlot) {
        let Some(Some(consumer)) = self.slots.get_mut(slot.0) else {
            return;
        };
        self.woken -= usize::from(std::mem::take(&mut consumer.woken));
        if std::mem::take(&mut consumer.waiting) {
            self.waiting.retain(|&at| at != slot.0);
        }
    }

    /// It found nothing: the next push may wake it.
    pub(in crate::core) fn wait(&mut self, slot: ConsumerSlot) {
        let Some(Some(consumer)) = self.slots.get_mut(slot.0) else {
            return;
        };
        if !consumer.waiting {
            consumer.waiting = true;
            self.waiting.push_back(slot.0);
        }
    }

    /// The longest waiting consumer, to be woken once the lock is free.
    pub(in crate::core) fn wake_one(&mut self) -> Option<(Arc<Inbox>, Event)> {
        let at = self.waiting.pop_front()?;
        let consumer = self.slots.get_mut(at).and_then(Option::as_mut)?;
        consumer.waiting = false;
        consumer.woken = true;
        self.woken += 1;
        Some((Arc::clone(&consumer.inbox), Event::Ready(consumer.key)))
    }

    /// All of them leave: the queue is gone.
    pub(in crate::core) fn cancel_all(&mut self) -> Vec<(Arc<Inbox>, Event)> {
        self.waiting.clear();
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
}
