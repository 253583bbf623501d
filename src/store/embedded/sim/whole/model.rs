//! What the log was told, in plain words, and so what a start must tell of it: the records so far, folded.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::core::log::bodies::BodyId;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::log::store::Dead;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::format;
use crate::store::journal::Fold;

/// The shard that everything is about.
pub(super) const SHARD: Shard = Shard(0);

/// Names an entry.
pub(super) type Name = (Lsn, QueueId);

/// An entry as a start tells it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) entry: EntryRef,
    pub(super) chunks: u32,
    pub(super) body_bytes: u64,
    pub(super) enqueued_at: CoreTime,
    pub(super) fields: EntryFields,
    pub(super) counts: (u16, u16),
    pub(super) until: Option<CoreTime>,
    pub(super) is_counted: bool,
}

/// What a start tells.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The catalog as it is at the end.
    pub(super) catalog: BTreeMap<String, Vec<u8>>,
    /// The last record, and what else was said before the entries.
    pub(super) scanned: Option<Scanned>,
    pub(super) entries: Vec<Told>,
}

impl Heard {
    /// Whether a queue exists.
    pub(super) fn has(&self, queue: QueueId) -> bool {
        self.catalog.contains_key(&queue_key(queue))
    }
}

impl Visitor for Heard {
    fn catalog(&mut self, _: Lsn, key: &str, value: Option<&[u8]>) {
        match value {
            Some(value) => self.catalog.insert(key.to_owned(), value.to_vec()),
            None => self.catalog.remove(key),
        };
    }

    fn entries(&mut self, scanned: &Scanned) {
        self.scanned = Some(scanned.clone());
    }

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        self.entries.push(Told {
            entry: EntryRef {
                entry: entry.entry,
                message: entry.message,
            },
            chunks: entry.chunks,
            body_bytes: entry.body_bytes,
            enqueued_at: entry.enqueued_at,
            fields: entry.fields.clone(),
            counts: (entry.acquired, entry.failed),
            until: entry.until,
            is_counted: entry.is_counted,
        });
        self.has(entry.fields.queue)
    }
}

/// The catalog's key of a queue.
pub(super) fn queue_key(queue: QueueId) -> String {
    format!("queue/{}", queue.0)
}

/// An entry that core has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) message: Lsn,
    pub(super) body_bytes: u64,
    pub(super) enqueued_at: CoreTime,
}

/// What was said to the log so far.
#[derive(Default)]
pub(super) struct Model {
    /// Every record, encoded, and the time of its append.
    records: Vec<(Vec<u8>, CoreTime)>,
    /// The entries that core has.
    pub(super) held: BTreeMap<Name, Held>,
    /// How many of them each message has.
    messages: BTreeMap<Lsn, u32>,
    /// Messages that core had done with before they were durable: they may never have been written, although what
    /// settled them is not durable either.
    elided: BTreeSet<Lsn>,
    /// Messages that were moved, which are written in any case …
    moved: BTreeSet<Lsn>,
    /// … as are all up to here, of which a checkpoint has said that they live.
    pub(super) snapshot: u64,
    /// Entries that left their queue without a record, and of which the log was not told yet.
    pub(super) dead: Vec<Dead>,
    pub(super) queues: BTreeSet<QueueId>,
    /// The last record that was ever said to be durable.
    pub(super) durable: u64,
    /// Bodies in files of their own, by what was written to them.
    pub(super) bodies: BTreeMap<BodyId, Vec<u8>>,
}

impl Model {
    /// Number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.records.len() as u64
    }

    /// Takes up records that were appended.
    pub(super) fn append(&mut self, first: Lsn, now: CoreTime, records: Vec<Vec<u8>>) {
        assert_eq!(first.number(), self.last() + 1, "numbers have no gap");
        for bytes in records {
            self.records.push((bytes, now));
            let lsn = Lsn::new(SHARD, self.last()).expect("a number");
            let bytes = self.records[self.records.len() - 1].0.clone();
            self.follow(lsn, &decode(&bytes));
        }
    }

    /// What core makes of a record.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others move no entry")]
    fn follow(&mut self, lsn: Lsn, record: &Record<'_>) {
        match record {
            Record::Publish(publish) => {
                let held = Held {
                    message: lsn,
                    body_bytes: body_bytes(&publish.message.body),
                    enqueued_at: publish.message.enqueued_at,
                };
                for entry in publish.entries.iter() {
                    self.hold((lsn, entry.queue), held);
                }
            }
            Record::Move(moved) => {
                let source = self.held.get(&(moved.entry.entry, moved.source)).copied();
                let source = source.expect("core has what it moves");
                for target in moved.targets.iter() {
                    self.hold((lsn, target.queue), source);
                }
                self.moved.insert(moved.entry.message);
                self.leave((moved.entry.entry, moved.source));
            }
            Record::Settle { queue, entries, .. } => {
                for entry in entries.iter() {
                    self.leave((entry.entry, *queue));
                }
            }
            Record::PurgeRange { queue, from, upto } => {
                let from = from.unwrap_or(Lsn::new(SHARD, 1).expect("a number"));
                let covers = |(lsn, of): &Name| of == queue && (from..=*upto).contains(lsn);
                let names: Vec<Name> = self.held.keys().copied().filter(covers).collect();
                self.bury(&names);
            }
            Record::Catalog { key, value } => self.catalog(key, value.is_some()),
            _ => {}
        }
    }

    fn hold(&mut self, name: Name, held: Held) {
        self.held.insert(name, held);
        *self.messages.entry(held.message).or_default() += 1;
    }

    fn leave(&mut self, name: Name) {
        let Some(held) = self.held.remove(&name) else {
            return;
        };
        let left = self.messages.get_mut(&held.message).expect("it is counted");
        *left -= 1;
        if *left == 0 {
            self.messages.remove(&held.message);
            let is_written = held.message.number() <= self.durable.max(self.snapshot);
            if !is_written && !self.moved.contains(&held.message) {
                self.elided.insert(held.message);
            }
        }
    }

    /// Entries leave without a record of their own.
    fn bury(&mut self, names: &[Name]) {
        for name in names {
            let (entry, queue) = *name;
            let message = self.held[name].message;
            let entry = EntryRef { entry, message };
            self.dead.push(Dead { queue, entry });
            self.leave(*name);
        }
    }

    fn catalog(&mut self, key: &str, exists: bool) {
        let Some(queue) = key.strip_prefix("queue/").and_then(|id| id.parse().ok()) else {
            return;
        };
        let queue = QueueId(queue);
        if exists {
            self.queues.insert(queue);
        } else if self.queues.remove(&queue) {
            let names: Vec<Name> = self.held.keys().copied().filter(|n| n.1 == queue).collect();
            self.bury(&names);
        }
    }

    /// Whether an entry of a message is there.
    pub(super) fn has_message(&self, message: Lsn) -> bool {
        self.messages.contains_key(&message)
    }

    /// The record of a number.
    pub(super) fn record(&self, number: u64) -> Option<Record<'_>> {
        let at = usize::try_from(number).expect("small").checked_sub(1)?;
        self.records.get(at).map(|(bytes, _)| decode(bytes))
    }

    /// What changed in the catalog behind one record and up to another.
    pub(super) fn changes(&self, after: u64, upto: u64) -> BTreeMap<String, Option<Vec<u8>>> {
        let mut changes = BTreeMap::new();
        for number in after + 1..=upto {
            if let Some(Record::Catalog { key, value }) = self.record(number) {
                changes.insert(key.to_owned(), value.map(<[u8]>::to_vec));
            }
        }
        changes
    }

    /// What a start must tell when the log ends with record `last`.
    pub(super) fn expected(&self, last: u64) -> Heard {
        let mut fold = Fold::new(None);
        let mut heard = Heard::default();
        for number in 1..=last {
            let record = self.record(number).expect("it was appended");
            let lsn = Lsn::new(SHARD, number).expect("a number");
            fold.record(lsn, &record, &mut heard);
        }
        fold.finish(&Scanned::default(), &mut heard);
        let mut entries = std::mem::take(&mut heard.entries);
        entries.retain(|told| heard.has(told.fields.queue));
        heard.entries = entries;
        heard
    }

    /// The latest time of an append up to a record.
    pub(super) fn latest(&self, upto: u64) -> CoreTime {
        let upto = usize::try_from(upto).expect("small");
        let times = self.records[..upto].iter().map(|(_, now)| *now);
        times.max().unwrap_or_default()
    }

    /// Whether a message may never have been written.
    pub(super) fn may_be_elided(&self, message: Lsn) -> bool {
        self.elided.contains(&message)
    }

    /// A start says that the log ends with record `last`. What was behind it is void, and what it adds, too.
    pub(super) fn cut(&mut self, last: u64) {
        let kept = usize::try_from(last).expect("small");
        let void = || (format::TOMBSTONE.to_vec(), CoreTime::default());
        self.records.resize_with(kept, void);
    }

    /// Goes on with what a start told; these records were not written.
    pub(super) fn restart(
        &mut self,
        entries: &[Told],
        void: &BTreeSet<Lsn>,
        catalog: &BTreeMap<String, Vec<u8>>,
    ) {
        for lsn in void {
            let at = usize::try_from(lsn.number() - 1).expect("small");
            self.records[at].0 = format::TOMBSTONE.to_vec();
        }
        let queues = catalog.keys().filter_map(|key| key.strip_prefix("queue/"));
        let queues = queues.map(|id| QueueId(id.parse().expect("a number")));
        self.queues = queues.collect();
        self.held.clear();
        self.messages.clear();
        self.elided.clear();
        self.moved.clear();
        self.dead.clear();
        for told in entries {
            let held = Held {
                message: told.entry.message,
                body_bytes: told.body_bytes,
                enqueued_at: told.enqueued_at,
            };
            self.hold((told.entry.entry, told.fields.queue), held);
        }
    }

    /// The message of a publish: its record, and the body if that is in records.
    pub(super) fn message(&self, lsn: Lsn) -> (Record<'_>, Vec<u8>) {
        let record = self.record(lsn.number()).expect("it was appended");
        let Record::Publish(publish) = &record else {
            panic!("{record:?} is no message");
        };
        let body = match &publish.message.body {
            BodyFields::Inline(parts) => parts.concat(),
            BodyFields::Chunks { chunks, .. } => {
                let first = lsn.number() - u64::from(*chunks);
                (first..lsn.number())
                    .flat_map(|chunk| self.chunk(chunk))
                    .collect()
            }
            BodyFields::File { .. } => Vec::new(),
        };
        (record, body)
    }

    fn chunk(&self, number: u64) -> Vec<u8> {
        match self.record(number) {
            Some(Record::Chunk { bytes, .. }) => bytes.to_vec(),
            other => panic!("{other:?} is no chunk"),
        }
    }

    /// Bytes of the records that live.
    pub(super) fn live_bytes(&self) -> u64 {
        let mut numbers = BTreeSet::new();
        for ((entry, _), held) in &self.held {
            numbers.insert(entry.number());
            let (record, _) = self.message(held.message);
            let Record::Publish(publish) = &record else {
                panic!("{record:?} is no message");
            };
            let chunks = chunks_of(&publish.message.body);
            let message = held.message.number();
            numbers.extend(message - chunks..=message);
        }
        let at = |number: &u64| usize::try_from(number - 1).expect("small");
        numbers
            .iter()
            .map(|n| self.records[at(n)].0.len() as u64)
            .sum()
    }

    /// References that hold something, with nothing pending and nothing dead.
    pub(super) fn references(&self) -> u64 {
        let mut references = 0;
        let mut chunked = BTreeSet::new();
        for ((entry, _), held) in &self.held {
            references += 1 + u64::from(*entry != held.message);
            let Some(Record::Publish(publish)) = self.record(held.message.number()) else {
                panic!("a message is no publish");
            };
            if let BodyFields::Chunks { chunks, .. } = publish.message.body
                && chunked.insert(held.message)
            {
                references += u64::from(chunks);
            }
        }
        references
    }

    /// Files of bodies that entries need.
    pub(super) fn named_bodies(&self) -> BTreeMap<BodyId, u64> {
        let mut named = BTreeMap::new();
        for message in self.messages.keys() {
            if let Some(Record::Publish(publish)) = self.record(message.number())
                && let BodyFields::File { id, bytes } = publish.message.body
            {
                named.insert(id, bytes);
            }
        }
        named
    }
}

fn chunks_of(body: &BodyFields<'_>) -> u64 {
    match body {
        BodyFields::Chunks { chunks, .. } => u64::from(*chunks),
        BodyFields::Inline(_) | BodyFields::File { .. } => 0,
    }
}

fn body_bytes(body: &BodyFields<'_>) -> u64 {
    match body {
        BodyFields::Inline(parts) => parts.iter().map(|part| part.len() as u64).sum(),
        BodyFields::Chunks { bytes, .. } | BodyFields::File { bytes, .. } => *bytes,
    }
}

/// A record as the log keeps it.
pub(super) fn encode(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    assert!(format::encode(record, &mut bytes));
    bytes
}

/// The record in what [`encode`] made.
pub(super) fn decode(mut bytes: &[u8]) -> Record<'_> {
    let record = format::split(&mut bytes).expect("whole").expect("one");
    format::decode(record).expect("good")
}
