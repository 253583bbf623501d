//! Quarantine: queues that damage of the log may concern.
//!
//! What stood in a place that cannot be read may have been a message that was promised, or have settled one that now
//! looks alive. Nobody is served on such a guess: nothing is taken from the queues concerned, put into them, expired,
//! dropped or dead-lettered, until an operator has accepted the loss (`viaduct repair`) or somebody has deleted the
//! queue. What was taken before may be settled, and everybody else is served.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;

use crate::core::Core;
use crate::core::Inner;
use crate::core::events::CoreEvent;
use crate::core::events::Events;
use crate::core::log::store::DamageObserver;
use crate::core::log::store::Hole;
use crate::core::model::ids::QueueId;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::queue::Queue;
use crate::telemetry::Metrics;

/// Queues that one line of the log names; of more, it says how many there are.
const NAMED_MAX: usize = 20;

/// A queue that is quarantined, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its name.
    pub queue: QueueName,
    /// Which file is damaged, and what is wrong with it.
    pub why: Arc<str>,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vhost, queue, why } = self;
        write!(
            f,
            "queue '{queue}' in vhost '{vhost}' is quarantined until 'viaduct repair' has run: {why}"
        )
    }
}

impl std::error::Error for Quarantined {}

/// Every quarantined queue, and who has to hear of one more.
pub(in crate::core) struct Quarantine {
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    queues: Mutex<BTreeMap<QueueId, Quarantined>>,
}

impl Quarantine {
    pub(in crate::core) fn new(metrics: Arc<Metrics>, events: Arc<Events>) -> Self {
        Self {
            metrics,
            events,
            queues: Mutex::default(),
        }
    }

    /// Sets a queue apart, cancels its consumers, and tells whoever observes. False: it was before, or is gone. Takes
    /// the queue's lock.
    pub(in crate::core) fn put(&self, queue: &Arc<Queue>, why: &Arc<str>) -> bool {
        let mut state = queue.lock();
        if !state.is_open() {
            return false;
        }
        let had_consumers = state.consumer_count() > 0;
        let cancelled = state.quarantine(Arc::clone(why));
        let quarantined = Quarantined {
            vhost: queue.vhost().clone(),
            queue: queue.name().clone(),
            why: Arc::clone(why),
        };
        self.queues.lock().insert(queue.id(), quarantined);
        self.metrics.queues_quarantined.inc();
        // Under the lock, as everything is that is said of a queue.
        let (vhost, name) = (queue.vhost().clone(), queue.name().clone());
        if had_consumers {
            let event = CoreEvent::Consumers(vhost.clone(), name.clone(), 0);
            self.events.emit(&event);
        }
        self.events.emit(&CoreEvent::QueueQuarantined(vhost, name));
        drop(state);
        for (inbox, event) in cancelled {
            inbox.post(event);
        }
        true
    }

    /// Sets a queue apart because of one of its messages.
    pub(in crate::core) fn put_for_message(&self, queue: &Arc<Queue>, why: &Arc<str>) {
        self.metrics.damaged.inc();
        if self.put(queue, why) {
            tracing::error!(
                vhost = %queue.vhost(),
                queue = %queue.name(),
                why = &**why,
                "a message cannot be read: its queue is quarantined until viaduct repair has run"
            );
        }
    }

    /// A queue is gone, and with it what was wrong there.
    pub(in crate::core) fn forget(&self, queue: QueueId) {
        if self.queues.lock().remove(&queue).is_some() {
            self.metrics.queues_quarantined.dec();
        }
    }
}

impl Core {
    /// Every quarantined queue.
    pub fn quarantined(&self) -> Vec<Quarantined> {
        let queues = self.inner.quarantine.queues.lock();
        queues.values().cloned().collect()
    }

    /// Hears from the store of what is found to be damaged from now on.
    pub(in crate::core) fn watch_damage(&self) {
        let watch = Watch(Arc::downgrade(&self.inner));
        self.inner.store.watch_damage(Arc::new(watch));
    }

    /// Sets apart the queues that a hole of the log's recovery concerns.
    pub(in crate::core) fn quarantine_for(&self, hole: &Hole) {
        let shard = hole.last.shard();
        let concerned = self.queues_with(|queue| {
            queue.shard() == shard
                && match &hole.queues {
                    Some(queues) => queues.contains(&queue.id()),
                    None => queue.since() < hole.last.number() && queue.settings().durable,
                }
        });
        self.set_apart(hole, concerned);
    }

    /// Sets apart the queues that have something in a part of the log that was found to be damaged while it is served:
    /// what stood there and is settled concerns nobody any more.
    fn quarantine_holders(&self, hole: &Hole) {
        let records = hole.first..=hole.last;
        let concerned = self.queues_with(|queue| {
            let state = queue.lock();
            state.is_open() && state.holds(&records)
        });
        if !concerned.is_empty() {
            self.set_apart(hole, concerned);
        }
    }

    fn queues_with(&self, is_one: impl Fn(&Queue) -> bool) -> Vec<Arc<Queue>> {
        let mut found = Vec::new();
        for vhost in self.vhosts() {
            let queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            found.extend(queues.into_iter().filter(|queue| is_one(queue)));
        }
        found
    }

    fn set_apart(&self, hole: &Hole, queues: Vec<Arc<Queue>>) {
        let (first, last) = (hole.first.number(), hole.last.number());
        let records = match first == last {
            true => format!("record {first}"),
            false => format!("records {first} to {last}"),
        };
        let why: Arc<str> = format!("{}: {}: {records}", hole.path, hole.what).into();
        let queues: Vec<_> = queues
            .into_iter()
            .filter(|queue| self.inner.quarantine.put(queue, &why))
            .collect();
        let names = queues.iter().take(NAMED_MAX);
        let names = names.map(|queue| format!("{} in {}", queue.name(), queue.vhost()));
        self.inner.metrics.log_holes.inc();
        tracing::error!(
            file = hole.path,
            first,
            last,
            what = hole.what,
            queues = names.collect::<Vec<_>>().join(", "),
            more = queues.len().saturating_sub(NAMED_MAX),
            "records of the log are lost: the queues that they may concern are quarantined until viaduct repair has run"
        );
    }
}

/// What the store tells of damage. It does not hold the core, which holds the store.
struct Watch(Weak<Inner>);

impl DamageObserver for Watch {
    fn damaged(&self, hole: &Hole) {
        if let Some(inner) = self.0.upgrade() {
            Core { inner }.quarantine_holders(hole);
        }
    }
}
