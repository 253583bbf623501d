//! Starting: the catalog's checkpoint, then the log, record by record.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::Core;
use crate::core::catalog::BindingValue;
use crate::core::catalog::ExchangeValue;
use crate::core::catalog::QueueValue;
use crate::core::catalog::VhostValue;
use crate::core::error::CoreError;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::GrantedEntry;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::Dead;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::message::Message;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Effects;
use crate::core::queue::restore::Restored;
use crate::core::record_of::chunks_of;
use crate::core::record_of::message_of;
use crate::core::topology::Exchange;
use crate::core::topology::Vhost;

/// Entries of one queue by their LSN, which is their order.
type Entries = BTreeMap<Lsn, Restored>;

/// What replay has gathered.
struct Replay<'a> {
    core: &'a Core,
    shard: Shard,
    absorbed: Option<Lsn>,
    queues: HashMap<QueueId, Entries>,
    /// Bytes of chunk records whose publish has not come yet.
    chunks: Vec<(Lsn, Bytes)>,
    /// Entries that have no home or no message. They are reported at the end: a record further on may
    /// settle one still, and then the store has counted that already.
    gone: HashMap<QueueId, HashMap<Lsn, Dead>>,
}

impl Core {
    /// Reads the store and builds what it says. Returns the latest core time in the log.
    pub(in crate::core) fn recover(&self, now: CoreTime) -> Result<CoreTime, CoreError> {
        let mut latest = now;
        let mut entries = HashMap::new();
        for shard in (0..self.inner.store.capabilities().shards).map(Shard) {
            let catalog = &self.inner.catalog;
            let absorbed = self.inner.store.load(shard, &mut |key, value| {
                catalog.restore(shard, None, key, Some(value))
            })?;
            let mut replay = Replay {
                core: self,
                shard,
                absorbed,
                queues: HashMap::new(),
                chunks: Vec::new(),
                gone: HashMap::new(),
            };
            let scanned = self
                .inner
                .store
                .scan(shard, &mut |lsn, record| replay.record(lsn, record))?;
            latest = latest.max(scanned.latest);
            let gone = replay.gone.into_values().flat_map(HashMap::into_values);
            self.inner.store.dead(&gone.collect::<Vec<_>>());
            for (queue, restored) in replay.queues {
                entries.insert(queue, (restored, scanned.clean_stop));
            }
        }
        self.begin(latest)?;
        self.build(entries, latest)?;
        self.keep_limits(latest)?;
        Ok(latest)
    }

    /// Writes the start itself to the log: without it a crash soon after would look like the clean stop
    /// before it, and what was delivered in between would not be called redelivered.
    fn begin(&self, now: CoreTime) -> Result<(), CoreError> {
        let epoch = self.identity().incarnation;
        for shard in (0..self.inner.store.capabilities().shards).map(Shard) {
            let start = Record::Epoch {
                epoch,
                clean_stop: false,
            };
            self.inner
                .store
                .append(shard, now, true, &mut std::iter::once(start))?;
        }
        Ok(())
    }

    /// What was leased is ready again, and may be more than a queue's limits allow. Once all queues,
    /// exchanges and bindings are there, so that dead letters find their way.
    fn keep_limits(&self, now: CoreTime) -> Result<(), CoreError> {
        for vhost in self.vhosts() {
            let mut queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            queues.sort_by_key(|queue| queue.id());
            for queue in queues {
                let mut effects = Effects::default();
                queue.lock().after_push(now, &mut effects);
                self.carry_out(&queue, effects, now)?;
            }
        }
        Ok(())
    }

    fn build(
        &self,
        mut entries: HashMap<QueueId, (Entries, bool)>,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        for value in self.values::<VhostValue>("vhost/") {
            let vhost = Vhost::new(value.name.clone(), value.shard);
            self.inner.vhosts.write().insert(value.name, vhost);
        }
        for value in self.values::<ExchangeValue>("exchange/") {
            if let Some(vhost) = self.known_vhost(&value.vhost) {
                vhost
                    .topology
                    .write()
                    .exchanges
                    .insert(value.name, Exchange::new(value.settings));
                self.inner.metrics.exchanges.inc();
            }
        }
        for value in self.values::<QueueValue>("queue/") {
            let Some(vhost) = self.known_vhost(&value.vhost) else {
                continue;
            };
            let queue = Queue::new(
                value.id,
                value.name.clone(),
                value.vhost,
                vhost.shard(),
                value.settings,
            );
            if let Some((restored, clean_stop)) = entries.remove(&value.id) {
                let mut effects = Effects::default();
                queue
                    .lock()
                    .restore(restored.into_values(), clean_stop, &mut effects);
                self.carry_out(&queue, effects, now)?;
            }
            let mut topology = vhost.topology.write();
            topology.queues.insert(value.name, Arc::clone(&queue));
            topology.by_id.insert(value.id, queue);
            self.inner.metrics.queues.inc();
        }
        for value in self.values::<BindingValue>("binding/") {
            let Some(vhost) = self.known_vhost(&value.vhost) else {
                continue;
            };
            let mut topology = vhost.topology.write();
            if let Some(exchange) = topology.exchanges.get_mut(&value.exchange) {
                exchange
                    .router
                    .bind(&value.key, &value.arguments, value.queue);
                self.inner.metrics.bindings.inc();
            }
        }
        // Entries of queues that are no more.
        let homeless = entries
            .into_values()
            .flat_map(|(restored, _)| restored.into_values());
        let dead: Vec<Dead> = homeless.map(|restored| restored.dead()).collect();
        self.inner.store.dead(&dead);
        Ok(())
    }

    fn known_vhost(&self, name: &VhostName) -> Option<Arc<Vhost>> {
        self.inner.vhosts.read().get(name).cloned()
    }

    /// The catalog's values under a prefix; what a later version wrote and this one cannot read is left
    /// alone, with a warning.
    fn values<T: serde::de::DeserializeOwned>(&self, prefix: &str) -> Vec<T> {
        let rows = self.inner.catalog.scan(prefix).into_iter();
        rows.filter_map(|(key, value)| {
            let parsed = serde_json::from_slice(&value);
            parsed
                .inspect_err(|error| tracing::warn!(key, %error, "catalog value cannot be read"))
                .ok()
        })
        .collect()
    }
}

impl Replay<'_> {
    fn record(&mut self, lsn: Lsn, record: Record<'_>) {
        match record {
            Record::Chunk { bytes, .. } => self.chunks.push((lsn, Bytes::copy_from_slice(bytes))),
            Record::Publish(publish) => self.publish(lsn, &publish),
            Record::Settle { queue, entries, .. } => {
                for entry in entries.iter() {
                    self.take(queue, entry.entry);
                }
            }
            Record::Move(moved) => self.moved(lsn, &moved),
            Record::Grant {
                queue,
                until,
                entries,
                ..
            } => self.granted(queue, until, &entries),
            Record::Counters {
                queue,
                entry,
                acquired,
                failed,
            } => {
                if let Some(restored) = self.entry(queue, entry) {
                    restored.acquired = acquired;
                    restored.failed = failed;
                    restored.until = None;
                }
            }
            Record::Catalog { key, value } => self.catalog(lsn, key, value),
            // The store reads these itself, or nothing writes them yet.
            Record::PurgeRange { .. }
            | Record::Schedule { .. }
            | Record::Retained { .. }
            | Record::Mark { .. }
            | Record::Prepared { .. }
            | Record::Decision { .. }
            | Record::Forget { .. }
            | Record::Cursor { .. }
            | Record::PartitionAppend { .. }
            | Record::Reservation { .. }
            | Record::Epoch { .. }
            | Record::Copy { .. }
            | Record::Tombstone => {}
        }
    }

    fn entry(&mut self, queue: QueueId, entry: Lsn) -> Option<&mut Restored> {
        self.queues.get_mut(&queue)?.get_mut(&entry)
    }

    fn publish(&mut self, lsn: Lsn, publish: &Publish<'_>) {
        let chunks = std::mem::take(&mut self.chunks);
        let count = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let chunks = chunks.into_iter().map(|(_, bytes)| bytes).collect();
        let Some(message) = message_of(&publish.message, lsn, chunks, &self.core.inner.budget)
        else {
            for fields in publish.entries.iter() {
                self.give_up(fields.queue, lsn, lsn, count);
            }
            tracing::error!(%lsn, "a message in the log cannot be read and is lost");
            return;
        };
        for fields in publish.entries.iter() {
            self.insert(lsn, fields, message.clone());
        }
    }

    fn insert(&mut self, lsn: Lsn, fields: &EntryFields, message: Message) {
        let restored = Restored::new(lsn, fields, message);
        self.queues
            .entry(fields.queue)
            .or_default()
            .insert(lsn, restored);
    }

    fn moved(&mut self, lsn: Lsn, moved: &Move<'_>) {
        match self.take(moved.source, moved.entry.entry) {
            Some(source) => {
                for fields in moved.targets.iter() {
                    self.insert(lsn, fields, source.message.clone());
                }
            }
            // The message's segment went, because what was moved has been settled.
            None => {
                for fields in moved.targets.iter() {
                    self.give_up(fields.queue, lsn, moved.entry.message, 0);
                }
            }
        }
    }

    /// An entry leaves its queue.
    fn take(&mut self, queue: QueueId, entry: Lsn) -> Option<Restored> {
        if let Some(gone) = self.gone.get_mut(&queue) {
            gone.remove(&entry);
        }
        self.queues.get_mut(&queue)?.remove(&entry)
    }

    /// An entry cannot be restored.
    fn give_up(&mut self, queue: QueueId, entry: Lsn, message: Lsn, chunks: u32) {
        let dead = Dead {
            entry: EntryRef { entry, message },
            chunks,
        };
        self.gone.entry(queue).or_default().insert(entry, dead);
    }

    fn granted(&mut self, queue: QueueId, until: CoreTime, entries: &[GrantedEntry]) {
        for granted in entries {
            if let Some(restored) = self.entry(queue, granted.entry) {
                restored.acquired = granted.acquired;
                restored.failed = granted.failed;
                restored.until = Some(until);
            }
        }
    }

    fn catalog(&mut self, lsn: Lsn, key: &str, value: Option<&[u8]>) {
        if self.absorbed.is_some_and(|absorbed| lsn <= absorbed) {
            return;
        }
        self.core
            .inner
            .catalog
            .restore(self.shard, Some(lsn), key, value);
        let deleted = key
            .strip_prefix("queue/")
            .filter(|_| value.is_none())
            .and_then(|id| id.parse().ok());
        let Some(queue) = deleted.map(QueueId) else {
            return;
        };
        let entries = self.queues.remove(&queue).unwrap_or_default();
        let dead = entries.iter().map(|(lsn, entry)| (*lsn, entry.dead()));
        self.gone.entry(queue).or_default().extend(dead);
    }
}

impl Restored {
    /// Its references, when nobody has a place for it.
    fn dead(&self) -> Dead {
        let message = self.message.lsn().unwrap_or(self.lsn);
        Dead {
            entry: EntryRef {
                entry: self.lsn,
                message,
            },
            chunks: chunks_of(&self.message),
        }
    }
}

/// Whether a key is one of core's own: other layers keep theirs beside them.
pub(in crate::core) fn is_core_key(key: &str) -> bool {
    ["vhost/", "queue/", "exchange/", "binding/"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}
