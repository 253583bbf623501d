//! Messages: what a publisher said, immutable, stored once, shared.
//!
//! Messages live in batches: what one connection published between two reads shares one allocation for
//! heads and small bodies, so a message costs no allocation of its own. A [`Message`] is a handle on one
//! of them.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use crate::core::budget::Budget;
use crate::core::budget::Charge;
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

/// A body at most this long is copied into its batch; a longer one keeps the buffers that it came in.
pub const COPY_MAX_BYTES: usize = 8 * 1024;

/// The body of a message to be published.
#[derive(Clone, Debug)]
pub enum DraftBody<'a> {
    /// Copied into the batch.
    Copied(&'a [u8]),
    /// Kept as it is, in parts.
    Shared(Vec<Bytes>),
}

impl Default for DraftBody<'_> {
    fn default() -> Self {
        Self::Copied(&[])
    }
}

/// A message to be published, as a door describes it.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// The form that `head` is in.
    pub format: FormatId,
    /// The head in its origin's canonical form.
    pub head: &'a [u8],
    /// Exchange that it is published to.
    pub exchange: &'a str,
    /// Routing key that it is published with, at most 255 bytes.
    pub routing_key: &'a [u8],
    /// What the body is.
    pub body_kind: BodyKind,
    /// The body.
    pub body: DraftBody<'a>,
    /// Whether it must survive a restart.
    pub durable: bool,
    /// The sender's priority.
    pub priority: u8,
    /// The sender's time to live, in milliseconds.
    pub expiration_ms: Option<u64>,
    /// The sender's delay, in milliseconds.
    pub delay_ms: Option<u64>,
    /// The sender's group.
    pub group: Option<&'a [u8]>,
}

impl<'a> Draft<'a> {
    /// A transient message with an empty body and nothing special about it.
    pub fn new(format: FormatId, head: &'a [u8], exchange: &'a str, routing_key: &'a [u8]) -> Self {
        Self {
            format,
            head,
            exchange,
            routing_key,
            body_kind: BodyKind::Bytes,
            body: DraftBody::default(),
            durable: false,
            priority: 0,
            expiration_ms: None,
            delay_ms: None,
            group: None,
        }
    }
}

/// Start and end in the batch's bytes. A batch stays below 4 GiB: the builder starts a new one before.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

#[derive(Debug)]
enum StoredBody {
    Copied(Span),
    Shared(Box<[Bytes]>),
}

/// What a batch knows of each of its messages.
#[derive(Debug)]
struct Slot {
    head: Span,
    exchange: Span,
    routing_key: Span,
    group: Span,
    body: StoredBody,
    /// LSN of the publish, or a number of this start with [`TRANSIENT`] set; 0 = not published yet.
    id: AtomicU64,
    expiration_ms: Option<u64>,
    delay_ms: Option<u64>,
    properties: OnceLock<Box<Properties>>,
    format: FormatId,
    body_kind: BodyKind,
    durable: bool,
    priority: u8,
}

impl Slot {
    fn lsn(&self) -> Option<Lsn> {
        let id = self.id.load(Ordering::Relaxed);
        if id & TRANSIENT == TRANSIENT {
            None
        } else {
            Lsn::from_raw(id)
        }
    }

    fn body_len(&self) -> usize {
        match &self.body {
            StoredBody::Copied(span) => span.range().len(),
            StoredBody::Shared(parts) => parts.iter().map(Bytes::len).sum(),
        }
    }
}

/// Marks an id that is no LSN. Shard 255 exists nowhere, so it cannot be mistaken for one.
const TRANSIENT: u64 = 0xFF << 56;

/// Messages that were published together.
#[derive(Debug)]
pub struct MessageBatch {
    slots: Box<[Slot]>,
    bytes: Bytes,
    producer: Arc<Producer>,
    enqueued_at: CoreTime,
    _charge: Charge,
}

impl MessageBatch {
    /// Number of messages.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// LSN of the publish at `index`.
    pub(in crate::core) fn lsn_of(&self, index: u16) -> Option<Lsn> {
        self.slots.get(usize::from(index))?.lsn()
    }

    /// Length of the body at `index`.
    pub(in crate::core) fn body_len_of(&self, index: u16) -> usize {
        self.slots.get(usize::from(index)).map_or(0, Slot::body_len)
    }

    /// A handle on the message at `index`; none beyond the end.
    pub fn message(self: &Arc<Self>, index: usize) -> Option<Message> {
        if index >= self.slots.len() {
            return None;
        }
        Some(Message {
            batch: Arc::clone(self),
            index: u16::try_from(index).ok()?,
        })
    }
}

/// Collects drafts into a batch. Reused from batch to batch, so that it keeps its capacity.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    slots: Vec<Slot>,
    bytes: Vec<u8>,
    shared_bytes: u64,
}

/// Most messages of a batch: an index takes 16 bits in an entry.
pub const BATCH_MAX_MESSAGES: usize = 16 * 1024;

/// A batch is closed before its own bytes exceed this, so that spans fit 32 bits with room to spare.
const BATCH_MAX_BYTES: usize = 64 * 1024 * 1024;

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of drafts in hand.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the batch must be finished before another draft is pushed.
    pub fn is_full(&self) -> bool {
        self.slots.len() >= BATCH_MAX_MESSAGES || self.bytes.len() >= BATCH_MAX_BYTES
    }

    /// Adds a message. Exchange and key equal to the previous message's are stored once.
    pub fn push(&mut self, draft: Draft<'_>) {
        let previous = self
            .slots
            .last()
            .map(|slot| (slot.exchange, slot.routing_key));
        let exchange = self.keep_again(previous.map(|p| p.0), draft.exchange.as_bytes());
        let routing_key = self.keep_again(previous.map(|p| p.1), draft.routing_key);
        let head = self.keep(draft.head);
        let group = draft
            .group
            .map(|group| self.keep(group))
            .unwrap_or_default();
        let body = match draft.body {
            DraftBody::Copied(bytes) => StoredBody::Copied(self.keep(bytes)),
            DraftBody::Shared(parts) => {
                self.shared_bytes += parts.iter().map(|part| part.len() as u64).sum::<u64>();
                StoredBody::Shared(parts.into_boxed_slice())
            }
        };
        self.slots.push(Slot {
            head,
            exchange,
            routing_key,
            group,
            body,
            id: AtomicU64::new(0),
            expiration_ms: draft.expiration_ms,
            delay_ms: draft.delay_ms,
            properties: OnceLock::new(),
            format: draft.format,
            body_kind: draft.body_kind,
            durable: draft.durable,
            priority: draft.priority,
        });
    }

    /// Closes the batch; the builder is empty again.
    pub fn finish(
        &mut self,
        producer: &Arc<Producer>,
        now: CoreTime,
        budget: &Arc<Budget>,
    ) -> Arc<MessageBatch> {
        let slots: Box<[Slot]> = self.slots.drain(..).collect();
        let bytes = Bytes::copy_from_slice(&self.bytes);
        self.bytes.clear();
        let own = size_of_val(&*slots) + bytes.len() + size_of::<MessageBatch>();
        let charge = budget.charge(own as u64 + std::mem::take(&mut self.shared_bytes));
        Arc::new(MessageBatch {
            slots,
            bytes,
            producer: Arc::clone(producer),
            enqueued_at: now,
            _charge: charge,
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Span {
        let start = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(bytes);
        Span {
            start,
            len: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        }
    }

    fn keep_again(&mut self, previous: Option<Span>, bytes: &[u8]) -> Span {
        match previous {
            Some(span) if self.bytes.get(span.range()) == Some(bytes) => span,
            _ => self.keep(bytes),
        }
    }
}

/// A handle on one message. Cheap to clone; keeps its whole batch in memory.
#[derive(Clone)]
pub struct Message {
    batch: Arc<MessageBatch>,
    index: u16,
}

impl Message {
    /// The handle's two words, for whoever packs them.
    pub(in crate::core) fn into_parts(self) -> (Arc<MessageBatch>, u16) {
        (self.batch, self.index)
    }

    /// A handle again; `index` must have come from [`Message::into_parts`] of the same batch.
    pub(in crate::core) fn from_parts(batch: Arc<MessageBatch>, index: u16) -> Self {
        Self { batch, index }
    }

    fn slot(&self) -> &Slot {
        self.batch
            .slots
            .get(usize::from(self.index))
            .expect("a handle is made only for a slot that exists")
    }

    fn bytes(&self, span: Span) -> &[u8] {
        self.batch.bytes.get(span.range()).unwrap_or_default()
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

    /// The body's parts, in order.
    pub fn body(&self) -> impl Iterator<Item = &[u8]> {
        let (copied, shared) = match &self.slot().body {
            StoredBody::Copied(span) => (Some(self.bytes(*span)), None),
            StoredBody::Shared(parts) => (None, Some(parts)),
        };
        copied
            .into_iter()
            .chain(shared.into_iter().flatten().map(|part| &part[..]))
    }

    /// The body in one piece: a slice of the batch when it is small, else a copy unless it has one part.
    pub fn body_bytes(&self) -> Bytes {
        match &self.slot().body {
            StoredBody::Copied(span) => self.batch.bytes.slice(span.range()),
            StoredBody::Shared(parts) => match &**parts {
                [one] => one.clone(),
                many => many.concat().into(),
            },
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
        self.batch.enqueued_at
    }

    /// Who published it.
    pub fn producer(&self) -> &Arc<Producer> {
        &self.batch.producer
    }

    /// The same message in a batch of its own, without an id yet.
    pub(in crate::core) fn copy_alone(&self, budget: &Arc<Budget>) -> Option<Self> {
        let body = match &self.slot().body {
            StoredBody::Copied(span) => DraftBody::Copied(self.bytes(*span)),
            StoredBody::Shared(parts) => DraftBody::Shared(parts.to_vec()),
        };
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
