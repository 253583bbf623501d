//! What is settled before it is written is not written.

use std::borrow::Cow;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::record::SettleKind;
use crate::core::log::store::Dead;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use super::bench::Bench;
use super::bench::at;
use super::bench::encoding;
use super::bench::publish;
use super::bench::settle;

fn tombstone() -> Vec<u8> {
    encoding(&Record::Tombstone)
}

/// What is replayed of what was appended, in order.
fn written(bench: &mut Bench) -> Vec<Vec<u8>> {
    bench.release();
    let (_, replayed) = bench.restart();
    replayed.into_iter().map(|(_, record)| record).collect()
}

pub(super) fn settled_before_it_is_written_leaves_no_trace(bench: &mut Bench) {
    bench.hold();
    let gone = bench.append(vec![publish(&[1], b"gone"), publish(&[1], b"stays")]);
    bench.append(vec![settle(1, &[at(gone)])]);
    let expected = vec![tombstone(), encoding(&publish(&[1], b"stays")), tombstone()];
    assert_eq!(written(bench), expected);
    assert_eq!(bench.store().space().references, 1);
}

pub(super) fn every_queue_must_settle_first(bench: &mut Bench) {
    bench.hold();
    let half = bench.append(vec![publish(&[1, 2], b"half"), publish(&[1, 2], b"whole")]);
    let whole = half.plus(1);
    bench.append(vec![settle(1, &[at(half), at(whole)])]);
    bench.append(vec![settle(2, &[at(whole)])]);
    let expected = vec![
        encoding(&publish(&[1, 2], b"half")),
        tombstone(),
        encoding(&settle(1, &[at(half)])),
        tombstone(),
    ];
    assert_eq!(written(bench), expected);
    assert_eq!(bench.store().space().references, 1);
    bench.append(vec![settle(2, &[at(half)])]);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn a_settle_keeps_what_was_not_elided(bench: &mut Bench) {
    let old = bench.append(vec![publish(&[1], b"old")]);
    bench.settle_down(old);
    bench.hold();
    let new = bench.append(vec![publish(&[1], b"new")]);
    bench.append(vec![settle(1, &[at(old), at(new)])]);
    let expected = vec![
        encoding(&publish(&[1], b"old")),
        tombstone(),
        encoding(&settle(1, &[at(old)])),
    ];
    assert_eq!(written(bench), expected);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn chunks_are_elided_with_their_publish(bench: &mut Bench) {
    bench.hold();
    let chunk = Record::Chunk {
        references: 2,
        bytes: b"part",
    };
    let whole = Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::Chunks {
                chunks: 2,
                bytes: 8,
            },
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![
            EntryFields::plain(QueueId(1)),
            EntryFields::plain(QueueId(2)),
        ]),
        elidable: true,
    });
    let first = bench.append(vec![chunk.clone(), chunk, whole]);
    let message = at(first.plus(2));
    bench.append(vec![settle(1, &[message])]);
    // Its queue was deleted: the last reference ends without a record.
    bench.store().dead(&[Dead {
        queue: QueueId(2),
        entry: message,
    }]);
    assert_eq!(written(bench), vec![tombstone(); 4]);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn what_something_else_refers_to_is_written(bench: &mut Bench) {
    bench.hold();
    let pinned = || {
        Record::Publish(Publish {
            message: MessageFields::default(),
            entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
            elidable: false,
        })
    };
    let lsn = bench.append(vec![pinned()]);
    bench.append(vec![settle(1, &[at(lsn)])]);
    let expected = vec![encoding(&pinned()), encoding(&settle(1, &[at(lsn)]))];
    assert_eq!(written(bench), expected);
    assert_eq!(bench.store().space().references, 0);
}

pub(super) fn a_moved_message_is_written(bench: &mut Bench) {
    bench.hold();
    let message = bench.append(vec![publish(&[1], b"moved")]);
    let moved = || {
        Record::Move(Move {
            source: QueueId(1),
            entry: at(message),
            cause: SettleKind::Rejected,
            targets: Cow::Owned(vec![EntryFields::plain(QueueId(2))]),
            body_bytes: 5,
            enqueued_at: CoreTime::default(),
        })
    };
    let entry = bench.append(vec![moved()]);
    let target = crate::core::log::record::EntryRef { entry, message };
    bench.append(vec![settle(2, &[target])]);
    let expected = vec![
        encoding(&publish(&[1], b"moved")),
        encoding(&moved()),
        encoding(&settle(2, &[target])),
    ];
    assert_eq!(written(bench), expected);
    assert_eq!(bench.store().space().references, 0);
}
