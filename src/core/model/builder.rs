//! Drafts, and what makes batches of them.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use triomphe::ThinArc;

use crate::core::body::BodyFile;
use crate::core::budget::Budget;
use crate::core::model::batch::Common;
use crate::core::model::batch::MessageBatch;
use crate::core::model::batch::Slot;
use crate::core::model::batch::Span;
use crate::core::model::batch::StoredBody;
use crate::core::model::message::BodyKind;
use crate::core::model::message::FormatId;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;

/// A body at most this long is copied into its batch; a longer one keeps the buffers that it came in.
pub const COPY_MAX_BYTES: usize = 8 * 1024;

/// Most messages of a batch: an index takes 16 bits in an entry.
pub const BATCH_MAX_MESSAGES: usize = 16 * 1024;

/// A batch is closed before its own bytes exceed this, so that spans fit 32 bits with room to spare.
const BATCH_MAX_BYTES: usize = 64 * 1024 * 1024;

/// A batch keeps room that it did not need up to this part of its bytes: less is not worth a reallocation, and is
/// charged with the rest.
const SPARE_PART: usize = 8;

/// Messages that a builder keeps room for.
const KEPT_SLOTS: usize = 64;

/// The body of a message to be published.
#[derive(Clone, Debug)]
pub enum DraftBody<'a> {
    /// Copied into the batch.
    Copied(&'a [u8]),
    /// Kept as it is, in parts.
    Shared(Vec<Bytes>),
    /// In a file of its own.
    File(Arc<BodyFile>),
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

    /// How many of its bytes a batch copies.
    fn copied_bytes(&self) -> usize {
        let body = match &self.body {
            DraftBody::Copied(bytes) => bytes.len(),
            DraftBody::Shared(_) | DraftBody::File(_) => 0,
        };
        let group = self.group.map_or(0, <[u8]>::len);
        self.head.len() + self.exchange.len() + self.routing_key.len() + group + body
    }
}

/// Collects drafts into a batch, whose bytes it copies once, to where they stay. Reused from batch to batch.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    slots: Vec<Slot>,
    /// The bytes of the batch in hand: theirs alone, so that one message that stays queued holds no more than its batch.
    bytes: Vec<u8>,
    expected_bytes: usize,
    shared_bytes: u64,
}

impl BatchBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that what the next drafts have copied will not be longer than this, so that it is allocated at once. Wrong is
    /// slow, no more.
    ///
    /// May be said once of several batches: each takes its part of it.
    pub fn expect_bytes(&mut self, bytes: usize) {
        self.expected_bytes = bytes.min(BATCH_MAX_BYTES);
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
        if self.bytes.capacity() == 0 {
            let room = self.expected_bytes.max(draft.copied_bytes());
            self.bytes.reserve_exact(room);
        }
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
            DraftBody::File(file) => StoredBody::File(file),
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
    ) -> MessageBatch {
        let mut bytes = std::mem::take(&mut self.bytes);
        // What cut this one short (a settle between two publishes) mostly does so again: room for all the rest would be
        // taken and given back with every message.
        let rest = self.expected_bytes.saturating_sub(bytes.len());
        self.expected_bytes = rest.min(bytes.len());
        if bytes.capacity() - bytes.len() > bytes.len() / SPARE_PART {
            bytes.shrink_to_fit();
        }
        let own = size_of_val(&*self.slots) + bytes.capacity() + size_of::<Common>();
        let charge = budget.charge(own as u64 + std::mem::take(&mut self.shared_bytes));
        let common = Common {
            bytes,
            producer: Arc::clone(producer),
            enqueued_at: now,
            _charge: charge,
        };
        let batch = ThinArc::from_header_and_iter(common, self.slots.drain(..));
        // A connection that once sent thousands of small messages at once must not keep room for them while it idles.
        self.slots.shrink_to(KEPT_SLOTS);
        MessageBatch(batch)
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
            // An empty slice may point nowhere, and comparing with it costs more than all the rest: the processor
            // has to find out that the load which it masks out would have failed.
            _ if bytes.is_empty() => Span::default(),
            Some(span) if self.bytes.get(span.range()) == Some(bytes) => span,
            _ => self.keep(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(builder: &mut BatchBuilder, body: &[u8], messages: usize) -> (MessageBatch, u64) {
        for _ in 0..messages {
            let mut draft = Draft::new(FormatId(1), b"head", "exchange", b"key");
            draft.body = DraftBody::Copied(body);
            builder.push(draft);
        }
        let budget = Budget::new(1 << 30);
        let batch = builder.finish(&Arc::default(), CoreTime::default(), &budget);
        (batch, budget.used())
    }

    #[test]
    fn one_small_message_of_a_large_read_holds_no_more_than_itself() {
        let mut builder = BatchBuilder::new();
        builder.expect_bytes(64 * 1024);
        let (batch, charged) = finish(&mut builder, b"body", 1);
        assert!(batch.common().bytes.capacity() < 64);
        assert!(charged < 512, "{charged}");
    }

    #[test]
    fn what_a_batch_holds_is_charged_its_spare_room_included() {
        let mut builder = BatchBuilder::new();
        for expected in [0, 17_000, 100_000] {
            builder.expect_bytes(expected);
            let (batch, charged) = finish(&mut builder, &[7; 1024], 16);
            let room = batch.common().bytes.capacity();
            assert!(room <= 16 * 1028 / 8 * 9 + 64, "{room}");
            let slots = batch.len() * size_of::<Slot>();
            assert_eq!(charged, (room + slots + size_of::<Common>()) as u64);
            assert_eq!(batch.message(15).unwrap().body_bytes(), &[7; 1024][..]);
            assert_eq!(batch.message(0).unwrap().exchange(), "exchange");
        }
    }

    #[test]
    fn batches_of_one_read_do_not_each_take_room_for_all_of_it() {
        let mut builder = BatchBuilder::new();
        builder.expect_bytes(64 * 1024);
        let mut rooms = Vec::new();
        for _ in 0..4 {
            let mut draft = Draft::new(FormatId(1), b"head", "exchange", b"key");
            draft.body = DraftBody::Copied(&[7; 80]);
            builder.push(draft);
            rooms.push(builder.bytes.capacity());
            finish(&mut builder, b"", 0);
        }
        assert_eq!(rooms, [64 * 1024, 95, 95, 95]);
        // Nor more than is left of it.
        builder.expect_bytes(1000);
        finish(&mut builder, &[7; 700], 1);
        finish(&mut builder, &[7; 1], 1);
        assert!(builder.expected_bytes < 300);
    }

    #[test]
    fn a_builder_that_made_a_large_batch_keeps_no_room_for_it() {
        let mut builder = BatchBuilder::new();
        finish(&mut builder, b"", 2_048);
        assert!(builder.slots.capacity() <= KEPT_SLOTS);
        finish(&mut builder, b"", KEPT_SLOTS);
        let place = builder.slots.as_ptr();
        finish(&mut builder, b"", KEPT_SLOTS);
        assert_eq!(builder.slots.as_ptr(), place, "but what is usual");
    }
}
