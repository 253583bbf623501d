//! Declaring and deleting exchanges, and binding queues to them.

use crate::core::Core;
use crate::core::catalog;
use crate::core::catalog::Change;
use crate::core::declare::Declared;
use crate::core::declare::DeleteIf;
use crate::core::declare::Written;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::model::ids::QueueId;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::time::CoreTime;
use crate::core::route::binding::Binding;
use crate::core::route::binding::BindingArguments;
use crate::core::route::exchange::ExchangeSettings;
use crate::core::topology::Exchange;
use crate::core::topology::STANDARD_EXCHANGES;
use crate::core::topology::Topology;
use crate::core::topology::Vhost;

impl Core {
    /// A vhost is there, with the exchanges that every vhost has.
    pub(in crate::core) fn count_standard_exchanges(&self) {
        let count = i64::try_from(STANDARD_EXCHANGES.len()).unwrap_or(0);
        self.inner.metrics.exchanges.inc_by(count);
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
            Some(self.put_catalog(vhost.shard(), now, vec![(key, Some(catalog::json(&value)))])?)
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
        let bindings = exchange.router.bindings().map(|binding| {
            let (to, key) = (binding.destination, &binding.key);
            catalog::binding_key(&binding_value(vhost, name, to, key, &binding.arguments))
        });
        let bound = i64::try_from(exchange.router.bindings().count()).unwrap_or(0);
        let kept = bindings.filter(|key| self.inner.catalog.contains(vhost.shard(), key));
        let mut changes: Vec<Change> = kept.map(|key| (key, None)).collect();
        if exchange.settings.durable {
            changes.push((catalog::exchange_key(vhost.name(), name), None));
        }
        let lsn = match changes.is_empty() {
            true => None,
            false => Some(self.put_catalog(vhost.shard(), now, changes)?),
        };
        self.inner.metrics.bindings.dec_by(bound);
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
        let mut lsn = None;
        if durable && found.settings.durable {
            let change = (catalog_key, Some(catalog::json(&value)));
            let put = self.put_catalog(vhost.shard(), now, vec![change]);
            // Nobody has seen it yet: the topology is locked.
            lsn = Some(put.inspect_err(|_| {
                found.router.unbind(key, arguments, id);
            })?);
        }
        vhost.changed();
        self.inner.metrics.bindings.inc();
        Ok(Written::new((), lsn))
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
        let catalog_key = catalog::binding_key(&binding_value(vhost, exchange, id, key, arguments));
        let mut lsn = None;
        if self.inner.catalog.contains(vhost.shard(), &catalog_key) {
            lsn = Some(self.put_catalog(vhost.shard(), now, vec![(catalog_key, None)])?);
        }
        if found.router.unbind(key, arguments, id) {
            vhost.changed();
            self.inner.metrics.bindings.dec();
        }
        Ok(Written::new((), lsn))
    }
}

/// The catalog's loss of the bindings to a queue.
pub(in crate::core) fn forgotten_bindings(
    core: &Core,
    vhost: &Vhost,
    topology: &Topology,
    id: QueueId,
) -> Vec<Change> {
    let bindings = bindings_to(topology, id);
    let keys = bindings.map(|(name, binding)| {
        catalog::binding_key(&binding_value(
            vhost,
            name,
            id,
            &binding.key,
            &binding.arguments,
        ))
    });
    let kept = keys.filter(|key| core.inner.catalog.contains(vhost.shard(), key));
    kept.map(|key| (key, None)).collect()
}

/// A queue became durable: its bindings to durable exchanges do too.
pub(in crate::core) fn kept_bindings(
    vhost: &Vhost,
    topology: &Topology,
    id: QueueId,
) -> Vec<Change> {
    let bindings = bindings_to(topology, id);
    let durable = bindings.filter(|(name, _)| {
        let exchange = topology.exchanges.get(*name);
        exchange.is_some_and(|exchange| exchange.settings.durable)
    });
    let values = durable
        .map(|(name, binding)| binding_value(vhost, name, id, &binding.key, &binding.arguments));
    values
        .map(|value| (catalog::binding_key(&value), Some(catalog::json(&value))))
        .collect()
}

fn bindings_to(
    topology: &Topology,
    id: QueueId,
) -> impl Iterator<Item = (&ExchangeName, &Binding<QueueId>)> {
    topology.exchanges.iter().flat_map(move |(name, exchange)| {
        let bindings = exchange.router.bindings();
        let to = bindings.filter(move |binding| binding.destination == id);
        to.map(move |binding| (name, binding))
    })
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
