//! Declaring and deleting vhosts and queues.
//!
//! Whether a second declaration is equivalent is the door's to judge, against the settings that are
//! returned: each compares only what its own vocabulary can say (DESIGN §5).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::Core;
use crate::core::bury::Work;
use crate::core::catalog;
use crate::core::catalog::Change;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::exchanges;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::clear::Purge;
use crate::core::queue::effects::Effects;
use crate::core::queue::settings::QueueSettings;
use crate::core::topology::Vhost;

/// Something done, and the record that a positive answer waits for (SEMANTICS §11); none when nothing
/// of it survives a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// What was done.
    pub value: T,
    /// Answer when the watermark covers it.
    pub lsn: Option<Lsn>,
}

impl<T> Written<T> {
    pub(in crate::core) fn new(value: T, lsn: Option<Lsn>) -> Self {
        Self { value, lsn }
    }
}

/// A declaration's outcome.
#[derive(Clone, Debug)]
pub enum Declared<T> {
    /// It is new.
    Created(T),
    /// It was there; the door compares.
    Existing(T),
}

/// Conditions of a delete.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeleteIf {
    /// Only when it has no consumers (a queue) or bindings (an exchange).
    pub unused: bool,
    /// Only when it has no ready entries.
    pub empty: bool,
}

impl Core {
    /// Makes sure that a vhost exists. Its shard is chosen by its name.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`], [`CoreError::Full`].
    pub fn create_vhost(
        &self,
        name: &VhostName,
        now: CoreTime,
    ) -> Result<Written<Arc<Vhost>>, CoreError> {
        let mut vhosts = self.inner.vhosts.write();
        if let Some(vhost) = vhosts.get(name) {
            return Ok(Written::new(Arc::clone(vhost), None));
        }
        let shards = u64::from(self.inner.store.capabilities().shards);
        let hash = name.as_str().bytes().fold(0u64, |hash, byte| {
            hash.wrapping_mul(31).wrapping_add(u64::from(byte))
        });
        let shard = Shard(u8::try_from(hash % shards).unwrap_or(0));
        let value = catalog::json(&catalog::VhostValue {
            name: name.clone(),
            shard,
        });
        let lsn = self.put_catalog(Shard(0), now, &[(catalog::vhost_key(name), Some(value))])?;
        let vhost = Vhost::new(name.clone(), shard);
        vhosts.insert(name.clone(), Arc::clone(&vhost));
        self.count_standard_exchanges();
        self.emit(&CoreEvent::VhostCreated(name.clone()));
        Ok(Written::new(vhost, Some(lsn)))
    }

    /// Declares a queue. `settings` is called only for a queue that is not there yet.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`], [`CoreError::Full`].
    pub fn declare_queue(
        &self,
        vhost: &Vhost,
        name: &QueueName,
        settings: impl FnOnce() -> QueueSettings,
        now: CoreTime,
    ) -> Result<Written<Declared<Arc<Queue>>>, CoreError> {
        let mut topology = vhost.topology.write();
        if let Some(queue) = topology.queues.get(name) {
            // The record may still be on its way to the disk: this answer is the same promise.
            let lsn = queue.lock().declared;
            return Ok(Written::new(Declared::Existing(Arc::clone(queue)), lsn));
        }
        let settings = settings();
        let id = self.next_queue_id();
        let since = match self.watermark(vhost.shard()) {
            Watermark::Durable(upto) => upto,
            Watermark::Failed => 0,
        };
        let lsn = if settings.durable {
            Some(self.put_catalog(
                vhost.shard(),
                now,
                &[queue_change(id, name, vhost, since, &settings)],
            )?)
        } else {
            None
        };
        let queue = Queue::new(
            id,
            name.clone(),
            vhost.name().clone(),
            vhost.shard(),
            since,
            settings,
            &self.inner.sizes,
        );
        queue.lock().declared = lsn;
        topology.queues.insert(name.clone(), Arc::clone(&queue));
        topology.by_id.insert(id, Arc::clone(&queue));
        vhost.changed();
        self.inner.metrics.queues.inc();
        self.emit(&CoreEvent::QueueCreated(vhost.name().clone(), name.clone()));
        Ok(Written::new(Declared::Created(queue), lsn))
    }

    /// Changes a queue's settings: what `change` makes of them. A queue that becomes durable enters the
    /// catalog; messages that are in it stay what they were.
    ///
    /// # Errors
    /// [`CoreError::QueueNotFound`] when it is deleted meanwhile; else as [`Core::declare_queue`].
    pub fn update_queue(
        &self,
        queue: &Arc<Queue>,
        change: impl FnOnce(&mut QueueSettings),
        now: CoreTime,
    ) -> Result<Written<()>, CoreError> {
        let vhost = self.vhost(queue.vhost().as_str())?;
        let topology = vhost.topology.write();
        let mut work = Work::new();
        let (updated, _) = self.on_queue_into(queue, now, &mut work, |state, effects| {
            if state.is_deleted() {
                return Err(gone(queue));
            }
            let mut settings = QueueSettings::clone(state.settings());
            change(&mut settings);
            // What is durable stays so: nothing takes a queue out of the catalog but its deletion.
            settings.durable |= state.settings().durable;
            let mut lsn = None;
            if settings.durable {
                let (id, name, since) = (queue.id(), queue.name(), queue.since());
                let mut changes = vec![queue_change(id, name, &vhost, since, &settings)];
                if !state.settings().durable {
                    let bindings = exchanges::kept_bindings(&vhost, &topology, queue.id());
                    changes.extend(bindings.map(|key| (key, Some(Vec::new()))));
                }
                lsn = Some(self.put_catalog(vhost.shard(), now, &changes)?);
            }
            state.declared = lsn.or(state.declared);
            state.apply_settings(settings, now, effects);
            Ok(lsn)
        })?;
        // Dead letters look for their way in the topology.
        drop(topology);
        self.bury_all(work, now)?;
        Ok(Written::new((), updated?))
    }

    /// Deletes a queue with what is in it, its bindings and its consumers. Returns how many ready
    /// entries it had.
    ///
    /// # Errors
    /// [`CoreError::InUse`], [`CoreError::NotEmpty`] ([`CoreError::Quarantined`], if nobody can know),
    /// [`CoreError::QueueNotFound`] when it is deleted meanwhile.
    pub fn delete_queue(
        &self,
        vhost: &Vhost,
        queue: &Arc<Queue>,
        only: DeleteIf,
        now: CoreTime,
    ) -> Result<Written<u64>, CoreError> {
        let mut topology = vhost.topology.write();
        let mut state = queue.lock();
        if state.is_deleted() {
            return Err(gone(queue));
        }
        if only.unused && state.consumer_count() > 0 {
            return Err(CoreError::InUse(queue.name().to_string()));
        }
        if let (true, Some(why)) = (only.empty, state.quarantined()) {
            // Nobody knows whether it is.
            return Err(CoreError::Quarantined(Box::new(queue.quarantined(why))));
        }
        if only.empty && state.ready_count() > 0 {
            return Err(CoreError::NotEmpty(queue.name().to_string()));
        }
        let ready = state.ready_count();
        let mut changes = Vec::new();
        if state.settings().durable {
            let bindings = exchanges::kept_bindings(vhost, &topology, queue.id());
            changes.extend(bindings.map(|key| (key, None)));
            changes.push((catalog::queue_key(queue.id()), None));
        }
        let lsn = match changes.is_empty() {
            true => None,
            false => Some(self.put_catalog(vhost.shard(), now, &changes)?),
        };
        // From here on nothing can fail: the log has it.
        let gone = state.delete(queue.id());
        drop(state);
        for exchange in topology.exchanges.values_mut() {
            let bindings = exchange.router.remove_destination(&queue.id()).len();
            self.inner
                .metrics
                .bindings
                .dec_by(i64::try_from(bindings).unwrap_or(0));
        }
        topology.queues.remove(queue.name());
        topology.by_id.remove(&queue.id());
        vhost.changed();
        // Under the lock, so that nobody hears of the next queue of this name before.
        self.emit(&CoreEvent::QueueDeleted(
            vhost.name().clone(),
            queue.name().clone(),
        ));
        drop(topology);
        self.inner.store.dead(&gone.dead);
        for id in gone.unused {
            self.inner.store.spill_drop(queue.shard(), id);
        }
        self.inner.metrics.queues.dec();
        self.inner.quarantine.forget(queue.id());
        let effects = Effects {
            wakes: gone.cancelled.into(),
            reaped: gone.spilled,
            ..Effects::default()
        };
        self.finish(queue, effects, &mut Work::new());
        Ok(Written::new(ready, lsn))
    }

    /// Empties a queue, and says how many entries went.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`], [`CoreError::Quarantined`]. [`CoreError::Full`]: it is empty, but that cannot be
    /// promised yet.
    pub fn purge(
        &self,
        queue: &Arc<Queue>,
        purge: Purge,
        now: CoreTime,
    ) -> Result<Written<u64>, CoreError> {
        let (gone, logged) = self.on_queue(queue, now, |state, effects| {
            let is_kept = state.quarantined().is_some();
            (!is_kept).then(|| state.purge(purge, effects))
        })?;
        let gone = gone.ok_or_else(|| queue.closed_because())?;
        if logged.is_deferred {
            return Err(CoreError::Full);
        }
        Ok(Written::new(gone, logged.covering))
    }

    /// Ids are never used twice: the start's number is their upper half.
    fn next_queue_id(&self) -> QueueId {
        let serial = self.inner.queue_serial.fetch_add(1, Ordering::Relaxed);
        QueueId((self.inner.store.identity().incarnation << 32) | (serial & 0xFFFF_FFFF))
    }
}

fn queue_change(
    id: QueueId,
    name: &QueueName,
    vhost: &Vhost,
    since: u64,
    settings: &QueueSettings,
) -> Change {
    let value = catalog::QueueValue {
        id,
        vhost: vhost.name().clone(),
        name: name.clone(),
        since,
        settings: settings.clone(),
    };
    (catalog::queue_key(id), Some(catalog::json(&value)))
}

fn gone(queue: &Queue) -> CoreError {
    CoreError::QueueNotFound {
        vhost: queue.vhost().to_string(),
        queue: queue.name().to_string(),
    }
}
