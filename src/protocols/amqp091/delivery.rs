//! Content on its way out: method, header and body, the body in as many rounds as it takes.

use std::borrow::Cow;

use bytes::Bytes;
use bytes::BytesMut;

use crate::core::Core;
use crate::core::model::message::Message;
use crate::core::queue::entry::Delivery;
use crate::protocols::amqp091::codec::frame::FrameKind;
use crate::protocols::amqp091::codec::frame::max_payload;
use crate::protocols::amqp091::codec::frame::write_frame;
use crate::protocols::amqp091::codec::write_body_frames;
use crate::protocols::amqp091::codec::write_content_header;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::mapping;
use crate::telemetry::Conversion;
use crate::transport::buffer::WriteBuf;

/// Whose body it is.
enum Body {
    Message(Message),
    Parts(Vec<Bytes>),
}

impl Body {
    /// The part at `index`.
    fn part(&self, index: usize) -> Option<&[u8]> {
        match self {
            Self::Message(message) => message.body().nth(index),
            Self::Parts(parts) => parts.get(index).map(|part| &**part),
        }
    }
}

/// A body that did not fit into the output buffer. Until it is written, nothing else may be written on
/// its channel (0-9-1 §4.2.6), so the connection reads nothing and takes nothing.
pub(super) struct Outgoing {
    pub(super) channel: u16,
    body: Body,
    part: usize,
    offset: usize,
}

impl Outgoing {
    /// A message's body from its start.
    pub(super) fn of_message(channel: u16, message: Message) -> Self {
        Self::new(channel, Body::Message(message))
    }

    /// A body that is no message's.
    pub(super) fn of_parts(channel: u16, parts: Vec<Bytes>) -> Self {
        Self::new(channel, Body::Parts(parts))
    }

    fn new(channel: u16, body: Body) -> Self {
        Self {
            channel,
            body,
            part: 0,
            offset: 0,
        }
    }

    /// Writes as many frames as there is room for; true once all of it is written.
    pub(super) fn write(&mut self, frame_max: u32, out: &mut WriteBuf) -> bool {
        let most = usize::try_from(max_payload(frame_max)).unwrap_or(usize::MAX);
        while let Some(part) = self.body.part(self.part) {
            let rest = part.get(self.offset..).unwrap_or_default();
            if rest.is_empty() {
                (self.part, self.offset) = (self.part + 1, 0);
                continue;
            }
            let room = out.room();
            if room == 0 {
                return false;
            }
            // A body may be cut anywhere: a short frame now keeps the buffer near its mark.
            let len = rest.len().min(most).min(room.max(MIN_FRAME_BYTES));
            let payload = rest.get(..len).unwrap_or(rest);
            write_frame(out.buf(), FrameKind::Body, self.channel, payload);
            self.offset += payload.len();
        }
        true
    }
}

/// Smaller frames are not worth their eight octets.
pub(super) const MIN_FRAME_BYTES: usize = 4096;

/// Writes the body of a message behind its header; what there is no room for comes back.
pub(super) fn write_body(
    channel: u16,
    message: &Message,
    frame_max: u32,
    out: &mut WriteBuf,
) -> Option<Outgoing> {
    if message.body_len() <= out.room() {
        write_body_frames(out.buf(), channel, message.body(), frame_max);
        return None;
    }
    let mut outgoing = Outgoing::of_message(channel, message.clone());
    let done = outgoing.write(frame_max, out);
    (!done).then_some(outgoing)
}

/// Writes the content header.
pub(super) fn write_header(out: &mut BytesMut, channel: u16, len: usize, head: &[u8]) {
    write_content_header(out, channel, u64::try_from(len).unwrap_or(u64::MAX), head);
}

/// Exchange and routing key as a consumer sees them: those of the dead-lettering, if there was one.
pub(super) fn routed(delivery: &Delivery) -> (&str, &[u8]) {
    match delivery
        .overlay
        .as_ref()
        .and_then(|overlay| overlay.routed.as_ref())
    {
        Some((exchange, key)) => (exchange.as_str(), key),
        None => (delivery.message.exchange(), delivery.message.routing_key()),
    }
}

/// What a consumer sees as properties of a delivery. What another door said and 0-9-1 cannot show is
/// counted at the first delivery.
pub(super) fn head<'d>(core: &Core, delivery: &'d Delivery, shows_count: bool) -> Cow<'d, [u8]> {
    let head = mapping::head_for(
        core.formats(),
        &delivery.message,
        delivery.overlay.as_deref(),
        shown_count(delivery, shows_count),
    );
    if head.has_lost_headers && !delivery.is_redelivered() {
        let loss = Conversion {
            from: mapping::door_of(delivery.message.format()),
            to: DOOR,
            field: "headers",
        };
        core.metrics().conversion_loss.get_or_create(&loss).inc();
    }
    head.bytes
}

/// `x-delivery-count`: how often it failed, from the first time on.
fn shown_count(delivery: &Delivery, shows: bool) -> Option<u16> {
    (shows && delivery.failed > 0).then_some(delivery.failed)
}
