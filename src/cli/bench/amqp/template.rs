//! A block of publishes that is made once: for each write only labels and routing keys change in it.

use std::ops::Range;

use crate::cli::bench::label::LABEL_BYTES;
use crate::cli::bench::wire::BLOCK_BYTES;
use crate::protocols::amqp091::codec::PropertyFields;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::frame::FRAME_HEAD_BYTES;
use crate::protocols::amqp091::codec::method::basic::Publish;
use crate::protocols::amqp091::codec::write_body_frames;
use crate::protocols::amqp091::codec::write_content_header;
use crate::protocols::amqp091::codec::write_method;

use super::link::CHANNEL;

/// Most bytes of a block, whatever --flush asks for.
const MAX_BLOCK_BYTES: usize = 16 << 20;

/// Octets of a publish before its exchange: frame head, class, method, ticket.
const BEFORE_EXCHANGE: usize = FRAME_HEAD_BYTES + 2 + 2 + 2;

/// Equal images of one message, back to back.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    stride: usize,
    /// Where an image's label stands.
    label_at: usize,
    /// Where its routing key stands.
    key_at: usize,
    /// Routing keys in turn, all of one length.
    keys: Vec<String>,
    images: usize,
}

impl Template {
    /// Makes the block. `flush` is how many messages it holds; 0: as many as fit a block.
    ///
    /// # Errors
    /// A routing key is too long.
    pub(super) fn new(
        keys: &[&str],
        size: usize,
        durable: bool,
        flush: usize,
        frame_max: u32,
    ) -> anyhow::Result<Self> {
        let first = keys.first().copied().unwrap_or_default();
        let mut image = Vec::new();
        let publish = Publish {
            routing_key: ShortStr::try_from(first)?,
            ..Publish::default()
        };
        write_method(&mut image, CHANNEL, &publish);
        let mut properties = Vec::new();
        let persistence = PropertyFields {
            delivery_mode: Some(if durable { 2 } else { 1 }),
            ..PropertyFields::default()
        };
        persistence.write(&mut properties);
        write_content_header(&mut image, CHANNEL, u64::try_from(size)?, &properties);
        let label_at = image.len() + FRAME_HEAD_BYTES;
        let body = vec![b'.'; size];
        write_body_frames(&mut image, CHANNEL, [&body[..]], frame_max);
        let stride = image.len();
        let fit = |bytes: usize| (bytes / stride).max(1);
        let images = match flush {
            0 => fit(BLOCK_BYTES),
            asked => asked.min(fit(MAX_BLOCK_BYTES)),
        };
        Ok(Self {
            bytes: image.repeat(images),
            stride,
            label_at,
            // The exchange is empty: one octet; and one of the key's length.
            key_at: BEFORE_EXCHANGE + 2,
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            images,
        })
    }

    /// Most messages that one write takes.
    pub(super) fn images(&self) -> usize {
        self.images
    }

    /// The block.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Labels the first `count` images, the first of which is message `first`; which bytes they are.
    pub(super) fn fill(
        &mut self,
        first: u64,
        count: u64,
        label: impl Fn(u64) -> [u8; LABEL_BYTES],
    ) -> Range<usize> {
        let mut filled = 0;
        for (sequence, image) in
            (first..first + count).zip(self.bytes.chunks_exact_mut(self.stride))
        {
            if let Some(place) = image.get_mut(self.label_at..self.label_at + LABEL_BYTES) {
                place.copy_from_slice(&label(sequence));
            }
            if self.keys.len() > 1 {
                let turn = sequence % u64::try_from(self.keys.len()).unwrap_or(u64::MAX);
                let key = usize::try_from(turn)
                    .ok()
                    .and_then(|turn| self.keys.get(turn));
                if let Some(key) = key
                    && let Some(place) = image.get_mut(self.key_at..self.key_at + key.len())
                {
                    place.copy_from_slice(key.as_bytes());
                }
            }
            filled += self.stride;
        }
        0..filled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocols::amqp091::codec::ContentHeader;
    use crate::protocols::amqp091::codec::FrameKind;
    use crate::protocols::amqp091::codec::Method;
    use crate::protocols::amqp091::codec::frame::Frames;
    use crate::protocols::amqp091::codec::method::basic::BasicMethod;

    /// Routing key, persistence and body of every message in a block.
    fn read(bytes: &[u8]) -> Vec<(String, bool, Vec<u8>)> {
        let mut messages = Vec::new();
        for frame in Frames::new(bytes, 4096) {
            let frame = frame.unwrap();
            match frame.kind {
                FrameKind::Method => {
                    let Method::Basic(BasicMethod::Publish(publish)) =
                        Method::decode_from_client(frame.payload).unwrap()
                    else {
                        panic!("not a publish");
                    };
                    assert!(publish.exchange.is_empty());
                    let key = publish.routing_key.lossy().into_owned();
                    messages.push((key, false, Vec::new()));
                }
                FrameKind::Header => {
                    let header = ContentHeader::decode(frame.payload).unwrap();
                    messages.last_mut().unwrap().1 = header.properties.is_persistent();
                }
                FrameKind::Body => messages.last_mut().unwrap().2.extend(frame.payload),
                FrameKind::Heartbeat => panic!("a heartbeat"),
            }
        }
        messages
    }

    fn label(sequence: u64) -> [u8; LABEL_BYTES] {
        (u128::from(sequence) + 7).to_be_bytes()
    }

    #[test]
    fn every_image_is_a_publish_with_its_own_label_and_key() {
        let mut template = Template::new(&["q-0", "q-1", "q-2"], 40, true, 0, 4096).unwrap();
        assert!(template.images() > 100);
        template.fill(0, 50, label);
        let range = template.fill(4, 5, label);
        let messages = read(&template.bytes()[range]);
        assert_eq!(messages.len(), 5);
        for (sequence, (key, durable, body)) in (4..).zip(&messages) {
            assert_eq!(*key, format!("q-{}", sequence % 3));
            assert!(durable);
            assert_eq!(body[..16], label(sequence));
            assert_eq!(body[16..], [b'.'; 24]);
        }
    }

    #[test]
    fn a_block_holds_what_is_asked_for() {
        let images = |size, flush| {
            let template = Template::new(&["q"], size, false, flush, 4096).unwrap();
            assert!(!read(template.bytes())[0].1, "transient");
            assert_eq!(read(template.bytes()).len(), template.images());
            template.images()
        };
        assert_eq!(images(1024, 1), 1);
        assert_eq!(images(16, 5000), 5000, "more than a block, when asked");
        assert_eq!(images(100_000, 0), 1, "a body of many frames");
        assert_eq!(images(100_000, 5000), (16 << 20) / 100_241);
    }
}
