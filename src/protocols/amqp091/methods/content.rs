//! Content that comes in pieces: what crosses a read, and every body that core does not copy.

use bytes::Bytes;

use crate::core::log::bodies::LARGE_BODY_BYTES;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::Content;
use crate::protocols::amqp091::channel::Partial;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::ContentHeader;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::publisher::Target;

/// Class and method of basic.publish, for faults that show with its content.
pub(in crate::protocols::amqp091) const PUBLISH: (u16, u16) = (60, 40);

impl Live {
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
        if header.body_size >= LARGE_BODY_BYTES {
            self.begin_large(turn, number, partial, header.properties.is_persistent());
            return Ok(());
        }
        self.check_unfinished(most, header.body_size)?;
        self.go_on(turn, number, partial)
    }

    /// Bodies that a client has begun on all its channels stand in memory without being counted; those that go to
    /// files are charged for what they take.
    fn check_unfinished(&self, message_max: u64, size: u64) -> Result<(), Refusal> {
        let unfinished = self
            .channels
            .values()
            .map(|channel| match &channel.content {
                Content::Body(partial) => partial.size(),
                Content::None | Content::Header(_) | Content::Large(_) => 0,
            });
        if unfinished.sum::<u64>().saturating_add(size) <= message_max.saturating_mul(2) {
            return Ok(());
        }
        let text = "too many unfinished messages at a time, on channels of one connection";
        Err(Refusal::new(ReplyCode::ResourceError, text))
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
                Content::None | Content::Header(_) | Content::Large(_) => false,
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
    fn open_for_content(&mut self, number: u16) -> Result<Option<&mut Channel>, Refusal> {
        let channel = self.channel(number)?;
        Ok((channel.state == State::Open).then_some(channel))
    }

    /// Publishes a content that is whole, or waits for the rest.
    fn go_on(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        mut partial: Partial,
    ) -> Result<(), Fault> {
        if !partial.is_whole() {
            self.channel(number)?.content = Content::Body(partial);
            return Ok(());
        }
        // The body leaves, so that the rest can be lent.
        let (head, exchange) = (
            std::mem::take(&mut partial.head),
            std::mem::take(&mut partial.exchange),
        );
        let (key, mandatory) = (std::mem::take(&mut partial.routing_key), partial.mandatory);
        let target = Target {
            exchange: &exchange,
            key: &key,
            properties: Properties::of_validated(&head),
        };
        let body = partial.body();
        match self.accept(turn, number, mandatory, &target, body) {
            Ok(()) => Ok(()),
            Err(refusal) => self.refuse(turn, number, refusal, PUBLISH),
        }
    }
}
