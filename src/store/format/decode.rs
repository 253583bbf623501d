//! Bytes → record. Any bytes get an answer: what cannot have been written is an error, never a panic,
//! and nothing is allocated that the bytes at hand could not fill.

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
use crate::core::model::time::CoreTime;

use super::Version;
use super::encode::HEADER_BYTES;
use super::kind;
use super::varint::lsn_code;
use super::varint::lsn_of;
use super::varint::take;
use super::varint::unzigzag;

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// A field reaches beyond the record.
    #[error("record ends in the middle of a field")]
    Short,
    /// The record goes on after its last field.
    #[error("{0} bytes after the last field of a record")]
    Long(usize),
    /// No format has such a kind.
    #[error("unknown record kind {0}")]
    Kind(u8),
    /// A field holds what its type does not have.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// Takes one record, without its length, from the front of `bytes`; none if `bytes` is empty.
pub(crate) fn split<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or(DecodeError::Short)?;
    let len = usize::try_from(u32::from_le_bytes(*header)).map_err(|_| DecodeError::Short)?;
    let (record, rest) = rest.split_at_checked(len).ok_or(DecodeError::Short)?;
    *bytes = rest;
    Ok(Some(record))
}

/// Decodes what [`split`] returned, by the newest format's rules.
pub(crate) fn decode(record: &[u8]) -> Result<Record<'_>, DecodeError> {
    decode_as(Version::Two, record)
}

/// Decodes what [`split`] returned of a frame of some format.
pub(crate) fn decode_as(version: Version, record: &[u8]) -> Result<Record<'_>, DecodeError> {
    let mut fields = Fields(record, version);
    let record = match fields.byte()? {
        kind::PUBLISH => fields.publish()?,
        kind::CHUNK => Record::Chunk {
            references: fields.int32("references")?,
            bytes: fields.rest(),
        },
        kind::GRANT => Record::Grant {
            queue: fields.queue()?,
            holder: fields.holder()?,
            until: fields.time()?,
            entries: Cow::Owned(fields.granted()?),
        },
        kind::SETTLE => Record::Settle {
            queue: fields.queue()?,
            outcome: fields.settle_kind()?,
            entries: Cow::Owned(fields.refs()?),
        },
        kind::PURGE_RANGE => Record::PurgeRange {
            queue: fields.queue()?,
            from: fields.since(Version::Two, Fields::maybe_lsn)?.flatten(),
            upto: fields.lsn()?,
        },
        kind::COUNTERS => Record::Counters {
            queue: fields.queue()?,
            entry: fields.lsn()?,
            acquired: fields.int16("acquired")?,
            failed: fields.int16("failed")?,
        },
        kind::MOVE => fields.moved()?,
        kind::CATALOG => fields.catalog()?,
        kind::EPOCH => Record::Epoch {
            clean_stop: fields.bool("clean stop")?,
            epoch: fields.int()?,
        },
        kind::TOMBSTONE => Record::Tombstone,
        other => fields.later(other)?,
    };
    match fields.0.len() {
        0 => Ok(record),
        left => Err(DecodeError::Long(left)),
    }
}

/// Decodes the message of a publish, whose entries are left alone; none if the record is of another kind.
///
/// # Errors
/// [`DecodeError`]: the record cannot be what was written.
pub(crate) fn message_of(
    version: Version,
    record: &[u8],
) -> Result<Option<MessageFields<'_>>, DecodeError> {
    let mut fields = Fields(record, version);
    if fields.byte()? != kind::PUBLISH {
        return Ok(None);
    }
    fields.bool("elidable")?;
    fields.message().map(Some)
}

/// What is left of a record, and by which rules it is read.
pub(super) struct Fields<'a>(pub(super) &'a [u8], pub(super) Version);

impl<'a> Fields<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Range(field)),
        }
    }

    pub(super) fn int(&mut self) -> Result<u64, DecodeError> {
        take(&mut self.0).ok_or(DecodeError::Short)
    }

    fn int16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        u16::try_from(self.int()?).map_err(|_| DecodeError::Range(field))
    }

    pub(super) fn int32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        u32::try_from(self.int()?).map_err(|_| DecodeError::Range(field))
    }

    /// A number of things of at least one byte each.
    pub(super) fn count(&mut self) -> Result<usize, DecodeError> {
        match usize::try_from(self.int()?) {
            Ok(count) if count <= self.0.len() => Ok(count),
            _ => Err(DecodeError::Short),
        }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Range(field))
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(super) fn time(&mut self) -> Result<CoreTime, DecodeError> {
        self.int().map(CoreTime::from_ms)
    }

    pub(super) fn queue(&mut self) -> Result<QueueId, DecodeError> {
        self.int().map(QueueId)
    }

    fn lsn(&mut self) -> Result<Lsn, DecodeError> {
        lsn_of(self.int()?).ok_or(DecodeError::Range("lsn"))
    }

    pub(super) fn maybe_lsn(&mut self) -> Result<Option<Lsn>, DecodeError> {
        match self.int()? {
            0 => Ok(None),
            code => lsn_of(code).map(Some).ok_or(DecodeError::Range("lsn")),
        }
    }

    /// An LSN that stands as the difference to `previous`.
    pub(super) fn lsn_after(&mut self, previous: u64) -> Result<Lsn, DecodeError> {
        let code = previous.wrapping_add(unzigzag(self.int()?));
        lsn_of(code).ok_or(DecodeError::Range("lsn"))
    }

    pub(super) fn settle_kind(&mut self) -> Result<SettleKind, DecodeError> {
        kind::settle_kind(self.byte()?).ok_or(DecodeError::Range("settle kind"))
    }

    fn holder(&mut self) -> Result<Holder, DecodeError> {
        match self.byte()? {
            kind::holder::NOBODY => Ok(Holder::Nobody),
            kind::holder::SESSION => self.int().map(Holder::Session),
            kind::holder::BRANCH => self.int().map(Holder::Branch),
            _ => Err(DecodeError::Range("holder")),
        }
    }

    pub(super) fn flags(&mut self, known: u8, field: &'static str) -> Result<u8, DecodeError> {
        match self.byte()? {
            flags if flags & !known == 0 => Ok(flags),
            _ => Err(DecodeError::Range(field)),
        }
    }

    /// Reads a field if its flag is set.
    pub(super) fn flagged<T>(
        &mut self,
        flag: u8,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if flag == 0 {
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// Reads a field that the format has since some version.
    fn since<T>(
        &mut self,
        version: Version,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        (self.1 >= version).then(|| read(self)).transpose()
    }

    /// Reads a counted list.
    fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        (0..self.count()?).map(|_| read(self)).collect()
    }

    fn publish(&mut self) -> Result<Record<'a>, DecodeError> {
        Ok(Record::Publish(Publish {
            elidable: self.bool("elidable")?,
            message: self.message()?,
            entries: Cow::Owned(self.list(Self::entry)?),
        }))
    }

    fn moved(&mut self) -> Result<Record<'a>, DecodeError> {
        let source = self.queue()?;
        let cause = self.settle_kind()?;
        let entry = match self.refs()?.as_slice() {
            [entry] => *entry,
            _ => return Err(DecodeError::Range("moved entries")),
        };
        let targets = Cow::Owned(self.list(Self::entry)?);
        Ok(Record::Move(Move {
            source,
            entry,
            cause,
            targets,
            body_bytes: self.since(Version::Two, Self::int)?.unwrap_or(0),
            enqueued_at: self.since(Version::Two, Self::time)?.unwrap_or_default(),
        }))
    }

    fn catalog(&mut self) -> Result<Record<'a>, DecodeError> {
        let has_value = self.bool("catalog value")?;
        let key = self.text("catalog key")?;
        let value = has_value.then(|| self.rest());
        Ok(Record::Catalog { key, value })
    }

    /// The kinds that nothing writes yet.
    fn later(&mut self, number: u8) -> Result<Record<'a>, DecodeError> {
        Ok(match number {
            kind::SCHEDULE => Record::Schedule {
                due: self.time()?,
                address: self.bytes()?,
                cancel_key: self.bytes()?,
                message: self.message()?,
            },
            kind::RETAINED => self.retained()?,
            kind::MARK => Record::Mark {
                scope: self.bytes()?,
                key: self.bytes()?,
                sequence: self.int()?,
                message: self.maybe_lsn()?,
            },
            kind::PREPARED => Record::Prepared {
                transaction: self.bytes()?,
            },
            kind::DECISION => Record::Decision {
                commit: self.bool("decision")?,
                transaction: self.bytes()?,
            },
            kind::FORGET => Record::Forget {
                transaction: self.bytes()?,
            },
            kind::CURSOR => Record::Cursor {
                reader: self.bytes()?,
                position: self.int()?,
            },
            kind::PARTITION_APPEND => Record::PartitionAppend {
                partition: self.int()?,
                position: self.int()?,
                bytes: self.rest(),
            },
            kind::RESERVATION => Record::Reservation {
                scope: self.bytes()?,
                upto: self.int()?,
            },
            kind::COPY => Record::Copy {
                original: self.lsn()?,
                record: self.rest(),
            },
            unknown => return Err(DecodeError::Kind(unknown)),
        })
    }

    fn retained(&mut self) -> Result<Record<'a>, DecodeError> {
        let topic = self.bytes()?;
        let message = self.maybe_lsn()?;
        let has_expiry = self.bool("retained expiry")?;
        let expiry = self.flagged(u8::from(has_expiry), Self::time)?;
        Ok(Record::Retained {
            topic,
            message,
            expiry,
        })
    }

    pub(super) fn message(&mut self) -> Result<MessageFields<'a>, DecodeError> {
        let flags = self.flags(kind::message::ALL, "message flags")?;
        Ok(MessageFields {
            format: self.int16("format")?,
            body_kind: self.byte()?,
            priority: self.byte()?,
            enqueued_at: self.time()?,
            expiration_ms: self.flagged(flags & kind::message::EXPIRATION, Self::int)?,
            delay_ms: self.flagged(flags & kind::message::DELAY, Self::int)?,
            group: self.flagged(flags & kind::message::GROUP, Self::bytes)?,
            group_sequence: self.flagged(flags & kind::message::GROUP_SEQUENCE, Self::int)?,
            dedup_key: self.flagged(flags & kind::message::DEDUP_KEY, Self::bytes)?,
            exchange: self.bytes()?,
            routing_key: self.bytes()?,
            user: self.text("user")?,
            client_id: self.text("client id")?,
            head: self.bytes()?,
            body: self.body(flags)?,
        })
    }

    fn body(&mut self, flags: u8) -> Result<BodyFields<'a>, DecodeError> {
        match flags & kind::message::BODY {
            0 => Ok(BodyFields::Inline(Cow::Owned(vec![self.bytes()?]))),
            kind::message::BODY_CHUNKS => Ok(BodyFields::Chunks {
                chunks: self.int32("chunks")?,
                bytes: self.int()?,
            }),
            kind::message::BODY_FILE_UNNAMED => Ok(BodyFields::File {
                id: BodyId(0),
                bytes: self.int()?,
            }),
            kind::message::BODY_FILE => match self.int()? {
                0 => Err(DecodeError::Range("body")),
                id => Ok(BodyFields::File {
                    id: BodyId(id),
                    bytes: self.int()?,
                }),
            },
            _ => Err(DecodeError::Range("body")),
        }
    }

    pub(super) fn entry(&mut self) -> Result<EntryFields, DecodeError> {
        let known = match self.1 {
            Version::One => kind::entry::ALL_1,
            Version::Two => kind::entry::ALL,
        };
        let flags = self.flags(known, "entry flags")?;
        let first_delivery = flags & kind::entry::FIRST_DELIVERY;
        if first_delivery != 0 && flags & kind::entry::MORE == 0 {
            return Err(DecodeError::Range("entry flags"));
        }
        let queue = self.queue()?;
        let expiry = self.flagged(flags & kind::entry::EXPIRY, Self::time)?;
        let not_before = self.flagged(flags & kind::entry::NOT_BEFORE, Self::time)?;
        let priority = self.flagged(flags & kind::entry::PRIORITY, Self::byte)?;
        let more = self.flagged(flags & kind::entry::MORE, |fields| {
            fields.more(first_delivery).map(Box::new)
        })?;
        Ok(EntryFields {
            queue,
            expiry,
            not_before,
            priority: priority.unwrap_or(0),
            is_retention: flags & kind::entry::RETENTION != 0,
            more,
        })
    }

    fn more(&mut self, first_delivery: u8) -> Result<MoreEntryFields, DecodeError> {
        Ok(MoreEntryFields {
            group: self.bytes()?.to_vec(),
            bindings: self.list(Self::int)?,
            excluded: self.list(Self::int)?,
            acquired: self.int16("acquired")?,
            failed: self.int16("failed")?,
            first_delivery: self.flagged(first_delivery, Self::time)?,
            overlay: self.bytes()?.to_vec(),
        })
    }

    fn refs(&mut self) -> Result<Vec<EntryRef>, DecodeError> {
        let mut previous = 0;
        self.list(|fields| {
            let entry = fields.lsn_after(previous)?;
            previous = lsn_code(entry);
            let message = fields.maybe_lsn()?.unwrap_or(entry);
            Ok(EntryRef { entry, message })
        })
    }

    fn granted(&mut self) -> Result<Vec<GrantedEntry>, DecodeError> {
        let mut previous = 0;
        self.list(|fields| {
            let entry = fields.lsn_after(previous)?;
            previous = lsn_code(entry);
            Ok(GrantedEntry {
                entry,
                acquired: fields.int16("acquired")?,
                failed: fields.int16("failed")?,
            })
        })
    }
}
