//! Messages: what a publisher said, immutable, stored once, shared. A [`Message`] is a handle on one of a
//! batch.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::core::body::BodyFile;
use crate::core::budget::Budget;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::batch::MessageBatch;
use crate::core::model::batch::Slot;
use crate::core::model::batch::Span;
use crate::core::model::batch::StoredBody;
use crate::core::model::batch::TRANSIENT;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;
use crate::core::model::value::Properties;

/// Names the canonical form that a head is in. Goes to the log and is never given to another form; the
/// table of all ids stands in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FormatId(pub u16);

/// What the body is, as far as a door tells such things apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// Bytes, with no more said.
    #[default]
    Bytes,
    /// UTF-8 text.
    Text,
    /// A map of names and values, in its origin's encoding.
    Map,
    /// A list of values, in its origin's encoding.
    List,
    /// One value, in its origin's encoding.
    Value,
    /// A serialised object: opaque, never instantiated.
    Object,
}

impl BodyKind {
    /// The number that goes to the log.
    pub const fn number(self) -> u8 {
        match self {
            Self::Bytes => 0,
            Self::Text => 1,
            Self::Map => 2,
            Self::List => 3,
            Self::Value => 4,
            Self::Object => 5,
        }
    }

    /// Reads a number from the log; an unknown one is bytes.
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Text,
            2 => Self::Map,
            3 => Self::List,
            4 => Self::Value,
            5 => Self::Object,
            _ => Self::Bytes,
        }
    }
}

/// Who published, for user-id checks, no-local and audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    /// The user who logged in.
    pub user: Box<str>,
    /// Client id, or the connection's name.
    pub client_id: Box<str>,
}

/// A handle on one message. Cheap to clone; keeps its whole batch in memory.
#[derive(Clone)]
pub struct Message {
    batch: MessageBatch,
    index: u16,
}

impl Message {
    /// The handle's two words, for whoever packs them.
    pub(in crate::core) fn into_parts(self) -> (MessageBatch, u16) {
        (self.batch, self.index)
    }

    /// A handle again; `index` must have come from [`Message::into_parts`] of the same batch.
    pub(in crate::core) fn from_parts(batch: MessageBatch, index: u16) -> Self {
        Self { batch, index }
    }

    fn slot(&self) -> &Slot {
        self.batch
            .slots()
            .get(usize::from(self.index))
            .expect("a handle is made only for a slot that exists")
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.batch
            .common()
            .bytes
            .get(span.range())
            .unwrap_or_default()
    }

    /// The form that [`Message::head`] is in.
    pub fn format(&self) -> FormatId {
        self.slot().format
    }

    /// The head as its origin wrote it.
    pub fn head(&self) -> &[u8] {
        self.bytes(self.slot().head)
    }

    /// Exchange that it was published to.
    pub fn exchange(&self) -> &str {
        std::str::from_utf8(self.bytes(self.slot().exchange)).unwrap_or_default()
    }

    /// Routing key that it was published with.
    pub fn routing_key(&self) -> &[u8] {
        self.bytes(self.slot().routing_key)
    }

    /// The sender's group, empty = none.
    pub fn group(&self) -> &[u8] {
        self.bytes(self.slot().group)
    }

    /// What the body is.
    pub fn body_kind(&self) -> BodyKind {
        self.slot().body_kind
    }

    /// Length of the body in bytes.
    pub fn body_len(&self) -> usize {
        self.slot().body_len()
    }

    /// The file of a body that is not in memory.
    pub fn body_file(&self) -> Option<&Arc<BodyFile>> {
        match &self.slot().body {
            StoredBody::File(file) => Some(file),
            StoredBody::Copied(_) | StoredBody::Shared(_) => None,
        }
    }

    /// The body's parts, in order; none of one that is not in memory.
    pub fn body(&self) -> impl Iterator<Item = &[u8]> {
        let (copied, shared) = match &self.slot().body {
            StoredBody::Copied(span) => (Some(self.bytes(*span)), None),
            StoredBody::Shared(parts) => (None, Some(parts)),
            StoredBody::File(_) => (None, None),
        };
        copied
            .into_iter()
            .chain(shared.into_iter().flatten().map(|part| &part[..]))
    }

    /// The body in one piece: copied only if it has several parts; empty if it is not in memory.
    pub fn body_bytes(&self) -> Cow<'_, [u8]> {
        match &self.slot().body {
            StoredBody::Copied(span) => Cow::Borrowed(self.bytes(*span)),
            StoredBody::Shared(parts) => match &**parts {
                [one] => Cow::Borrowed(one),
                many => Cow::Owned(many.concat()),
            },
            StoredBody::File(_) => Cow::Borrowed(&[]),
        }
    }

    /// Whether the sender wants it to survive a restart.
    pub fn is_durable(&self) -> bool {
        self.slot().durable
    }

    /// The sender's priority.
    pub fn priority(&self) -> u8 {
        self.slot().priority
    }

    /// The sender's time to live, in milliseconds.
    pub fn expiration_ms(&self) -> Option<u64> {
        self.slot().expiration_ms
    }

    /// The sender's delay, in milliseconds.
    pub fn delay_ms(&self) -> Option<u64> {
        self.slot().delay_ms
    }

    /// When it was enqueued.
    pub fn enqueued_at(&self) -> CoreTime {
        self.batch.common().enqueued_at
    }

    /// Who published it.
    pub fn producer(&self) -> &Arc<Producer> {
        &self.batch.common().producer
    }

    /// The same message in a batch of its own, without an id yet.
    pub(in crate::core) fn copy_alone(&self, budget: &Arc<Budget>) -> Option<Self> {
        let body = match &self.slot().body {
            StoredBody::Copied(span) => DraftBody::Copied(self.bytes(*span)),
            StoredBody::Shared(parts) => DraftBody::Shared(parts.to_vec()),
            StoredBody::File(file) => DraftBody::File(Arc::clone(file)),
        };
        self.copy_with(body, budget)
    }

    /// The same message, of the same id, with its body in memory: for a door that can show it only as a whole.
    pub fn with_body(&self, parts: Vec<Bytes>, budget: &Arc<Budget>) -> Option<Self> {
        let copy = self.copy_with(DraftBody::Shared(parts), budget)?;
        let id = self.slot().id.load(Ordering::Relaxed);
        copy.slot().id.store(id, Ordering::Relaxed);
        Some(copy)
    }

    fn copy_with(&self, body: DraftBody<'_>, budget: &Arc<Budget>) -> Option<Self> {
        let mut builder = BatchBuilder::new();
        builder.push(Draft {
            format: self.format(),
            head: self.head(),
            exchange: self.exchange(),
            routing_key: self.routing_key(),
            body_kind: self.body_kind(),
            body,
            durable: self.is_durable(),
            priority: self.priority(),
            expiration_ms: self.expiration_ms(),
            delay_ms: self.delay_ms(),
            group: (!self.group().is_empty()).then(|| self.group()),
        });
        builder
            .finish(self.producer(), self.enqueued_at(), budget)
            .message(0)
    }

    /// The neutral view, decoded by `decode` the first time that somebody needs it.
    pub fn properties(&self, decode: impl FnOnce(FormatId, &[u8]) -> Properties) -> &Properties {
        self.slot()
            .properties
            .get_or_init(|| Box::new(decode(self.format(), self.head())))
    }

    /// LSN of its publish; none for a message that the log does not hold.
    pub fn lsn(&self) -> Option<Lsn> {
        self.slot().lsn()
    }

    /// Its id as it stands in the batch: an LSN, or a number of this start; 0 = not published yet.
    pub(in crate::core) fn raw_id(&self) -> u64 {
        self.slot().id.load(Ordering::Relaxed)
    }

    /// Names a message that came back as it was named before.
    pub(in crate::core) fn set_raw_id(&self, id: u64) {
        self.slot().id.store(id, Ordering::Relaxed);
    }

    /// Names it by its publish's LSN. The first name stays.
    pub(in crate::core) fn set_lsn(&self, lsn: Lsn) {
        let _ = self
            .slot()
            .id
            .compare_exchange(0, lsn.get(), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Names a message that the log does not hold. The first name stays.
    pub(in crate::core) fn set_transient_id(&self, number: u64) {
        let _ = self.slot().id.compare_exchange(
            0,
            TRANSIENT | number,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// The message's global id: 128 bits, printed as a UUID. The same for ever for a message in the log,
    /// unique to this start for another.
    pub fn id(&self, store: Identity) -> u128 {
        let id = self.slot().id.load(Ordering::Relaxed);
        let start = if id & TRANSIENT == TRANSIENT {
            store.incarnation
        } else {
            0
        };
        global_id(store.uuid, start, id)
    }
}

/// Spreads the store's id and the message's number over 122 bits, in the layout of a version 8 UUID
/// (RFC 9562 §5.8).
fn global_id(store: u128, start: u64, number: u64) -> u128 {
    let mixed = (store ^ (u128::from(start).rotate_left(64)))
        .wrapping_add(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    (mixed & !(0xF << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62)
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("lsn", &self.lsn())
            .field("exchange", &self.exchange())
            .field("body_len", &self.body_len())
            .finish_non_exhaustive()
    }
}
