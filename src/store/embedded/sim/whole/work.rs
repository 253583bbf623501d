//! What is done to the store: everything that core does, and more wildly.

use std::borrow::Cow;
use std::sync::Arc;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::GrantedEntry;
use crate::core::log::record::Holder;
use crate::core::log::record::MessageFields;
use crate::core::log::record::MoreEntryFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use crate::store::embedded::making::Making;

use super::model::Name;
use super::model::SHARD;
use super::model::encode;
use super::model::queue_key;
use super::readers::Messages;
use super::readers::Place;
use super::world::World;

/// A kind of work, how often it is done in the usual mix, and how.
type Kind = (&'static str, u64, fn(&mut World));

/// Everything that is done.
pub(super) const KINDS: [Kind; 18] = [
    ("publish", 60, World::publish),
    ("chunks", 6, World::publish_chunks),
    ("settle", 25, World::settle),
    ("settle most", 6, World::settle_most),
    ("settle a segment", 3, World::settle_segment),
    ("settle again", 1, World::settle_again),
    ("grant", 8, World::grant),
    ("counters", 4, World::counters),
    ("move", 8, World::move_one),
    ("purge", 3, World::purge),
    ("dead", 6, World::tell_dead),
    ("new queue", 5, World::create_queue),
    ("delete queue", 2, World::delete_queue),
    ("catalog", 4, World::change_catalog),
    ("checkpoint", 4, World::checkpoint),
    ("read", 12, World::read),
    ("aside", 8, World::put_aside_or_back),
    ("body", 14, World::work_on_bodies),
];

impl World {
    /// Does some work.
    pub(super) fn work(&mut self) {
        let at = self.random.weighted(&self.plan.work);
        let (name, _, act) = KINDS[at];
        self.say(|| name.to_owned());
        act(self);
    }

    fn some_queue(&mut self) -> Option<QueueId> {
        let queues: Vec<QueueId> = self.model.queues.iter().copied().collect();
        (!queues.is_empty()).then(|| queues[self.random.index(queues.len())])
    }

    fn some_queues(&mut self, most: u64) -> Vec<QueueId> {
        let count = 1 + self.random.below(most);
        let mut queues: Vec<QueueId> = (0..count).filter_map(|_| self.some_queue()).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// Entries of a queue, oldest first.
    fn held_in(&mut self, queue: QueueId) -> Vec<Name> {
        let held = self.model.held.keys();
        held.copied().filter(|name| name.1 == queue).collect()
    }

    fn some_entry(&mut self) -> Option<(Name, EntryRef)> {
        if self.model.held.is_empty() {
            return None;
        }
        let at = self.random.index(self.model.held.len());
        let (name, held) = self.model.held.iter().nth(at)?;
        let entry = EntryRef {
            entry: name.0,
            message: held.message,
        };
        Some((*name, entry))
    }

    pub(super) fn entries(&mut self, queues: &[QueueId]) -> Vec<EntryFields> {
        let mut entries = Vec::new();
        for queue in queues {
            let plain = EntryFields::plain(*queue);
            if self.random.chance(80) {
                entries.push(plain);
                continue;
            }
            let time = CoreTime::from_ms(self.time.as_ms() + self.random.below(10_000));
            let more = MoreEntryFields {
                acquired: 2,
                failed: 1,
                overlay: b"{}".to_vec(),
                ..MoreEntryFields::default()
            };
            entries.push(EntryFields {
                expiry: self.random.chance(50).then_some(time),
                not_before: self.random.chance(30).then_some(time),
                priority: 3,
                is_retention: self.random.chance(50),
                more: self.random.chance(30).then(|| Box::new(more)),
                ..plain
            });
        }
        entries
    }

    /// Bytes that no other call made.
    pub(super) fn content(&mut self, most: u64) -> Vec<u8> {
        self.serial += 1;
        let len = match self.random.below(4) {
            0 => self.random.below(most + 1),
            _ => self.random.below(most / 20 + 1),
        };
        let pattern = format!("<{}>", self.serial);
        let len = usize::try_from(len).expect("small");
        let mut content = pattern.repeat(len / pattern.len() + 1).into_bytes();
        content.truncate(len);
        content
    }

    pub(super) fn publish_of(&mut self, queues: &[QueueId], body: BodyFields<'_>) -> Vec<u8> {
        let entries = self.entries(queues);
        let (elidable, key) = (self.random.chance(90), self.serial.to_string());
        let body = match body {
            BodyFields::Inline(parts) => BodyFields::Inline(Cow::Owned(parts.to_vec())),
            BodyFields::Chunks { chunks, bytes } => BodyFields::Chunks { chunks, bytes },
            BodyFields::File { id, bytes } => BodyFields::File { id, bytes },
        };
        encode(&Record::Publish(Publish {
            message: MessageFields {
                enqueued_at: self.time,
                routing_key: key.as_bytes(),
                body,
                ..MessageFields::default()
            },
            entries: Cow::Owned(entries),
            elidable,
        }))
    }

    fn publish(&mut self) {
        let count = 1 + self.random.below(6);
        let mut records = Vec::new();
        for _ in 0..count {
            let queues = self.some_queues(3);
            if queues.is_empty() {
                return self.create_queue();
            }
            let body = self.content(self.plan.body_bytes);
            let body = BodyFields::Inline(Cow::Owned(vec![body.as_slice()]));
            records.push(self.publish_of(&queues, body));
        }
        self.append(false, records);
    }

    fn publish_chunks(&mut self) {
        let queues = self.some_queues(3);
        if queues.is_empty() {
            return;
        }
        let chunks = 1 + self.random.below(4);
        let mut records = Vec::new();
        let mut bytes = 0;
        for _ in 0..chunks {
            let chunk = self.content(20_000);
            bytes += chunk.len() as u64;
            records.push(encode(&Record::Chunk {
                references: u32::try_from(queues.len()).expect("few"),
                bytes: &chunk,
            }));
        }
        let chunks = u32::try_from(chunks).expect("few");
        let body = BodyFields::Chunks { chunks, bytes };
        let publish = self.publish_of(&queues, body);
        records.push(publish);
        self.append(false, records);
    }

    fn settle_of(&mut self, queue: QueueId, names: &[Name]) {
        let entries: Vec<EntryRef> = names
            .iter()
            .map(|name| EntryRef {
                entry: name.0,
                message: self.model.held[name].message,
            })
            .collect();
        if entries.is_empty() {
            return;
        }
        let record = encode(&Record::Settle {
            queue,
            outcome: SettleKind::Accepted,
            entries: Cow::Owned(entries),
        });
        self.append(true, vec![record]);
    }

    fn settle(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let mut names = self.held_in(queue);
        let most = 1 + self.random.below(12);
        if self.random.chance(30) {
            names.reverse();
        }
        names.truncate(usize::try_from(most).expect("small"));
        self.settle_of(queue, &names);
    }

    /// All of a queue but one in some.
    fn settle_most(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let kept = self.random.below(20);
        let mut names = self.held_in(queue);
        names.retain(|_| self.random.below(20) >= kept);
        self.settle_of(queue, &names);
    }

    /// Everything in the oldest segment, which is free then.
    fn settle_segment(&mut self) {
        let spans = self.life().log.shared.log.lock().journal.spans();
        let Some(span) = spans.iter().find(|span| span.live > 0) else {
            return;
        };
        let held = self.model.held.iter();
        let names: Vec<Name> = held
            .filter(|(name, held)| {
                let numbers = [name.0.number(), held.message.number()];
                let mut numbers = numbers.iter();
                numbers.any(|number| (span.first..=span.last).contains(number))
            })
            .map(|(name, _)| *name)
            .collect();
        let queues: Vec<QueueId> = self.model.queues.iter().copied().collect();
        for queue in queues {
            let of_queue = names.iter().copied().filter(|name| name.1 == queue);
            let of_queue: Vec<Name> = of_queue.collect();
            self.settle_of(queue, &of_queue);
        }
    }

    /// An entry that left says nothing when it is settled again.
    fn settle_again(&mut self) {
        let last = self.model.last();
        if last == 0 {
            return;
        }
        let number = 1 + self.random.below(last);
        let Some(Record::Settle { queue, entries, .. }) = self.model.record(number) else {
            return;
        };
        let record = encode(&Record::Settle {
            queue,
            outcome: SettleKind::Rejected,
            entries,
        });
        self.append(true, vec![record]);
    }

    fn grant(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let names = self.held_in(queue);
        let most = usize::try_from(1 + self.random.below(5)).expect("small");
        let granted = names.iter().take(most).map(|name| GrantedEntry {
            entry: name.0,
            acquired: u16::try_from(self.time.as_ms() % 100).expect("small"),
            failed: 1,
        });
        let record = encode(&Record::Grant {
            queue,
            holder: Holder::Nobody,
            until: CoreTime::from_ms(self.time.as_ms() + 30_000),
            entries: granted.collect(),
        });
        if !names.is_empty() {
            self.append(true, vec![record]);
        }
    }

    fn counters(&mut self) {
        if let Some(((entry, queue), _)) = self.some_entry() {
            let record = encode(&Record::Counters {
                queue,
                entry,
                acquired: u16::try_from(self.random.below(9)).expect("small"),
                failed: 7,
            });
            self.append(true, vec![record]);
        }
    }

    fn move_one(&mut self) {
        let Some(((_, source), entry)) = self.some_entry() else {
            return;
        };
        let held = self.model.held[&(entry.entry, source)];
        let targets = match self.random.chance(15) {
            true => Vec::new(),
            false => self.some_queues(2),
        };
        let targets = self.entries(&targets);
        let record = encode(&Record::Move(Move {
            source,
            entry,
            cause: SettleKind::Rejected,
            targets: Cow::Owned(targets),
            body_bytes: held.body_bytes,
            enqueued_at: held.enqueued_at,
        }));
        self.append(true, vec![record]);
    }

    fn purge(&mut self) {
        let Some(queue) = self.some_queue() else {
            return;
        };
        let names = self.held_in(queue);
        if names.is_empty() {
            return;
        }
        let (a, b) = (
            self.random.index(names.len()),
            self.random.index(names.len()),
        );
        let from = names[a.min(b)].0;
        let record = encode(&Record::PurgeRange {
            queue,
            from: self.random.chance(90).then_some(from),
            upto: names[a.max(b)].0,
        });
        self.append(true, vec![record]);
    }

    /// What left without a record is told by and by.
    pub(super) fn tell_dead(&mut self) {
        let many = self.model.dead.len().min(1 + self.random.index(20));
        let dead: Vec<_> = self.model.dead.drain(..many).collect();
        self.life().log.dead(&dead);
    }

    pub(super) fn create_queue(&mut self) {
        let key = queue_key(self.new_queue());
        let record = encode(&Record::Catalog {
            key: &key,
            value: Some(b"{}"),
        });
        self.append(true, vec![record]);
    }

    fn delete_queue(&mut self) {
        if self.model.queues.len() < 2 {
            return;
        }
        let Some(queue) = self.some_queue() else {
            return;
        };
        let record = encode(&Record::Catalog {
            key: &queue_key(queue),
            value: None,
        });
        self.append(true, vec![record]);
    }

    fn change_catalog(&mut self) {
        let key = format!("policy/{}", self.random.below(4));
        let value = self.content(300);
        let record = encode(&Record::Catalog {
            key: &key,
            value: self.random.chance(70).then_some(&value),
        });
        self.append(true, vec![record]);
    }

    /// Begins a checkpoint with what changed in the catalog.
    pub(super) fn checkpoint(&mut self) {
        if self.passing.making.is_some() || self.model.last() <= self.absorbed {
            return;
        }
        // What was offered once and not taken is offered again, and more.
        let behind = self.model.last() - self.offered;
        let upto = match self.random.chance(70) {
            true => self.model.last(),
            false => (self.offered + self.random.below(behind + 1)).max(1),
        };
        self.offered = upto;
        let changes = self.model.changes(self.absorbed, upto);
        self.say(|| format!("{:?} up to {upto}", changes.keys()));
        let shared = Arc::clone(&self.life().log.shared);
        let mut checkpoints = shared.checkpoints.lock();
        let lsn = Lsn::new(SHARD, upto).expect("a number");
        let making = Making::begin(&shared, &mut checkpoints, Some((lsn, changes)));
        self.passing.making = Some((upto, making));
    }

    /// Asks for messages, most of which live.
    fn read(&mut self) {
        let mut lsns = Vec::new();
        for _ in 0..1 + self.random.below(20) {
            if self.random.chance(80) {
                lsns.extend(self.some_entry().map(|(_, entry)| entry.message));
            } else if self.model.last() > 0 {
                let number = 1 + self.random.below(self.model.last());
                if let Some(Record::Publish(_)) = self.model.record(number) {
                    lsns.extend(Lsn::new(SHARD, number));
                }
            }
        }
        lsns.sort_unstable();
        lsns.dedup();
        if lsns.is_empty() {
            return;
        }
        let place = Place::new();
        self.life()
            .log
            .read(SHARD, lsns.clone(), Messages::reader(&place));
        self.passing.asked.push((lsns, place));
    }
}
