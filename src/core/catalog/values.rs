//! Keys of core's own kinds, and what stands under them.

use serde::Deserialize;
use serde::Serialize;

use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::queue::settings::QueueSettings;
use crate::core::route::binding::BindingArguments;
use crate::core::route::exchange::ExchangeSettings;

/// Value of `vhost/<name>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct VhostValue {
    pub(in crate::core) name: VhostName,
    pub(in crate::core) shard: Shard,
}

/// Value of `queue/<id>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct QueueValue {
    pub(in crate::core) id: QueueId,
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) name: QueueName,
    /// The number of a record that was on disk when the queue was declared; 0 = not known.
    #[serde(default)]
    pub(in crate::core) since: u64,
    pub(in crate::core) settings: QueueSettings,
}

/// A queue as the catalog names it, for whoever looks at a data dir without a core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQueue {
    /// Its id.
    pub id: QueueId,
    /// Its virtual host.
    pub vhost: VhostName,
    /// Its name.
    pub name: QueueName,
}

impl NamedQueue {
    /// Reads a key and its value; none if it is no queue's, or cannot be read.
    pub fn of_catalog(key: &str, value: &[u8]) -> Option<Self> {
        Self::id_of_key(key)?;
        let QueueValue {
            id, vhost, name, ..
        } = parse(value).ok()?;
        Some(Self { id, vhost, name })
    }

    /// The queue that a key is about.
    pub fn id_of_key(key: &str) -> Option<QueueId> {
        key.strip_prefix("queue/")?.parse().ok().map(QueueId)
    }
}

/// Value of `exchange/<vhost>\0<name>`.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct ExchangeValue {
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) name: ExchangeName,
    pub(in crate::core) settings: ExchangeSettings,
}

/// A binding: what its key has after `binding/`. The value is empty, for it would only say it again; earlier versions
/// wrote it all the same, so nothing reads it.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct BindingValue {
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) exchange: ExchangeName,
    pub(in crate::core) queue: QueueId,
    pub(in crate::core) key: Vec<u8>,
    pub(in crate::core) arguments: BindingArguments,
}

/// What every binding's key begins with.
pub(in crate::core) const BINDING: &str = "binding/";

pub(in crate::core) fn vhost_key(name: &VhostName) -> String {
    format!("vhost/{name}")
}

pub(in crate::core) fn queue_key(id: QueueId) -> String {
    format!("queue/{}", id.0)
}

pub(in crate::core) fn exchange_key(vhost: &VhostName, name: &ExchangeName) -> String {
    format!("exchange/{vhost}\0{name}")
}

pub(in crate::core) fn binding_key(value: &BindingValue) -> String {
    format!("{BINDING}{}", json_text(value))
}

/// Reads what [`binding_key`] wrote.
pub(in crate::core) fn parse_binding(key: &str) -> serde_json::Result<BindingValue> {
    parse(key.strip_prefix(BINDING).unwrap_or_default().as_bytes())
}

/// Whether a key is one of core's own: other layers keep theirs beside them.
pub(in crate::core) fn is_core_key(key: &str) -> bool {
    ["vhost/", "queue/", "exchange/", "suspect/", BINDING]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

/// Reads what [`json`] wrote. Without a limit of levels: clients' tables are nested, and were checked when
/// they came in.
pub(in crate::core) fn parse<T: serde::de::DeserializeOwned>(
    value: &[u8],
) -> serde_json::Result<T> {
    let mut reader = serde_json::Deserializer::from_slice(value);
    reader.disable_recursion_limit();
    T::deserialize(&mut reader)
}

/// JSON of a catalog value.
pub(in crate::core) fn json<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value)
        .expect("catalog values are maps with text keys and cannot fail to print")
}

fn json_text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value)
        .expect("catalog values are maps with text keys and cannot fail to print")
}
