//! Content that arrives in pieces: method, header, body frames (0-9-1 §4.2.6).
//!
//! Only what crosses a read comes here, and every body above the size that core copies; the rest is
//! published straight from the read buffer.

use bytes::Bytes;

use crate::core::model::batch::COPY_MAX_BYTES;
use crate::core::model::batch::DraftBody;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::errors::Refusal;

/// How far a content has come.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) enum Content {
    /// None is on its way.
    #[default]
    None,
    /// The publish came, its header has not.
    Header(Partial),
    /// The header came, its body is not whole.
    Body(Partial),
}

/// A publish that is not whole.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) struct Partial {
    pub(in crate::protocols::amqp091) exchange: Vec<u8>,
    pub(in crate::protocols::amqp091) routing_key: Vec<u8>,
    pub(in crate::protocols::amqp091) mandatory: bool,
    pub(in crate::protocols::amqp091) head: Vec<u8>,
    /// Bytes of the body that are still to come.
    missing: u64,
    body: Assembled,
}

/// A body, or what has come of it.
#[derive(Debug)]
pub(in crate::protocols::amqp091) enum Assembled {
    /// Copied together: it is small.
    Copied(Vec<u8>),
    /// Slices of the read buffers.
    Shared(Vec<Bytes>),
}

impl Default for Assembled {
    fn default() -> Self {
        Self::Copied(Vec::new())
    }
}

impl Assembled {
    /// As core wants it.
    pub(in crate::protocols::amqp091) fn draft(&self) -> DraftBody<'_> {
        match self {
            Self::Copied(bytes) => DraftBody::Copied(bytes),
            Self::Shared(parts) => DraftBody::Shared(parts.clone()),
        }
    }
}

impl Partial {
    pub(in crate::protocols::amqp091) fn new(publish: &basic::Publish<'_>) -> Self {
        Self {
            exchange: publish.exchange.as_bytes().to_vec(),
            routing_key: publish.routing_key.as_bytes().to_vec(),
            mandatory: publish.mandatory,
            ..Self::default()
        }
    }

    /// The header came.
    pub(in crate::protocols::amqp091) fn set_header(&mut self, head: &[u8], body_size: u64) {
        self.head = head.to_vec();
        self.missing = body_size;
        let small = usize::try_from(body_size).is_ok_and(|size| size <= COPY_MAX_BYTES);
        if !small {
            self.body = Assembled::Shared(Vec::new());
        }
    }

    /// Whether the body keeps slices of the read buffer.
    pub(in crate::protocols::amqp091) fn shares(&self) -> bool {
        matches!(self.body, Assembled::Shared(_))
    }

    /// Whether the body is whole.
    pub(in crate::protocols::amqp091) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Adds a body frame to a small body.
    ///
    /// # Errors
    /// 501 when it is more than was announced.
    pub(in crate::protocols::amqp091) fn copy(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.count(bytes.len())?;
        match &mut self.body {
            Assembled::Copied(body) => body.extend_from_slice(bytes),
            Assembled::Shared(parts) => parts.push(Bytes::copy_from_slice(bytes)),
        }
        Ok(())
    }

    /// Adds a body frame to a large body.
    ///
    /// # Errors
    /// As [`Partial::copy`].
    pub(in crate::protocols::amqp091) fn share(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        self.count(bytes.len())?;
        match &mut self.body {
            Assembled::Copied(body) => body.extend_from_slice(&bytes),
            Assembled::Shared(parts) if !bytes.is_empty() => parts.push(bytes),
            Assembled::Shared(_) => {}
        }
        Ok(())
    }

    /// The body.
    pub(in crate::protocols::amqp091) fn body(&self) -> &Assembled {
        &self.body
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        let missing = u64::try_from(bytes)
            .ok()
            .and_then(|bytes| self.missing.checked_sub(bytes));
        self.missing = missing.ok_or_else(|| {
            let text =
                format!("a body has more bytes than its header announced ({bytes} at the end)");
            Refusal::new(ReplyCode::FrameError, text)
        })?;
        Ok(())
    }
}
