//! Record → bytes, in format 2.
//!
//! ```text
//! record  = length u32 LE (of what follows) · kind u8 · fields
//! int     = varint · bytes = int length, then the bytes · flags u8 say which optional fields follow
//! lsn     = int (number << 8 | shard), never 0; 0 = none where an LSN may be missing
//! ```
//! Encoding allocates nothing but what `out` has to grow by, and copies each part once.

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
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;

use super::kind;
use super::varint::lsn_code;
use super::varint::put;
use super::varint::zigzag;

/// Bytes of a record's length.
pub(crate) const HEADER_BYTES: usize = 4;

/// A whole tombstone.
pub(crate) const TOMBSTONE: [u8; HEADER_BYTES + 1] = [1, 0, 0, 0, kind::TOMBSTONE];

/// Appends `record` with its length.
///
/// Returns false, with `out` as it was, for a record of 4 GiB or more.
#[must_use]
pub(crate) fn encode(record: &Record<'_>, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    fields(record, out);
    let bytes = out.len() - start - HEADER_BYTES;
    let header = out
        .get_mut(start..)
        .and_then(|record| record.first_chunk_mut::<HEADER_BYTES>());
    if let (Ok(bytes), Some(header)) = (u32::try_from(bytes), header) {
        *header = bytes.to_le_bytes();
        true
    } else {
        out.truncate(start);
        false
    }
}

fn fields(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Publish(publish) => put_publish(publish, out),
        Record::Chunk { references, bytes } => {
            out.push(kind::CHUNK);
            put(out, u64::from(*references));
            out.extend_from_slice(bytes);
        }
        Record::Grant {
            queue,
            holder,
            until,
            entries,
        } => {
            out.push(kind::GRANT);
            put(out, queue.0);
            put_holder(*holder, out);
            put(out, until.as_ms());
            put_granted(entries, out);
        }
        Record::Settle {
            queue,
            outcome,
            entries,
        } => {
            out.push(kind::SETTLE);
            put(out, queue.0);
            out.push(kind::settle_number(*outcome));
            put_refs(entries, out);
        }
        Record::PurgeRange { queue, from, upto } => {
            out.push(kind::PURGE_RANGE);
            put(out, queue.0);
            put(out, from.map_or(0, lsn_code));
            put_lsn(*upto, out);
        }
        Record::Counters {
            queue,
            entry,
            acquired,
            failed,
        } => {
            out.push(kind::COUNTERS);
            put(out, queue.0);
            put_lsn(*entry, out);
            put(out, u64::from(*acquired));
            put(out, u64::from(*failed));
        }
        Record::Move(moved) => put_move(moved, out),
        Record::Catalog { key, value } => {
            out.push(kind::CATALOG);
            out.push(u8::from(value.is_some()));
            put_bytes(key.as_bytes(), out);
            out.extend_from_slice(value.unwrap_or_default());
        }
        Record::Epoch { epoch, clean_stop } => {
            out.push(kind::EPOCH);
            out.push(u8::from(*clean_stop));
            put(out, *epoch);
        }
        Record::Tombstone => out.push(kind::TOMBSTONE),
        Record::Schedule { .. }
        | Record::Retained { .. }
        | Record::Mark { .. }
        | Record::Prepared { .. }
        | Record::Decision { .. }
        | Record::Forget { .. }
        | Record::Cursor { .. }
        | Record::PartitionAppend { .. }
        | Record::Reservation { .. }
        | Record::Copy { .. } => later_fields(record, out),
    }
}

/// The kinds that nothing writes yet.
#[expect(clippy::wildcard_enum_match_arm, reason = "`fields` has the others")]
fn later_fields(record: &Record<'_>, out: &mut Vec<u8>) {
    match record {
        Record::Schedule {
            due,
            address,
            cancel_key,
            message,
        } => {
            out.push(kind::SCHEDULE);
            put(out, due.as_ms());
            put_bytes(address, out);
            put_bytes(cancel_key, out);
            put_message(message, out);
        }
        Record::Retained {
            topic,
            message,
            expiry,
        } => {
            out.push(kind::RETAINED);
            put_bytes(topic, out);
            put(out, message.map_or(0, lsn_code));
            out.push(u8::from(expiry.is_some()));
            put_time(*expiry, out);
        }
        Record::Mark {
            scope,
            key,
            sequence,
            message,
        } => {
            out.push(kind::MARK);
            put_bytes(scope, out);
            put_bytes(key, out);
            put(out, *sequence);
            put(out, message.map_or(0, lsn_code));
        }
        Record::Prepared { transaction } => {
            out.push(kind::PREPARED);
            put_bytes(transaction, out);
        }
        Record::Decision {
            transaction,
            commit,
        } => {
            out.push(kind::DECISION);
            out.push(u8::from(*commit));
            put_bytes(transaction, out);
        }
        Record::Forget { transaction } => {
            out.push(kind::FORGET);
            put_bytes(transaction, out);
        }
        Record::Cursor { reader, position } => {
            out.push(kind::CURSOR);
            put_bytes(reader, out);
            put(out, *position);
        }
        Record::PartitionAppend {
            partition,
            position,
            bytes,
        } => {
            out.push(kind::PARTITION_APPEND);
            put(out, *partition);
            put(out, *position);
            out.extend_from_slice(bytes);
        }
        Record::Reservation { scope, upto } => {
            out.push(kind::RESERVATION);
            put_bytes(scope, out);
            put(out, *upto);
        }
        Record::Copy { original, record } => {
            out.push(kind::COPY);
            put_lsn(*original, out);
            out.extend_from_slice(record);
        }
        _ => {}
    }
}

fn put_publish(publish: &Publish<'_>, out: &mut Vec<u8>) {
    out.push(kind::PUBLISH);
    out.push(u8::from(publish.elidable));
    put_message(&publish.message, out);
    put_entries(&publish.entries, out);
}

fn put_move(moved: &Move<'_>, out: &mut Vec<u8>) {
    out.push(kind::MOVE);
    put(out, moved.source.0);
    out.push(kind::settle_number(moved.cause));
    put_refs(std::slice::from_ref(&moved.entry), out);
    put_entries(&moved.targets, out);
    put(out, moved.body_bytes);
    put(out, moved.enqueued_at.as_ms());
}

fn put_message(message: &MessageFields<'_>, out: &mut Vec<u8>) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    out.push(
        flag(message.expiration_ms.is_some(), kind::message::EXPIRATION)
            | flag(message.delay_ms.is_some(), kind::message::DELAY)
            | flag(message.group.is_some(), kind::message::GROUP)
            | flag(
                message.group_sequence.is_some(),
                kind::message::GROUP_SEQUENCE,
            )
            | flag(message.dedup_key.is_some(), kind::message::DEDUP_KEY)
            | match message.body {
                BodyFields::Inline(_) => 0,
                BodyFields::Chunks { .. } => kind::message::BODY_CHUNKS,
                BodyFields::File { id: BodyId(0), .. } => kind::message::BODY_FILE_UNNAMED,
                BodyFields::File { .. } => kind::message::BODY_FILE,
            },
    );
    put(out, u64::from(message.format));
    out.extend_from_slice(&[message.body_kind, message.priority]);
    put(out, message.enqueued_at.as_ms());
    put_some(message.expiration_ms, out);
    put_some(message.delay_ms, out);
    put_some_bytes(message.group, out);
    put_some(message.group_sequence, out);
    put_some_bytes(message.dedup_key, out);
    put_bytes(message.exchange, out);
    put_bytes(message.routing_key, out);
    put_bytes(message.user.as_bytes(), out);
    put_bytes(message.client_id.as_bytes(), out);
    put_bytes(message.head, out);
    match &message.body {
        BodyFields::Inline(parts) => {
            put(out, count(parts.iter().map(|part| part.len()).sum()));
            for part in parts.iter() {
                out.extend_from_slice(part);
            }
        }
        BodyFields::Chunks { chunks, bytes } => {
            put(out, u64::from(*chunks));
            put(out, *bytes);
        }
        BodyFields::File { id, bytes } => {
            if id.0 != 0 {
                put(out, id.0);
            }
            put(out, *bytes);
        }
    }
}

fn put_entries(entries: &[EntryFields], out: &mut Vec<u8>) {
    put(out, count(entries.len()));
    for entry in entries {
        put_entry(entry, out);
    }
}

fn put_entry(entry: &EntryFields, out: &mut Vec<u8>) {
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    let first_delivery = entry.more.as_ref().and_then(|more| more.first_delivery);
    out.push(
        flag(entry.expiry.is_some(), kind::entry::EXPIRY)
            | flag(entry.not_before.is_some(), kind::entry::NOT_BEFORE)
            | flag(entry.priority != 0, kind::entry::PRIORITY)
            | flag(entry.more.is_some(), kind::entry::MORE)
            | flag(first_delivery.is_some(), kind::entry::FIRST_DELIVERY)
            | flag(entry.is_retention, kind::entry::RETENTION),
    );
    put(out, entry.queue.0);
    put_time(entry.expiry, out);
    put_time(entry.not_before, out);
    if entry.priority != 0 {
        out.push(entry.priority);
    }
    if let Some(more) = &entry.more {
        put_more(more, out);
    }
}

fn put_more(more: &MoreEntryFields, out: &mut Vec<u8>) {
    put_bytes(&more.group, out);
    for list in [&more.bindings, &more.excluded] {
        put(out, count(list.len()));
        for id in list {
            put(out, *id);
        }
    }
    put(out, u64::from(more.acquired));
    put(out, u64::from(more.failed));
    put_time(more.first_delivery, out);
    put_bytes(&more.overlay, out);
}

/// Entries that leave together mostly stand together: each is the difference to the one before.
fn put_refs(entries: &[EntryRef], out: &mut Vec<u8>) {
    put(out, count(entries.len()));
    let mut previous = 0;
    for entry in entries {
        let code = lsn_code(entry.entry);
        put(out, zigzag(code.wrapping_sub(previous)));
        previous = code;
        if entry.message == entry.entry {
            put(out, 0);
        } else {
            put_lsn(entry.message, out);
        }
    }
}

fn put_granted(entries: &[GrantedEntry], out: &mut Vec<u8>) {
    put(out, count(entries.len()));
    let mut previous = 0;
    for entry in entries {
        let code = lsn_code(entry.entry);
        put(out, zigzag(code.wrapping_sub(previous)));
        previous = code;
        put(out, u64::from(entry.acquired));
        put(out, u64::from(entry.failed));
    }
}

fn put_holder(holder: Holder, out: &mut Vec<u8>) {
    match holder {
        Holder::Nobody => out.push(kind::holder::NOBODY),
        Holder::Session(id) => {
            out.push(kind::holder::SESSION);
            put(out, id);
        }
        Holder::Branch(id) => {
            out.push(kind::holder::BRANCH);
            put(out, id);
        }
    }
}

fn put_lsn(lsn: Lsn, out: &mut Vec<u8>) {
    put(out, lsn_code(lsn));
}

fn put_time(time: Option<CoreTime>, out: &mut Vec<u8>) {
    put_some(time.map(CoreTime::as_ms), out);
}

fn put_some(value: Option<u64>, out: &mut Vec<u8>) {
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put(out, count(bytes.len()));
    out.extend_from_slice(bytes);
}

fn put_some_bytes(bytes: Option<&[u8]>, out: &mut Vec<u8>) {
    if let Some(bytes) = bytes {
        put_bytes(bytes, out);
    }
}

/// A length as an integer of the format.
fn count(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
