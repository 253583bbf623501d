//! Contents whose body goes to a file as it comes: no frame of it is ever whole in memory.
//!
//! ```text
//! header ─► Content::Large ─ bytes of body frames ─► Upload ─► file
//!                          all of it ─► held until the file is safe ─► published, behind what came before
//! ```
//! The connection is not read from while the disk is behind, nor from the last byte until the body is safe: what
//! comes behind it stays behind it.

use crate::core::log::bodies::BodyError;
use crate::core::model::batch::DraftBody;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::Content;
use crate::protocols::amqp091::channel::Large;
use crate::protocols::amqp091::channel::Partial;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::frame::FRAME_HEAD_BYTES;
use crate::protocols::amqp091::codec::frame::check_end;
use crate::protocols::amqp091::codec::frame::next_head;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::content::PUBLISH;
use crate::protocols::amqp091::publisher::Target;

/// A body frame that is taken as it comes.
#[derive(Clone, Copy, Debug)]
pub(in crate::protocols::amqp091) struct Incoming {
    channel: u16,
    /// Octets of its payload that are still to come; its end octet is, in any case.
    left: usize,
}

impl Live {
    /// The header of a large content came.
    pub(super) fn begin_large(
        &mut self,
        turn: &Turn<'_>,
        number: u16,
        publish: Partial,
        durable: bool,
    ) {
        let upload = turn
            .core()
            .upload(publish.size(), durable, &turn.link.inbox);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.content = Content::Large(Box::new(Large { publish, upload }));
        }
    }

    /// Takes what there is of a body frame that goes to a file, and says how much it used: nothing if more must come,
    /// or the disk has no room for it now. None: what is next is something else.
    pub(in crate::protocols::amqp091) fn take_large(
        &mut self,
        turn: &mut Turn<'_>,
        input: &[u8],
    ) -> Result<Option<usize>, Fault> {
        let (head, frame) = match self.incoming {
            Some(frame) => (0, frame),
            None => match self.large_frame(turn, input)? {
                Some(frame) => (FRAME_HEAD_BYTES, frame),
                None => return Ok(None),
            },
        };
        if self.large(frame.channel).is_some() && turn.core().alarms().disk() {
            self.blocked = true;
            self.alarms_changed(turn);
            return Ok(Some(0));
        }
        let rest = input.get(head..).unwrap_or_default();
        let (payload, tail) = rest.split_at(rest.len().min(frame.left));
        let left = frame.left - payload.len();
        let (channel, end) = (frame.channel, tail.first().filter(|_| left == 0));
        self.incoming = match end {
            Some(octet) => {
                check_end(*octet)?;
                None
            }
            None => Some(Incoming { channel, left }),
        };
        self.add_to_large(turn, channel, payload)?;
        Ok(Some(head + payload.len() + usize::from(end.is_some())))
    }

    /// The next frame, if it is one that goes to a file.
    fn large_frame(&mut self, turn: &Turn<'_>, input: &[u8]) -> Result<Option<Incoming>, Fault> {
        let Some(head) = next_head(input, turn.link.frame_max)? else {
            return Ok(None);
        };
        let Some(large) = self
            .large(head.channel)
            .filter(|_| head.kind == FrameKind::Body)
        else {
            return Ok(None);
        };
        if u64::try_from(head.size).map_or(true, |size| size > large.upload.missing()) {
            return Err(Fault::new(large.publish.too_long(), PUBLISH));
        }
        Ok(Some(Incoming {
            channel: head.channel,
            left: head.size,
        }))
    }

    fn large(&mut self, number: u16) -> Option<&mut Large> {
        match self.channels.get_mut(&number) {
            Some(Channel {
                state: State::Open,
                content: Content::Large(large),
                ..
            }) => Some(large),
            _ => None,
        }
    }

    fn add_to_large(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        payload: &[u8],
    ) -> Result<(), Fault> {
        // Of a content that was given up meanwhile, the rest of its frame is passed over.
        let Some(large) = self.large(number) else {
            return Ok(());
        };
        large.upload.add(payload);
        if large.upload.ended().is_some() || large.upload.is_behind() {
            self.uploading = Some(number);
            self.go_on_large(turn)?;
        }
        Ok(())
    }

    /// Looks whether the content that the connection waits for has come further.
    pub(in crate::protocols::amqp091) fn go_on_large(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), Fault> {
        let Some(number) = self.uploading else {
            return Ok(());
        };
        let may_return = self.outgoing.is_none() && !self.streams.has(number);
        let Some(large) = self.large(number) else {
            self.uploading = None;
            return Ok(());
        };
        match large.upload.ended() {
            None if large.upload.is_behind() => {}
            None => self.uploading = None,
            Some(Err(error)) => {
                self.uploading = None;
                self.give_up_large(turn, number, error)?;
            }
            // It may come back, and its channel is in the middle of another content.
            Some(Ok(())) if large.publish.mandatory && !may_return => {}
            Some(Ok(())) => self.publish_large(turn, number)?,
        }
        Ok(())
    }

    fn give_up_large(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        error: BodyError,
    ) -> Result<(), Fault> {
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.content = Content::None;
        }
        let code = match error {
            // "… at the present time. The client may retry at a later time" (0-9-1 §1.5).
            BodyError::Full => ReplyCode::ContentTooLarge,
            BodyError::Failed | BodyError::Damaged => ReplyCode::InternalError,
        };
        self.refuse(turn, number, Refusal::new(code, error.to_string()), PUBLISH)
    }

    /// Publishes a content whose body is safe. In a batch of its own: its neighbours would keep its file from going.
    fn publish_large(&mut self, turn: &mut Turn<'_>, number: u16) -> Result<(), Fault> {
        self.flush(turn)?;
        if self.publisher.is_stalled() {
            return Ok(());
        }
        self.uploading = None;
        let content = match self.channels.get_mut(&number) {
            Some(channel) => std::mem::take(&mut channel.content),
            None => Content::None,
        };
        let Content::Large(large) = content else {
            return Ok(());
        };
        let Large { publish, upload } = *large;
        let target = Target {
            exchange: &publish.exchange,
            key: &publish.routing_key,
            properties: Properties::of_validated(&publish.head),
        };
        let body = DraftBody::File(upload.into_file());
        match self.accept(turn, number, publish.mandatory, &target, body) {
            Ok(()) => Ok(self.flush(turn)?),
            Err(refusal) => self.refuse(turn, number, refusal, PUBLISH),
        }
    }
}
