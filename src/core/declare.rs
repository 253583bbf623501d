//! Declaring and deleting: vhosts, queues, exchanges, bindings.
//!
//! Whether a second declaration is equivalent is the door's to judge, against the settings that are
//! returned: each compares only what its own vocabulary can say (DESIGN §5).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::Core;
use crate::core::catalog;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::clear::Purge;
use crate::core::queue::effects::Effects;
use crate::core::queue::settings::QueueSettings;
use crate::core::route::binding::BindingArguments;
use crate::core::route::exchange::ExchangeSettings;
use crate::core::topology::Exchange;
use crate::core::topology::Topology;
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
    fn new(value: T, lsn: Option<Lsn>) -> Self {
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
        let lsn = self.put_catalog(Shard(0), now, catalog::vhost_key(name), Some(value))?;
        let vhost = Vhost::new(name.clone(), shard);
        vhosts.insert(name.clone(), Arc::clone(&vhost));
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
        let lsn = if settings.durable {
            let value = catalog::QueueValue {
                id,
                vhost: vhost.name().clone(),
                name: name.clone(),
                settings: settings.clone(),
            };
            Some(self.put_catalog(
                vhost.shard(),
                now,
                catalog::queue_key(id),
                Some(catalog::json(&value)),
            )?)
        } else {
            None
        };
        let queue = Queue::new(
            id,
            name.clone(),
            vhost.name().clone(),
            vhost.shard(),
            settings,
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
        let mut effects = Effects::default();
        let lsn = {
            let mut state = queue.lock();
            if state.is_deleted() {
                return Err(gone(queue));
            }
            let mut settings = QueueSettings::clone(state.settings());
            change(&mut settings);
            let lsn = if settings.durable {
                let value = catalog::QueueValue {
                    id: queue.id(),
                    vhost: queue.vhost().clone(),
                    name: queue.name().clone(),
                    settings: settings.clone(),
                };
                let key = catalog::queue_key(queue.id());
                Some(self.put_catalog(queue.shard(), now, key, Some(catalog::json(&value)))?)
            } else {
                None
            };
            state.declared = lsn.or(state.declared);
            state.apply_settings(settings, now, &mut effects);
            lsn
        };
        self.carry_out(queue, effects, now)?;
        Ok(Written::new((), lsn))
    }

    /// Deletes a queue with what is in it, its bindings and its consumers. Returns how many ready
    /// entries it had.
    ///
    /// # Errors
    /// [`CoreError::InUse`], [`CoreError::NotEmpty`], [`CoreError::QueueNotFound`] when it is deleted
    /// meanwhile.
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
        if only.empty && state.ready_count() > 0 {
            return Err(CoreError::NotEmpty(queue.name().to_string()));
        }
        let ready = state.ready_count();
        let lsn = if state.settings().durable {
            Some(self.put_catalog(vhost.shard(), now, catalog::queue_key(queue.id()), None)?)
        } else {
            None
        };
        self.forget_bindings(vhost, &mut topology, queue.id(), now)?;
        let (dead, cancelled) = state.delete();
        drop(state);
        topology.queues.remove(queue.name());
        topology.by_id.remove(&queue.id());
        vhost.changed();
        drop(topology);
        self.inner.store.dead(&dead);
        self.inner.metrics.queues.dec();
        self.emit(&CoreEvent::QueueDeleted(
            vhost.name().clone(),
            queue.name().clone(),
        ));
        self.carry_out(
            queue,
            Effects {
                wakes: cancelled,
                ..Effects::default()
            },
            now,
        )?;
        Ok(Written::new(ready, lsn))
    }

    fn forget_bindings(
        &self,
        vhost: &Vhost,
        topology: &mut Topology,
        id: QueueId,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        for (name, exchange) in &mut topology.exchanges {
            for binding in exchange.router.remove_destination(&id) {
                self.inner.metrics.bindings.dec();
                let value = binding_value(vhost, name, id, &binding.key, &binding.arguments);
                let key = catalog::binding_key(&value);
                if self.inner.catalog.contains(vhost.shard(), &key) {
                    self.put_catalog(vhost.shard(), now, key, None)?;
                }
            }
        }
        Ok(())
    }

    /// Empties a queue, and says how many entries went.
    ///
    /// # Errors
    /// [`CoreError::LogFailed`].
    pub fn purge(
        &self,
        queue: &Arc<Queue>,
        purge: Purge,
        now: CoreTime,
    ) -> Result<Written<u64>, CoreError> {
        let mut effects = Effects::default();
        let gone = queue.lock().purge(purge, &mut effects);
        let lsn = self.carry_out(queue, effects, now)?;
        Ok(Written::new(gone, lsn))
    }

    /// Declares an exchange. `settings` is called only for one that is not there yet.
    ///
    /// # Errors
    /// [`CoreError::DefaultExchange`]; else as [`Core::declare_queue`].
    pub fn declare_exchange(
        &self,
        vhost: &Vhost,
        name: &ExchangeName,
        settings: impl FnOnce() -> ExchangeSettings,
        now: CoreTime,
    ) -> Result<Written<Declared<ExchangeSettings>>, CoreError> {
        if name.is_default() {
            return Err(CoreError::DefaultExchange);
        }
        let mut topology = vhost.topology.write();
        if let Some(exchange) = topology.exchanges.get(name) {
            let key = catalog::exchange_key(vhost.name(), name);
            let lsn = self.inner.catalog.last_change(vhost.shard(), &key);
            return Ok(Written::new(
                Declared::Existing(exchange.settings.clone()),
                lsn,
            ));
        }
        let settings = settings();
        let lsn = if settings.durable {
            let value = catalog::ExchangeValue {
                vhost: vhost.name().clone(),
                name: name.clone(),
                settings: settings.clone(),
            };
            let key = catalog::exchange_key(vhost.name(), name);
            Some(self.put_catalog(vhost.shard(), now, key, Some(catalog::json(&value)))?)
        } else {
            None
        };
        topology
            .exchanges
            .insert(name.clone(), Exchange::new(settings.clone()));
        vhost.changed();
        self.inner.metrics.exchanges.inc();
        self.emit(&CoreEvent::ExchangeCreated(
            vhost.name().clone(),
            name.clone(),
        ));
        Ok(Written::new(Declared::Created(settings), lsn))
    }

    /// Deletes an exchange and its bindings.
    ///
    /// # Errors
    /// [`CoreError::ExchangeNotFound`], [`CoreError::InUse`], [`CoreError::DefaultExchange`] (for a
    /// standard exchange too).
    pub fn delete_exchange(
        &self,
        vhost: &Vhost,
        name: &ExchangeName,
        only: DeleteIf,
        now: CoreTime,
    ) -> Result<Written<()>, CoreError> {
        let mut topology = vhost.topology.write();
        let exchange = topology
            .exchanges
            .get(name)
            .ok_or_else(|| vhost.no_exchange(name.as_str()))?;
        if exchange.standard {
            return Err(CoreError::DefaultExchange);
        }
        if only.unused && !exchange.router.is_empty() {
            return Err(CoreError::InUse(name.to_string()));
        }
        let mut lsn = None;
        for binding in exchange.router.bindings() {
            let value = binding_value(
                vhost,
                name,
                binding.destination,
                &binding.key,
                &binding.arguments,
            );
            let key = catalog::binding_key(&value);
            if self.inner.catalog.contains(vhost.shard(), &key) {
                lsn = Some(self.put_catalog(vhost.shard(), now, key, None)?);
            }
            self.inner.metrics.bindings.dec();
        }
        if exchange.settings.durable {
            let key = catalog::exchange_key(vhost.name(), name);
            lsn = Some(self.put_catalog(vhost.shard(), now, key, None)?);
        }
        topology.exchanges.remove(name);
        vhost.changed();
        self.inner.metrics.exchanges.dec();
        self.emit(&CoreEvent::ExchangeDeleted(
            vhost.name().clone(),
            name.clone(),
        ));
        Ok(Written::new((), lsn))
    }

    /// Binds a queue to an exchange. The binding is durable when both are.
    ///
    /// # Errors
    /// [`CoreError::ExchangeNotFound`], [`CoreError::QueueNotFound`], [`CoreError::BadBinding`],
    /// [`CoreError::DefaultExchange`].
    pub fn bind(
        &self,
        vhost: &Vhost,
        exchange: &ExchangeName,
        queue: &QueueName,
        key: &[u8],
        arguments: &BindingArguments,
        now: CoreTime,
    ) -> Result<Written<()>, CoreError> {
        if exchange.is_default() {
            return Err(CoreError::DefaultExchange);
        }
        let mut topology = vhost.topology.write();
        let (id, durable) = bound_queue(vhost, &topology, queue)?;
        let found = topology
            .exchanges
            .get_mut(exchange)
            .ok_or_else(|| vhost.no_exchange(exchange.as_str()))?;
        found
            .settings
            .kind
            .check(arguments)
            .map_err(|error| CoreError::BadBinding(error.to_string()))?;
        let value = binding_value(vhost, exchange, id, key, arguments);
        let catalog_key = catalog::binding_key(&value);
        if !found.router.bind(key, arguments, id) {
            return Ok(Written::new(
                (),
                self.inner.catalog.last_change(vhost.shard(), &catalog_key),
            ));
        }
        vhost.changed();
        self.inner.metrics.bindings.inc();
        if !(durable && found.settings.durable) {
            return Ok(Written::new((), None));
        }
        let lsn = self.put_catalog(vhost.shard(), now, catalog_key, Some(catalog::json(&value)))?;
        Ok(Written::new((), Some(lsn)))
    }

    /// Undoes a binding; one that is not there is no error (0-9-1 as RabbitMQ has it).
    ///
    /// # Errors
    /// As [`Core::bind`].
    pub fn unbind(
        &self,
        vhost: &Vhost,
        exchange: &ExchangeName,
        queue: &QueueName,
        key: &[u8],
        arguments: &BindingArguments,
        now: CoreTime,
    ) -> Result<Written<()>, CoreError> {
        if exchange.is_default() {
            return Err(CoreError::DefaultExchange);
        }
        let mut topology = vhost.topology.write();
        let (id, _) = bound_queue(vhost, &topology, queue)?;
        let found = topology
            .exchanges
            .get_mut(exchange)
            .ok_or_else(|| vhost.no_exchange(exchange.as_str()))?;
        if !found.router.unbind(key, arguments, id) {
            return Ok(Written::new((), None));
        }
        vhost.changed();
        self.inner.metrics.bindings.dec();
        let catalog_key = catalog::binding_key(&binding_value(vhost, exchange, id, key, arguments));
        if !self.inner.catalog.contains(vhost.shard(), &catalog_key) {
            return Ok(Written::new((), None));
        }
        let lsn = self.put_catalog(vhost.shard(), now, catalog_key, None)?;
        Ok(Written::new((), Some(lsn)))
    }

    /// Ids are never used twice: the start's number is their upper half.
    fn next_queue_id(&self) -> QueueId {
        let serial = self.inner.queue_serial.fetch_add(1, Ordering::Relaxed);
        QueueId((self.inner.store.identity().incarnation << 32) | (serial & 0xFFFF_FFFF))
    }
}

fn bound_queue(
    vhost: &Vhost,
    topology: &Topology,
    queue: &QueueName,
) -> Result<(QueueId, bool), CoreError> {
    let queue = topology
        .queues
        .get(queue)
        .ok_or_else(|| CoreError::QueueNotFound {
            vhost: vhost.name().to_string(),
            queue: queue.to_string(),
        })?;
    Ok((queue.id(), queue.settings().durable))
}

fn binding_value(
    vhost: &Vhost,
    exchange: &ExchangeName,
    queue: QueueId,
    key: &[u8],
    arguments: &BindingArguments,
) -> catalog::BindingValue {
    catalog::BindingValue {
        vhost: vhost.name().clone(),
        exchange: exchange.clone(),
        queue,
        key: key.to_vec(),
        arguments: arguments.clone(),
    }
}

fn gone(queue: &Queue) -> CoreError {
    CoreError::QueueNotFound {
        vhost: queue.vhost().to_string(),
        queue: queue.name().to_string(),
    }
}
