//! The reference: what the core should do, in vectors and maps and as few words as possible.

mod bury;

mod queue;

mod restart;

mod topology;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::settings::Overflow;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Terms;
use viaduct::telemetry::DropReason;
use viaduct::telemetry::Label;

pub(crate) use self::queue::Message;
pub(crate) use self::queue::Overlay;
pub(crate) use self::queue::Taken;

use self::queue::Doomed;
use self::queue::Hit;
use self::queue::Queue;
use self::topology::Topology;

/// Names a queue for ever; later ones are greater.
pub(crate) type Id = u64;

/// How many were dropped since the start, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    fn count(&mut self, reason: DropReason) {
        self.0[reason.index()] += 1;
    }

    pub(crate) fn of(&self, reason: DropReason) -> u64 {
        self.0[reason.index()]
    }
}

/// What a queue holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) ready: u64,
    pub(crate) ready_bytes: u64,
    pub(crate) leased: u64,
    pub(crate) delayed: u64,
}

/// The whole broker.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reference {
    queues: BTreeMap<Id, Queue>,
    topology: Topology,
    drops: Drops,
    /// Number of the last record of a message in the log.
    log: u64,
    last_id: Id,
    /// How many dead letters were on their way so far.
    pub(crate) buried: u64,
}

/// Dead letters that wait for their turn, with the queue that each is in.
type Work = VecDeque<(Id, Doomed)>;

impl Reference {
    pub(crate) fn drops(&self) -> &Drops {
        &self.drops
    }

    pub(crate) fn id_of(&self, name: &str) -> Option<Id> {
        let found = self.queues.iter().find(|(_, queue)| queue.name == name);
        found.map(|(id, _)| *id)
    }

    pub(crate) fn settings(&self, id: Id) -> &QueueSettings {
        &self.queues[&id].settings
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self
            .queues
            .values()
            .map(|queue| queue.name.clone())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn holds(&self, id: Id) -> Holds {
        let queue = &self.queues[&id];
        Holds {
            ready: queue.ready().count() as u64,
            ready_bytes: queue.ready_bytes(),
            leased: queue.leased().count() as u64,
            delayed: queue.delayed.len() as u64,
        }
    }

    /// References that hold the log: an entry's to its record, and a moved one's to its message too.
    pub(crate) fn references(&self) -> u64 {
        let entries = self
            .queues
            .values()
            .flat_map(|queue| queue.entries.iter().chain(&queue.delayed));
        let in_log = entries.filter(|entry| entry.log.is_some());
        in_log.map(|entry| 1 + u64::from(entry.is_moved)).sum()
    }

    /// Consumers that wait there, in the order of their coming.
    pub(crate) fn parked(&self, id: Id) -> &[usize] {
        &self.queues[&id].parked
    }

    /// Makes a queue that is not there.
    pub(crate) fn declare(&mut self, name: &str, settings: QueueSettings) -> Id {
        self.last_id += 1;
        self.queues.insert(self.last_id, Queue::new(name, settings));
        self.last_id
    }

    pub(crate) fn update(&mut self, id: Id, settings: QueueSettings, now: u64) {
        let queue = self.queues.get_mut(&id).unwrap();
        let becomes_durable = settings.durable && !queue.settings.durable;
        queue.settings = settings;
        if becomes_durable {
            self.bindings_last(id);
        }
        self.keep_limits(id, now);
    }

    /// Deletes a queue, and says how many ready entries it had.
    pub(crate) fn delete(&mut self, id: Id) -> u64 {
        self.topology.bindings.retain(|binding| binding.queue != id);
        self.queues.remove(&id).unwrap().ready().count() as u64
    }

    pub(crate) fn purge(&mut self, id: Id, purge: Purge) -> u64 {
        self.queues.get_mut(&id).unwrap().purge(purge)
    }

    /// Publishes to these queues. Returns whether something went to the log, and the indexes of messages
    /// that a queue refused.
    pub(crate) fn publish(
        &mut self,
        messages: &[Rc<Message>],
        route: &[Id],
        now: u64,
    ) -> (bool, Vec<usize>) {
        let mut admitted: BTreeMap<Id, (u64, u64)> = BTreeMap::new();
        let mut pushes = Vec::new();
        let (mut refused, mut refusals) = (Vec::new(), Vec::new());
        let mut logged = false;
        for (index, message) in messages.iter().enumerate() {
            let mut in_log = false;
            for id in route {
                let queue = &self.queues[id];
                let more = admitted.entry(*id).or_default();
                if queue.refuses(*more, message.bytes) {
                    refused.push(index);
                    refusals.push((*id, Rc::clone(message)));
                    continue;
                }
                *more = (more.0 + 1, more.1 + message.bytes);
                let settings = &queue.settings;
                let durable = settings.durable && (message.durable || settings.force_durable);
                let delay_ms = message.delay_ms.unwrap_or(settings.delay_ms);
                let log = durable.then_some(self.log + 1);
                let entry = queue.entry(message, Overlay::default(), log, delay_ms, now);
                pushes.push((*id, entry));
                in_log |= durable;
            }
            self.log += u64::from(in_log);
            logged |= in_log;
        }
        refused.dedup();
        for (id, entry) in pushes {
            self.queues.get_mut(&id).unwrap().push(entry, now);
        }
        let mut work = Work::new();
        for id in route {
            let mut doomed = Vec::new();
            let queue = self.queues.get_mut(id).unwrap();
            queue.keep_limits(now, &mut doomed, &mut self.drops);
            work.extend(doomed.into_iter().map(|doomed| (*id, doomed)));
        }
        self.bury_all(work, now);
        for (id, message) in refusals {
            if self.queues[&id].settings.overflow == Overflow::RejectDeadLetter {
                self.bury_refused(id, &message, now);
            } else {
                self.drops.count(DropReason::MaxLength);
            }
        }
        (logged, refused)
    }

    /// How many entries a taker gets at most.
    pub(crate) fn most(&self, id: Id, consumer: Option<usize>, terms: Terms) -> usize {
        let queue = &self.queues[&id];
        let others = queue
            .parked
            .iter()
            .filter(|other| Some(**other) != consumer);
        queue.most(others.count(), terms)
    }

    /// Takes for a consumer, or for nobody.
    pub(crate) fn take(
        &mut self,
        id: Id,
        consumer: Option<usize>,
        terms: Terms,
        now: u64,
    ) -> Vec<Taken> {
        let queue = self.queues.get_mut(&id).unwrap();
        queue.parked.retain(|parked| Some(*parked) != consumer);
        let others = queue.parked.len();
        let mut doomed = Vec::new();
        let taken = queue.take(others, terms, now, &mut doomed, &mut self.drops);
        let nothing = taken.is_empty() && queue.ready().count() == 0;
        if let (Some(consumer), true, true) = (consumer, terms.wait, nothing) {
            queue.parked.push(consumer);
        }
        self.bury(id, doomed, now);
        taken
    }

    /// Settles leases, and says how many were settled, had lapsed, and were gone.
    pub(crate) fn settle(
        &mut self,
        id: Id,
        leases: &[(u64, u16)],
        outcome: Outcome,
        now: u64,
    ) -> (usize, usize, usize) {
        let queue = self.queues.get_mut(&id).unwrap();
        let mut doomed = Vec::new();
        let mut hits = Vec::new();
        for lease in leases {
            hits.push(queue.settle(*lease, outcome, now, &mut doomed, &mut self.drops));
        }
        queue.keep_limits(now, &mut doomed, &mut self.drops);
        self.bury(id, doomed, now);
        let count = |hit| hits.iter().filter(|h| **h == hit).count();
        (count(Hit::Settled), count(Hit::Lapsed), count(Hit::Gone))
    }

    /// A consumer is gone.
    pub(crate) fn unsubscribe(&mut self, id: Id, consumer: usize) {
        let queue = self.queues.get_mut(&id).unwrap();
        queue.parked.retain(|parked| *parked != consumer);
    }

    /// When something happens by itself next.
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.queues.values().filter_map(Queue::next_due).min()
    }

    /// Does what is due by `now`, queue by queue in the order of their times.
    pub(crate) fn tick(&mut self, now: u64) {
        loop {
            let turns = self.queues.iter().filter_map(|(id, queue)| {
                let due = queue.next_due().into_iter().chain(queue.turn).min()?;
                Some((due, *id))
            });
            let Some((due, id)) = turns.min() else { return };
            if due > now {
                return;
            }
            let mut doomed = Vec::new();
            let queue = self.queues.get_mut(&id).unwrap();
            queue.lapse(now, &mut doomed, &mut self.drops);
            self.bury(id, doomed, now);
        }
    }

    fn keep_limits(&mut self, id: Id, now: u64) {
        let mut doomed = Vec::new();
        let queue = self.queues.get_mut(&id).unwrap();
        queue.keep_limits(now, &mut doomed, &mut self.drops);
        self.bury(id, doomed, now);
    }
}
