//! Content that arrives in pieces: method, header, body frames (0-9-1 §4.2.6).
//!
//! Only what crosses a read comes here, and every body above the size that core copies; the rest is
//! published straight from the read buffer.

use std::fmt;

use bytes::Bytes;

use crate::core::body::Upload;
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
    /// The header came, and its body goes to a file.
    Large(Box<Large>),
}

impl Content {
    /// Whether what is on its way may come back to its publisher.
    pub(in crate::protocols::amqp091) fn is_mandatory(&self) -> bool {
        match self {
            Self::None => false,
            Self::Header(partial) | Self::Body(partial) => partial.mandatory,
            Self::Large(large) => large.publish.mandatory,
        }
    }
}

/// A publish that is not whole.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) struct Partial {
    pub(in crate::protocols::amqp091) exchange: Vec<u8>,
    pub(in crate::protocols::amqp091) routing_key: Vec<u8>,
    pub(in crate::protocols::amqp091) mandatory: bool,
    pub(in crate::protocols::amqp091) head: Vec<u8>,
    /// Bytes that the header announced.
    size: u64,
    /// Bytes of the body that are still to come.
    missing: u64,
    /// Slices of the read buffers.
    parts: Vec<Bytes>,
    /// What came in pieces too small to be kept as slices.
    copied: Vec<u8>,
}

/// A publish whose body is being written to a file.
pub(in crate::protocols::amqp091) struct Large {
    /// All but the body.
    pub(in crate::protocols::amqp091) publish: Partial,
    pub(in crate::protocols::amqp091) upload: Upload,
}

impl fmt::Debug for Large {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Large")
            .field("publish", &self.publish)
            .finish_non_exhaustive()
    }
}

/// A shorter piece is copied: a slice keeps the whole read buffer in memory, while only its own bytes
/// are counted.
const SLICE_MIN_BYTES: usize = 32 * 1024;

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
        (self.size, self.missing) = (body_size, body_size);
    }

    /// Bytes that the header announced.
    pub(in crate::protocols::amqp091) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the body keeps slices of the read buffer: core copies a smaller one anyway.
    pub(in crate::protocols::amqp091) fn shares(&self) -> bool {
        usize::try_from(self.size).map_or(true, |size| size > COPY_MAX_BYTES)
    }

    /// Whether the body is whole.
    pub(in crate::protocols::amqp091) fn is_whole(&self) -> bool {
        self.missing == 0
    }

    /// Adds a body frame, as bytes.
    ///
    /// # Errors
    /// 501 when it is more than was announced.
    pub(in crate::protocols::amqp091) fn copy(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.count(bytes.len())?;
        self.copied.extend_from_slice(bytes);
        Ok(())
    }

    /// Adds a body frame, as a slice of the read buffer.
    ///
    /// # Errors
    /// As [`Partial::copy`].
    pub(in crate::protocols::amqp091) fn share(&mut self, bytes: Bytes) -> Result<(), Refusal> {
        if bytes.len() < SLICE_MIN_BYTES {
            return self.copy(&bytes);
        }
        self.count(bytes.len())?;
        self.close_copied();
        self.parts.push(bytes);
        Ok(())
    }

    /// The body, as core wants it.
    pub(in crate::protocols::amqp091) fn body(&mut self) -> DraftBody<'_> {
        if !self.shares() {
            return DraftBody::Copied(&self.copied);
        }
        self.close_copied();
        DraftBody::Shared(std::mem::take(&mut self.parts))
    }

    fn close_copied(&mut self) {
        if !self.copied.is_empty() {
            // It has grown by doubling, and what is spare would be kept uncounted.
            self.copied.shrink_to_fit();
            self.parts.push(std::mem::take(&mut self.copied).into());
        }
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        let missing = u64::try_from(bytes)
            .ok()
            .and_then(|bytes| self.missing.checked_sub(bytes));
        self.missing = missing.ok_or_else(|| self.too_long())?;
        Ok(())
    }

    /// What a body frame gets that brings more than was announced.
    pub(in crate::protocols::amqp091) fn too_long(&self) -> Refusal {
        let text = format!("body is longer than the {} bytes of its header", self.size);
        Refusal::new(ReplyCode::FrameError, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_frame_does_not_keep_the_buffer_it_came_in() {
        let mut partial = Partial::default();
        partial.set_header(b"", 200_000);
        let buffer = Bytes::from(vec![7; 65_536]);
        partial.share(buffer.slice(..32 * 1024 - 1)).unwrap();
        assert!(buffer.is_unique());
        partial.share(buffer.slice(..32 * 1024)).unwrap();
        assert!(!buffer.is_unique(), "half of it is worth the whole");
        partial.share(buffer.slice(..1)).unwrap();
        let DraftBody::Shared(parts) = partial.body() else {
            panic!("larger than what core copies");
        };
        let lens: Vec<_> = parts.iter().map(Bytes::len).collect();
        assert_eq!(lens, [32 * 1024 - 1, 32 * 1024, 1]);
    }
}
