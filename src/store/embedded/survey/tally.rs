//! Counts what the log says: records by kind, and the messages of every queue.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::catalog::NamedQueue;
use crate::core::log::bodies::LARGE_BODY_BYTES;
use crate::core::log::record::Record;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use super::report::QueueCount;

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    names: BTreeMap<QueueId, NamedQueue>,
    messages: BTreeMap<QueueId, u64>,
    /// Queues of messages whose body may be in a file, by the number of their publish.
    large: BTreeMap<u64, BTreeSet<QueueId>>,
}

impl Tally {
    /// A value of the catalog, or that it is gone.
    pub(crate) fn catalog_value(&mut self, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                if let Some(queue) = NamedQueue::of_catalog(key, value) {
                    self.names.insert(queue.id, queue);
                }
            }
            None => {
                if let Some(id) = NamedQueue::id_of_key(key) {
                    self.names.remove(&id);
                }
            }
        }
    }

    /// Whether a queue is declared.
    pub(crate) fn has(&self, queue: QueueId) -> bool {
        self.names.contains_key(&queue)
    }

    /// A queue's virtual host and name.
    pub(crate) fn name(&self, queue: QueueId) -> String {
        match self.names.get(&queue) {
            Some(named) => format!("{} {}", named.vhost, named.name),
            None => format!("queue number {}", queue.0),
        }
    }

    /// Names of the queues that a message with a large body is in.
    pub(crate) fn queues_of(&self, message: u64) -> Vec<String> {
        let queues = self.large.get(&message).into_iter().flatten();
        queues.map(|queue| self.name(*queue)).collect()
    }

    /// The latest incarnation that declared a queue.
    pub(crate) fn incarnation(&self) -> u64 {
        self.names.keys().map(|id| id.0 >> 32).max().unwrap_or(0)
    }

    /// Every declared queue, and what waits in it.
    pub(crate) fn queues(&self) -> Vec<QueueCount> {
        let mut counts: Vec<QueueCount> = self
            .names
            .values()
            .map(|queue| QueueCount {
                vhost: queue.vhost.to_string(),
                name: queue.name.to_string(),
                messages: self.messages.get(&queue.id).copied().unwrap_or(0),
            })
            .collect();
        counts.sort_by(|a, b| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        counts
    }
}

impl Visitor for Tally {
    fn catalog(&mut self, _: Lsn, key: &str, value: Option<&[u8]>) {
        self.catalog_value(key, value);
    }

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        let queue = entry.fields.queue;
        // As at a start: what nobody has a place for is no message any more.
        if self.has(queue) {
            *self.messages.entry(queue).or_default() += 1;
            if entry.body_bytes >= LARGE_BODY_BYTES {
                let queues = self.large.entry(entry.message.number()).or_default();
                queues.insert(queue);
            }
        }
        self.has(queue)
    }
}

/// What a record's kind is called in a report.
pub(crate) fn kind_name(record: &Record<'_>) -> &'static str {
    match record {
        Record::Publish(_) => "publish",
        Record::Chunk { .. } => "chunk",
        Record::Grant { .. } => "grant",
        Record::Settle { .. } => "settle",
        Record::PurgeRange { .. } => "purge range",
        Record::Counters { .. } => "counters",
        Record::Move(_) => "move",
        Record::Schedule { .. } => "schedule",
        Record::Retained { .. } => "retained",
        Record::Mark { .. } => "mark",
        Record::Prepared { .. } => "prepared",
        Record::Decision { .. } => "decision",
        Record::Forget { .. } => "forget",
        Record::Catalog { .. } => "catalog",
        Record::Cursor { .. } => "cursor",
        Record::PartitionAppend { .. } => "partition append",
        Record::Reservation { .. } => "reservation",
        Record::Epoch { .. } => "epoch",
        Record::Copy { .. } => "copy",
        Record::Tombstone => "tombstone",
    }
}
