//! Quarantine: queues that damage of the log may concern.
//!
//! What stood in a place that cannot be read may have been a message that was promised, or have settled one that now
//! looks alive. Nobody is served on such a guess: nothing is taken from the queues concerned, put into them, expired,
//! dropped or dead-lettered, until an operator has accepted the loss (`viaduct repair`) or somebody has deleted the
//! queue. What was taken before may be settled, and everybody else is served.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::Core;
use crate::core::events::CoreEvent;
use crate::core::events::Events;
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

    /// Sets apart the queues that a hole concerns.
    pub(in crate::core) fn quarantine_for(&self, hole: &Hole) {
        let (first, last) = (hole.first.number(), hole.last.number());
        let why: Arc<str> =
            format!("{}: {} (records {first} to {last})", hole.path, hole.what).into();
        let mut names = Vec::new();
        let mut more = 0;
        for queue in self.concerned(hole) {
            if !self.inner.quarantine.put(&queue, &why) {
                continue;
            }
            match names.len() {
                NAMED_MAX => more += 1,
                _ => names.push(format!("{} in {}", queue.name(), queue.vhost())),
            }
        }
        self.inner.metrics.log_holes.inc();
        tracing::error!(
            file = hole.path,
            first,
            last,
            what = hole.what,
            queues = names.join(", "),
            more,
            "records of the log are lost: the queues that they may concern are quarantined until viaduct repair has run"
        );
    }

    /// The queues that a hole names; if it names none, all that the log knew of when it was written.
    fn concerned(&self, hole: &Hole) -> Vec<Arc<Queue>> {
        let shard = hole.last.shard();
        let mut concerned = Vec::new();
        let is_concerned = |queue: &Queue| match &hole.queues {
            Some(queues) => queues.contains(&queue.id()),
            None => queue.since() < hole.last.number() && queue.settings().durable,
        };
        for vhost in self.vhosts() {
            let topology = vhost.topology.read();
            let queues = topology.queues.values();
            let queues = queues.filter(|queue| queue.shard() == shard && is_concerned(queue));
            concerned.extend(queues.cloned());
        }
        concerned
    }
}
