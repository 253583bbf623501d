//! basic.publish: straight from the read buffer if the content is there whole, else piece by piece.

use bytes::Bytes;

use crate::auth::Tag;
use crate::core::model::batch::COPY_MAX_BYTES;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::protocols::amqp091::channel::Content;
use crate::protocols::amqp091::channel::Partial;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::ContentHeader;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::codec::next_frame;
use crate::protocols::amqp091::codec::write_body_frames;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::delivery::Outgoing;
use crate::protocols::amqp091::delivery::write_header;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::live::Used;
use crate::protocols::amqp091::mapping;
use crate::protocols::amqp091::publisher::Target;
use crate::protocols::amqp091::streams::Stream;

/// RabbitMQ's bound for an expiration, in milliseconds.
const MAX_EXPIRATION_MS: u64 = 4_294_967_295;

impl Live {
    /// Takes a publish with as much of its content as stands `behind` it.
    pub(in crate::protocols::amqp091) fn on_publish(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        publish: &wire::Publish<'_>,
        behind: &[u8],
    ) -> Result<Used, Refusal> {
        let Some(channel) = self.channels.get_mut(&number) else {
            let text = "expected 'channel.open'";
            return Err(Refusal::new(ReplyCode::ChannelError, text));
        };
        if channel.state != State::Open {
            return Ok(Used::Bytes(0));
        }
        if !channel.is_idle() {
            let text = "expected content header for class 60, got non content header frame instead";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        if publish.immediate {
            return Err(Refusal::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        self.has_published = true;
        if turn.core().alarms().any() {
            self.blocked = true;
            self.alarms_changed(turn);
            return Ok(Used::Held);
        }
        if self.publisher.is_full() {
            self.flush(turn)?;
            if self.publisher.is_stalled() || self.refused.is_some() {
                return Ok(Used::Held);
            }
            if self.channel(number)?.state != State::Open {
                return Ok(Used::Bytes(0));
            }
        }
        if let Some(whole) = Whole::behind(turn.link, number, behind)? {
            let target = Target {
                exchange: publish.exchange.as_bytes(),
                key: publish.routing_key.as_bytes(),
                properties: whole.properties,
            };
            let body = DraftBody::Copied(whole.body);
            self.accept(turn, number, publish.mandatory, &target, body)?;
            return Ok(Used::Bytes(whole.used));
        }
        self.channel(number)?.content = Content::Header(Partial::new(publish));
        Ok(Used::Bytes(0))
    }

    /// Publishes a whole content.
    pub(super) fn accept(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        mandatory: bool,
        target: &Target<'_>,
        body: DraftBody<'_>,
    ) -> Result<(), Refusal> {
        let properties = target.properties;
        self.check_user(properties)?;
        let expiration_ms = expiration(properties)?;
        let bytes = match &body {
            DraftBody::Copied(bytes) => bytes.len() as u64,
            DraftBody::Shared(parts) => parts.iter().map(|part| part.len() as u64).sum(),
            DraftBody::File(file) => file.bytes(),
        };
        // Settles that came before stand before it in the log.
        self.settles
            .flush(turn.core(), turn.now)
            .map_err(|error| errors::refusal(&error, ""))?;
        let routed = self
            .publisher
            .route(turn.link, &self.vhost, &self.user, target)?;
        let confirms = self.channel(number)?.confirms.as_mut();
        let tag = confirms.map(|confirms| {
            let tag = confirms.next_tag();
            if !routed {
                confirms.accept(tag..=tag, None);
            }
            tag
        });
        if routed {
            let draft = Draft {
                body,
                durable: properties.is_persistent(),
                priority: properties.priority().unwrap_or(0),
                expiration_ms,
                ..Draft::new(mapping::FORMAT, properties.as_bytes(), "", target.key)
            };
            self.publisher.push(draft, bytes, number, tag);
            return Ok(());
        }
        if tag.is_some() {
            self.publisher.confirms(number);
        }
        self.publisher.count_unroutable(bytes, mandatory);
        if mandatory {
            self.give_back(turn, number, target, body);
        }
        Ok(())
    }

    /// Sends a message back to its publisher (0-9-1 §1.8.3.8).
    fn give_back(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        target: &Target<'_>,
        body: DraftBody<'_>,
    ) {
        let returned = wire::Return {
            reply_code: ReplyCode::NoRoute.code(),
            reply_text: ShortStr::clipped(ReplyCode::NoRoute.name()),
            exchange: ShortStr::new(target.exchange).unwrap_or_default(),
            routing_key: ShortStr::new(target.key).unwrap_or_default(),
        };
        write_method(turn.out.buf(), number, &returned);
        turn.core().metrics().returned.of(DOOR).inc();
        let parts = match body {
            DraftBody::Copied(bytes) => {
                write_header(
                    turn.out.buf(),
                    number,
                    bytes.len(),
                    target.properties.as_bytes(),
                );
                write_body_frames(turn.out.buf(), number, [bytes], turn.link.frame_max);
                return;
            }
            DraftBody::Shared(parts) => parts,
            DraftBody::File(file) => {
                let len = usize::try_from(file.bytes()).unwrap_or(usize::MAX);
                write_header(turn.out.buf(), number, len, target.properties.as_bytes());
                self.streams
                    .add(Stream::returned(number, file, &turn.link.inbox));
                return;
            }
        };
        let len = parts.iter().map(Bytes::len).sum();
        write_header(turn.out.buf(), number, len, target.properties.as_bytes());
        let mut outgoing = Outgoing::of_parts(number, parts);
        if !outgoing.write(turn.link.frame_max, turn.out) {
            self.outgoing = Some(outgoing);
        }
    }

    /// A user-id must be the user's own (RabbitMQ's validated user-id).
    fn check_user(&self, properties: Properties<'_>) -> Result<(), Refusal> {
        let Some(claimed) = properties.user_id() else {
            return Ok(());
        };
        let user = self.user.user.as_str();
        if claimed.as_bytes() == user.as_bytes() || self.user.has(Tag::Impersonator) {
            return Ok(());
        }
        Err(Refusal::precondition(format!(
            "user_id property set to '{}' but authenticated user was '{user}'",
            claimed.lossy()
        )))
    }
}

/// A small content that stands whole behind its publish.
struct Whole<'a> {
    properties: Properties<'a>,
    body: &'a [u8],
    /// Bytes of its frames.
    used: usize,
}

impl<'a> Whole<'a> {
    /// Looks for one at the start of `behind`.
    fn behind(link: &Link, number: u16, behind: &'a [u8]) -> Result<Option<Self>, Refusal> {
        let Some(first) = next_frame(behind, link.frame_max)? else {
            return Ok(None);
        };
        if first.kind != FrameKind::Header || first.channel != number {
            return Ok(None);
        }
        let header = ContentHeader::decode(first.payload)?;
        let is_small = usize::try_from(header.body_size).is_ok_and(|size| size <= COPY_MAX_BYTES);
        if !is_small || header.body_size > link.limits.message_max_bytes {
            return Ok(None);
        }
        let properties = header.properties;
        let used = first.wire_len();
        if header.body_size == 0 {
            let body = &[];
            return Ok(Some(Self {
                properties,
                body,
                used,
            }));
        }
        let behind = behind.get(used..).unwrap_or_default();
        let Some(second) = next_frame(behind, link.frame_max)? else {
            return Ok(None);
        };
        let body = second.payload;
        let is_whole = second.kind == FrameKind::Body
            && second.channel == number
            && u64::try_from(body.len()) == Ok(header.body_size);
        let used = used + second.wire_len();
        Ok(is_whole.then_some(Self {
            properties,
            body,
            used,
        }))
    }
}

/// The time to live, in milliseconds.
fn expiration(properties: Properties<'_>) -> Result<Option<u64>, Refusal> {
    if !properties.has_expiration() {
        return Ok(None);
    }
    let Some(text) = properties.expiration() else {
        return Ok(None);
    };
    let invalid = |error: String| {
        Refusal::precondition(format!("invalid expiration '{}': {error}", text.lossy()))
    };
    let text = text.as_str("expiration")?;
    match text.parse::<i128>() {
        Ok(ms) if ms < 0 => Err(invalid(format!("{{value_negative,{ms}}}"))),
        Ok(ms) => match u64::try_from(ms) {
            Ok(ms) if ms <= MAX_EXPIRATION_MS => Ok(Some(ms)),
            _ => Err(invalid(format!("{{value_too_big,{ms}}}"))),
        },
        Err(_) => Err(invalid("no_integer".to_owned())),
    }
}
