//! Declaring and deleting exchanges, and binding queues to them.

use crate::core::Core;
use crate::core::catalog;
use crate::core::catalog::Change;
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
            // The record may still be on its way to the disk: this answer is the same promise.
            let is_kept = exchange.settings.durable && !exchange.standard;
            let lsn = self.last_change(vhost, is_kept);
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
            Some(self.put_catalog(vhost.shard(), now, &[(key, Some(catalog::json(&value)))])?)
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
        let bound = i64::try_from(exchange.router.len()).unwrap_or(0);
        let mut changes: Vec<Change> = Vec::new();
        if exchange.settings.durable {
            let bindings = exchange.router.bindings();
            let kept = bindings.filter(|binding| is_durable(&topology, binding.destination));
            let keys = kept.flat_map(|binding| binding_keys(vhost, name, binding));
            changes.extend(keys.map(|key| (key, None)));
            changes.push((catalog::exchange_key(vhost.name(), name), None));
        }
        let lsn = match changes.is_empty() {
            true => None,
            false => Some(self.put_catalog(vhost.shard(), now, &changes)?),
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
        let is_kept = durable && found.settings.durable;
        if !found.router.bind(key, arguments, id) {
            return Ok(Written::new((), self.last_change(vhost, is_kept)));
        }
        let mut lsn = None;
        if is_kept {
            let key_of = binding_value(vhost, exchange, id, key, arguments);
            let change = (catalog::binding_key(&key_of), Some(Vec::new()));
            let put = self.put_catalog(vhost.shard(), now, &[change]);
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
        let (id, durable) = bound_queue(vhost, &topology, queue)?;
        let found = topology
            .exchanges
            .get_mut(exchange)
            .ok_or_else(|| vhost.no_exchange(exchange.as_str()))?;
        let is_kept = durable && found.settings.durable;
        if !found.router.unbind(key, arguments, id) {
            return Ok(Written::new((), self.last_change(vhost, is_kept)));
        }
        let mut lsn = None;
        if is_kept {
            let key_of = binding_value(vhost, exchange, id, key, arguments);
            let changes: Vec<Change> = catalog::binding_keys(&key_of)
                .map(|key| (key, None))
                .collect();
            let put = self.put_catalog(vhost.shard(), now, &changes);
            lsn = Some(put.inspect_err(|_| {
                found.router.bind(key, arguments, id);
            })?);
        }
        vhost.changed();
        self.inner.metrics.bindings.dec();
        Ok(Written::new((), lsn))
    }

    /// What a repeated declaration waits for: the last record of the catalog, which is behind its own.
    fn last_change(&self, vhost: &Vhost, is_kept: bool) -> Option<Lsn> {
        is_kept
            .then(|| self.inner.catalog.last_change(vhost.shard()))
            .flatten()
    }
}

/// The catalog's keys of a durable queue's bindings: those to durable exchanges.
pub(in crate::core) fn kept_bindings<'a>(
    vhost: &'a Vhost,
    topology: &'a Topology,
    id: QueueId,
) -> impl Iterator<Item = String> + 'a {
    let exchanges = topology.exchanges.iter();
    let durable = exchanges.filter(|(_, exchange)| exchange.settings.durable);
    durable.flat_map(move |(name, exchange)| {
        let bindings = exchange.router.bindings_to(id);
        bindings.flat_map(move |binding| binding_keys(vhost, name, binding))
    })
}

fn is_durable(topology: &Topology, id: QueueId) -> bool {
    let queue = topology.by_id.get(&id);
    queue.is_some_and(|queue| queue.settings().durable)
}

fn binding_keys(
    vhost: &Vhost,
    exchange: &ExchangeName,
    binding: &Binding<QueueId>,
) -> impl Iterator<Item = String> + use<> {
    let (key, arguments) = (&binding.key, &binding.arguments);
    let value = binding_value(vhost, exchange, binding.destination, key, arguments);
    catalog::binding_keys(&value)
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
