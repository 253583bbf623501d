//! Checkpoints: what they absorb never returns, either generation is enough, and a crash in the middle of one costs nothing.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::telemetry::Metrics;

use super::EmbeddedLog;
use super::Listener;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::append_durably;
use super::copy;
use super::open;
use super::room::publish;
use super::segments;
use super::wait;

const GENERATIONS: [&str; 2] = ["checkpoint.0.redb", "checkpoint.1.redb"];

fn publish_durably(log: &EmbeddedLog) -> u64 {
    let lsn = publish(log).expect("taken");
    wait(log, lsn);
    lsn.number()
}

fn settle(log: &EmbeddedLog, numbers: &[u64]) {
    let lsn = |number: &u64| Lsn::new(SHARD, *number).expect("an lsn");
    let entries = numbers.iter().map(|number| EntryRef {
        entry: lsn(number),
        message: lsn(number),
    });
    let record = Record::Settle {
        queue: QueueId(1),
        outcome: SettleKind::Accepted,
        entries: entries.collect(),
    };
    let settled = log.append(SHARD, NOW, true, &mut std::iter::once(record));
    wait(log, settled.expect("taken"));
}

fn checkpoint(log: &Arc<EmbeddedLog>) {
    log.shared.checkpoint(None).expect("written");
}

/// What a start is told: the numbers of its entries.
fn told(dir: &Path) -> Result<Vec<u64>, StoreError> {
    let log = EmbeddedLog::open(dir, SETTINGS, Arc::new(Metrics::new()))?;
    let mut listener = Listener::default();
    let scanned = log.recover(SHARD, &mut listener)?;
    assert_eq!(scanned.holes, [], "nothing is missing");
    Ok(listener.entries.iter().map(|(number, _)| *number).collect())
}

/// A log that was checkpointed three times, with something settled and something published before each and after the
/// last; and what lives in it.
fn used() -> (TempDir, Vec<u64>) {
    let dir = TempDir::new().expect("a temporary directory");
    let opened = open(dir.path()).expect("opens");
    let mut live = Vec::new();
    for _ in 0..3 {
        live.extend((0..6).map(|_| publish_durably(&opened.log)));
        settle(&opened.log, &live.split_off(live.len() - 4));
        checkpoint(&opened.log);
    }
    settle(&opened.log, &[live.remove(0)]);
    live.push(publish_durably(&opened.log));
    (dir, live)
}

#[test]
fn a_start_is_told_what_lives_whichever_generation_is_left() {
    let (dir, live) = used();
    assert_eq!(told(copy(dir.path()).path()).expect("opens"), live);
    for lost in GENERATIONS {
        let path = |dir: &TempDir| dir.path().join(lost);
        let copied = copy(dir.path());
        fs::remove_file(path(&copied)).expect("removed");
        assert_eq!(told(copied.path()).expect("opens"), live, "{lost} is gone");
        let good = fs::read(path(&dir)).expect("there");
        for at in [0, 1, 100, 4_096, 9_000, good.len() / 2, good.len() - 1] {
            let copied = copy(dir.path());
            fs::write(path(&copied), &good[..at]).expect("written");
            assert_eq!(
                told(copied.path()).expect("opens"),
                live,
                "{lost} cut at {at}"
            );
        }
        // It is made again from the other one, and then each is enough again.
        let copied = copy(dir.path());
        fs::remove_file(path(&copied)).expect("removed");
        let opened = open(copied.path()).expect("opens");
        checkpoint(&opened.log);
        checkpoint(&opened.log);
        drop(opened);
        for other in GENERATIONS {
            let copied = copy(copied.path());
            fs::remove_file(copied.path().join(other)).expect("removed");
            assert_eq!(told(copied.path()).expect("opens"), live);
        }
    }
}

#[test]
fn a_flipped_bit_in_a_generation_costs_a_longer_replay_and_no_more() {
    let (dir, live) = used();
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
        cases: 48,
        ..Default::default()
    });
    let flips = (0..2_usize, any::<Index>(), 0..8_u8);
    let outcome = runner.run(&flips, |(which, at, bit)| {
        let flipped = copy(dir.path());
        let path = flipped.path().join(GENERATIONS[which]);
        let mut bytes = fs::read(&path).expect("there");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).expect("written");
        let found = told(flipped.path());
        prop_assert_eq!(
            found.expect("opens"),
            live.clone(),
            "bit {} of byte {}",
            bit,
            at
        );
        Ok(())
    });
    outcome.expect("found");
}

#[test]
fn without_a_generation_nothing_is_made_up() {
    let (dir, _) = used();
    for name in GENERATIONS {
        fs::write(dir.path().join(name), b"not a database").expect("written");
    }
    let refused = told(dir.path()).expect_err("refused").to_string();
    assert!(refused.contains("checkpoint.0.redb"), "{refused}");
    assert!(refused.contains("`viaduct repair`"), "{refused}");
    for name in GENERATIONS {
        fs::remove_file(dir.path().join(name)).expect("removed");
    }
    let refused = told(dir.path()).expect_err("refused");
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
}

#[test]
fn what_was_settled_and_absorbed_never_returns_and_its_settles_go() {
    let dir = TempDir::new().expect("a temporary directory");
    let opened = open(dir.path()).expect("opens");
    // One lives in the first segment, and is settled by nothing: the settles of the others need not stay for it.
    let kept = publish_durably(&opened.log);
    for round in 0..8 {
        let numbers: Vec<u64> = (0..12).map(|_| publish_durably(&opened.log)).collect();
        settle(&opened.log, &numbers);
        checkpoint(&opened.log);
        let in_crash = told(copy(dir.path()).path()).expect("opens");
        assert_eq!(in_crash, [kept], "round {round}");
    }
    checkpoint(&opened.log);
    super::eventually("recycled segments", || opened.log.space().segments <= 2);
    drop(opened);
    for _ in 0..2 {
        assert_eq!(told(dir.path()).expect("opens"), [kept]);
    }
    let opened = open(dir.path()).expect("opens");
    settle(&opened.log, &[kept]);
    opened.log.close(NOW).expect("closed");
    drop(opened);
    assert!(told(dir.path()).expect("opens").is_empty());
}

#[test]
fn a_segment_stays_until_the_older_generation_can_do_without_it() {
    let dir = TempDir::new().expect("a temporary directory");
    let opened = open(dir.path()).expect("opens");
    // With the settle they fill the first segment.
    let numbers: Vec<u64> = (0..4).map(|_| publish_durably(&opened.log)).collect();
    settle(&opened.log, &numbers);
    let later: Vec<u64> = (0..12).map(|_| publish_durably(&opened.log)).collect();
    let first = segments(dir.path())[0].clone();
    checkpoint(&opened.log);
    append_durably(&opened.log, "a step for the writer");
    assert!(first.exists(), "a start without that generation needs it");
    checkpoint(&opened.log);
    super::eventually("a recycled segment", || !first.exists());
    drop(opened);
    assert_eq!(told(dir.path()).expect("opens"), later);
}

/// A start goes by a large generation without writing it again: that the disk does not have it may show after the next
/// power cut.
#[test]
fn a_large_generation_that_a_start_went_by_may_be_lost_until_both_are_written_again() {
    let (dir, mut live) = used();
    let opened = open(dir.path()).expect("opens");
    let large = vec![7; 20 * 1024 * 1024];
    let upto = Lsn::new(SHARD, publish_durably(&opened.log)).expect("an lsn");
    live.push(upto.number());
    let written = opened.log.checkpoint(
        SHARD,
        upto,
        &mut std::iter::once(("large", Some(&large[..]))),
    );
    written.expect("written");
    let mut step = |log: &Arc<EmbeddedLog>| {
        settle(log, &[live.remove(0)]);
        live.extend((0..12).map(|_| publish_durably(log)));
        live.clone()
    };
    step(&opened.log);
    checkpoint(&opened.log);
    drop(opened);
    let opened = open(dir.path()).expect("opens");
    for round in 0..3 {
        if round > 0 {
            checkpoint(&opened.log);
        }
        let live = step(&opened.log);
        for lost in GENERATIONS {
            let cut = copy(dir.path());
            let path = cut.path().join(lost);
            fs::write(&path, vec![0; 64 * 1024]).expect("written");
            assert_eq!(told(cut.path()).expect("opens"), live, "{lost}, {round}");
        }
    }
    checkpoint(&opened.log);
    checkpoint(&opened.log);
    assert!(!opened.log.shared.checkpoints.lock().is_behind());
}

/// A power cut may come between any two files of a checkpoint, and in the middle of each: what is on the disk then is
/// an older state of one of them, or a part of a new file.
#[test]
fn a_crash_in_the_middle_of_a_checkpoint_costs_nothing() {
    let (dir, mut live) = used();
    let opened = open(dir.path()).expect("opens");
    let before = copy(dir.path());
    settle(&opened.log, &[live.remove(0)]);
    live.push(publish_durably(&opened.log));
    checkpoint(&opened.log);
    let after = copy(dir.path());
    drop(opened);
    for name in GENERATIONS {
        let (old, new) = [&before, &after].map(|dir| dir.path().join(name)).into();
        let (old, new) = (fs::read(old).expect("there"), fs::read(new).expect("there"));
        for at in (0..new.len().min(old.len())).step_by(4_096) {
            let mixed = copy(after.path());
            let torn = [&new[..at], &old[at..]].concat();
            fs::write(mixed.path().join(name), torn).expect("written");
            assert_eq!(
                told(mixed.path()).expect("opens"),
                live,
                "{name} torn at {at}"
            );
        }
        let begun = copy(after.path());
        let part = begun.path().join(name).with_extension("new");
        fs::write(part, &new[..new.len() / 3]).expect("written");
        assert_eq!(told(begun.path()).expect("opens"), live, "a part of a copy");
    }
}
