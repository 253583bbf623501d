//! Starting: the catalog's checkpoint and what changed since, then every live entry in order.

use std::collections::HashMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::core::Core;
use crate::core::catalog;
use crate::core::catalog::ExchangeValue;
use crate::core::catalog::QueueValue;
use crate::core::catalog::VhostValue;
use crate::core::error::CoreError;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::state::QueueState;
use crate::core::topology::Exchange;
use crate::core::topology::Vhost;

/// Puts live entries back into their queues as the log names them.
struct Rebuild<'a> {
    core: &'a Core,
    shard: Shard,
    queues: HashMap<QueueId, Arc<Queue>>,
    /// Entries up to this LSN may have been taken before without a word in the log.
    suspect: Option<Lsn>,
    /// Records are missing: the declaration of a queue may be among them.
    has_holes: bool,
}

impl Visitor for Rebuild<'_> {
    fn catalog(&mut self, lsn: Lsn, key: &str, value: Option<&[u8]>) {
        let catalog = &self.core.inner.catalog;
        catalog.restore(self.shard, Some(lsn), key, value);
    }

    fn entries(&mut self, scanned: &Scanned) {
        self.queues = self.core.build(self.shard);
        self.has_holes = !scanned.holes.is_empty();
        self.suspect = match scanned.clean_stop {
            true => self.core.suspect(self.shard),
            false => scanned.last,
        };
    }

    fn entry(&mut self, live: LiveEntry<'_>) -> bool {
        let Some(queue) = self.queues.get(&live.fields.queue) else {
            // What nobody has a place for may be a promise all the same, until a repair has given up what is missing.
            return self.has_holes || self.core.is_unreadable(live.fields.queue);
        };
        let is_suspect = self.suspect.is_some_and(|suspect| live.entry <= suspect);
        let mut put = self.core.spill(queue.shard());
        queue.lock().restore(&live, is_suspect, &mut put);
        true
    }
}

impl Core {
    /// Reads the store and builds what it says. Returns the latest core time in the log.
    pub(in crate::core) fn recover(&self, now: CoreTime) -> Result<CoreTime, CoreError> {
        let mut latest = now;
        let (mut unclean, mut holes) = (Vec::new(), Vec::new());
        for shard in (0..self.inner.store.capabilities().shards).map(Shard) {
            let catalog = &self.inner.catalog;
            self.inner.store.load(shard, &mut |key, value| {
                catalog.restore(shard, None, key, Some(value));
            })?;
            let mut rebuild = Rebuild {
                core: self,
                shard,
                queues: HashMap::new(),
                suspect: None,
                has_holes: false,
            };
            let scanned = self.inner.store.recover(shard, &mut rebuild)?;
            holes.extend(scanned.holes);
            latest = latest.max(scanned.latest);
            let last = scanned.last.filter(|_| !scanned.clean_stop);
            unclean.extend(last.map(|last| (shard, last)));
        }
        self.log_start(latest)?;
        for (shard, last) in unclean {
            self.set_suspect(shard, last, latest)?;
        }
        self.build_bindings();
        self.inner.catalog.restored();
        for hole in &holes {
            self.quarantine_for(hole);
        }
        self.each_queue(latest, QueueState::restored)?;
        self.each_queue(latest, |state, effects| state.after_push(latest, effects))?;
        Ok(latest)
    }

    /// The last record before the latest unclean stop. Entries up to it may have been taken by links, whose
    /// leases are not logged. A clean stop after it does not log that of each of them.
    fn suspect(&self, shard: Shard) -> Option<Lsn> {
        let rows = self.inner.catalog.scan(&suspect_key(shard));
        rows.first()
            .and_then(|(_, value)| catalog::parse(value).ok())
    }

    fn set_suspect(&self, shard: Shard, last: Lsn, now: CoreTime) -> Result<(), CoreError> {
        let change = (suspect_key(shard), Some(catalog::json(&last)));
        match self.put_catalog(shard, now, &[change]) {
            Err(error @ CoreError::Full) => {
                tracing::warn!(%error, "after the next clean stop, old messages may come without the mark of a redelivery");
                Ok(())
            }
            other => other.map(|_| ()),
        }
    }

    /// Once all queues, exchanges and bindings are there: what was leased is ready again, and may be more than a
    /// queue's limits allow, and dead letters have to find their way.
    fn each_queue(
        &self,
        now: CoreTime,
        operation: impl Fn(&mut QueueState, &mut Effects),
    ) -> Result<(), CoreError> {
        for vhost in self.vhosts() {
            let mut queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            queues.sort_by_key(|queue| queue.id());
            for queue in queues {
                self.on_queue(&queue, now, &operation)?;
            }
        }
        Ok(())
    }

    /// Writes the start itself to the log: without it a crash soon after would look like the clean stop
    /// before it, and what was delivered in between would not be called redelivered.
    fn log_start(&self, now: CoreTime) -> Result<(), CoreError> {
        let store = &self.inner.store;
        let epoch = store.identity().incarnation;
        for shard in (0..store.capabilities().shards).map(Shard) {
            let start = Record::Epoch {
                epoch,
                clean_stop: false,
            };
            match store.append(shard, now, true, &mut std::iter::once(start)) {
                Err(AppendError::Failed) => return Err(CoreError::LogFailed),
                Err(error) => {
                    tracing::warn!(%error, "the log has no room for the mark of this start")
                }
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// Builds what the catalog has in a shard, without bindings, and says which queues there are.
    fn build(&self, shard: Shard) -> HashMap<QueueId, Arc<Queue>> {
        // All of them stand in the first shard, which comes first.
        for value in self.values::<VhostValue>("vhost/") {
            let mut vhosts = self.inner.vhosts.write();
            if let Entry::Vacant(place) = vhosts.entry(value.name) {
                let vhost = Vhost::new(place.key().clone(), value.shard);
                place.insert(vhost);
                self.count_standard_exchanges();
            }
        }
        let known = |name: &VhostName| {
            self.known_vhost(name)
                .filter(|vhost| vhost.shard() == shard)
        };
        for value in self.values::<ExchangeValue>("exchange/") {
            if let Some(vhost) = known(&value.vhost) {
                let exchange = Exchange::new(value.settings);
                let mut topology = vhost.topology.write();
                topology.exchanges.insert(value.name, exchange);
                self.inner.metrics.exchanges.inc();
            }
        }
        let mut queues = HashMap::new();
        for value in self.values::<QueueValue>("queue/") {
            let Some(vhost) = known(&value.vhost) else {
                continue;
            };
            let queue = Queue::new(
                value.id,
                value.name.clone(),
                value.vhost,
                shard,
                value.since,
                value.settings,
                &self.inner.sizes,
            );
            queues.insert(value.id, Arc::clone(&queue));
            let mut topology = vhost.topology.write();
            topology.queues.insert(value.name, Arc::clone(&queue));
            topology.by_id.insert(value.id, queue);
            self.inner.metrics.queues.inc();
        }
        queues
    }

    /// Whether the catalog has a queue that this version cannot read: its entries are kept for one that can.
    fn is_unreadable(&self, id: QueueId) -> bool {
        let key = catalog::queue_key(id);
        let rows = self.inner.catalog.scan(&key);
        rows.iter().any(|(found, _)| *found == key)
    }

    /// Once exchanges and queues are there. A binding of one that is not is left alone.
    fn build_bindings(&self) {
        self.inner.catalog.take_bindings(|key, made| {
            let value = match catalog::parse_binding(key) {
                Ok(value) => value,
                Err(error) => {
                    tracing::error!(key, %error, "catalog key cannot be read");
                    return;
                }
            };
            let Some(vhost) = self.known_vhost(&value.vhost) else {
                return;
            };
            let mut topology = vhost.topology.write();
            if !topology.by_id.contains_key(&value.queue) {
                return;
            }
            let Some(exchange) = topology.exchanges.get_mut(&value.exchange) else {
                return;
            };
            let (router, bindings) = (&mut exchange.router, &self.inner.metrics.bindings);
            if made && router.bind(&value.key, &value.arguments, value.queue) {
                bindings.inc();
            } else if !made && router.unbind(&value.key, &value.arguments, value.queue) {
                bindings.dec();
            }
        });
    }

    fn known_vhost(&self, name: &VhostName) -> Option<Arc<Vhost>> {
        self.inner.vhosts.read().get(name).cloned()
    }

    /// The catalog's values under a prefix; what a later version wrote and this one cannot read is left
    /// alone, with a warning.
    fn values<T: serde::de::DeserializeOwned>(&self, prefix: &str) -> Vec<T> {
        let rows = self.inner.catalog.scan(prefix).into_iter();
        rows.filter_map(|(key, value)| {
            let parsed = catalog::parse(&value);
            parsed
                .inspect_err(|error| tracing::error!(key, %error, "catalog value cannot be read"))
                .ok()
        })
        .collect()
    }
}

fn suspect_key(shard: Shard) -> String {
    format!("suspect/{:03}", shard.0)
}
