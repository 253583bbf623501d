//! A publish as it goes over the wire: method, header, body.

use crate::cli::bench::template::Image;
use crate::protocols::amqp091::codec::PropertyFields;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::frame::FRAME_HEAD_BYTES;
use crate::protocols::amqp091::codec::method::basic::Publish;
use crate::protocols::amqp091::codec::write_body_frames;
use crate::protocols::amqp091::codec::write_content_header;
use crate::protocols::amqp091::codec::write_method;

use super::link::CHANNEL;

/// Octets of a publish before its routing key: frame head, class, method, ticket, the length of no
/// exchange, the length of the key.
const BEFORE_KEY: usize = FRAME_HEAD_BYTES + 2 + 2 + 2 + 1 + 1;

/// A publish to a queue by the default exchange.
///
/// # Errors
/// The queue's name is too long.
pub(super) fn publish(
    queue: &str,
    size: usize,
    durable: bool,
    frame_max: u32,
) -> anyhow::Result<Image> {
    let mut bytes = Vec::new();
    let publish = Publish {
        routing_key: ShortStr::try_from(queue)?,
        ..Publish::default()
    };
    write_method(&mut bytes, CHANNEL, &publish);
    let mut properties = Vec::new();
    let persistence = PropertyFields {
        delivery_mode: Some(if durable { 2 } else { 1 }),
        ..PropertyFields::default()
    };
    persistence.write(&mut properties);
    write_content_header(&mut bytes, CHANNEL, u64::try_from(size)?, &properties);
    let label_at = bytes.len() + FRAME_HEAD_BYTES;
    let body = vec![b'.'; size];
    write_body_frames(&mut bytes, CHANNEL, [&body[..]], frame_max);
    Ok(Image {
        bytes,
        label_at,
        queue_at: BEFORE_KEY,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::bench::template::Template;
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

    #[test]
    fn every_image_of_a_block_is_a_publish() {
        for (size, durable) in [(16, false), (40, true), (10_000, true)] {
            let image = publish("q-0", size, durable, 4096).unwrap();
            let mut template = Template::new(image, &["q-0", "q-1", "q-2"], 5);
            let range = template.fill(4, 5, |sequence| u128::from(sequence).to_be_bytes());
            let messages = read(&template.block()[range]);
            assert_eq!(messages.len(), 5);
            for (sequence, (key, is_durable, body)) in (4_u64..).zip(&messages) {
                assert_eq!(*key, format!("q-{}", sequence % 3));
                assert_eq!(*is_durable, durable);
                assert_eq!(body.len(), size);
                assert_eq!(body[..16], u128::from(sequence).to_be_bytes());
                assert!(body[16..].iter().all(|byte| *byte == b'.'));
            }
        }
    }
}
