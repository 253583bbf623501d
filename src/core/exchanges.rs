//! Declaring and deleting exchanges, and binding queues to them.

use crate::core::Core;
use crate::core::catalog;
use crate::core::declare::Declared;
use crate::core::declare::DeleteIf;
use crate::core::declare::Written;
use crate::core::error::CoreError;
use crate::core::events::CoreEvent;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::time::CoreTime;
use crate::core::route::binding::BindingArguments;
use crate::core::route::exchange::ExchangeSettings;
use crate::core::topology::Exchange;
use crate::core::topology::Topology;
use crate::core::topology::Vhost;

impl Core {
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

    /// The bindings to a queue go with it.
    pub(in crate::core) fn forget_bindings(
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

    /// A queue became durable: its bindings to durable exchanges do too.
    pub(in crate::core) fn keep_bindings(
        &self,
        vhost: &Vhost,
        topology: &Topology,
        id: QueueId,
        now: CoreTime,
    ) -> Result<Option<Lsn>, CoreError> {
        let mut lsn = None;
        for (name, exchange) in topology
            .exchanges
            .iter()
            .filter(|(_, exchange)| exchange.settings.durable)
        {
            for binding in exchange
                .router
                .bindings()
                .filter(|binding| binding.destination == id)
            {
                let value = binding_value(vhost, name, id, &binding.key, &binding.arguments);
                let key = catalog::binding_key(&value);
                lsn =
                    Some(self.put_catalog(vhost.shard(), now, key, Some(catalog::json(&value)))?);
            }
        }
        Ok(lsn)
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
