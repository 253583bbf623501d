//! What a restart leaves.

use super::Id;
use super::Reference;
use super::queue::Entry;
use super::queue::Queue;
use super::queue::State;

impl Reference {
    /// Only what is durable is there again, in the order of the log. After a clean stop it comes with its
    /// counters; after another, with those that the log happened to hold, and everything counts as
    /// delivered before, from then on.
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
    /// The sequence of an entry of which the log knew that somebody had it, by the place of its record.
    pub(crate) fn named_at(&self, id: Id, log: u64) -> Option<u64> {
        let mut had = self.queues[&id]
            .entries
            .iter()
            .filter(|entry| entry.logged.is_some());
        had.find(|entry| entry.log == Some(log))
            .map(|entry| entry.seq)
    }
}

fn restarted(before: &Queue, clean: bool) -> Queue {
    let mut queue = Queue::new(&before.name, before.settings.clone());
    let mut entries = before.entries.clone();
    if clean {
        entries.iter_mut().for_each(stop);
    }
    entries.extend_from_slice(&before.delayed);
    entries.retain(|entry| entry.log.is_some());
    entries.sort_by_key(|entry| entry.log);
    for mut entry in entries {
        let (acquired, failed) = entry.logged.map_or((0, 0), |l| (l.acquired, l.failed));
        entry.is_suspect |= !clean;
        entry.was_touched = false;
        entry.acquired = acquired.max(u16::from(entry.is_suspect));
        entry.failed = failed;
        let until = entry.logged.and_then(|logged| logged.until);
        // The log does not say when it was first received, only when it came.
        entry.first_received = until.map(|_| entry.message.enqueued_at);
        entry.state = match until {
            Some(_) => State::Leased(until),
            None => State::Ready,
        };
        if entry.logged.is_some() {
            queue.push_ready(entry);
        } else {
            // A delay that is over ends at the first tick.
            queue.push(entry, 0);
        }
    }
    queue.turn = queue.next_due();
    queue
}

/// A clean stop writes the counters of whatever somebody had since the start; deadlines are in the log already.
fn stop(entry: &mut Entry) {
    if entry.was_touched && entry.acquired > 0 && !matches!(entry.state, State::Leased(Some(_))) {
        entry.log_counters();
    }
}
