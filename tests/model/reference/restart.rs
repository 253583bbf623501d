//! What a restart leaves.

use super::Id;
use super::Reference;
use super::queue::Entry;
use super::queue::Logged;
use super::queue::Queue;
use super::queue::State;

impl Reference {
    /// Only what is durable is there again, in the order of the log. After a clean stop it comes with its
    /// counters; after another, with those that the log happened to hold, and everything counts as
    /// delivered before.
    pub(crate) fn restart(&mut self, clean: bool, now: u64) {
        self.drops = super::Drops::default();
        self.topology.exchanges.retain(|exchange| exchange.durable);
        self.topology.bindings.retain(|binding| binding.durable);
        self.queues.retain(|_, queue| queue.settings.durable);
        for queue in self.queues.values_mut() {
            *queue = restarted(queue, clean);
        }
        let ids: Vec<Id> = self.queues.keys().copied().collect();
        for id in ids {
            self.keep_limits(id, now);
        }
    }
}

impl Reference {
    /// The sequence of an entry that a restart found leased, by the place of its record in the log.
    pub(crate) fn leased_at(&self, id: Id, log: u64) -> Option<u64> {
        let mut leased = self.queues[&id].leased();
        leased
            .find(|entry| entry.log == Some(log))
            .map(|entry| entry.seq)
    }
}

fn restarted(before: &Queue, clean: bool) -> Queue {
    let mut queue = Queue::new(&before.name, before.settings.clone());
    let waiting = before.delayed.iter().map(|entry| (entry, entry.logged));
    let mut entries: Vec<(Entry, Logged)> = before
        .entries
        .iter()
        .map(|entry| (entry, if clean { stopped(entry) } else { entry.logged }))
        .chain(waiting)
        .filter(|(entry, _)| entry.log.is_some())
        .map(|(entry, logged)| (entry.clone(), logged))
        .collect();
    entries.sort_by_key(|(entry, _)| entry.log);
    for (mut entry, logged) in entries {
        entry.logged = logged;
        entry.acquired = logged.acquired.max(u16::from(!clean));
        entry.failed = logged.failed;
        // The log does not say when it was first received, only when it came.
        entry.first_received = logged.until.map(|_| entry.message.enqueued_at);
        match logged.until {
            Some(until) => {
                entry.state = State::Leased(Some(until));
                queue.push_ready(entry);
            }
            None => {
                entry.state = State::Ready;
                queue.push(entry, 0);
            }
        }
    }
    queue
}

/// A clean stop writes the counters of whatever somebody had; deadlines are in the log already.
fn stopped(entry: &Entry) -> Logged {
    let mut entry = entry.clone();
    if entry.acquired > 0 && !matches!(entry.state, State::Leased(Some(_))) {
        entry.log_counters();
    }
    entry.logged
}
