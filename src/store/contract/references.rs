//! What holds a segment, and that a segment which nothing holds goes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use super::bench::Bench;
use super::bench::SEGMENT_BYTES;
use super::bench::at;
use super::bench::publish;
use super::bench::settle;
use super::reading::Listener;

/// Several to a segment.
const BODY: [u8; 3_000] = [7; 3_000];

/// Fills about so many segments with entries of queue 1, and names them.
fn fill(bench: &Bench, segments: usize) -> Vec<EntryRef> {
    let count = segments * SEGMENT_BYTES / BODY.len();
    let lsns: Vec<Lsn> = (0..count)
        .map(|_| bench.append(vec![publish(&[1], &BODY)]))
        .collect();
    bench.settle_down(lsns.last().copied().expect("some"));
    lsns.into_iter().map(at).collect()
}

pub(super) fn a_settled_log_gives_its_room_back(bench: &mut Bench) {
    let entries = fill(bench, 8);
    assert!(bench.store().space().segments >= 8);
    assert_eq!(bench.store().space().references, entries.len() as u64);
    for entry in entries {
        bench.append(vec![settle(1, &[entry])]);
    }
    bench.wait_for_segments(2);
    assert_eq!(bench.store().space().references, 0);
    let last = bench.append(vec![publish(&[1], b"new")]);
    let (scanned, replayed) = bench.restart();
    assert_eq!(scanned.last, Some(last), "numbers go on over what is gone");
    assert!(replayed.len() < 200);
}

pub(super) fn one_entry_holds_its_segment(bench: &mut Bench) {
    let kept = bench.append(vec![publish(&[2], b"kept")]);
    let entries = fill(bench, 6);
    bench.append(vec![settle(1, &entries)]);
    bench.settle_down(kept);
    assert_eq!(live(bench), BTreeSet::from([(2, at(kept))]));
    assert_eq!(bench.store().space().references, 1);
    bench.append(vec![settle(2, &[at(kept)])]);
    fill_and_settle(bench, 3);
    bench.wait_for_segments(2);
}

fn fill_and_settle(bench: &Bench, segments: usize) {
    let entries = fill(bench, segments);
    bench.append(vec![settle(1, &entries)]);
}

pub(super) fn a_moved_entry_holds_its_message(bench: &mut Bench) {
    let message = bench.append(vec![publish(&[3], b"moved")]);
    fill_and_settle(bench, 2);
    let entry = bench.append(vec![Record::Move(Move {
        source: QueueId(3),
        entry: at(message),
        cause: SettleKind::Rejected,
        targets: Cow::Owned(vec![
            EntryFields::plain(QueueId(4)),
            EntryFields::plain(QueueId(5)),
        ]),
        body_bytes: 5,
        enqueued_at: CoreTime::default(),
    })]);
    let target = EntryRef { entry, message };
    bench.append(vec![settle(4, &[target])]);
    fill_and_settle(bench, 3);
    assert_eq!(live(bench), BTreeSet::from([(5, target)]));
    assert_eq!(
        bench.store().space().references,
        2,
        "the move and the message"
    );
    bench.append(vec![settle(5, &[target])]);
    fill_and_settle(bench, 2);
    bench.wait_for_segments(2);
}

pub(super) fn chunks_live_as_long_as_their_publish(bench: &mut Bench) {
    let part = vec![9; 20_000];
    let mut records: Vec<Record<'_>> = Vec::new();
    for _ in 0..5 {
        records.push(Record::Chunk {
            references: 1,
            bytes: &part,
        });
    }
    records.push(Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::Chunks {
                chunks: 5,
                bytes: 100_000,
            },
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![EntryFields::plain(QueueId(2))]),
        elidable: true,
    }));
    // Shares the publish's segment, and stays.
    records.push(publish(&[3], b"kept"));
    let first = bench.append(records);
    let message = first.plus(5);
    let kept = first.plus(6);
    bench.settle_down(kept);
    fill_and_settle(bench, 3);
    for _ in 0..2 {
        assert_eq!(
            live(bench),
            BTreeSet::from([(2, at(message)), (3, at(kept))])
        );
        assert_eq!(bench.store().space().references, 7);
    }
    bench.append(vec![settle(2, &[at(message)])]);
    assert_eq!(bench.store().space().references, 1, "the chunks as well");
    fill_and_settle(bench, 2);
    let held = bench.store().space().segments;
    assert_eq!(live(bench), BTreeSet::from([(3, at(kept))]));
    assert_eq!(bench.store().space().references, 1, "no more, and no less");
    assert!(held >= 2);
    bench.append(vec![settle(3, &[at(kept)])]);
    fill_and_settle(bench, 2);
    bench.wait_for_segments(2);
}

pub(super) fn dead_entries_release_what_they_held(bench: &mut Bench) {
    let entries = fill(bench, 5);
    let dead: Vec<Dead> = entries
        .iter()
        .map(|entry| Dead {
            queue: QueueId(1),
            entry: *entry,
        })
        .collect();
    bench.store().dead(&dead);
    bench.wait_for_segments(1);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn catalog_records_hold_their_segment_until_a_checkpoint(bench: &mut Bench) {
    let value: &[u8] = b"{}";
    let lsn = bench.append(vec![Record::Catalog {
        key: "queue/1",
        value: Some(value),
    }]);
    fill_and_settle(bench, 4);
    let (_, replayed) = bench.restart();
    assert_eq!(replayed[0].0, lsn.number(), "nothing else has it");
    bench
        .store()
        .checkpoint(
            bench.shard,
            lsn,
            &mut std::iter::once(("queue/1", Some(value))),
        )
        .expect("written");
    bench.wait_for_segments(1);
    let (_, replayed) = bench.restart();
    assert_ne!(replayed[0].0, lsn.number(), "its segment is gone");
}

/// What happens in a history.
#[derive(Clone, Debug)]
enum Act {
    Publish(Vec<u8>),
    Settle(Vec<Index>),
    Move(Index, Vec<u8>),
    Dead(Index),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    use proptest::collection::vec;
    prop_oneof![
        8 => vec(1..5_u8, 1..4).prop_map(Act::Publish),
        8 => vec(any::<Index>(), 1..5).prop_map(Act::Settle),
        2 => (any::<Index>(), vec(1..5_u8, 0..3)).prop_map(|(at, to)| Act::Move(at, to)),
        1 => any::<Index>().prop_map(Act::Dead),
        1 => Just(Act::Restart),
    ]
}

/// Queue and entry: each exactly once.
type Live = BTreeSet<(u64, EntryRef)>;

impl PartialOrd for EntryRef {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EntryRef {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.entry, self.message).cmp(&(other.entry, other.message))
    }
}

/// Whatever was published, settled, moved and lost, and wherever it was restarted: replay gives exactly
/// the entries that live, each with its message, and when all are settled the log is empty.
pub(super) fn any_history_leaves_exactly_what_is_live(bench: &mut Bench) {
    let histories = proptest::collection::vec(act(), 40..160);
    let bench = std::cell::RefCell::new(bench);
    // Those of an earlier history may come back in a later one.
    let homeless = std::cell::RefCell::new(Live::new());
    let mut runner = TestRunner::new(Config {
        cases: 24,
        max_shrink_iters: 0,
        ..Config::default()
    });
    let outcome = runner.run(&histories, |acts| {
        let mut history = History {
            bench: &mut bench.borrow_mut(),
            live: Live::new(),
            homeless: &mut homeless.borrow_mut(),
        };
        for act in &acts {
            history.step(act);
        }
        history.restart();
        history.end();
        Ok(())
    });
    outcome.expect("exactly what is live");
}

struct History<'b> {
    bench: &'b mut Bench,
    live: Live,
    /// Dead entries that a replay may show again.
    homeless: &'b mut Live,
}

impl History<'_> {
    fn step(&mut self, act: &Act) {
        match act {
            Act::Publish(queues) => {
                let queues: BTreeSet<u64> = queues.iter().map(|q| u64::from(*q)).collect();
                let queues: Vec<u64> = queues.into_iter().collect();
                let lsn = self.bench.append(vec![publish(&queues, &BODY)]);
                self.live.extend(queues.into_iter().map(|q| (q, at(lsn))));
            }
            Act::Settle(picks) => {
                for pick in picks {
                    if let Some((queue, entry)) = self.pick(pick) {
                        self.bench.append(vec![settle(queue, &[entry])]);
                    }
                }
            }
            Act::Move(pick, targets) => {
                let Some((source, entry)) = self.pick(pick) else {
                    return;
                };
                let targets: BTreeSet<u64> = targets.iter().map(|q| 10 + u64::from(*q)).collect();
                let fields = targets.iter().map(|q| EntryFields::plain(QueueId(*q)));
                let moved = self.bench.append(vec![Record::Move(Move {
                    source: QueueId(source),
                    entry,
                    cause: SettleKind::Expired,
                    targets: fields.collect(),
                    body_bytes: BODY.len() as u64,
                    enqueued_at: CoreTime::default(),
                })]);
                let made = EntryRef {
                    entry: moved,
                    message: entry.message,
                };
                self.live.extend(targets.into_iter().map(|q| (q, made)));
            }
            Act::Dead(pick) => {
                if let Some((queue, entry)) = self.pick(pick) {
                    self.dead(queue, entry);
                    self.homeless.insert((queue, entry));
                }
            }
            Act::Restart => self.restart(),
        }
    }

    fn pick(&mut self, pick: &Index) -> Option<(u64, EntryRef)> {
        let at = pick.index(self.live.len().max(1));
        let picked = self.live.iter().nth(at).copied()?;
        self.live.remove(&picked);
        Some(picked)
    }

    fn restart(&mut self) {
        let found = live(self.bench);
        let homeless: Live = found.difference(&self.live).copied().collect();
        assert!(homeless.is_subset(self.homeless), "{homeless:?} came back");
        // A moved entry holds its move and its message.
        let held = |(_, entry): &(u64, EntryRef)| 1 + u64::from(entry.entry != entry.message);
        let references: u64 = found.iter().map(held).sum();
        assert_eq!(self.bench.store().space().references, references);
        let found: Live = found.difference(&homeless).copied().collect();
        assert_eq!(found, self.live);
        for (queue, entry) in homeless {
            self.dead(queue, entry);
        }
    }

    fn dead(&self, queue: u64, entry: EntryRef) {
        let queue = QueueId(queue);
        self.bench.store().dead(&[Dead { queue, entry }]);
    }

    fn end(&mut self) {
        while let Some((queue, entry)) = self.live.pop_first() {
            self.bench.append(vec![settle(queue, &[entry])]);
        }
        assert_eq!(self.bench.store().space().references, 0);
        fill_and_settle(self.bench, 1);
        self.bench.wait_for_segments(2);
    }
}

/// The entries that a start is told. Their messages can be read.
fn live(bench: &mut Bench) -> Live {
    let told = bench.recover();
    let lsn = |number| Lsn::new(bench.shard, number).expect("an lsn");
    let entries = told.entries.iter().map(|told| {
        let entry = EntryRef {
            entry: lsn(told.entry),
            message: lsn(told.message),
        };
        (told.fields.queue.0, entry)
    });
    let live: Live = entries.collect();
    assert_eq!(live.len(), told.entries.len(), "each once");
    let messages: BTreeSet<Lsn> = live.iter().map(|(_, entry)| entry.message).collect();
    let listener = Listener::new();
    let store = bench.store();
    let messages: Vec<Lsn> = messages.into_iter().collect();
    store.read(bench.shard, messages.clone(), listener.reader());
    assert_eq!(listener.wait().messages.len(), messages.len());
    live
}
