//! Random histories with a writer that takes batches whenever it likes: the journal's own arithmetic, which the
//! contract suite meets only as threads happen to run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Scanned;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::format;
use crate::store::format::Version;

use super::Absorbed;
use super::At;
use super::Delta;
use super::Fold;
use super::Journal;
use super::Limits;
use super::Telling;

const SHARD: Shard = Shard(3);
const LIMITS: Limits = Limits {
    batch_bytes: 400,
    busy_bytes: usize::MAX,
    merge: true,
    prefix: 64,
};

/// What goes into an append.
#[derive(Clone, Debug)]
enum Part {
    Publish(BTreeSet<u64>, usize, bool),
    Settle(Vec<Index>),
    Move(Index, BTreeSet<u64>),
}

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<Part>),
    Dead(Index),
    Take,
    /// A checkpoint.
    Save,
}

fn act() -> impl Strategy<Value = Act> {
    let queues = || proptest::collection::btree_set(1..5_u64, 1..4);
    let part = prop_oneof![
        6 => (queues(), 0..3_usize, prop::bool::weighted(0.9))
            .prop_map(|(queues, chunks, elidable)| Part::Publish(queues, chunks, elidable)),
        6 => vec(any::<Index>(), 1..4).prop_map(Part::Settle),
        1 => (any::<Index>(), queues()).prop_map(|(pick, queues)| Part::Move(pick, queues)),
    ];
    prop_oneof![
        8 => vec(part, 1..5).prop_map(Act::Append),
        1 => any::<Index>().prop_map(Act::Dead),
        2 => Just(Act::Take),
        1 => Just(Act::Save),
    ]
}

/// An entry: queue and reference numbers.
type Entry = (u64, u64, u64);

/// A journal, what it should hold, and what was written of it.
struct History {
    journal: Journal,
    live: BTreeSet<Entry>,
    homeless: BTreeSet<Entry>,
    /// Chunks of each message.
    chunks: BTreeMap<u64, u64>,
    written: Vec<Vec<u8>>,
    segment: u64,
    /// The newest checkpoint.
    saved: Option<(At, Delta)>,
}

fn lsn(number: u64) -> Lsn {
    Lsn::new(SHARD, number).expect("in range")
}

fn reference(entry: Entry) -> EntryRef {
    EntryRef {
        entry: lsn(entry.1),
        message: lsn(entry.2),
    }
}

/// References that an entry holds: its record, and its message if that is another.
fn held_by((_, entry, message): &Entry) -> u64 {
    1 + u64::from(entry != message)
}

fn dead(entry: Entry) -> Dead {
    Dead {
        queue: QueueId(entry.0),
        entry: reference(entry),
    }
}

impl History {
    fn new() -> Self {
        Self {
            journal: Journal::new(SHARD, LIMITS),
            live: BTreeSet::new(),
            homeless: BTreeSet::new(),
            chunks: BTreeMap::new(),
            written: Vec::new(),
            segment: 1,
            saved: None,
        }
    }

    fn step(&mut self, act: &Act) {
        match act {
            Act::Append(parts) => self.append(parts),
            Act::Dead(pick) => {
                if let Some(entry) = self.pick(pick) {
                    self.homeless.insert(entry);
                    self.journal.dead(&dead(entry));
                }
            }
            Act::Take => self.take(),
            Act::Save => self.save(),
        }
        let messages: BTreeSet<u64> = self.live.iter().map(|entry| entry.2).collect();
        let chunks = messages
            .iter()
            .filter_map(|message| self.chunks.get(message));
        let references: u64 = self.live.iter().map(held_by).sum::<u64>() + chunks.sum::<u64>();
        let pending = self.journal.pending_references();
        let placed = self.journal.space().references;
        assert_eq!(placed + pending, references, "after {act:?}");
    }

    fn pick(&mut self, pick: &Index) -> Option<Entry> {
        let at = pick.index(self.live.len().max(1));
        let picked = self.live.iter().nth(at).copied()?;
        self.live.remove(&picked);
        Some(picked)
    }

    fn append(&mut self, parts: &[Part]) {
        let mut records = Vec::new();
        let mut made = BTreeSet::new();
        for part in parts {
            let number = self.journal.last() + 1 + records.len() as u64;
            match part {
                Part::Publish(queues, chunks, elidable) => {
                    let message = number + *chunks as u64;
                    records.extend((0..*chunks).map(|_| chunk(queues)));
                    records.push(publish(queues, *chunks, *elidable));
                    self.chunks.insert(message, *chunks as u64);
                    made.extend(queues.iter().map(|queue| (*queue, message, message)));
                }
                Part::Settle(picks) => {
                    let first = picks.first().and_then(|pick| self.pick(pick));
                    let Some(first) = first else { continue };
                    let mut entries = vec![first];
                    let others = self.live.iter().filter(|entry| entry.0 == first.0);
                    entries.extend(others.take(picks.len() - 1).copied());
                    for entry in &entries {
                        self.live.remove(entry);
                    }
                    records.push(Record::Settle {
                        queue: QueueId(first.0),
                        outcome: SettleKind::Accepted,
                        entries: entries.into_iter().map(reference).collect(),
                    });
                }
                Part::Move(pick, targets) => {
                    let Some(source) = self.pick(pick) else {
                        continue;
                    };
                    made.extend(targets.iter().map(|queue| (*queue, number, source.2)));
                    records.push(Record::Move(Move {
                        source: QueueId(source.0),
                        entry: reference(source),
                        cause: SettleKind::Rejected,
                        targets: entries_of(targets),
                        body_bytes: 1,
                        enqueued_at: CoreTime::default(),
                    }));
                }
            }
        }
        // Records of one append do not name each other here: core never does that.
        self.live.append(&mut made);
        let now = CoreTime::from_ms(self.journal.last());
        let taken = self.journal.append(now, false, &mut records.into_iter());
        taken.expect("nothing is too large");
    }

    /// Makes a checkpoint of what there is, as if it were durable: the rest will be.
    fn save(&mut self) {
        let snapshot = self.journal.snapshot();
        let (at, delta) = self.saved.get_or_insert_default();
        *at = snapshot.at;
        delta.merge(snapshot.delta);
    }

    /// Takes and "writes" one batch; every third starts a segment.
    fn take(&mut self) {
        self.segment += u64::from(self.written.len().is_multiple_of(3));
        let Some(mut batch) = self.journal.take(self.segment) else {
            return;
        };
        let bytes = batch.finish();
        self.written.push(bytes[LIMITS.prefix..].to_vec());
        self.journal.written(batch);
    }

    /// Writes what is left, and replays all of it into another journal.
    fn replay(&mut self) {
        while self.journal.next_batch_last().is_some() {
            self.take();
        }
        let (fold, number) = self.fold();
        let mut again = Journal::new(SHARD, LIMITS);
        let (at, delta) = self.saved.clone().unwrap_or_default();
        let absorbed = Absorbed {
            log: at.log,
            catalog: 0,
        };
        again.load(at, delta);
        let mut told = Told::default();
        let records = self.records();
        for (segment, number, record) in &records {
            again.replay_frame(*segment, *number, *number);
            let fact = format::fact_of(Version::NEWEST, record).expect("a record");
            let followed = again.replay(absorbed, *number, fact, &mut told);
            followed.expect("good");
        }
        assert_eq!(number, self.journal.last());
        again.end_replay(number, CoreTime::default());
        let mut telling = Telling::default();
        for (_, number, record) in &records {
            if again.count_live(*number, *number) > 0 {
                let fact = format::fact_of(Version::NEWEST, record).expect("a record");
                let said = telling.record(&mut again, Version::NEWEST, *number, fact, &mut told);
                said.expect("good");
            }
        }
        telling.finish(&mut again);
        // Those that died without a record may come back, but only if no snapshot knows of it.
        let homeless: BTreeSet<Entry> = told.0.difference(&self.live).copied().collect();
        assert!(told.0.is_superset(&self.live));
        assert!(homeless.is_subset(&self.homeless), "{homeless:?} came back");
        assert!(told.0.is_subset(&fold.0));
        if self.saved.is_none() {
            assert_eq!(told.0, fold.0);
        }
        for entry in homeless {
            again.dead(&dead(entry));
        }
        assert_eq!(again.space().references, self.journal.space().references);
    }

    /// Every record that was written: segment, number, bytes.
    fn records(&self) -> Vec<(u64, u64, Vec<u8>)> {
        let mut records = Vec::new();
        for (segment, batch) in (1..).zip(&self.written) {
            let mut bytes = batch.as_slice();
            while let Some(fields) = format::split(&mut bytes).expect("whole") {
                let number = records.len() as u64 + 1;
                records.push((segment, number, fields.to_vec()));
            }
        }
        records
    }

    /// What the plain replay comes to, and the number of the last record.
    fn fold(&self) -> (Told, u64) {
        let (mut fold, mut told) = (Fold::new(None), Told::default());
        let (mut found, mut void) = (BTreeSet::new(), BTreeSet::new());
        let mut last = 0;
        for (_, number, bytes) in self.records() {
            let record = format::decode(&bytes).expect("a record");
            follow(number, &record, &mut found, &mut void);
            fold.record(lsn(number), &record, &mut told);
            last = number;
        }
        assert!(fold.finish(&Scanned::default(), &mut told).is_empty());
        assert_eq!(told.0, found);
        (told, last)
    }
}

/// Entries that were told.
#[derive(Default)]
struct Told(BTreeSet<Entry>);

impl Visitor for Told {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        let queue = entry.fields.queue.0;
        let name = (queue, entry.entry.number(), entry.message.number());
        assert!(self.0.insert(name), "told twice: {name:?}");
        true
    }
}

/// What a replayed record does to the entries.
fn follow(number: u64, record: &Record<'_>, found: &mut BTreeSet<Entry>, void: &mut BTreeSet<u64>) {
    if let Record::Publish(publish) = record {
        found.extend(publish.entries.iter().map(|e| (e.queue.0, number, number)));
    }
    if let Record::Settle { queue, entries, .. } = record {
        assert!(!entries.is_empty(), "a settle of nothing is a tombstone");
        for entry in entries.iter() {
            let (entry, message) = (entry.entry.number(), entry.message.number());
            assert!(!void.contains(&message), "{number} settles a tombstone");
            assert!(found.remove(&(queue.0, entry, message)));
        }
    }
    if let Record::Move(moved) = record {
        let message = moved.entry.message.number();
        assert!(found.remove(&(moved.source.0, moved.entry.entry.number(), message)));
        found.extend(moved.targets.iter().map(|e| (e.queue.0, number, message)));
    }
    if let Record::Tombstone = record {
        void.insert(number);
    }
}

fn entries_of(queues: &BTreeSet<u64>) -> Cow<'static, [EntryFields]> {
    let queues = queues.iter().map(|queue| QueueId(*queue));
    queues.map(EntryFields::plain).collect()
}

fn chunk(queues: &BTreeSet<u64>) -> Record<'static> {
    Record::Chunk {
        references: u32::try_from(queues.len()).expect("few"),
        bytes: b"a part of a body",
    }
}

fn publish(queues: &BTreeSet<u64>, chunks: usize, elidable: bool) -> Record<'static> {
    let body = match u32::try_from(chunks).expect("few") {
        0 => BodyFields::Inline(Cow::Owned(vec![b"a whole body".as_slice()])),
        chunks => BodyFields::Chunks { chunks, bytes: 1 },
    };
    Record::Publish(Publish {
        message: MessageFields {
            body,
            ..MessageFields::default()
        },
        entries: entries_of(queues),
        elidable,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn references_are_exact_and_what_is_elided_is_named_by_nobody(acts in vec(act(), 1..60)) {
        let mut history = History::new();
        for act in &acts {
            history.step(act);
        }
        history.replay();
    }
}

#[test]
fn an_append_that_fits_is_never_cut() {
    let mut journal = Journal::new(SHARD, LIMITS);
    let three = || (0..3).map(|_| publish(&BTreeSet::from([1]), 0, true));
    let mut starts = Vec::new();
    for _ in 0..40 {
        let first = journal.append(CoreTime::default(), false, &mut three());
        starts.push(first.expect("taken"));
    }
    let mut batches = 0;
    while let Some(mut batch) = journal.take(1) {
        assert!(starts.contains(&batch.first()), "starts with an append");
        assert!(batch.finish().len() <= LIMITS.batch_bytes);
        batches += 1;
        journal.written(batch);
    }
    assert!(batches > 3);
    assert_eq!(journal.durable(), 120);
    assert_eq!(journal.pending_bytes(), 0);
}

#[test]
fn what_presses_does_so_until_it_is_taken() {
    let mut journal = Journal::new(SHARD, LIMITS);
    let append = |journal: &mut Journal, record| {
        let appended = journal.append(CoreTime::default(), false, &mut std::iter::once(record));
        appended.expect("taken")
    };
    let settle = || Record::Settle {
        queue: QueueId(1),
        outcome: SettleKind::Accepted,
        entries: vec![reference((1, 1 << 30, 1 << 30))].into(),
    };
    let publish = || publish(&BTreeSet::from([1]), 0, true);
    let take = |journal: &mut Journal| {
        let batch = journal.take(1).expect("pending");
        journal.written(batch);
    };
    assert!(!journal.is_pressing(), "nothing");
    append(&mut journal, settle());
    assert!(!journal.is_pressing(), "a settle alone");
    append(&mut journal, publish());
    assert!(journal.is_pressing(), "a publish behind it");
    append(&mut journal, settle());
    assert!(journal.is_pressing(), "whatever follows");
    take(&mut journal);
    assert!(!journal.is_pressing(), "it was taken");
    append(&mut journal, settle());
    assert!(!journal.is_pressing(), "before this");

    // A whole batch presses, whatever it is of; what was cut off behind it does not once that is taken.
    let mut settles = 1;
    while !journal.is_pressing() {
        append(&mut journal, settle());
        settles += 1;
    }
    assert!(settles > 2 && journal.next_batch_last() < Some(journal.last()));
    take(&mut journal);
    assert!(!journal.is_pressing(), "the open batch is of settles");
    append(&mut journal, publish());
    while journal.next_batch_last() == Some(journal.last()) {
        append(&mut journal, settle());
    }
    // Its publish is in the sealed batch, not in the open one.
    take(&mut journal);
    assert!(!journal.is_pressing(), "the publish was taken");
    // A publish that begins the open batch presses there once the batch before it is taken.
    while journal.next_batch_last() == Some(journal.last()) {
        append(&mut journal, publish());
    }
    take(&mut journal);
    assert!(journal.is_pressing(), "a publish is still pending");
}
