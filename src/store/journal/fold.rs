//! Replay in plain words: every record in order, every live entry kept. What a store does in its own, faster way
//! must come to the same (SEMANTICS §14).

use std::collections::BTreeMap;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::Dead;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

/// The live entries of the records so far.
pub(crate) struct Fold {
    absorbed: Option<Lsn>,
    /// By entry and queue: the order in which they are told.
    entries: BTreeMap<(Lsn, QueueId), Live>,
    /// What ranges purged: they release no reference.
    purged: Vec<Dead>,
}

/// An entry and what is known of it.
struct Live {
    message: Message,
    fields: EntryFields,
    acquired: u16,
    failed: u16,
    until: Option<CoreTime>,
    is_counted: bool,
}

/// What an entry says about its message.
#[derive(Clone, Copy)]
struct Message {
    lsn: Lsn,
    chunks: u32,
    body_bytes: u64,
    enqueued_at: CoreTime,
}

impl Fold {
    /// No records yet; the checkpoint has the catalog up to `absorbed`.
    pub(crate) fn new(absorbed: Option<Lsn>) -> Self {
        Self {
            absorbed,
            entries: BTreeMap::new(),
            purged: Vec::new(),
        }
    }

    /// Follows the next record.
    pub(crate) fn record(&mut self, lsn: Lsn, record: &Record<'_>, visitor: &mut dyn Visitor) {
        match record {
            Record::Publish(publish) => self.publish(lsn, publish),
            Record::Move(moved) => self.moved(lsn, moved),
            Record::Settle { queue, entries, .. } => {
                for entry in entries.iter() {
                    self.entries.remove(&(entry.entry, *queue));
                }
            }
            Record::PurgeRange { queue, from, upto } => self.purge(*queue, *from, *upto),
            Record::Grant {
                queue,
                until,
                entries,
                ..
            } => {
                for granted in entries.iter() {
                    let counts = (granted.acquired, granted.failed);
                    self.count(*queue, granted.entry, counts, Some(*until));
                }
            }
            Record::Counters {
                queue,
                entry,
                acquired,
                failed,
            } => self.count(*queue, *entry, (*acquired, *failed), None),
            Record::Catalog { key, value } if Some(lsn) > self.absorbed => {
                visitor.catalog(lsn, key, *value);
            }
            // They change no entry, or nothing writes them yet.
            Record::Catalog { .. }
            | Record::Chunk { .. }
            | Record::Schedule { .. }
            | Record::Retained { .. }
            | Record::Mark { .. }
            | Record::Prepared { .. }
            | Record::Decision { .. }
            | Record::Forget { .. }
            | Record::Cursor { .. }
            | Record::PartitionAppend { .. }
            | Record::Reservation { .. }
            | Record::Epoch { .. }
            | Record::Copy { .. }
            | Record::Tombstone => {}
        }
    }

    fn publish(&mut self, lsn: Lsn, publish: &Publish<'_>) {
        let (chunks, body_bytes) = match &publish.message.body {
            BodyFields::Inline(parts) => (0, parts.iter().map(|part| part.len() as u64).sum()),
            BodyFields::Chunks { chunks, bytes } => (*chunks, *bytes),
            BodyFields::File { bytes, .. } => (0, *bytes),
        };
        let message = Message {
            lsn,
            chunks,
            body_bytes,
            enqueued_at: publish.message.enqueued_at,
        };
        self.insert(lsn, message, &publish.entries);
    }

    fn moved(&mut self, lsn: Lsn, moved: &Move<'_>) {
        let source = self.entries.remove(&(moved.entry.entry, moved.source));
        let message = Message {
            lsn: moved.entry.message,
            chunks: source.as_ref().map_or(0, |live| live.message.chunks),
            body_bytes: moved.body_bytes,
            enqueued_at: moved.enqueued_at,
        };
        // A move of format 1 leaves to its source what the message is like.
        let of_source = source.map(|live| live.message);
        let message = of_source.unwrap_or(message);
        self.insert(lsn, message, &moved.targets);
    }

    fn insert(&mut self, lsn: Lsn, message: Message, entries: &[EntryFields]) {
        for fields in entries {
            let more = fields.more.as_deref();
            let live = Live {
                message,
                fields: fields.clone(),
                acquired: more.map_or(0, |more| more.acquired),
                failed: more.map_or(0, |more| more.failed),
                until: None,
                is_counted: false,
            };
            self.entries.insert((lsn, fields.queue), live);
        }
    }

    fn purge(&mut self, queue: QueueId, from: Option<Lsn>, upto: Lsn) {
        let purged = &mut self.purged;
        self.entries.retain(|(entry, of), live| {
            let is_covered = *of == queue && from.is_none_or(|from| *entry >= from);
            if !is_covered || *entry > upto {
                return true;
            }
            let entry = EntryRef {
                entry: *entry,
                message: live.message.lsn,
            };
            purged.push(Dead { queue, entry });
            false
        });
    }

    fn count(
        &mut self,
        queue: QueueId,
        entry: Lsn,
        (acquired, failed): (u16, u16),
        until: Option<CoreTime>,
    ) {
        if let Some(live) = self.entries.get_mut(&(entry, queue)) {
            (live.acquired, live.failed) = (acquired, failed);
            live.until = until;
            live.is_counted = true;
        }
    }

    /// Every record was followed: tells the entries, and says which nobody has a place for.
    pub(crate) fn finish(self, scanned: &Scanned, visitor: &mut dyn Visitor) -> Vec<Dead> {
        visitor.entries(scanned);
        let mut dead = self.purged;
        for ((entry, queue), live) in &self.entries {
            let message = live.message;
            let told = LiveEntry {
                entry: *entry,
                message: message.lsn,
                chunks: message.chunks,
                body_bytes: message.body_bytes,
                enqueued_at: message.enqueued_at,
                fields: &live.fields,
                acquired: live.acquired,
                failed: live.failed,
                until: live.until,
                is_counted: live.is_counted,
            };
            if !visitor.entry(told) {
                dead.push(Dead {
                    queue: *queue,
                    entry: EntryRef {
                        entry: *entry,
                        message: message.lsn,
                    },
                });
            }
        }
        dead
    }
}
