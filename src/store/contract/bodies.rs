//! Large bodies: how long they are there.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyReader;
use crate::core::log::bodies::BodyWriter;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use super::bench::Bench;
use super::bench::PATIENCE;
use super::bench::at;
use super::bench::settle;

/// A block and a bit.
const BYTES: usize = BODY_BLOCK_BYTES + 9;

/// One answer, and whoever waits for it.
#[derive(Default)]
struct Answer {
    ended: Mutex<Option<Result<(), BodyError>>>,
    read: Mutex<Option<Result<Bytes, BodyError>>>,
    changed: Condvar,
}

impl BodyWriter for Answer {
    fn written(&self, _bytes: usize) {}

    fn ended(&self, outcome: Result<(), BodyError>) {
        *self.ended.lock() = Some(outcome);
        self.changed.notify_all();
    }
}

impl BodyReader for Answer {
    fn read(&self, _block: u64, bytes: Result<Bytes, BodyError>) {
        *self.read.lock() = Some(bytes);
        self.changed.notify_all();
    }
}

impl Answer {
    fn take<T>(&self, of: &Mutex<Option<T>>) -> T {
        let mut answer = of.lock();
        loop {
            if let Some(answer) = answer.take() {
                return answer;
            }
            let waited = self.changed.wait_for(&mut answer, PATIENCE);
            assert!(!waited.timed_out(), "no answer");
        }
    }
}

fn body() -> Vec<u8> {
    (0..BYTES).map(|at| (at % 253) as u8).collect()
}

fn write(bench: &Bench, durable: bool) -> BodyId {
    let store = bench.store();
    let answer = Arc::new(Answer::default());
    let bodies = store.bodies();
    let id = bodies.begin(durable, Arc::clone(&answer) as Arc<dyn BodyWriter>);
    for block in body().chunks(BODY_BLOCK_BYTES) {
        bodies.append(id, block.to_vec());
    }
    bodies.finish(id);
    answer.take(&answer.ended).expect("written");
    id
}

fn block(bench: &Bench, id: BodyId, number: u64) -> Result<Bytes, BodyError> {
    let answer = Arc::new(Answer::default());
    let reader = Arc::clone(&answer) as Arc<dyn BodyReader>;
    bench
        .store()
        .bodies()
        .read(id, BYTES as u64, number, reader);
    answer.take(&answer.read)
}

fn expect_whole(bench: &Bench, id: BodyId) {
    let blocks: Vec<Bytes> = (0..2)
        .map(|n| block(bench, id, n).expect("there"))
        .collect();
    assert_eq!(blocks.concat(), body());
}

/// Waits until the body is gone.
#[expect(
    clippy::disallowed_methods,
    reason = "waits for the store's own threads"
)]
fn expect_gone(bench: &Bench, id: BodyId) {
    let start = Instant::now();
    while block(bench, id, 0) != Err(BodyError::Damaged) {
        assert!(start.elapsed() < PATIENCE, "it is still there");
        std::thread::yield_now();
    }
}

/// A publish with this body to so many queues.
fn naming(id: BodyId, queues: u64) -> Record<'static> {
    Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::File {
                id,
                bytes: BYTES as u64,
            },
            ..MessageFields::default()
        },
        entries: Cow::Owned(
            (1..=queues)
                .map(|q| EntryFields::plain(QueueId(q)))
                .collect(),
        ),
        elidable: true,
    })
}

pub(super) fn a_body_without_a_record_goes_with_its_handle(bench: &mut Bench) {
    let id = write(bench, false);
    expect_whole(bench, id);
    bench.store().bodies().release(id);
    expect_gone(bench, id);
}

pub(super) fn a_body_with_a_record_goes_with_its_last_entry(bench: &mut Bench) {
    for durable in [true, false] {
        let id = write(bench, durable);
        let entry = at(bench.append(vec![naming(id, 2)]));
        bench.store().bodies().release(id);
        let last = bench.append(vec![settle(1, &[entry])]);
        bench.settle_down(last);
        expect_whole(bench, id);
        bench.append(vec![settle(2, &[entry])]);
        expect_gone(bench, id);
    }
}

pub(super) fn a_body_stays_as_long_as_somebody_reads_it(bench: &mut Bench) {
    let id = write(bench, true);
    let entry = at(bench.append(vec![naming(id, 1)]));
    let store = bench.store();
    store.bodies().open(id);
    store.bodies().release(id);
    let last = bench.append(vec![settle(1, &[entry])]);
    bench.settle_down(last);
    expect_whole(bench, id);
    store.bodies().release(id);
    expect_gone(bench, id);
}

pub(super) fn a_restart_keeps_the_bodies_that_records_name(bench: &mut Bench) {
    let named = write(bench, true);
    let abandoned = write(bench, true);
    let entry = at(bench.append(vec![naming(named, 1)]));
    bench.settle_down(entry.entry);
    bench.restart();
    expect_whole(bench, named);
    expect_gone(bench, abandoned);
    // A handle after the restart, as a message has one.
    bench.store().bodies().open(named);
    bench.store().bodies().release(named);
    expect_whole(bench, named);
    bench.append(vec![settle(1, &[entry])]);
    expect_gone(bench, named);
    assert_ne!(write(bench, true), named, "no id is used twice");
}

pub(super) fn a_body_goes_when_its_entry_ends_without_a_record(bench: &mut Bench) {
    let id = write(bench, true);
    let entry = at(bench.append(vec![naming(id, 1)]));
    bench.settle_down(entry.entry);
    bench.store().bodies().release(id);
    bench.store().dead(&[Dead {
        queue: QueueId(1),
        entry,
    }]);
    expect_gone(bench, id);
}

pub(super) fn a_body_whose_publish_a_checkpoint_has_is_known_after_a_start(bench: &mut Bench) {
    let [kept, moved, ended] = [(); 3].map(|()| write(bench, true));
    let [kept_at, moved_at, ended_at] =
        [kept, moved, ended].map(|id| at(bench.append(vec![naming(id, 1)])));
    bench.settle_down(ended_at.entry);
    for _ in 0..2 {
        let none = &mut std::iter::empty();
        let done = bench.store().checkpoint(bench.shard, ended_at.entry, none);
        done.expect("written");
    }
    // The handle keeps the file; the start that comes without one has to see that nothing lives that names it.
    let last = bench.append(vec![
        Record::Move(Move {
            source: QueueId(1),
            entry: moved_at,
            cause: SettleKind::Rejected,
            targets: Cow::Owned(vec![EntryFields::plain(QueueId(2))]),
            body_bytes: BYTES as u64,
            enqueued_at: CoreTime::default(),
        }),
        settle(1, &[ended_at]),
    ]);
    bench.settle_down(last.plus(1));
    expect_whole(bench, ended);
    let told = bench.recover();
    assert_eq!(told.entries.len(), 2);
    expect_gone(bench, ended);
    for id in [kept, moved] {
        expect_whole(bench, id);
    }
    let moved_at = EntryRef {
        entry: last,
        message: moved_at.message,
    };
    bench.append(vec![settle(1, &[kept_at]), settle(2, &[moved_at])]);
    expect_gone(bench, kept);
    expect_gone(bench, moved);
}

pub(super) fn a_body_that_nobody_wants_after_a_start_goes(bench: &mut Bench) {
    let id = write(bench, true);
    let entry = at(bench.append(vec![naming(id, 2)]));
    bench.settle_down(entry.entry);
    bench.recover_with(|queue| queue == QueueId(1));
    expect_whole(bench, id);
    bench.recover_with(|_| false);
    expect_gone(bench, id);
}
