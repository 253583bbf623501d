//! Channels: open, flow, close, confirm mode.

use crate::core::error::CoreError;
use crate::core::model::time::CoreTime;
use crate::core::queue::settle::Outcome;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::Confirms;
use crate::protocols::amqp091::channel::Content;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::channel as wire;
use crate::protocols::amqp091::codec::method::channel::ChannelMethod;
use crate::protocols::amqp091::codec::method::confirm;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::session::End;

impl Live {
    pub(in crate::protocols::amqp091) fn open_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
    ) -> Result<(), Refusal> {
        let most = turn.link.channel_max;
        if number > most || self.channels.len() >= usize::from(most) {
            let open = self.channels.len();
            let text = format!(
                "number of channels opened ({open}) has reached the negotiated channel_max ({most})"
            );
            return Err(Refusal::new(ReplyCode::NotAllowed, text));
        }
        self.channels.insert(number, Channel::new());
        turn.core().metrics().channels.inc();
        self.reply(turn, number, &wire::OpenOk::default(), None);
        Ok(())
    }

    pub(super) fn on_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &ChannelMethod<'_>,
    ) -> Result<(), Refusal> {
        match method {
            ChannelMethod::Flow(flow) => {
                self.channel(number)?.paused = !flow.active;
                if flow.active {
                    self.unpark_channel(number);
                }
                let active = flow.active;
                self.reply(turn, number, &wire::FlowOk { active }, None);
                Ok(())
            }
            ChannelMethod::Close(_) => {
                self.leave_channel(turn.link, number, End::Closed, turn.now)
                    .map_err(|error| errors::refusal(&error, ""))?;
                self.reply(turn, number, &wire::CloseOk {}, None);
                let channel = self.channel(number)?;
                channel.state = State::Leaving;
                if !channel.replies.is_waiting() {
                    self.forget_channel(turn, number);
                }
                Ok(())
            }
            // No flow of ours is under way, nor a close.
            ChannelMethod::FlowOk(_) | ChannelMethod::CloseOk(_) => Ok(()),
            ChannelMethod::Open(_) => {
                let text = "second 'channel.open' seen";
                Err(Refusal::new(ReplyCode::ChannelError, text))
            }
            ChannelMethod::OpenOk(_) => Err(errors::out_of_place("channel.open-ok")),
        }
    }

    /// Closes a channel for a fault: the client's answer is waited for.
    pub(in crate::protocols::amqp091) fn close_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        refusal: &Refusal,
        ids: (u16, u16),
    ) -> Result<(), Refusal> {
        self.flush(turn)?;
        self.leave_channel(turn.link, number, End::Closed, turn.now)
            .map_err(|error| errors::refusal(&error, ""))?;
        let text = refusal.text();
        tracing::debug!(conn = turn.link.conn, protocol = %DOOR, channel = number, error = %text, "channel closed on an error");
        let close = wire::Close {
            reply_code: refusal.code.code(),
            reply_text: ShortStr::clipped(&text),
            class_id: ids.0,
            method_id: ids.1,
        };
        self.reply(turn, number, &close, None);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.state = State::Closing;
        }
        Ok(())
    }

    /// The channel's number is free again.
    pub(in crate::protocols::amqp091) fn forget_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
    ) {
        if self.channels.remove(&number).is_some() {
            turn.core().metrics().channels.dec();
        }
        self.waiting.remove(number);
    }

    /// Consumers leave, leases go back: uncounted after an orderly end; after a lost link the oldest
    /// counts, and everything of a quorum queue (SEMANTICS §3).
    pub(in crate::protocols::amqp091) fn leave_channel(
        &mut self,
        link: &Link,
        number: u16,
        end: End,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        self.release_taken(&link.core, number, now)?;
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        channel.content = Content::None;
        if self.uploading == Some(number) {
            self.uploading = None;
        }
        channel.confirms = None;
        for (_, key) in std::mem::take(&mut channel.tags) {
            if let Some(consumer) = self.consumers.remove(key) {
                link.core.unsubscribe(consumer.place);
                link.core.metrics().consumers.of(DOOR).dec();
            }
        }
        let mut oldest = end == End::Lost;
        let leases: Vec<_> = channel.unacked.take_all().collect();
        channel.in_flight = 0;
        let (settles, core) = (&mut self.settles, &link.core);
        for lease in leases {
            let Some(source) = channel.sources.get(lease.source) else {
                continue;
            };
            let counted = std::mem::take(&mut oldest) || (end == End::Lost && source.is_quorum);
            let outcome = Outcome::Release { counted };
            settles.add(core, &source.queue, lease.lease, outcome, now)?;
        }
        settles.flush(core, now)
    }

    pub(super) fn confirm_select(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        nowait: bool,
    ) -> Result<(), Refusal> {
        self.channel(number)?
            .confirms
            .get_or_insert_with(Confirms::default);
        if !nowait {
            self.reply(turn, number, &confirm::SelectOk {}, None);
        }
        Ok(())
    }

    /// The connection is over: everything goes back.
    pub(in crate::protocols::amqp091) fn end(&mut self, link: &Link, end: End, now: CoreTime) {
        let ended = self.try_end(link, end, now);
        if let Err(error) = ended {
            tracing::warn!(conn = link.conn, protocol = %DOOR, %error, "leases could not be given back");
        }
    }

    fn try_end(&mut self, link: &Link, end: End, now: CoreTime) -> Result<(), CoreError> {
        let core = &link.core;
        // Whole frames that came are processed, even those that the log had no room for.
        let pushed = self
            .publisher
            .flush(core, &mut self.channels, now)
            .and_then(|()| self.publisher.retry(core, &mut self.channels, now));
        if let Err(refusal) = pushed {
            tracing::warn!(conn = link.conn, protocol = %DOOR, error = %refusal.text(), "publishes were lost");
        }
        self.settles.flush(core, now)?;
        let numbers: Vec<u16> = self.channels.keys().copied().collect();
        for number in numbers {
            self.leave_channel(link, number, end, now)?;
        }
        for _ in std::mem::take(&mut self.channels) {
            core.metrics().channels.dec();
        }
        self.outgoing = None;
        Ok(())
    }
}
