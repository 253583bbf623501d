//! One shard in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::format;

/// Records of one shard, and who waits for them.
#[derive(Default)]
pub(super) struct ShardLog {
    /// Number of the last record, 0 if there is none.
    pub(super) last: u64,
    /// Whether appends wait for a release.
    pub(super) held: bool,
    pub(super) waiters: Vec<(u64, Arc<dyn Waiter>)>,
    closed: bool,
    latest: CoreTime,
    records: Vec<(u64, Vec<u8>)>,
    catalog: BTreeMap<String, Vec<u8>>,
    absorbed: Option<Lsn>,
}

impl ShardLog {
    /// A log with what was durable up to record `upto`.
    pub(super) fn durable(&self, upto: u64) -> Self {
        let records: Vec<_> = self
            .records
            .iter()
            .filter(|(number, _)| *number <= upto)
            .cloned()
            .collect();
        Self {
            last: upto.min(self.last),
            latest: self.latest,
            records,
            catalog: self.catalog.clone(),
            absorbed: self.absorbed,
            ..Self::default()
        }
    }

    pub(super) fn take_waiters(&mut self, upto: u64) -> Vec<Arc<dyn Waiter>> {
        self.waiters
            .extract_if(.., |(number, _)| *number <= upto)
            .map(|(_, waiter)| waiter)
            .collect()
    }

    pub(super) fn append(
        &mut self,
        shard: Shard,
        now: CoreTime,
        _urgent: bool,
        records: &mut dyn Iterator<Item = Record<'_>>,
    ) -> Result<Lsn, AppendError> {
        let first = Lsn::new(shard, self.last + 1).ok_or(AppendError::Failed)?;
        if self.closed {
            return Err(AppendError::Failed);
        }
        for record in records {
            let mut bytes = Vec::new();
            if format::encode(&record, &mut bytes) {
                self.last += 1;
                self.records.push((self.last, bytes));
            }
        }
        self.latest = self.latest.max(now);
        Ok(first)
    }

    pub(super) fn scan(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(Lsn, Record<'_>),
    ) -> Result<Scanned, StoreError> {
        let mut clean_stop = false;
        for (number, bytes) in &self.records {
            let mut bytes = bytes.as_slice();
            let record = format::split(&mut bytes)
                .and_then(|record| format::decode(record.unwrap_or_default()))
                .map_err(|error| StoreError::Damaged {
                    path: "memory".to_owned(),
                    what: error.to_string(),
                })?;
            clean_stop = matches!(
                record,
                Record::Epoch {
                    clean_stop: true,
                    ..
                }
            );
            if let Some(lsn) = Lsn::new(shard, *number) {
                visit(lsn, record);
            }
        }
        Ok(Scanned {
            last: Lsn::new(shard, self.last),
            latest: self.latest,
            clean_stop,
        })
    }

    pub(super) fn load(&self, visit: &mut dyn FnMut(&str, &[u8])) -> Option<Lsn> {
        self.absorbed?;
        for (key, value) in &self.catalog {
            visit(key, value);
        }
        self.absorbed
    }

    pub(super) fn checkpoint(
        &mut self,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) {
        for (key, value) in changes {
            match value {
                Some(value) => self.catalog.insert(key.to_owned(), value.to_vec()),
                None => self.catalog.remove(key),
            };
        }
        self.absorbed = Some(upto);
    }

    pub(super) fn close(&mut self, shard: Shard, now: CoreTime, identity: Identity) {
        let stop = Record::Epoch {
            epoch: identity.incarnation,
            clean_stop: true,
        };
        let _ = self.append(shard, now, true, &mut std::iter::once(stop));
        self.closed = true;
    }
}
