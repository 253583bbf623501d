//! Records for tests: any of every kind.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::core::log::bodies::BodyId;
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
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use super::kind;

/// Bytes that live as long as the test process: records borrow.
fn bytes() -> impl Strategy<Value = &'static [u8]> {
    vec(any::<u8>(), 0..40).prop_map(|bytes| &*bytes.leak())
}

fn text() -> impl Strategy<Value = &'static str> {
    "\\PC{0,12}".prop_map(|text| &*text.leak())
}

fn lsn() -> impl Strategy<Value = Lsn> {
    (any::<u8>(), 1..1_u64 << 56)
        .prop_map(|(shard, number)| Lsn::new(Shard(shard), number).expect("in range"))
}

fn time() -> impl Strategy<Value = CoreTime> {
    any::<u64>().prop_map(CoreTime::from_ms)
}

fn queue() -> impl Strategy<Value = QueueId> {
    any::<u64>().prop_map(QueueId)
}

fn settle_kind() -> impl Strategy<Value = SettleKind> {
    (0..=8_u8).prop_map(|number| kind::settle_kind(number).expect("all numbers are known"))
}

fn entry_ref() -> impl Strategy<Value = EntryRef> {
    (lsn(), option::of(lsn())).prop_map(|(entry, message)| EntryRef {
        entry,
        message: message.unwrap_or(entry),
    })
}

fn more() -> impl Strategy<Value = Option<Box<MoreEntryFields>>> {
    let fields = (
        vec(any::<u8>(), 0..9),
        vec(any::<u64>(), 0..4),
        vec(any::<u64>(), 0..4),
        any::<u16>(),
        any::<u16>(),
        option::of(time()),
        vec(any::<u8>(), 0..9),
    );
    let more = fields.prop_map(
        |(group, bindings, excluded, acquired, failed, first_delivery, overlay)| {
            Box::new(MoreEntryFields {
                group,
                bindings,
                excluded,
                acquired,
                failed,
                first_delivery,
                overlay,
            })
        },
    );
    option::of(more)
}

fn entry() -> impl Strategy<Value = EntryFields> {
    let fields = (
        queue(),
        option::of(time()),
        option::of(time()),
        any::<u8>(),
        any::<bool>(),
        more(),
    );
    fields.prop_map(
        |(queue, expiry, not_before, priority, is_retention, more)| EntryFields {
            queue,
            expiry,
            not_before,
            priority,
            is_retention,
            more,
        },
    )
}

/// An inline body has one part, as a decoded one has.
fn body() -> impl Strategy<Value = BodyFields<'static>> {
    prop_oneof![
        bytes().prop_map(|body| BodyFields::Inline(Cow::Owned(vec![body]))),
        (any::<u32>(), any::<u64>())
            .prop_map(|(chunks, bytes)| BodyFields::Chunks { chunks, bytes }),
        any::<(u64, u64)>().prop_map(|(id, bytes)| BodyFields::File {
            id: BodyId(id),
            bytes
        }),
    ]
}

fn message() -> impl Strategy<Value = MessageFields<'static>> {
    let numbers = (
        any::<u16>(),
        any::<u8>(),
        any::<u8>(),
        time(),
        option::of(any::<u64>()),
        option::of(any::<u64>()),
        option::of(bytes()),
        option::of(any::<u64>()),
        option::of(bytes()),
    );
    let texts = (bytes(), bytes(), text(), text(), bytes(), body());
    (numbers, texts).prop_map(|(n, t)| MessageFields {
        format: n.0,
        body_kind: n.1,
        priority: n.2,
        enqueued_at: n.3,
        expiration_ms: n.4,
        delay_ms: n.5,
        group: n.6,
        group_sequence: n.7,
        dedup_key: n.8,
        exchange: t.0,
        routing_key: t.1,
        user: t.2,
        client_id: t.3,
        head: t.4,
        body: t.5,
    })
}

fn holder() -> impl Strategy<Value = Holder> {
    prop_oneof![
        Just(Holder::Nobody),
        any::<u64>().prop_map(Holder::Session),
        any::<u64>().prop_map(Holder::Branch),
    ]
}

fn granted() -> impl Strategy<Value = GrantedEntry> {
    (lsn(), any::<u16>(), any::<u16>()).prop_map(|(entry, acquired, failed)| GrantedEntry {
        entry,
        acquired,
        failed,
    })
}

fn moved() -> impl Strategy<Value = Record<'static>> {
    let targets = vec(entry(), 0..4);
    let fields = (
        queue(),
        entry_ref(),
        settle_kind(),
        targets,
        any::<u64>(),
        time(),
    );
    fields.prop_map(|(source, entry, cause, targets, body_bytes, enqueued_at)| {
        Record::Move(Move {
            source,
            entry,
            cause,
            targets: Cow::Owned(targets),
            body_bytes,
            enqueued_at,
        })
    })
}

/// Any record of a kind that is written.
fn written() -> impl Strategy<Value = Record<'static>> {
    prop_oneof![
        (message(), vec(entry(), 1..4), any::<bool>()).prop_map(|(message, entries, elidable)| {
            Record::Publish(Publish {
                message,
                entries: Cow::Owned(entries),
                elidable,
            })
        }),
        (any::<u32>(), bytes()).prop_map(|(references, bytes)| Record::Chunk { references, bytes }),
        (queue(), holder(), time(), vec(granted(), 0..4)).prop_map(
            |(queue, holder, until, entries)| Record::Grant {
                queue,
                holder,
                until,
                entries: Cow::Owned(entries),
            }
        ),
        (queue(), settle_kind(), vec(entry_ref(), 0..4)).prop_map(|(queue, outcome, entries)| {
            Record::Settle {
                queue,
                outcome,
                entries: Cow::Owned(entries),
            }
        }),
        (queue(), lsn(), any::<u16>(), any::<u16>()).prop_map(
            |(queue, entry, acquired, failed)| Record::Counters {
                queue,
                entry,
                acquired,
                failed,
            }
        ),
        moved(),
        (text(), option::of(bytes())).prop_map(|(key, value)| Record::Catalog { key, value }),
        any::<u64>().prop_map(|epoch| Record::Epoch {
            epoch,
            clean_stop: false,
        }),
        Just(Record::Tombstone),
    ]
}

/// Any record of a kind that nothing writes yet.
fn later() -> impl Strategy<Value = Record<'static>> {
    prop_oneof![
        (queue(), option::of(lsn()), lsn()).prop_map(|(queue, from, upto)| Record::PurgeRange {
            queue,
            from,
            upto
        }),
        (time(), bytes(), bytes(), message()).prop_map(|(due, address, cancel_key, message)| {
            Record::Schedule {
                due,
                address,
                cancel_key,
                message,
            }
        }),
        (bytes(), option::of(lsn()), option::of(time())).prop_map(|(topic, message, expiry)| {
            Record::Retained {
                topic,
                message,
                expiry,
            }
        }),
        (bytes(), bytes(), any::<u64>(), option::of(lsn())).prop_map(
            |(scope, key, sequence, message)| Record::Mark {
                scope,
                key,
                sequence,
                message,
            }
        ),
        bytes().prop_map(|transaction| Record::Prepared { transaction }),
        (bytes(), any::<bool>()).prop_map(|(transaction, commit)| Record::Decision {
            transaction,
            commit,
        }),
        bytes().prop_map(|transaction| Record::Forget { transaction }),
        (bytes(), any::<u64>()).prop_map(|(reader, position)| Record::Cursor { reader, position }),
        (any::<u64>(), any::<u64>(), bytes()).prop_map(|(partition, position, bytes)| {
            Record::PartitionAppend {
                partition,
                position,
                bytes,
            }
        }),
        (bytes(), any::<u64>()).prop_map(|(scope, upto)| Record::Reservation { scope, upto }),
        (lsn(), bytes()).prop_map(|(original, record)| Record::Copy { original, record }),
    ]
}

/// Any record.
pub(crate) fn record() -> impl Strategy<Value = Record<'static>> {
    prop_oneof![3 => written(), 1 => later()]
}
