//! What a replay needs of a record, without an allocation for the common ones: a publish's message is skipped over,
//! its entries and what a settle names are decoded one by one.

use crate::core::log::bodies::BodyId;
use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use super::Version;
use super::decode::DecodeError;
use super::decode::Fields;
use super::decode_as;
use super::kind;
use super::varint::lsn_code;

/// A record, as far as a replay needs it.
pub(crate) enum Fact<'a> {
    /// A publish.
    Publish(MessageFact, Entries<'a>),
    /// A chunk: it belongs to the publish that follows.
    Chunk,
    /// Entries left their queue.
    Settle(QueueId, Refs<'a>),
    /// What stood here is void.
    Tombstone,
    /// Any other kind.
    Other(Record<'a>),
}

/// What an entry says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageFact {
    /// When it was enqueued.
    pub(crate) enqueued_at: CoreTime,
    /// Chunk records right before it that the body is in.
    pub(crate) chunks: u32,
    /// Length of the body.
    pub(crate) body_bytes: u64,
    /// The file that the body is in, if it has one.
    pub(crate) file: Option<BodyFact>,
}

/// A body in a file of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BodyFact {
    /// Which.
    pub(crate) file: BodyId,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The entries of a publish.
pub(crate) struct Entries<'a> {
    fields: Fields<'a>,
    left: usize,
}

/// What a settle names.
pub(crate) struct Refs<'a> {
    fields: Fields<'a>,
    left: usize,
    previous: u64,
}

/// Reads what [`super::split`] returned of a frame of some format.
pub(crate) fn fact_of(version: Version, record: &[u8]) -> Result<Fact<'_>, DecodeError> {
    let mut fields = Fields(record, version);
    match fields.byte()? {
        kind::PUBLISH => {
            fields.bool("elidable")?;
            let message = fields.message_fact()?;
            let left = fields.count()?;
            Ok(Fact::Publish(message, Entries { fields, left }))
        }
        kind::CHUNK => fields.int32("references").map(|_| Fact::Chunk),
        kind::SETTLE => {
            let queue = fields.queue()?;
            fields.settle_kind()?;
            let left = fields.count()?;
            let previous = 0;
            let refs = Refs {
                fields,
                left,
                previous,
            };
            Ok(Fact::Settle(queue, refs))
        }
        kind::TOMBSTONE => Ok(Fact::Tombstone),
        _ => decode_as(version, record).map(Fact::Other),
    }
}

impl Fact<'_> {
    /// Shows every queue that a message is put into or taken from by this record.
    ///
    /// # Errors
    /// [`DecodeError`]: some queues may have been shown.
    pub(crate) fn queues(self, mut visit: impl FnMut(QueueId)) -> Result<(), DecodeError> {
        match self {
            Fact::Publish(_, entries) => {
                for entry in entries {
                    visit(entry?.queue);
                }
            }
            Fact::Settle(queue, _) => visit(queue),
            Fact::Other(Record::Move(moved)) => {
                visit(moved.source);
                moved.targets.iter().for_each(|entry| visit(entry.queue));
            }
            Fact::Chunk | Fact::Tombstone | Fact::Other(_) => {}
        }
        Ok(())
    }
}

impl Entries<'_> {
    /// How many are left.
    pub(crate) fn left(&self) -> usize {
        self.left
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<EntryFields, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.fields.entry();
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

impl Iterator for Refs<'_> {
    type Item = Result<EntryRef, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let named = self.fields.reference(self.previous);
        match named {
            Ok(named) => self.previous = lsn_code(named.entry),
            Err(_) => self.left = 0,
        }
        Some(named)
    }
}

impl Fields<'_> {
    fn reference(&mut self, previous: u64) -> Result<EntryRef, DecodeError> {
        let entry = self.lsn_after(previous)?;
        let message = self.maybe_lsn()?.unwrap_or(entry);
        Ok(EntryRef { entry, message })
    }

    /// Reads over a message.
    fn message_fact(&mut self) -> Result<MessageFact, DecodeError> {
        let flags = self.flags(kind::message::ALL, "message flags")?;
        self.int()?;
        self.byte()?;
        self.byte()?;
        let enqueued_at = self.time()?;
        for flag in [kind::message::EXPIRATION, kind::message::DELAY] {
            self.flagged(flags & flag, Self::int)?;
        }
        self.flagged(flags & kind::message::GROUP, Self::bytes)?;
        self.flagged(flags & kind::message::GROUP_SEQUENCE, Self::int)?;
        self.flagged(flags & kind::message::DEDUP_KEY, Self::bytes)?;
        // Exchange, routing key, user, client id, head.
        for _ in 0..5 {
            self.bytes()?;
        }
        let mut file = None;
        let (chunks, body_bytes) = match flags & kind::message::BODY {
            0 => (0, u64::try_from(self.bytes()?.len()).unwrap_or(u64::MAX)),
            kind::message::BODY_CHUNKS => (self.int32("chunks")?, self.int()?),
            kind::message::BODY_FILE_UNNAMED => (0, self.int()?),
            kind::message::BODY_FILE => {
                file = match self.int()? {
                    0 => return Err(DecodeError::Range("body")),
                    id => Some(BodyId(id)),
                };
                (0, self.int()?)
            }
            _ => return Err(DecodeError::Range("body")),
        };
        Ok(MessageFact {
            enqueued_at,
            chunks,
            body_bytes,
            file: file.map(|file| BodyFact {
                file,
                bytes: body_bytes,
            }),
        })
    }
}
