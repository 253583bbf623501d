//! The catalog: what was declared, as keys and JSON values in the log.
//!
//! Keys: `vhost/<name>`, `queue/<id>`, `exchange/<vhost>\0<name>`, `binding/<JSON of the binding>`, and
//! whatever other layers keep beside them (`user/…`). A checkpoint holds them all; the log holds what
//! changed since.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Deserialize;
use serde::Serialize;

use crate::core::error::CoreError;
use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::names::VhostName;
use crate::core::model::time::CoreTime;
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

/// Key (after `binding/`) and value of a binding.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::core) struct BindingValue {
    pub(in crate::core) vhost: VhostName,
    pub(in crate::core) exchange: ExchangeName,
    pub(in crate::core) queue: QueueId,
    pub(in crate::core) key: Vec<u8>,
    pub(in crate::core) arguments: BindingArguments,
}

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
    format!("binding/{}", json_text(value))
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

/// A key, and its new value or none.
pub(in crate::core) type Change = (String, Option<Vec<u8>>);

type Changes = BTreeMap<String, Option<Vec<u8>>>;

#[derive(Debug, Default)]
struct ShardCatalog {
    values: BTreeMap<String, Vec<u8>>,
    /// LSNs of the values that this start wrote.
    written: HashMap<String, Lsn>,
    /// What the newest checkpoint lacks.
    changes: Changes,
    last: Option<Lsn>,
}

/// The catalog as the log has it.
#[derive(Debug)]
pub(in crate::core) struct Catalog {
    shards: Box<[Mutex<ShardCatalog>]>,
    /// One checkpoint at a time: a later one must not be overtaken by an earlier.
    checkpointing: Mutex<()>,
}

impl Catalog {
    pub(in crate::core) fn new(shards: u8) -> Self {
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            checkpointing: Mutex::new(()),
        }
    }

    fn shard(&self, shard: Shard) -> &Mutex<ShardCatalog> {
        self.shards
            .get(usize::from(shard.0))
            .expect("shards are made from the store's own number of them")
    }

    /// Takes over what the checkpoint or the log says. `lsn` is none for the checkpoint's values.
    pub(in crate::core) fn restore(
        &self,
        shard: Shard,
        lsn: Option<Lsn>,
        key: &str,
        value: Option<&[u8]>,
    ) {
        let mut catalog = self.shard(shard).lock();
        match value {
            Some(value) => catalog.values.insert(key.to_owned(), value.to_vec()),
            None => catalog.values.remove(key),
        };
        if let Some(lsn) = lsn {
            catalog
                .changes
                .insert(key.to_owned(), value.map(<[u8]>::to_vec));
            catalog.last = Some(lsn);
        }
    }

    /// Changes values, in the log and here: all or none.
    pub(in crate::core) fn put(
        &self,
        store: &dyn Store,
        shard: Shard,
        now: CoreTime,
        changes: Vec<Change>,
    ) -> Result<Lsn, CoreError> {
        let mut catalog = self.shard(shard).lock();
        let mut records = changes.iter().map(|(key, value)| Record::Catalog {
            key,
            value: value.as_deref(),
        });
        let first = store.append(shard, now, true, &mut records)?;
        for (n, (key, value)) in (0..).zip(changes) {
            let lsn = first.plus(n);
            match &value {
                Some(value) => {
                    catalog.written.insert(key.clone(), lsn);
                    catalog.values.insert(key.clone(), value.clone());
                }
                None => {
                    catalog.written.remove(&key);
                    catalog.values.remove(&key);
                }
            }
            catalog.changes.insert(key, value);
            catalog.last = Some(lsn);
        }
        Ok(catalog.last.unwrap_or(first))
    }

    /// Whether there is a value under `key`.
    pub(in crate::core) fn contains(&self, shard: Shard, key: &str) -> bool {
        self.shard(shard).lock().values.contains_key(key)
    }

    /// The record that wrote the value under `key`, if this start did.
    pub(in crate::core) fn last_change(&self, shard: Shard, key: &str) -> Option<Lsn> {
        self.shard(shard).lock().written.get(key).copied()
    }

    /// Every key and value that starts with `prefix`, of all shards.
    pub(in crate::core) fn scan(&self, prefix: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for catalog in &self.shards {
            let catalog = catalog.lock();
            let from = catalog.values.range(prefix.to_owned()..);
            let range = from.take_while(|(key, _)| key.starts_with(prefix));
            found.extend(range.map(|(key, value)| (key.clone(), value.clone())));
        }
        found
    }

    /// Writes a checkpoint of one shard, if there is something new and the log has it on disk.
    pub(in crate::core) fn checkpoint(
        &self,
        store: &Arc<dyn Store>,
        shard: Shard,
    ) -> Result<(), CoreError> {
        let _alone = self.checkpointing.lock();
        let (changes, upto) = {
            let mut catalog = self.shard(shard).lock();
            let Some(upto) = catalog.last else {
                return Ok(());
            };
            // A checkpoint ahead of the log would make its next LSNs look absorbed.
            if catalog.changes.is_empty() || !store.watermark(shard).covers(upto) {
                return Ok(());
            }
            (std::mem::take(&mut catalog.changes), upto)
        };
        let mut rows = changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()));
        let written = store.checkpoint(shard, upto, &mut rows);
        if written.is_err() {
            let mut catalog = self.shard(shard).lock();
            for (key, value) in changes {
                catalog.changes.entry(key).or_insert(value);
            }
        }
        Ok(written?)
    }
}
