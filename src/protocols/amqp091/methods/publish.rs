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
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::codec::next_frame;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::live::Used;
use crate::protocols::amqp091::mapping;
use crate::protocols::amqp091::publisher::Target;

/// Class and method of basic.publish, for faults that show with its content.
const PUBLISH: (u16, u16) = (60, 40);

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
            if self.publisher.is_stalled() {
                return Ok(Used::Held);
            }
        }
        let frame_max = turn.link.frame_max;
        if let Some((header, body, used)) = whole_content(number, behind, frame_max)? {
            let target = Target {
                exchange: publish.exchange.as_bytes(),
                key: publish.routing_key.as_bytes(),
                properties: header.properties,
            };
            self.accept(
                turn,
                number,
                publish.mandatory,
                &target,
                DraftBody::Copied(body),
            )?;
            return Ok(Used::Bytes(used));
        }
        self.channel(number)?.content = Content::Header(Partial::new(publish));
        Ok(Used::Bytes(0))
    }

    /// A content header on its own.
    pub(in crate::protocols::amqp091) fn on_header(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let Some(channel) = self.open_for_content(number)? else {
            return Ok(());
        };
        let Content::Header(mut partial) = std::mem::take(&mut channel.content) else {
            let text = "expected method frame, got content header frame instead";
            return Err(Fault::new(
                Refusal::new(ReplyCode::UnexpectedFrame, text),
                PUBLISH,
            ));
        };
        let header =
            ContentHeader::decode(payload).map_err(|error| Fault::new(error.into(), PUBLISH))?;
        let most = turn.link.limits.message_max_bytes;
        if header.body_size > most {
            let text = format!(
                "message size {} is larger than configured max size {most}",
                header.body_size
            );
            return self.refuse(turn, number, Refusal::precondition(text), PUBLISH);
        }
        partial.set_header(header.properties.as_bytes(), header.body_size);
        self.go_on(turn, number, partial)
    }

    /// A body frame of a small body.
    pub(in crate::protocols::amqp091) fn on_body(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Fault> {
        let Some(channel) = self.open_for_content(number)? else {
            return Ok(());
        };
        let Content::Body(mut partial) = std::mem::take(&mut channel.content) else {
            let text = "expected method frame, got content body frame instead";
            return Err(Fault::new(
                Refusal::new(ReplyCode::UnexpectedFrame, text),
                PUBLISH,
            ));
        };
        partial.copy(payload)?;
        self.go_on(turn, number, partial)
    }

    /// Whether a body frame of this channel is to be kept as a slice of the read buffer.
    pub(in crate::protocols::amqp091) fn shares_body(&self, number: u16) -> bool {
        self.channels
            .get(&number)
            .is_some_and(|channel| match &channel.content {
                Content::Body(partial) => partial.shares(),
                Content::None | Content::Header(_) => false,
            })
    }

    /// A body frame of a large body.
    pub(in crate::protocols::amqp091) fn on_shared_body(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        payload: Bytes,
    ) -> Result<(), Fault> {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        if let Content::Body(mut partial) = std::mem::take(&mut channel.content) {
            partial.share(payload)?;
            return self.go_on(turn, number, partial);
        }
        Ok(())
    }

    /// The channel that a content frame belongs to; none if it is to be ignored.
    fn open_for_content(
        &mut self,
        number: u16,
    ) -> Result<Option<&mut crate::protocols::amqp091::channel::Channel>, Refusal> {
        let channel = self.channel(number)?;
        Ok((channel.state == State::Open).then_some(channel))
    }

    /// Publishes a content that is whole, or waits for the rest.
    fn go_on(&mut self, turn: &mut Turn<'_>, number: u16, partial: Partial) -> Result<(), Fault> {
        if !partial.is_whole() {
            self.channel(number)?.content = Content::Body(partial);
            return Ok(());
        }
        let target = Target {
            exchange: &partial.exchange,
            key: &partial.routing_key,
            properties: Properties::of_validated(&partial.head),
        };
        let body = partial.body().draft();
        match self.accept(turn, number, partial.mandatory, &target, body) {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(turn, number, refusal, PUBLISH),
        }
    }

    /// Publishes a whole content.
    fn accept(
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

/// A content that stands whole behind its publish, if it is small: header, body, bytes of both frames.
fn whole_content(
    number: u16,
    behind: &[u8],
    frame_max: u32,
) -> Result<Option<(ContentHeader<'_>, &[u8], usize)>, Refusal> {
    let Some(first) = next_frame(behind, frame_max)? else {
        return Ok(None);
    };
    if first.kind != FrameKind::Header || first.channel != number {
        return Ok(None);
    }
    let header = ContentHeader::decode(first.payload)?;
    let used = first.wire_len();
    if header.body_size == 0 {
        return Ok(Some((header, &[], used)));
    }
    if usize::try_from(header.body_size).map_or(true, |size| size > COPY_MAX_BYTES) {
        return Ok(None);
    }
    let Some(second) = next_frame(behind.get(used..).unwrap_or_default(), frame_max)? else {
        return Ok(None);
    };
    let is_whole = second.kind == FrameKind::Body
        && second.channel == number
        && u64::try_from(second.payload.len()) == Ok(header.body_size);
    let used = used + second.wire_len();
    Ok(is_whole.then_some((header, second.payload, used)))
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
