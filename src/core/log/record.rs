//! What can stand in the log. The store owns how a record is written; core says what it means.
//!
//! Every kind and field of the design is here from format 1 on, so that later features need no new
//! format. Kinds that nothing writes yet say so.

use std::borrow::Cow;

use crate::core::log::bodies::BodyId;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

/// Largest part of a body in one record: what is longer is [`Record::Chunk`]s before its publish.
pub const CHUNK_MAX_BYTES: usize = 1024 * 1024;

/// One record of the log.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<'a> {
    /// A message, and the queues that it was routed to.
    Publish(Publish<'a>),
    /// A piece of the body of the [`Publish`] that follows in the same append.
    Chunk {
        /// How many entries the publish has: the chunk lives as long as one of them.
        references: u32,
        /// At most [`CHUNK_MAX_BYTES`].
        bytes: &'a [u8],
    },
    /// Entries were leased with a deadline, to nobody, a session or a branch. Nobody waits for it.
    Grant {
        /// The queue that the entries are in.
        queue: QueueId,
        /// Who holds the lease.
        holder: Holder,
        /// When the lease lapses.
        until: CoreTime,
        /// What was leased.
        entries: Cow<'a, [GrantedEntry]>,
    },
    /// Entries left their queue. Releases the references that it names.
    Settle {
        /// The queue that the entries were in.
        queue: QueueId,
        /// Why they left.
        outcome: SettleKind,
        /// What left.
        entries: Cow<'a, [EntryRef]>,
    },
    /// Every entry of a queue between two LSNs left it.
    PurgeRange {
        /// The queue.
        queue: QueueId,
        /// The first LSN that the purge covers; none = from the queue's first entry (format 1).
        from: Option<Lsn>,
        /// The last LSN that the purge covers.
        upto: Lsn,
    },
    /// The counters of an entry changed (lazily written).
    Counters {
        /// The queue that the entry is in.
        queue: QueueId,
        /// The entry.
        entry: Lsn,
        /// Times leased, saturating.
        acquired: u16,
        /// Counted releases, saturating.
        failed: u16,
    },
    /// An entry moved to other queues (dead letter, redrive): settles the source, makes the targets.
    Move(Move<'a>),
    /// A message waits for its time before it is routed. Not written yet.
    Schedule {
        /// When it is routed.
        due: CoreTime,
        /// Where to.
        address: &'a [u8],
        /// Lets a client cancel it.
        cancel_key: &'a [u8],
        /// The message.
        message: MessageFields<'a>,
    },
    /// A topic's retained message is now the one published at `message`. Not written yet.
    Retained {
        /// The exact topic, levels joined by NUL.
        topic: &'a [u8],
        /// The publish that it refers to, none = cleared.
        message: Option<Lsn>,
        /// When it stops being retained.
        expiry: Option<CoreTime>,
    },
    /// A deduplication key or a producer's highest sequence, without an entry. Not written yet.
    Mark {
        /// Queue, group or topic that the key is unique in.
        scope: &'a [u8],
        /// The key, or the producer.
        key: &'a [u8],
        /// The producer's sequence, 0 for a key.
        sequence: u64,
        /// The first message that carried it.
        message: Option<Lsn>,
    },
    /// A transaction is prepared: its marked records wait for a decision. Not written yet.
    Prepared {
        /// The transaction's id.
        transaction: &'a [u8],
    },
    /// A transaction was decided. Not written yet.
    Decision {
        /// The transaction's id.
        transaction: &'a [u8],
        /// True = commit.
        commit: bool,
    },
    /// A decided transaction may be forgotten. Not written yet.
    Forget {
        /// The transaction's id.
        transaction: &'a [u8],
    },
    /// The catalog's value under a key changed, none = deleted.
    Catalog {
        /// `<kind>/<name…>`.
        key: &'a str,
        /// JSON.
        value: Option<&'a [u8]>,
    },
    /// A reader or a view moved. Not written yet.
    Cursor {
        /// Whose cursor.
        reader: &'a [u8],
        /// The next position it will see.
        position: u64,
    },
    /// Records of a stream's partition. Not written yet.
    PartitionAppend {
        /// The partition.
        partition: u64,
        /// Position of the first record.
        position: u64,
        /// The records, as the stream wrote them.
        bytes: &'a [u8],
    },
    /// Sequences up to `upto` may have been shown. Not written yet.
    Reservation {
        /// What the sequence numbers.
        scope: &'a [u8],
        /// The highest that may be shown before the next reservation.
        upto: u64,
    },
    /// A start, a clean stop, or a new owner of the shard.
    Epoch {
        /// Grows with every owner; the incarnation on one node.
        epoch: u64,
        /// True: written by a clean stop, with nothing after it.
        clean_stop: bool,
    },
    /// A record that was copied forward keeps its LSN: only in the cold chain.
    Copy {
        /// The LSN that the record keeps.
        original: Lsn,
        /// The record, encoded.
        record: &'a [u8],
    },
    /// What stood here is void: written over a torn tail, and for a publish settled before it was written.
    Tombstone,
}

/// A publish: a message once, then the queues.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish<'a> {
    /// The message.
    pub message: MessageFields<'a>,
    /// One entry a queue; never empty.
    pub entries: Cow<'a, [EntryFields]>,
    /// False: something beside its entries refers to it, so it must be written even when settled first.
    pub elidable: bool,
}

/// The message, as the log keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MessageFields<'a> {
    /// Id of the form that `head` is in.
    pub format: u16,
    /// `BodyKind` as a number.
    pub body_kind: u8,
    /// The sender's priority.
    pub priority: u8,
    /// When it was enqueued.
    pub enqueued_at: CoreTime,
    /// The sender's time to live, in milliseconds.
    pub expiration_ms: Option<u64>,
    /// The sender's delay, in milliseconds.
    pub delay_ms: Option<u64>,
    /// The sender's group.
    pub group: Option<&'a [u8]>,
    /// The message's number in its group.
    pub group_sequence: Option<u64>,
    /// Deduplication key.
    pub dedup_key: Option<&'a [u8]>,
    /// Exchange that it was published to.
    pub exchange: &'a [u8],
    /// Routing key that it was published with.
    pub routing_key: &'a [u8],
    /// User who published it.
    pub user: &'a str,
    /// Client id or connection that published it.
    pub client_id: &'a str,
    /// Head in its origin's canonical form.
    pub head: &'a [u8],
    /// The body, or where it is.
    pub body: BodyFields<'a>,
}

/// The body in a publish record.
#[derive(Clone, Debug, PartialEq)]
pub enum BodyFields<'a> {
    /// In the record itself, in parts that are written one after the other; a decoded one has one part.
    Inline(Cow<'a, [&'a [u8]]>),
    /// In the `chunks` records right before this one.
    Chunks {
        /// Number of [`Record::Chunk`]s.
        chunks: u32,
        /// Length of the whole body.
        bytes: u64,
    },
    /// In a file of its own.
    File {
        /// Which.
        id: BodyId,
        /// Length of the whole body.
        bytes: u64,
    },
}

impl Default for BodyFields<'_> {
    fn default() -> Self {
        Self::Inline(Cow::Borrowed(&[]))
    }
}

/// What differs per queue.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryFields {
    /// The queue.
    pub queue: QueueId,
    /// When it expires there.
    pub expiry: Option<CoreTime>,
    /// Before when nobody may take it.
    pub not_before: Option<CoreTime>,
    /// Priority in that queue.
    pub priority: u8,
    /// Whether the expiry is the end of the queue's retention: then it leaves without a dead letter.
    pub is_retention: bool,
    /// What few entries have.
    pub more: Option<Box<MoreEntryFields>>,
}

impl EntryFields {
    /// An entry with nothing special about it.
    pub fn plain(queue: QueueId) -> Self {
        Self {
            queue,
            expiry: None,
            not_before: None,
            priority: 0,
            is_retention: false,
            more: None,
        }
    }
}

/// Entry fields that few entries have.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MoreEntryFields {
    /// Group in that queue.
    pub group: Vec<u8>,
    /// Ids of the bindings that matched.
    pub bindings: Vec<u64>,
    /// Owners that may not take it.
    pub excluded: Vec<u64>,
    /// Times leased so far.
    pub acquired: u16,
    /// Counted releases so far.
    pub failed: u16,
    /// When it was first leased.
    pub first_delivery: Option<CoreTime>,
    /// Changed and added properties (JSON of `Overlay`), empty = none.
    pub overlay: Vec<u8>,
}

/// A move: one record, whatever the number of targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Move<'a> {
    /// The queue that the entry leaves.
    pub source: QueueId,
    /// The entry that leaves.
    pub entry: EntryRef,
    /// Why ([`SettleKind`] of the source).
    pub cause: SettleKind,
    /// The entries that it makes; empty = dropped.
    pub targets: Cow<'a, [EntryFields]>,
    /// Length of the message's body, 0 in format 1: so that nobody has to read the message for it.
    pub body_bytes: u64,
    /// When the message was enqueued, 0 in format 1.
    pub enqueued_at: CoreTime,
}

/// Names an entry: the record that put it into its queue, and the publish that holds its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef {
    /// LSN of the publish or move that made the entry.
    pub entry: Lsn,
    /// LSN of the publish; the same unless the entry was moved.
    pub message: Lsn,
}

/// An entry in a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedEntry {
    /// The entry.
    pub entry: Lsn,
    /// Times leased, this one included.
    pub acquired: u16,
    /// Counted releases so far.
    pub failed: u16,
}

/// Who holds a lease that the log remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody: it ends with its deadline (SQS).
    Nobody,
    /// A session, by its id. Not written yet.
    Session(u64),
    /// A transaction branch, by its id. Not written yet.
    Branch(u64),
}

/// Why an entry left its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettleKind {
    /// A consumer took responsibility.
    Accepted,
    /// A consumer refused it.
    Rejected,
    /// Its time was over.
    Expired,
    /// The queue was too long.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
    /// It was received too often.
    ReceiveLimit,
    /// The queue was purged.
    Purged,
    /// It is too large for whoever should get it.
    TooLarge,
    /// The queue's retention was over (SQS).
    Retention,
}
