//! One record of every kind, with every field set, and of those that have variants one of each: what the
//! fixture of format 2 holds, and that of format 1 as far as it knew the fields.

use std::borrow::Cow;

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

/// The records, in the order of the fixture.
pub(crate) fn every_kind() -> Vec<Record<'static>> {
    let mut records = messages();
    records.extend(leases());
    records.extend(settles());
    records.extend(of_later_features());
    records.extend(of_the_shard());
    records
}

/// The records as format 1 has them: without the fields that it does not know.
pub(crate) fn every_kind_of_format_1() -> Vec<Record<'static>> {
    let mut records = every_kind();
    for record in &mut records {
        if let Record::PurgeRange { from, .. } = record {
            *from = None;
        }
        if let Record::Publish(publish) = record {
            forget_retention(&mut publish.entries);
            if let BodyFields::File { id, .. } = &mut publish.message.body {
                *id = BodyId(0);
            }
        }
        if let Record::Move(moved) = record {
            forget_retention(&mut moved.targets);
            (moved.body_bytes, moved.enqueued_at) = (0, CoreTime::default());
        }
    }
    records
}

fn forget_retention(entries: &mut Cow<'static, [EntryFields]>) {
    for entry in entries.to_mut() {
        entry.is_retention = false;
    }
}

fn lsn(shard: u8, number: u64) -> Lsn {
    Lsn::new(Shard(shard), number).expect("in range")
}

fn time(ms: u64) -> CoreTime {
    CoreTime::from_ms(1_700_000_000_000 + ms)
}

/// A message with every field set.
fn message(body: BodyFields<'static>) -> MessageFields<'static> {
    MessageFields {
        format: 0x0102,
        body_kind: 3,
        priority: 9,
        enqueued_at: time(1),
        expiration_ms: Some(60_000),
        delay_ms: Some(5_000),
        group: Some(b"group"),
        group_sequence: Some(7),
        dedup_key: Some(b"dedup"),
        exchange: b"exchange",
        routing_key: b"routing.key",
        user: "us\u{e9}r",
        client_id: "client",
        head: b"\x00head\xff",
        body,
    }
}

/// An entry with every field set.
fn entry(queue: u64) -> EntryFields {
    EntryFields {
        queue: QueueId(queue),
        expiry: Some(time(60_001)),
        not_before: Some(time(5_001)),
        priority: 4,
        is_retention: true,
        more: Some(Box::new(MoreEntryFields {
            group: b"entry-group".to_vec(),
            bindings: vec![1, u64::MAX],
            excluded: vec![0x1234_5678_9abc],
            acquired: u16::MAX,
            failed: 300,
            first_delivery: Some(time(2)),
            overlay: br#"{"x-death":[]}"#.to_vec(),
        })),
    }
}

fn publish(
    body: BodyFields<'static>,
    entries: Vec<EntryFields>,
    elidable: bool,
) -> Record<'static> {
    Record::Publish(Publish {
        message: message(body),
        entries: Cow::Owned(entries),
        elidable,
    })
}

fn messages() -> Vec<Record<'static>> {
    let chunk = Record::Chunk {
        references: 2,
        bytes: b"half a body",
    };
    let plain = Record::Publish(Publish {
        message: MessageFields {
            enqueued_at: time(0),
            body: BodyFields::Inline(Cow::Owned(vec![b"".as_slice()])),
            ..MessageFields::default()
        },
        entries: Cow::Owned(vec![EntryFields::plain(QueueId(1))]),
        elidable: true,
    });
    let inline = BodyFields::Inline(Cow::Owned(vec![b"the body".as_slice()]));
    let two = vec![entry(2), EntryFields::plain(QueueId(u64::MAX))];
    let chunks = BodyFields::Chunks {
        chunks: 2,
        bytes: 22,
    };
    let file = BodyFields::File {
        id: BodyId(0x3_0000_0007),
        bytes: 1 << 40,
    };
    vec![
        plain,
        publish(inline, two.clone(), true),
        chunk.clone(),
        chunk,
        publish(chunks, two, false),
        publish(file, vec![entry(3)], false),
        Record::Schedule {
            due: time(10),
            address: b"exchange/key",
            cancel_key: b"cancel",
            message: message(BodyFields::Inline(Cow::Owned(vec![b"later".as_slice()]))),
        },
        Record::Retained {
            topic: b"a\x00b",
            message: Some(lsn(0, 2)),
            expiry: Some(time(11)),
        },
        Record::Retained {
            topic: b"a\x00c",
            message: None,
            expiry: None,
        },
    ]
}

fn leases() -> Vec<Record<'static>> {
    let holders = [
        Holder::Nobody,
        Holder::Session(77),
        Holder::Branch(u64::MAX),
    ];
    let grant = |holder| Record::Grant {
        queue: QueueId(5),
        holder,
        until: time(30_000),
        entries: Cow::Owned(vec![
            GrantedEntry {
                entry: lsn(0, 1_000),
                acquired: 1,
                failed: 0,
            },
            GrantedEntry {
                entry: lsn(0, 998),
                acquired: u16::MAX,
                failed: 1_000,
            },
        ]),
    };
    let mut records: Vec<Record<'static>> = holders.into_iter().map(grant).collect();
    records.push(Record::Counters {
        queue: QueueId(5),
        entry: lsn(255, (1 << 56) - 1),
        acquired: 300,
        failed: u16::MAX,
    });
    records
}

fn settles() -> Vec<Record<'static>> {
    let kinds = [
        SettleKind::Accepted,
        SettleKind::Rejected,
        SettleKind::Expired,
        SettleKind::MaxLength,
        SettleKind::DeliveryLimit,
        SettleKind::ReceiveLimit,
        SettleKind::Purged,
        SettleKind::TooLarge,
        SettleKind::Retention,
    ];
    let moved = EntryRef {
        entry: lsn(3, 5_000),
        message: lsn(0, 4_000),
    };
    let plain = EntryRef {
        entry: lsn(0, 6_000),
        message: lsn(0, 6_000),
    };
    let settle = |outcome| Record::Settle {
        queue: QueueId(6),
        outcome,
        entries: Cow::Owned(vec![plain, moved]),
    };
    let mut records: Vec<Record<'static>> = kinds.into_iter().map(settle).collect();
    records.push(Record::PurgeRange {
        queue: QueueId(6),
        from: Some(lsn(0, 6_500)),
        upto: lsn(0, 7_000),
    });
    for targets in [vec![entry(7), EntryFields::plain(QueueId(8))], vec![]] {
        records.push(Record::Move(Move {
            source: QueueId(6),
            // Must be there: a move of what is gone is not shown.
            entry: EntryRef {
                entry: lsn(0, 5),
                message: lsn(0, 2),
            },
            cause: SettleKind::DeliveryLimit,
            targets: Cow::Owned(targets),
            body_bytes: 8,
            enqueued_at: time(1),
        }));
    }
    records
}

fn of_later_features() -> Vec<Record<'static>> {
    vec![
        Record::Mark {
            scope: b"queue/6",
            key: b"key",
            sequence: 0,
            message: Some(lsn(0, 2)),
        },
        Record::Mark {
            scope: b"queue/6",
            key: b"producer",
            sequence: u64::MAX,
            message: None,
        },
        Record::Prepared { transaction: b"tx" },
        Record::Decision {
            transaction: b"tx",
            commit: true,
        },
        Record::Decision {
            transaction: b"tx",
            commit: false,
        },
        Record::Forget { transaction: b"tx" },
        Record::Cursor {
            reader: b"reader",
            position: 12,
        },
        Record::PartitionAppend {
            partition: 3,
            position: 1 << 33,
            bytes: b"stream records",
        },
        Record::Reservation {
            scope: b"stream/3",
            upto: 1 << 34,
        },
        Record::Copy {
            original: lsn(0, 2),
            record: b"\x14",
        },
    ]
}

fn of_the_shard() -> Vec<Record<'static>> {
    vec![
        Record::Catalog {
            key: "queue/orders",
            value: Some(br#"{"durable":true}"#),
        },
        Record::Catalog {
            key: "queue/orders",
            value: None,
        },
        Record::Tombstone,
        Record::Epoch {
            epoch: 3,
            clean_stop: false,
        },
        Record::Epoch {
            epoch: 3,
            clean_stop: true,
        },
    ]
}
