//! Checkpoints, clean stops, time and identity over restarts.

use std::collections::BTreeMap;

use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;

use super::bench::Bench;
use super::bench::NOW;
use super::bench::publish;

/// The checkpoint's content and what it has absorbed.
fn loaded(bench: &Bench) -> (BTreeMap<String, Vec<u8>>, Option<Lsn>) {
    let mut values = BTreeMap::new();
    let mut visit = |key: &str, value: &[u8]| {
        values.insert(key.to_owned(), value.to_vec());
    };
    let absorbed = bench
        .store()
        .load(bench.shard, &mut visit)
        .expect("a good checkpoint");
    (values, absorbed)
}

pub(super) fn a_checkpoint_is_loaded_again(bench: &mut Bench) {
    assert_eq!(loaded(bench), (BTreeMap::new(), None));
    let catalog = |key, value| Record::Catalog { key, value };
    let first = bench.append(vec![
        catalog("queue/a", Some(b"1")),
        catalog("queue/b", Some(b"2")),
    ]);
    let changes: [(&str, Option<&[u8]>); 2] = [("queue/a", Some(b"1")), ("queue/b", Some(b"2"))];
    bench
        .store()
        .checkpoint(bench.shard, first.plus(1), &mut changes.into_iter())
        .expect("written");
    let third = bench.append(vec![catalog("queue/a", None)]);
    let changes: [(&str, Option<&[u8]>); 1] = [("queue/a", None)];
    bench
        .store()
        .checkpoint(bench.shard, third, &mut changes.into_iter())
        .expect("written");
    // After the checkpoint, so only the log has it.
    bench.append(vec![catalog("queue/c", Some(b"3"))]);
    let expected = BTreeMap::from([("queue/b".to_owned(), b"2".to_vec())]);
    assert_eq!(loaded(bench), (expected.clone(), Some(third)));
    let (scanned, replayed) = bench.restart();
    assert_eq!(loaded(bench), (expected, Some(third)));
    assert_eq!(scanned.last, Some(third.plus(1)));
    assert!(replayed.iter().any(|(n, _)| *n == third.number() + 1));
}

pub(super) fn a_clean_stop_is_told_from_a_crash(bench: &mut Bench) {
    let (scanned, _) = bench.restart();
    assert_eq!((scanned.last, scanned.clean_stop), (None, false));
    let lsn = bench.append(vec![publish(&[1], b"a")]);
    let (scanned, _) = bench.restart();
    assert_eq!((scanned.last, scanned.clean_stop), (Some(lsn), false));
    bench.store().close(NOW).expect("stops");
    let refused = bench.try_append(vec![publish(&[1], b"b")], true);
    assert_eq!(refused, Err(AppendError::Failed));
    bench.store().close(NOW).expect("is stopped already");
    let (scanned, _) = bench.restart();
    assert_eq!(
        (scanned.last, scanned.clean_stop),
        (Some(lsn.plus(1)), true)
    );
    let next = bench.append(vec![publish(&[1], b"c")]);
    assert_eq!(next, lsn.plus(2));
    let (scanned, replayed) = bench.restart();
    assert!(!scanned.clean_stop);
    assert_eq!(replayed.len(), 3, "two messages and the mark between them");
}

pub(super) fn core_time_does_not_go_back(bench: &mut Bench) {
    let store = bench.store();
    for ms in [5_000, 9_000, 7_000] {
        let mut record = std::iter::once(publish(&[1], b"a"));
        let lsn = store
            .append(bench.shard, CoreTime::from_ms(ms), false, &mut record)
            .expect("taken");
        bench.settle_down(lsn);
    }
    drop(store);
    let (scanned, _) = bench.restart();
    assert_eq!(scanned.latest, CoreTime::from_ms(9_000));
}

pub(super) fn an_incarnation_is_never_repeated(bench: &mut Bench) {
    let first = bench.store().identity();
    bench.append(vec![publish(&[1], b"a")]);
    bench.restart();
    let second = bench.store().identity();
    assert_eq!(second.uuid, first.uuid);
    assert_eq!(second.incarnation, first.incarnation + 1);
}
