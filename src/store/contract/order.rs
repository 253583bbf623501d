//! Order, atomicity, and that replay is what was appended.

use std::cell::RefCell;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::format::arbitrary;

use super::bench::Bench;
use super::bench::NOW;
use super::bench::at;
use super::bench::encoding;
use super::bench::publish;

pub(super) fn records_of_an_append_have_consecutive_numbers(bench: &mut Bench) {
    let first = bench.append(vec![publish(&[1], b"a")]);
    assert_eq!((first.number(), first.shard()), (1, bench.shard));
    let three = bench.append(vec![
        publish(&[1], b"b"),
        publish(&[2], b"c"),
        publish(&[3], b"d"),
    ]);
    assert_eq!(three.number(), 2);
    assert_eq!(bench.append(vec![publish(&[1], b"e")]).number(), 5);
}

/// Records of every kind, in appends of several, over several restarts.
pub(super) fn what_was_appended_is_replayed_in_order(bench: &mut Bench) {
    // Holds the first segment, for the message that all moves name.
    let held = Record::Catalog {
        key: "held",
        value: None,
    };
    let message = bench.append(vec![held, publish(&[1], b"moved")]).plus(1);
    bench.settle_down(message);
    let (_, replayed) = bench.restart();
    let expected = RefCell::new(replayed);
    let bench = RefCell::new(bench);
    let appends = vec(vec(arbitrary::record(), 1..6), 1..12);
    let outcome = TestRunner::new(Config::with_cases(12)).run(&appends, |appends| {
        let (mut bench, mut expected) = (bench.borrow_mut(), expected.borrow_mut());
        for records in appends {
            let records: Vec<_> = records.into_iter().map(|r| plain(r, message)).collect();
            let encodings: Vec<_> = records.iter().map(encoding).collect();
            let first = bench.append(records).number();
            expected.extend((first..).zip(encodings));
        }
        let (scanned, replayed) = bench.restart();
        prop_assert_eq!(&replayed, &*expected);
        let last = expected.last().map(|(number, _)| *number);
        prop_assert_eq!(scanned.last.map(|lsn| lsn.number()), last);
        Ok(())
    });
    outcome.expect("replay is what was appended");
}

/// The record, but such that what it names is there if it must be, and is not elided by it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the others name nothing")]
fn plain(mut record: Record<'static>, message: Lsn) -> Record<'static> {
    match &mut record {
        Record::Publish(publish) => {
            if let BodyFields::Chunks { chunks, .. } = &mut publish.message.body {
                *chunks = 0;
            }
        }
        Record::Move(moved) => moved.entry = at(message),
        Record::Settle { entries, .. } => {
            // Numbers this large are never reached.
            let is_gone = |entry: &EntryRef| entry.message.number() > 1 << 40;
            entries.to_mut().retain(is_gone);
        }
        _ => {}
    }
    record
}

pub(super) fn parallel_appends_stay_whole(bench: &mut Bench) {
    let (threads, appends, records) = (4_u8, 50_u8, 3_u8);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let bench = &*bench;
            scope.spawn(move || {
                for append in 0..appends {
                    let bodies: Vec<_> = (0..records).map(|n| [thread, append, n]).collect();
                    let records = bodies.iter().map(|body| publish(&[1], body)).collect();
                    bench.append(records);
                }
            });
        }
    });
    let (_, replayed) = bench.restart();
    let all: Vec<Vec<u8>> = replayed.into_iter().map(|(_, record)| record).collect();
    assert_eq!(
        all.len(),
        usize::from(threads) * usize::from(appends) * usize::from(records)
    );
    let mut next = vec![0; usize::from(threads)];
    for whole in all.chunks(usize::from(records)) {
        let is_whole = |thread: u8, append: u8| {
            let expected = (0..records).map(|n| encoding(&publish(&[1], &[thread, append, n])));
            whole.iter().cloned().eq(expected)
        };
        let thread = (0..threads)
            .find(|thread| is_whole(*thread, next[usize::from(*thread)]))
            .expect("the next append of one thread, whole");
        next[usize::from(thread)] += 1;
    }
}

pub(super) fn an_append_longer_than_a_frame_is_replayed_whole(bench: &mut Bench) {
    bench.append(vec![publish(&[1], b"before")]);
    let body = vec![7; 3_000];
    let count = bench.store().capabilities().frame_max_bytes.min(100_000) / body.len() + 20;
    let first = bench.append((0..count).map(|_| publish(&[1], &body)).collect());
    let after = bench.append(vec![publish(&[1], b"after")]);
    assert_eq!(after, first.plus(u64::try_from(count).expect("small")));
    let (_, replayed) = bench.restart();
    assert_eq!(replayed.len(), count + 2);
    assert!(
        replayed[1..=count]
            .iter()
            .all(|(_, r)| *r == encoding(&publish(&[1], &body)))
    );
}

pub(super) fn shards_are_independent(bench: &mut Bench) {
    let store = bench.store();
    let shards = store.capabilities().shards;
    for shard in (0..shards).map(Shard) {
        let mut record = std::iter::once(publish(&[1], b"a"));
        let lsn = store.append(shard, NOW, false, &mut record).expect("taken");
        assert_eq!((lsn.number(), lsn.shard()), (1, shard));
    }
    assert_eq!(
        store.watermark(Shard(shards)),
        Watermark::Failed,
        "no such shard"
    );
    bench.hold();
    bench.fail();
    let flag = super::bench::Flag::new();
    let next = Lsn::new(bench.shard, 100).expect("an lsn");
    store.wait(next, Arc::clone(&flag) as _);
    if shards > 1 {
        assert_eq!(store.watermark(bench.shard), Watermark::Failed);
        assert_eq!(store.watermark(Shard(0)), Watermark::Durable(1));
    }
}
