//! Batches: what one connection published between two reads shares one allocation for heads and small
//! bodies, so a message costs none of its own.

use std::ops::Range;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use triomphe::ThinArc;

use crate::core::body::BodyFile;
use crate::core::budget::Charge;
use crate::core::model::ids::Lsn;
use crate::core::model::message::BodyKind;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;
use crate::core::model::value::Properties;

pub use crate::core::model::builder::BATCH_MAX_MESSAGES;
pub use crate::core::model::builder::BatchBuilder;
pub use crate::core::model::builder::COPY_MAX_BYTES;
pub use crate::core::model::builder::Draft;
pub use crate::core::model::builder::DraftBody;

/// Start and end in the batch's bytes. A batch stays below 4 GiB: the builder starts a new one before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) len: u32,
}

impl Span {
    pub(super) fn range(self) -> Range<usize> {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        start..start.saturating_add(usize::try_from(self.len).unwrap_or(usize::MAX))
    }
}

#[derive(Debug)]
pub(super) enum StoredBody {
    Copied(Span),
    Shared(Box<[Bytes]>),
    /// Not in memory, and not charged.
    File(Arc<BodyFile>),
}

/// What a batch knows of each of its messages.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) head: Span,
    pub(super) exchange: Span,
    pub(super) routing_key: Span,
    pub(super) group: Span,
    pub(super) body: StoredBody,
    /// LSN of the publish, or a number of this start with [`TRANSIENT`] set; 0 = not published yet.
    pub(super) id: AtomicU64,
    pub(super) expiration_ms: Option<u64>,
    pub(super) delay_ms: Option<u64>,
    pub(super) properties: OnceLock<Box<Properties>>,
    pub(super) format: FormatId,
    pub(super) body_kind: BodyKind,
    pub(super) durable: bool,
    pub(super) priority: u8,
}

impl Slot {
    pub(super) fn lsn(&self) -> Option<Lsn> {
        let id = self.id.load(Ordering::Relaxed);
        if id & TRANSIENT == TRANSIENT {
            None
        } else {
            Lsn::from_raw(id)
        }
    }

    pub(super) fn body_len(&self) -> usize {
        match &self.body {
            StoredBody::Copied(span) => span.range().len(),
            StoredBody::Shared(parts) => parts.iter().map(Bytes::len).sum(),
            StoredBody::File(file) => usize::try_from(file.bytes()).unwrap_or(usize::MAX),
        }
    }
}

/// Marks an id that is no LSN. Shard 255 exists nowhere, so it cannot be mistaken for one.
pub(super) const TRANSIENT: u64 = 0xFF << 56;

/// Messages that were published together. A handle, cheap to clone: all that a batch is, its bytes apart, stands in one
/// allocation behind one word.
#[derive(Clone, Debug)]
pub struct MessageBatch(pub(super) ThinArc<Common, Slot>);

/// What all messages of a batch share.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) bytes: Vec<u8>,
    pub(super) producer: Arc<Producer>,
    pub(super) enqueued_at: CoreTime,
    pub(super) _charge: Charge,
}

impl MessageBatch {
    pub(super) fn common(&self) -> &Common {
        &self.0.header.header
    }

    pub(super) fn slots(&self) -> &[Slot] {
        &self.0.slice
    }

    /// Number of messages.
    pub fn len(&self) -> usize {
        self.slots().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.slots().is_empty()
    }

    /// LSN of the publish at `index`.
    pub(in crate::core) fn lsn_of(&self, index: u16) -> Option<Lsn> {
        self.slots().get(usize::from(index))?.lsn()
    }

    /// Length of the body at `index`.
    pub(in crate::core) fn body_len_of(&self, index: u16) -> usize {
        self.slots()
            .get(usize::from(index))
            .map_or(0, Slot::body_len)
    }

    /// A handle on the message at `index`; none beyond the end.
    pub fn message(&self, index: usize) -> Option<Message> {
        if index >= self.slots().len() {
            return None;
        }
        Some(Message::from_parts(
            self.clone(),
            u16::try_from(index).ok()?,
        ))
    }
}
