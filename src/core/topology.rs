//! Virtual hosts: queues, exchanges and bindings by name.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::core::error::CoreError;
use crate::core::generation::Generation;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::model::value::Properties;
use crate::core::queue::Queue;
use crate::core::route::exchange::ExchangeKind;
use crate::core::route::exchange::ExchangeSettings;
use crate::core::route::exchange::Router;

/// The exchanges that every vhost has (0-9-1 §3.1.3; `amq.match` is the standard's other name of
/// `amq.headers`). They are not in the catalog and cannot be deleted.
pub const STANDARD_EXCHANGES: [(&str, ExchangeKind); 5] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
];

/// An exchange and its bindings.
#[derive(Debug)]
pub(in crate::core) struct Exchange {
    pub(in crate::core) settings: ExchangeSettings,
    pub(in crate::core) router: Router<QueueId>,
    pub(in crate::core) standard: bool,
}

impl Exchange {
    pub(in crate::core) fn new(settings: ExchangeSettings) -> Self {
        Self {
            router: Router::new(settings.kind),
            settings,
            standard: false,
        }
    }

    fn standard(kind: ExchangeKind) -> Self {
        let vocabulary = BTreeMap::new();
        let settings = ExchangeSettings {
            kind,
            durable: true,
            internal: false,
            auto_delete: false,
            vocabulary,
        };
        Self {
            standard: true,
            ..Self::new(settings)
        }
    }
}

/// What a vhost's names lead to.
#[derive(Debug)]
pub(in crate::core) struct Topology {
    pub(in crate::core) exchanges: HashMap<ExchangeName, Exchange>,
    pub(in crate::core) queues: BTreeMap<QueueName, Arc<Queue>>,
    pub(in crate::core) by_id: HashMap<QueueId, Arc<Queue>>,
}

/// A virtual host: a namespace of queues and exchanges.
pub struct Vhost {
    name: VhostName,
    shard: Shard,
    pub(in crate::core) topology: RwLock<Topology>,
    /// Grows with every change that can change a route.
    generation: Generation,
}

/// Where messages of one exchange and key go. Good as long as [`Vhost::is_current`] says so.
#[derive(Clone, Debug, Default)]
pub struct Route {
    generation: u64,
    /// Distinct, by id: locks are taken in this order.
    queues: Arc<[Arc<Queue>]>,
    /// False when properties chose, so that it holds for one message only.
    cacheable: bool,
}

impl Route {
    /// The queues, each once.
    pub fn queues(&self) -> &[Arc<Queue>] {
        &self.queues
    }

    /// Whether it holds for every message with this exchange and key.
    pub fn is_cacheable(&self) -> bool {
        self.cacheable
    }

    pub(in crate::core) fn to_queues(queues: Vec<Arc<Queue>>) -> Self {
        Self {
            generation: 0,
            queues: queues.into(),
            cacheable: false,
        }
    }

    pub(in crate::core) fn to_queue(queue: &Arc<Queue>) -> Self {
        Self {
            generation: 0,
            queues: Arc::new([Arc::clone(queue)]),
            cacheable: false,
        }
    }
}

impl Vhost {
    pub(in crate::core) fn new(name: VhostName, shard: Shard) -> Arc<Self> {
        let exchanges = STANDARD_EXCHANGES.iter().filter_map(|&(name, kind)| {
            let name = ExchangeName::parse(name).ok()?;
            Some((name, Exchange::standard(kind)))
        });
        let topology = Topology {
            exchanges: exchanges.collect(),
            queues: BTreeMap::new(),
            by_id: HashMap::new(),
        };
        Arc::new(Self {
            name,
            shard,
            topology: RwLock::new(topology),
            generation: Generation::first(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &VhostName {
        &self.name
    }

    /// The shard of the log that everything in it goes to.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Looks a queue up.
    ///
    /// # Errors
    /// [`CoreError::QueueNotFound`].
    pub fn queue(&self, name: &str) -> Result<Arc<Queue>, CoreError> {
        self.topology
            .read()
            .queues
            .get(name)
            .cloned()
            .ok_or_else(|| CoreError::QueueNotFound {
                vhost: self.name.to_string(),
                queue: name.to_owned(),
            })
    }

    /// All queues, by name, from the first name that is not below `from`; at most `limit`.
    pub fn queues_from(&self, from: &str, limit: usize) -> Vec<Arc<Queue>> {
        let topology = self.topology.read();
        let range = topology
            .queues
            .range::<str, _>((std::ops::Bound::Included(from), std::ops::Bound::Unbounded));
        range
            .take(limit)
            .map(|(_, queue)| Arc::clone(queue))
            .collect()
    }

    /// What an exchange was declared with.
    ///
    /// # Errors
    /// [`CoreError::ExchangeNotFound`].
    pub fn exchange(&self, name: &str) -> Result<ExchangeSettings, CoreError> {
        let topology = self.topology.read();
        let exchange = topology
            .exchanges
            .get(name)
            .ok_or_else(|| self.no_exchange(name))?;
        Ok(exchange.settings.clone())
    }

    /// Whether a route still holds.
    pub fn is_current(&self, route: &Route) -> bool {
        self.generation.is(route.generation)
    }

    /// Where a message goes. `properties` is called for a headers exchange only.
    ///
    /// # Errors
    /// [`CoreError::ExchangeNotFound`].
    pub fn route<'m>(
        &self,
        exchange: &str,
        key: &[u8],
        properties: &mut dyn FnMut() -> &'m Properties,
    ) -> Result<Route, CoreError> {
        let topology = self.topology.read();
        let generation = self.generation.get();
        if exchange.is_empty() {
            let queue = std::str::from_utf8(key)
                .ok()
                .and_then(|name| topology.queues.get(name));
            let queues = queue.into_iter().cloned().collect();
            return Ok(Route {
                generation,
                queues,
                cacheable: true,
            });
        }
        let found = topology
            .exchanges
            .get(exchange)
            .ok_or_else(|| self.no_exchange(exchange))?;
        let mut ids: SmallVec<[QueueId; 4]> = SmallVec::new();
        found.router.route(key, properties, &mut ids);
        let queues = ids
            .iter()
            .filter_map(|id| topology.by_id.get(id).cloned())
            .collect();
        Ok(Route {
            generation,
            queues,
            cacheable: !found.router.needs_properties(),
        })
    }

    pub(in crate::core) fn no_exchange(&self, name: &str) -> CoreError {
        CoreError::ExchangeNotFound {
            vhost: self.name.to_string(),
            exchange: name.to_owned(),
        }
    }

    /// Routes that were handed out no longer hold. Called with the topology's lock held.
    pub(in crate::core) fn changed(&self) {
        self.generation.changed();
    }
}

impl fmt::Debug for Vhost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vhost")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
