//! The catalog: what was declared, as keys and JSON values in the log.
//!
//! Keys: `vhost/<name>`, `queue/<id>`, `exchange/<vhost>\0<name>`, `binding/<JSON of the binding>`, and
//! whatever other layers keep beside them (`user/…`). A checkpoint holds them all; the log holds what
//! changed since.
//!
//! In memory are the values of other layers, and what the newest checkpoint lacks. Core's own kinds are in the
//! topology; a million bindings that stood here too would take most of what they take.

mod replayed;

mod values;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::core::error::CoreError;
use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use replayed::Bindings;

pub use values::NamedQueue;

pub(in crate::core) use values::BindingValue;
pub(in crate::core) use values::ExchangeValue;
pub(in crate::core) use values::QueueValue;
pub(in crate::core) use values::VhostValue;
pub(in crate::core) use values::binding_key;
pub(in crate::core) use values::binding_keys;
pub(in crate::core) use values::exchange_key;
pub(in crate::core) use values::is_core_key;
pub(in crate::core) use values::json;
pub(in crate::core) use values::parse;
pub(in crate::core) use values::parse_binding;
pub(in crate::core) use values::queue_key;
pub(in crate::core) use values::vhost_key;

/// Bytes of changes from which on a checkpoint should not wait for its time: they are in memory until then.
const BACKLOG_BYTES: usize = 8 * 1024 * 1024;

/// A key, and its new value or none.
pub(in crate::core) type Change = (String, Option<Vec<u8>>);

type Changes = BTreeMap<Box<str>, Option<Box<[u8]>>>;

#[derive(Debug, Default)]
struct ShardCatalog {
    /// Values of other layers; while a start reads the catalog, those of core too, but bindings.
    values: BTreeMap<String, Vec<u8>>,
    /// Bindings in the order of their changes, while a start reads the catalog.
    bindings: Bindings,
    /// What the newest checkpoint lacks, but for what is set aside.
    changes: Changes,
    /// Bytes of keys and values in `changes`, those that were replaced included.
    changed_bytes: usize,
    /// The last record of the catalog.
    last: Option<Lsn>,
    /// The last one that this start wrote.
    written: Option<Lsn>,
    /// What the next checkpoint absorbs. It waits for the log here, for `changes` may never stop.
    set_aside: Option<Arc<SetAside>>,
}

/// Changes of the catalog up to a record.
#[derive(Debug)]
struct SetAside {
    changes: Changes,
    upto: Lsn,
}

impl ShardCatalog {
    fn keep(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.values.insert(key.to_owned(), value.to_vec()),
            None => self.values.remove(key),
        };
    }

    fn change(&mut self, key: &str, value: Option<&[u8]>) {
        self.changed_bytes += key.len() + value.map_or(0, <[u8]>::len);
        self.changes.insert(key.into(), value.map(Into::into));
    }

    /// What the next checkpoint has to absorb; none if there is nothing new.
    fn set_aside(&mut self) -> Option<Arc<SetAside>> {
        if self.set_aside.is_none() && !self.changes.is_empty() {
            let upto = self.last?;
            let changes = std::mem::take(&mut self.changes);
            self.changed_bytes = 0;
            self.set_aside = Some(Arc::new(SetAside { changes, upto }));
        }
        self.set_aside.clone()
    }
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

    fn shard(&self, shard: Shard) -> MutexGuard<'_, ShardCatalog> {
        self.shards
            .get(usize::from(shard.0))
            .expect("shards are made from the store's own number of them")
            .lock()
    }

    /// Takes over what the checkpoint or the log says. `lsn` is none for the checkpoint's values.
    pub(in crate::core) fn restore(
        &self,
        shard: Shard,
        lsn: Option<Lsn>,
        key: &str,
        value: Option<&[u8]>,
    ) {
        let mut catalog = self.shard(shard);
        if key.starts_with(values::BINDING) {
            catalog.bindings.push(key, value.is_some());
        } else {
            catalog.keep(key, value);
        }
        if lsn.is_some() {
            catalog.change(key, value);
            catalog.last = lsn;
        }
    }

    /// Every change of a binding that was restored, in order: its key, and whether it was made. They are gone then.
    pub(in crate::core) fn take_bindings(&self, mut visit: impl FnMut(&str, bool)) {
        for catalog in &self.shards {
            let bindings = std::mem::take(&mut catalog.lock().bindings);
            bindings.visit(&mut visit);
        }
    }

    /// The topology has what was restored: from now on core's own kinds stand there alone.
    pub(in crate::core) fn restored(&self) {
        for catalog in &self.shards {
            catalog.lock().values.retain(|key, _| !is_core_key(key));
        }
    }

    /// Changes values, in the log and here: all or none.
    pub(in crate::core) fn put(
        &self,
        store: &dyn Store,
        shard: Shard,
        now: CoreTime,
        changes: &[Change],
    ) -> Result<Lsn, CoreError> {
        let mut catalog = self.shard(shard);
        let mut records = changes.iter().map(|(key, value)| Record::Catalog {
            key,
            value: value.as_deref(),
        });
        let first = store.append(shard, now, true, &mut records)?;
        for (key, value) in changes {
            if !is_core_key(key) {
                catalog.keep(key, value.as_deref());
            }
            catalog.change(key, value.as_deref());
        }
        let last = first.plus((changes.len() as u64).saturating_sub(1));
        catalog.last = Some(last);
        catalog.written = Some(last);
        Ok(last)
    }

    /// The last record that this start wrote; whatever is in the catalog is on disk once this is.
    pub(in crate::core) fn last_change(&self, shard: Shard) -> Option<Lsn> {
        self.shard(shard).written
    }

    /// Whether so much has changed that a checkpoint should not wait.
    pub(in crate::core) fn has_backlog(&self) -> bool {
        self.shards.iter().any(|catalog| {
            let catalog = catalog.lock();
            catalog.set_aside.is_some() || catalog.changed_bytes >= BACKLOG_BYTES
        })
    }

    /// Every key and value of other layers that starts with `prefix`, of all shards; of core's own, but bindings, while
    /// a start reads them.
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

    /// Writes a checkpoint of one shard: what has changed, as far as the log has it on disk.
    pub(in crate::core) fn checkpoint(
        &self,
        store: &Arc<dyn Store>,
        shard: Shard,
    ) -> Result<(), CoreError> {
        let _alone = self.checkpointing.lock();
        // What an earlier call left, and what came since.
        for _ in 0..2 {
            let Some(set_aside) = self.shard(shard).set_aside() else {
                break;
            };
            // A checkpoint ahead of the log would make its next LSNs look absorbed.
            if !store.watermark(shard).covers(set_aside.upto) {
                break;
            }
            let rows = set_aside.changes.iter();
            let mut rows = rows.map(|(key, value)| (&**key, value.as_deref()));
            store.checkpoint(shard, set_aside.upto, &mut rows)?;
            self.shard(shard).set_aside = None;
        }
        Ok(())
    }
}
