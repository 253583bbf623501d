//! What a start is told: the catalog's changes, then every live entry, in order.

use std::borrow::Cow;

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
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use super::bench::Bench;
use super::bench::Told;
use super::bench::ToldEntry;
use super::bench::at;
use super::bench::publish;
use super::bench::settle;

/// Entry and queue of everything that was told.
fn names(told: &Told) -> Vec<(u64, u64)> {
    let names = told.entries.iter().map(|e| (e.entry, e.fields.queue.0));
    let mut names: Vec<_> = names.collect();
    assert!(names.is_sorted_by_key(|(entry, _)| *entry));
    names.sort_unstable();
    names
}

fn special(queue: u64) -> EntryFields {
    EntryFields {
        expiry: Some(CoreTime::from_ms(7)),
        not_before: Some(CoreTime::from_ms(5)),
        priority: 3,
        is_retention: true,
        more: Some(Box::new(MoreEntryFields {
            acquired: 2,
            failed: 1,
            overlay: b"{}".to_vec(),
            ..MoreEntryFields::default()
        })),
        ..EntryFields::plain(QueueId(queue))
    }
}

pub(super) fn entries_are_told_in_order_with_what_is_known_of_them(bench: &mut Bench) {
    let first = bench.append(vec![publish(&[2, 1], b"four"), publish(&[1], b"")]);
    let chunk = |bytes| Record::Chunk {
        references: 1,
        bytes,
    };
    let message = MessageFields {
        enqueued_at: CoreTime::from_ms(9),
        body: BodyFields::Chunks {
            chunks: 2,
            bytes: 10,
        },
        ..MessageFields::default()
    };
    let whole = Record::Publish(Publish {
        message,
        entries: Cow::Owned(vec![special(3)]),
        elidable: true,
    });
    bench.append(vec![chunk(b"chunk"), chunk(b"chunk"), whole]);
    let told = bench.recover();
    assert_eq!(names(&told), [(1, 1), (1, 2), (2, 1), (5, 3)]);
    let plain = ToldEntry {
        entry: first.number(),
        message: first.number(),
        chunks: 0,
        body_bytes: 4,
        enqueued_at: CoreTime::default(),
        fields: EntryFields::plain(QueueId(1)),
        counts: (0, 0),
        until: None,
        is_counted: false,
    };
    assert!(told.entries.contains(&plain));
    let whole = ToldEntry {
        entry: 5,
        message: 5,
        chunks: 2,
        body_bytes: 10,
        enqueued_at: CoreTime::from_ms(9),
        fields: special(3),
        counts: (2, 1),
        ..plain
    };
    assert_eq!(told.entries[3], whole);
    let last = told.scanned.and_then(|scanned| scanned.last);
    assert_eq!(last.map(Lsn::number), Some(5));
}

pub(super) fn what_left_its_queue_is_not_told(bench: &mut Bench) {
    let first = bench.append((0..8).map(|_| publish(&[1, 2], b"a")).collect());
    bench.append(vec![settle(1, &[at(first), at(first.plus(1))])]);
    bench.append(vec![Record::PurgeRange {
        queue: QueueId(2),
        from: Some(first.plus(2)),
        upto: first.plus(5),
    }]);
    bench.append(vec![Record::PurgeRange {
        queue: QueueId(1),
        from: None,
        upto: first.plus(2),
    }]);
    let expected = [
        (1, 2),
        (2, 2),
        (4, 1),
        (5, 1),
        (6, 1),
        (7, 1),
        (7, 2),
        (8, 1),
        (8, 2),
    ];
    for _ in 0..3 {
        assert_eq!(names(&bench.recover()), expected);
    }
}

fn move_of(source: u64, entry: EntryRef, targets: &[u64]) -> Record<'static> {
    let targets = targets.iter().map(|id| EntryFields::plain(QueueId(*id)));
    Record::Move(Move {
        source: QueueId(source),
        entry,
        cause: SettleKind::Rejected,
        targets: targets.collect(),
        body_bytes: 5,
        enqueued_at: CoreTime::from_ms(3),
    })
}

pub(super) fn a_moved_entry_is_told_with_its_message(bench: &mut Bench) {
    let message = Record::Publish(Publish {
        message: MessageFields {
            enqueued_at: CoreTime::from_ms(3),
            body: BodyFields::Inline(Cow::Owned(vec![b"moved".as_slice()])),
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![
            EntryFields::plain(QueueId(1)),
            EntryFields::plain(QueueId(2)),
        ]),
        elidable: true,
    });
    let message = bench.append(vec![message]);
    let once = bench.append(vec![move_of(1, at(message), &[3, 4])]);
    let entry = EntryRef {
        entry: once,
        message,
    };
    let twice = bench.append(vec![move_of(3, entry, &[5])]);
    bench.append(vec![move_of(4, entry, &[])]);
    bench.append(vec![settle(2, &[at(message)])]);
    for _ in 0..2 {
        let told = bench.recover();
        let expected = ToldEntry {
            entry: twice.number(),
            message: message.number(),
            chunks: 0,
            body_bytes: 5,
            enqueued_at: CoreTime::from_ms(3),
            fields: EntryFields::plain(QueueId(5)),
            counts: (0, 0),
            until: None,
            is_counted: false,
        };
        assert_eq!(told.entries, [expected]);
    }
    let entry = EntryRef {
        entry: twice,
        message,
    };
    bench.append(vec![settle(5, &[entry])]);
    assert_eq!(names(&bench.recover()), []);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn leases_and_counters_are_told_as_they_were_logged_last(bench: &mut Bench) {
    let first = bench.append((0..4).map(|_| publish(&[1], b"a")).collect());
    let grant = |until, entries: &[(Lsn, u16)]| Record::Grant {
        queue: QueueId(1),
        holder: Holder::Nobody,
        until: CoreTime::from_ms(until),
        entries: entries
            .iter()
            .map(|(entry, acquired)| GrantedEntry {
                entry: *entry,
                acquired: *acquired,
                failed: 1,
            })
            .collect(),
    };
    let counters = |entry, acquired| Record::Counters {
        queue: QueueId(1),
        entry,
        acquired,
        failed: 7,
    };
    bench.append(vec![grant(100, &[(first, 1), (first.plus(1), 2)])]);
    bench.append(vec![grant(200, &[(first, 3)]), counters(first.plus(1), 4)]);
    bench.append(vec![counters(first.plus(2), 5)]);
    let time = |ms| Some(CoreTime::from_ms(ms));
    for _ in 0..2 {
        let told = bench.recover();
        let leases: Vec<_> = told
            .entries
            .iter()
            .map(|e| (e.counts, e.until, e.is_counted))
            .collect();
        let expected = [
            ((3, 1), time(200), true),
            ((4, 7), None, true),
            ((5, 7), None, true),
            ((0, 0), None, false),
        ];
        assert_eq!(leases, expected);
    }
}

pub(super) fn catalog_changes_come_first_and_only_new_ones(bench: &mut Bench) {
    let catalog = |key, value| Record::Catalog { key, value };
    let first = bench.append(vec![
        publish(&[1], b"a"),
        catalog("queue/1", Some(b"1")),
        catalog("queue/2", None),
    ]);
    let changes = [("queue/1", Some(b"1".as_slice())), ("queue/2", None)];
    bench
        .store()
        .checkpoint(bench.shard, first.plus(2), &mut changes.into_iter())
        .expect("written");
    let new = bench.append(vec![
        catalog("queue/1", None),
        catalog("queue/3", Some(b"3")),
    ]);
    let told = bench.recover();
    let expected = [
        (new.number(), "queue/1".to_owned(), None),
        (new.number() + 1, "queue/3".to_owned(), Some(b"3".to_vec())),
    ];
    assert_eq!(told.catalog, expected);
    assert_eq!(names(&told), [(1, 1)]);
}

pub(super) fn an_entry_that_nobody_wants_ends(bench: &mut Bench) {
    let first = bench.append(vec![publish(&[1, 2], b"a"), publish(&[2], b"b")]);
    let moved = bench.append(vec![move_of(1, at(first), &[2, 3])]);
    let told = bench.recover_with(|queue| queue == QueueId(3));
    let expected = [(1, 2), (2, 2), (moved.number(), 2), (moved.number(), 3)];
    assert_eq!(names(&told), expected);
    // The move for its last target, and the message.
    assert_eq!(bench.store().space().references, 2);
    let message = EntryRef {
        entry: moved,
        message: first,
    };
    bench.append(vec![settle(3, &[message])]);
    assert_eq!(bench.store().space().references, 0);
}
