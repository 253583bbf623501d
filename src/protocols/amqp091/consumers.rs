//! The connection's consumers, and whose turn it is.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use crate::core::queue::Consumer as Place;

/// What a consumer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// It stands in its queue's list and is told when there is something.
    Waiting,
    /// It takes when its turn comes.
    Taking,
    /// It has no credit, and does not stand in the list.
    Parked,
}

/// A consumer of a channel.
pub(super) struct Consumer {
    pub(super) channel: u16,
    pub(super) tag: Box<[u8]>,
    /// Its right to wait at the queue.
    pub(super) place: Place,
    /// Index into the channel's sources.
    pub(super) source: usize,
    pub(super) no_ack: bool,
    /// Most unacknowledged deliveries; 0 = no limit.
    pub(super) prefetch: u16,
    /// Unacknowledged deliveries.
    pub(super) in_flight: usize,
    pub(super) doing: Doing,
    /// It was told that there is something, and owes its queue a take or a decline.
    pub(super) owes: bool,
}

impl Consumer {
    /// How many deliveries it may still get, its channel's limit apart.
    pub(super) fn credit(&self) -> usize {
        match usize::from(self.prefetch) {
            0 => usize::MAX,
            limit => limit.saturating_sub(self.in_flight),
        }
    }
}

/// All consumers of a connection, by the key that core knows them by. Keys are not used again: an event
/// may still be on its way to one that is gone.
#[derive(Default)]
pub(super) struct Consumers {
    by_key: BTreeMap<u64, Consumer>,
    next_key: u64,
    /// Those that take, in the order of their turns.
    turns: VecDeque<u64>,
}

impl Consumers {
    /// The key of the next consumer.
    pub(super) fn next_key(&mut self) -> u64 {
        self.next_key += 1;
        self.next_key
    }

    /// Adds one that takes when its turn comes.
    pub(super) fn add(&mut self, key: u64, consumer: Consumer) {
        self.by_key.insert(key, consumer);
        self.turns.push_back(key);
    }

    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Consumer> {
        self.by_key.get_mut(&key)
    }

    pub(super) fn remove(&mut self, key: u64) -> Option<Consumer> {
        self.by_key.remove(&key)
    }

    /// Its queue has something for it.
    pub(super) fn ready(&mut self, key: u64) {
        if let Some(consumer) = self.by_key.get_mut(&key) {
            consumer.owes = true;
            if consumer.doing != Doing::Taking {
                consumer.doing = Doing::Taking;
                self.turns.push_back(key);
            }
        }
    }

    /// It may have credit again.
    pub(super) fn unpark(&mut self, key: u64) {
        if let Some(consumer) = self.by_key.get_mut(&key)
            && consumer.doing == Doing::Parked
        {
            consumer.doing = Doing::Taking;
            self.turns.push_back(key);
        }
    }

    /// Whose turn it is.
    pub(super) fn next_turn(&mut self) -> Option<u64> {
        self.turns.pop_front()
    }

    /// It gets another turn after the others.
    pub(super) fn again(&mut self, key: u64) {
        self.turns.push_back(key);
    }

    /// Those that owe their queue an answer while something keeps them from taking; they owe it no more.
    pub(super) fn owing(&mut self) -> impl Iterator<Item = &Consumer> {
        let by_key = &mut self.by_key;
        let mut owing = Vec::new();
        for key in &self.turns {
            if let Some(consumer) = by_key.get_mut(key)
                && std::mem::take(&mut consumer.owes)
            {
                owing.push(*key);
            }
        }
        let by_key = &self.by_key;
        owing.into_iter().filter_map(|key| by_key.get(&key))
    }
}
