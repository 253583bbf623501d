//! Starting: the catalog's checkpoint, then the log, record by record.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::Core;
use crate::core::catalog;
use crate::core::catalog::BindingValue;
use crate::core::catalog::ExchangeValue;
use crate::core::catalog::QueueValue;
use crate::core::catalog::VhostValue;
use crate::core::error::CoreError;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::GrantedEntry;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Dead;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::message::Message;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::restore::Restored;
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
    /// Bytes of the chunk records right before this one.
    chunks: Vec<Bytes>,
    /// Entries whose message cannot be read: lost, unless it turns out that they were settled.
    broken: HashMap<(QueueId, Lsn), Dead>,
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
                broken: HashMap::new(),
            };
            let scanned = self
                .inner
                .store
                .scan(shard, &mut |lsn, record| replay.record(lsn, record))?;
            latest = latest.max(scanned.latest);
            replay.bury_broken();
            for (queue, restored) in replay.queues {
                entries.insert(queue, (restored, scanned.clean_stop));
            }
        }
        self.log_start(latest)?;
        self.build(entries, latest)?;
        self.keep_limits(latest)?;
        Ok(latest)
    }

    /// What was leased is ready again, and may be more than a queue's limits allow. Once all queues,
    /// exchanges and bindings are there, so that dead letters find their way.
    fn keep_limits(&self, now: CoreTime) -> Result<(), CoreError> {
        for vhost in self.vhosts() {
            let mut queues: Vec<_> = vhost.topology.read().queues.values().cloned().collect();
            queues.sort_by_key(|queue| queue.id());
            for queue in queues {
                self.on_queue(&queue, now, |state, effects| state.after_push(now, effects))?;
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

    fn build(
        &self,
        mut entries: HashMap<QueueId, (Entries, bool)>,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        for value in self.values::<VhostValue>("vhost/") {
            let vhost = Vhost::new(value.name.clone(), value.shard);
            self.inner.vhosts.write().insert(value.name, vhost);
            self.count_standard_exchanges();
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
                self.on_queue(&queue, now, |state, effects| {
                    state.restore(restored.into_values(), clean_stop, effects);
                })?;
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
            if !topology.by_id.contains_key(&value.queue) {
                continue;
            }
            if let Some(exchange) = topology.exchanges.get_mut(&value.exchange) {
                exchange
                    .router
                    .bind(&value.key, &value.arguments, value.queue);
                self.inner.metrics.bindings.inc();
            }
        }
        // Entries of queues that are no more. A queue that only cannot be read keeps its own.
        let unreadable =
            |id: &QueueId| !self.inner.catalog.scan(&catalog::queue_key(*id)).is_empty();
        let gone = entries.into_iter().filter(|(id, _)| !unreadable(id));
        let dead: Vec<Dead> = gone
            .flat_map(|(id, (restored, _))| restored.into_values().map(move |r| r.dead(id)))
            .collect();
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
            let parsed = catalog::parse(&value);
            parsed
                .inspect_err(|error| tracing::error!(key, %error, "catalog value cannot be read"))
                .ok()
        })
        .collect()
    }
}

impl Replay<'_> {
    fn record(&mut self, lsn: Lsn, record: Record<'_>) {
        if let Record::Chunk { bytes, .. } = &record {
            self.chunks.push(Bytes::copy_from_slice(bytes));
            return;
        }
        // Chunks of a publish that was settled before it was written, or torn off, have no publish.
        let chunks = std::mem::take(&mut self.chunks);
        match record {
            Record::Publish(publish) => self.publish(lsn, &publish, chunks),
            Record::Settle { queue, entries, .. } => {
                for entry in entries.iter() {
                    self.remove(queue, entry.entry);
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
                    restored.is_counted = true;
                }
            }
            Record::Catalog { key, value } => self.catalog(lsn, key, value),
            // The store reads these itself, or nothing writes them yet.
            Record::Chunk { .. }
            | Record::PurgeRange { .. }
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

    fn remove(&mut self, queue: QueueId, entry: Lsn) -> Option<Restored> {
        self.broken.remove(&(queue, entry));
        self.queues.get_mut(&queue)?.remove(&entry)
    }

    fn publish(&mut self, lsn: Lsn, publish: &Publish<'_>, mut chunks: Vec<Bytes>) {
        let count = match publish.message.body {
            BodyFields::Chunks { chunks, .. } => chunks,
            BodyFields::Inline(_) | BodyFields::File { .. } => 0,
        };
        // Only its own: those before them belong to a publish that is not there.
        let own = usize::try_from(count).unwrap_or(usize::MAX);
        chunks.drain(..chunks.len().saturating_sub(own));
        let inner = &self.core.inner;
        let (bodies, budget) = (inner.store.bodies(), &inner.budget);
        match message_of(&publish.message, lsn, chunks, bodies, budget) {
            Some(message) => {
                for fields in publish.entries.iter() {
                    self.insert(lsn, fields, message.clone());
                }
            }
            None => {
                tracing::error!(%lsn, "a message in the log cannot be read");
                self.broken(lsn, lsn, &publish.entries);
            }
        }
    }

    fn broken(&mut self, entry: Lsn, message: Lsn, entries: &[EntryFields]) {
        let entry = EntryRef { entry, message };
        let lost = entries.iter().map(|fields| fields.queue);
        self.broken
            .extend(lost.map(|queue| ((queue, entry.entry), Dead { queue, entry })));
    }

    fn bury_broken(&self) {
        let lost: Vec<Dead> = self.broken.values().copied().collect();
        if !lost.is_empty() {
            tracing::error!(
                entries = lost.len(),
                "entries are lost: their messages cannot be read"
            );
            self.core.inner.store.dead(&lost);
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
        match self.remove(moved.source, moved.entry.entry) {
            Some(source) => {
                for fields in moved.targets.iter() {
                    self.insert(lsn, fields, source.message.clone());
                }
            }
            None => self.broken(lsn, moved.entry.message, &moved.targets),
        }
    }

    fn granted(&mut self, queue: QueueId, until: CoreTime, entries: &[GrantedEntry]) {
        for granted in entries {
            if let Some(restored) = self.entry(queue, granted.entry) {
                restored.acquired = granted.acquired;
                restored.failed = granted.failed;
                restored.until = Some(until);
                restored.is_counted = true;
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
    }
}

impl Restored {
    /// Its references, when nobody has a place for it.
    fn dead(&self, queue: QueueId) -> Dead {
        let message = self.message.lsn().unwrap_or(self.lsn);
        Dead {
            queue,
            entry: EntryRef {
                entry: self.lsn,
                message,
            },
        }
    }
}

/// Whether a key is one of core's own: other layers keep theirs beside them.
pub(in crate::core) fn is_core_key(key: &str) -> bool {
    ["vhost/", "queue/", "exchange/", "binding/"]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}
