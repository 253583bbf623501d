//! Messages come back as they were published, or with the reason why not.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use super::bench::Bench;
use super::bench::PATIENCE;
use super::bench::SEGMENT_BYTES;
use super::bench::at;
use super::bench::publish;
use super::bench::settle;

/// What a reader was told.
#[derive(Default)]
pub(crate) struct Told {
    /// LSN, routing key and body of each message.
    pub(crate) messages: Vec<(Lsn, Vec<u8>, Vec<u8>)>,
    /// What could not be read.
    pub(crate) unread: Vec<(Lsn, ReadError)>,
    /// Times that it was told that this was all.
    pub(crate) done: usize,
}

/// A reader that a test waits for.
#[derive(Default)]
pub(crate) struct Listener {
    told: Mutex<Told>,
    changed: Condvar,
}

impl Listener {
    /// A reader that was told nothing yet.
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same, to be given away.
    pub(crate) fn reader(self: &Arc<Self>) -> Box<dyn Reader> {
        Box::new(Listens(Arc::clone(self)))
    }

    /// Whether it was told that this was all.
    pub(crate) fn is_done(&self) -> bool {
        self.told.lock().done > 0
    }

    /// What it was told, when that is all.
    pub(crate) fn wait(&self) -> Told {
        let mut told = self.told.lock();
        while told.done == 0 {
            let waited = self.changed.wait_for(&mut told, PATIENCE);
            assert!(!waited.timed_out(), "no answer came");
        }
        assert_eq!(told.done, 1, "this is all, once");
        std::mem::take(&mut told)
    }
}

struct Listens(Arc<Listener>);

impl Reader for Listens {
    fn message(&mut self, lsn: Lsn, fields: &MessageFields<'_>, chunks: Vec<Bytes>) {
        let body = match &fields.body {
            BodyFields::Inline(parts) => {
                assert_eq!(chunks.len(), 0);
                parts.concat()
            }
            BodyFields::Chunks { chunks: count, .. } => {
                assert_eq!(chunks.len(), usize::try_from(*count).expect("few"));
                chunks.concat()
            }
            BodyFields::File { .. } => Vec::new(),
        };
        let mut told = self.0.told.lock();
        told.messages.push((lsn, fields.routing_key.to_vec(), body));
    }

    fn done(self: Box<Self>, unread: Vec<(Lsn, ReadError)>) {
        let mut told = self.0.told.lock();
        told.unread = unread;
        told.done += 1;
        self.0.changed.notify_all();
    }
}

impl Bench {
    /// Reads messages of the shard under test.
    fn read(&self, lsns: &[Lsn]) -> Told {
        let listener = Listener::new();
        let store = self.store();
        store.read(self.shard, lsns.to_vec(), listener.reader());
        listener.wait()
    }

    /// Reads messages, all of which are there, as pairs of LSN and body.
    fn bodies(&self, lsns: &[Lsn]) -> Vec<(Lsn, Vec<u8>)> {
        let told = self.read(lsns);
        assert_eq!(told.unread, []);
        let pair = |(lsn, _, body)| (lsn, body);
        told.messages.into_iter().map(pair).collect()
    }
}

/// A body that belongs to one number only.
fn body(number: usize, bytes: usize) -> Vec<u8> {
    let mut body = number.to_le_bytes().repeat(bytes / 8 + 1);
    body.truncate(bytes.max(8));
    body
}

/// Publishes bodies of all lengths over several segments.
fn fill(bench: &Bench) -> Vec<(Lsn, Vec<u8>)> {
    let mut all = Vec::new();
    let mut bytes = 0;
    while bytes < 6 * SEGMENT_BYTES {
        let bodies: Vec<Vec<u8>> = (0..7)
            .map(|n| body(all.len() + n, (all.len() + n) * 37 % 3_000))
            .collect();
        bytes += bodies.iter().map(Vec::len).sum::<usize>();
        let records = bodies.iter().map(|body| publish(&[1], body)).collect();
        let first = bench.append(records);
        all.extend((0..).zip(bodies).map(|(n, body)| (first.plus(n), body)));
        // Some frames have several appends, some have one.
        if all.len() % 3 == 0 {
            bench.settle_down(first);
        }
    }
    all
}

fn lsns(of: &[(Lsn, Vec<u8>)]) -> Vec<Lsn> {
    of.iter().map(|(lsn, _)| *lsn).collect()
}

pub(super) fn messages_are_read_back_as_they_were_published(bench: &mut Bench) {
    let all = fill(bench);
    assert_eq!(bench.bodies(&lsns(&all)), all, "all at once");
    for step in [1, 2, 3, 50, 400] {
        let some: Vec<_> = all.iter().skip(step).step_by(step).cloned().collect();
        assert_eq!(bench.bodies(&lsns(&some)), some, "each {step}.");
    }
    for one in all.iter().step_by(61).rev() {
        assert_eq!(bench.bodies(&[one.0]), std::slice::from_ref(one));
    }
    assert_eq!(bench.bodies(&[]), []);
    let kept = Record::Publish(Publish {
        message: MessageFields {
            routing_key: b"key",
            head: b"head",
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
        elidable: true,
    });
    let lsn = bench.append(vec![kept]);
    assert_eq!(
        bench.read(&[lsn]).messages,
        [(lsn, b"key".to_vec(), vec![])]
    );
}

pub(super) fn messages_are_read_back_after_a_restart(bench: &mut Bench) {
    let mut all = fill(bench);
    bench.settle_down(all.last().expect("some").0);
    bench.restart();
    assert_eq!(bench.bodies(&lsns(&all)), all);
    all.extend(fill(bench));
    assert_eq!(bench.bodies(&lsns(&all)), all, "old and new ones");
}

pub(super) fn a_body_in_chunks_is_read_back(bench: &mut Bench) {
    let parts: Vec<Vec<u8>> = (0..5).map(|n| body(n, 20_000)).collect();
    let mut records: Vec<Record<'_>> = parts
        .iter()
        .map(|bytes| Record::Chunk {
            references: 1,
            bytes,
        })
        .collect();
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
    records.push(publish(&[2], b"next"));
    let first = bench.append(records);
    let expected = [
        (first.plus(5), parts.concat()),
        (first.plus(6), b"next".to_vec()),
    ];
    assert_eq!(bench.bodies(&[first.plus(5), first.plus(6)]), expected);
    bench.restart();
    assert_eq!(bench.bodies(&[first.plus(5), first.plus(6)]), expected);
}

pub(super) fn what_is_no_message_is_not_there(bench: &mut Bench) {
    let message = bench.append(vec![publish(&[1], b"a")]);
    bench.settle_down(message);
    let settled = bench.append(vec![settle(1, &[at(message)]), publish(&[1], b"b")]);
    let told = bench.read(&[settled, settled.plus(1)]);
    assert_eq!(told.unread, [(settled, ReadError::NotThere)]);
    assert_eq!(told.messages, [(settled.plus(1), vec![], b"b".to_vec())]);
}

pub(super) fn a_read_waits_for_the_disk(bench: &mut Bench) {
    let early = bench.append(vec![publish(&[1], b"early")]);
    bench.settle_down(early);
    bench.hold();
    let first = bench.append(vec![publish(&[1], b"elided"), publish(&[1], b"late")]);
    bench.append(vec![settle(1, &[at(first)])]);
    let listener = Listener::new();
    let asked = vec![early, first, first.plus(1)];
    bench.store().read(bench.shard, asked, listener.reader());
    assert_eq!(
        bench.bodies(&[early]).len(),
        1,
        "who need not wait does not"
    );
    assert!(!listener.is_done());
    bench.release();
    let told = listener.wait();
    assert_eq!(told.unread, [(first, ReadError::NotThere)]);
    let read: Vec<_> = told.messages.into_iter().map(|(_, _, body)| body).collect();
    assert_eq!(read, [b"early".to_vec(), b"late".to_vec()]);
}

pub(super) fn a_failed_log_does_not_say_that_a_message_is_gone(bench: &mut Bench) {
    let early = bench.append(vec![publish(&[1], b"early")]);
    bench.settle_down(early);
    bench.hold();
    let late = bench.append(vec![publish(&[1], b"late")]);
    let listener = Listener::new();
    bench
        .store()
        .read(bench.shard, vec![early, late], listener.reader());
    bench.fail();
    let closed = [(early, ReadError::Closed), (late, ReadError::Closed)];
    assert_eq!(listener.wait().unread, closed);
}

/// What is settled may be gone; what lives is read, whatever is recycled at the same time.
pub(super) fn what_lives_is_read_while_segments_are_recycled(bench: &mut Bench) {
    let mut live = fill(bench);
    for round in 0..12 {
        let fresh = fill(bench);
        let store = bench.store();
        let listeners: Vec<_> = live
            .chunks(40)
            .map(|some| {
                let listener = Listener::new();
                store.read(bench.shard, lsns(some), listener.reader());
                (listener, some)
            })
            .collect();
        // All but each hundredth, while they are read.
        let settled =
            |(n, (lsn, _)): (usize, &(Lsn, Vec<u8>))| (n % 100 != round).then_some(at(*lsn));
        let settled: Vec<_> = live.iter().enumerate().filter_map(settled).collect();
        bench.append(vec![settle(1, &settled)]);
        for (listener, some) in listeners {
            let told = listener.wait();
            assert_eq!(told.messages.len() + told.unread.len(), some.len());
            for (lsn, _, body) in told.messages {
                assert!(some.contains(&(lsn, body)), "another message than {lsn}");
            }
            for (lsn, error) in told.unread {
                assert_eq!(error, ReadError::NotThere);
                assert!(settled.contains(&at(lsn)), "{lsn} lives");
            }
        }
        live.retain(|(lsn, _)| !settled.contains(&at(*lsn)));
        assert_eq!(bench.bodies(&lsns(&live)), live);
        live.extend(fresh);
    }
}
