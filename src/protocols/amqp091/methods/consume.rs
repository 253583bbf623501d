//! Consumers: start, cancel, and the end of their queue.

use crate::auth::Action;
use crate::core::error::CoreError;
use crate::core::queue::settle::LeaseRef;
use crate::protocols::amqp091::arguments;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::consumers::Consumer;
use crate::protocols::amqp091::consumers::Doing;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::queue::generated;
use crate::protocols::amqp091::streams::GIVEN_BACK;

impl Live {
    pub(super) fn basic_consume(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Consume<'_>,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(number, method.queue)?;
        self.permit_queue(turn, Action::Read, &name)?;
        if method.exclusive {
            return Err(Refusal::later("exclusive consumers"));
        }
        if arguments::has(method.arguments, "x-priority") {
            return Err(Refusal::later("consumer priorities"));
        }
        let generated_tag;
        let tag = if method.consumer_tag.is_empty() {
            generated_tag = generated("amq.ctag-")?;
            generated_tag.as_bytes()
        } else {
            method.consumer_tag.as_bytes()
        };
        if self.channel(number)?.tags.contains_key(tag) {
            let text = format!(
                "attempt to reuse consumer tag '{}'",
                method.consumer_tag.lossy()
            );
            return Err(Refusal::new(ReplyCode::NotAllowed, text));
        }
        let key = self.consumers.next_key();
        let queue = self
            .vhost
            .queue(&name)
            .map_err(|error| errors::refusal(&error, ""))?;
        let place = turn
            .core()
            .subscribe(&queue, &turn.link.inbox, key, true)
            .map_err(|error| errors::refusal(&error, ""))?;
        let channel = self.channel(number)?;
        channel.tags.insert(tag.into(), key);
        let consumer = Consumer {
            channel: number,
            tag: tag.into(),
            place,
            source: channel.source(&queue),
            no_ack: method.no_ack,
            prefetch: channel.consumer_prefetch,
            in_flight: 0,
            doing: Doing::Taking,
            owes: false,
        };
        self.consumers.add(key, consumer);
        turn.core().metrics().consumers.of(DOOR).inc();
        if !method.nowait {
            let consumer_tag = ShortStr::new(tag)?;
            self.reply(turn, number, &wire::ConsumeOk { consumer_tag }, None);
        }
        Ok(())
    }

    pub(super) fn basic_cancel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Cancel<'_>,
    ) -> Result<(), Refusal> {
        let tag = method.consumer_tag;
        if let Some(key) = self.channel(number)?.tags.remove(tag.as_bytes())
            && let Some(consumer) = self.consumers.remove(key)
        {
            // What it holds stays with the channel.
            turn.core().unsubscribe(consumer.place);
            turn.core().metrics().consumers.of(DOOR).dec();
        }
        if !method.nowait {
            self.reply(turn, number, &wire::CancelOk { consumer_tag: tag }, None);
        }
        Ok(())
    }

    /// A consumer's queue is gone, or quarantined: clients that want to know are told (RabbitMQ). What they have stays
    /// theirs to settle.
    pub(in crate::protocols::amqp091) fn cancelled(
        &mut self,
        turn: &mut Turn<'_>,
        key: u64,
    ) -> Result<(), CoreError> {
        let Some(consumer) = self.consumers.remove(key) else {
            return Ok(());
        };
        turn.core().metrics().consumers.of(DOOR).dec();
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return Ok(());
        };
        channel.tags.remove(&consumer.tag);
        // What was taken and not written goes back, if there is still a queue; nobody will acknowledge it.
        let (unwritten, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.taken)
            .into_iter()
            .partition(|taken| taken.consumer == key);
        self.taken = others.into();
        let unstarted = self.streams.take_unstarted(key);
        let unwritten: Vec<_> = unwritten.into_iter().chain(unstarted).collect();
        for taken in unwritten.iter().filter(|_| !consumer.no_ack) {
            let lease = LeaseRef {
                seq: taken.delivery.seq,
                attempt: taken.delivery.attempt,
            };
            let (core, queue) = (turn.core(), consumer.place.queue());
            self.settles.add(core, queue, lease, GIVEN_BACK, turn.now)?;
        }
        self.settles.flush(turn.core(), turn.now)?;
        let unwritten = unwritten.len();
        if !consumer.no_ack {
            channel.in_flight = channel.in_flight.saturating_sub(unwritten);
        }
        if turn.link.client.consumer_cancel_notify {
            let cancel = wire::Cancel {
                consumer_tag: ShortStr::new(&consumer.tag).unwrap_or_default(),
                nowait: true,
            };
            // A body may be half out, so it is written with the next pull.
            channel.replies.queue(consumer.channel, &cancel, None);
            self.waiting.insert(consumer.channel);
            self.answers += 1;
        }
        if unwritten > 0 {
            self.unpark_channel(consumer.channel);
        }
        Ok(())
    }

    /// Consumers of a channel may have credit again.
    pub(in crate::protocols::amqp091) fn unpark_channel(&mut self, number: u16) {
        if let Some(channel) = self.channels.get(&number) {
            for key in channel.tags.values() {
                self.consumers.unpark(*key);
            }
        }
    }
}
