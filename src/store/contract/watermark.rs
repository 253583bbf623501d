//! The watermark, those who wait for it, and what a store that is behind takes.

use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;

use super::bench::Bench;
use super::bench::Flag;
use super::bench::at;
use super::bench::publish;
use super::bench::settle;

pub(super) fn a_waiter_is_called_at_once_for_what_is_durable(bench: &mut Bench) {
    let lsn = bench.append(vec![publish(&[1], b"a"), publish(&[1], b"b")]);
    bench.settle_down(lsn.plus(1));
    let flag = Flag::new();
    bench.store().wait(lsn, flag.clone());
    assert_eq!(flag.calls(), 1, "called by `wait` itself");
    // What is to come can be waited for as well.
    let later = Flag::new();
    bench.store().wait(lsn.plus(2), later.clone());
    assert_eq!(later.calls(), 0);
    bench.append(vec![publish(&[1], b"c")]);
    later.wait_for(1);
}

pub(super) fn nothing_is_durable_before_it_is(bench: &mut Bench) {
    bench.hold();
    let lsn = bench.append(vec![publish(&[1], b"a"), publish(&[1], b"b")]);
    let flags = [Flag::new(), Flag::new(), Flag::new()];
    for (n, flag) in (0..).zip(&flags) {
        bench.store().wait(lsn.plus(n), flag.clone());
    }
    assert!(!bench.store().watermark(bench.shard).covers(lsn));
    assert!(flags.iter().all(|flag| flag.calls() == 0));
    bench.release();
    flags[0].wait_for(1);
    flags[1].wait_for(1);
    assert!(bench.store().watermark(bench.shard).covers(lsn.plus(1)));
    assert_eq!(flags[2].calls(), 0, "its record is not appended yet");
    bench.append(vec![publish(&[1], b"c")]);
    flags[2].wait_for(1);
    assert!(flags.iter().all(|flag| flag.calls() == 1), "called once");
}

pub(super) fn after_a_failure_nothing_is_confirmed(bench: &mut Bench) {
    let early = bench.append(vec![publish(&[1], b"a")]);
    bench.settle_down(early);
    bench.hold();
    let lsn = bench.append(vec![publish(&[1], b"b")]);
    let flag = Flag::new();
    bench.store().wait(lsn, flag.clone());
    bench.fail();
    flag.wait_for(1);
    assert_eq!(bench.store().watermark(bench.shard), Watermark::Failed);
    assert!(!bench.store().watermark(bench.shard).covers(lsn));
    let refused = bench.try_append(vec![settle(1, &[at(early)])], true);
    assert_eq!(refused, Err(AppendError::Failed));
    let late = Flag::new();
    bench.store().wait(lsn.plus(1), late.clone());
    assert_eq!(late.calls(), 1, "called by `wait` itself");
}

pub(super) fn a_store_that_is_behind_refuses_what_can_wait(bench: &mut Bench) {
    bench.hold();
    let body = vec![7; 1024 * 1024];
    let mut taken: Vec<Lsn> = Vec::new();
    let refused = loop {
        match bench.try_append(vec![publish(&[1], &body)], false) {
            Ok(lsn) => taken.push(lsn),
            Err(error) => break error,
        }
        assert!(taken.len() < 20, "what waits is bounded");
    };
    assert_eq!(refused, AppendError::Busy);
    assert!(taken.len() >= 8, "8 MiB may wait");
    assert!(bench.store().space().pending_bytes > 8 << 20);
    let last = taken.last().copied().expect("some were taken");
    let urgent = bench.append(vec![Record::Tombstone]);
    assert_eq!(
        urgent,
        last.plus(1),
        "nothing of the refused append was taken"
    );
    bench.release();
    bench.settle_down(urgent);
    assert_eq!(bench.store().space().pending_bytes, 0);
    assert!(bench.try_append(vec![publish(&[1], &body)], false).is_ok());
}
