//! Consumers: start, cancel, and deliveries by turns.

use crate::auth::Action;
use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;
use crate::core::queue::take::Lease as TakeLease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;
use crate::protocols::amqp091::arguments;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::Lease;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::consumers::Consumer;
use crate::protocols::amqp091::consumers::Doing;
use crate::protocols::amqp091::delivery;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::live::Taken;
use crate::protocols::amqp091::mapping;
use crate::protocols::amqp091::methods::queue::generated;

/// A delivery of an empty body takes about this many bytes of output: bounds how many are taken for
/// the room that there is.
const MIN_DELIVERY_BYTES: usize = 128;

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

    /// A consumer's queue is gone: clients that want to know are told (RabbitMQ).
    pub(in crate::protocols::amqp091) fn cancelled(&mut self, turn: &mut Turn<'_>, key: u64) {
        let Some(consumer) = self.consumers.remove(key) else {
            return;
        };
        turn.core().metrics().consumers.of(DOOR).dec();
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return;
        };
        channel.tags.remove(&consumer.tag);
        if turn.link.client.consumer_cancel_notify {
            let cancel = wire::Cancel {
                consumer_tag: ShortStr::new(&consumer.tag).unwrap_or_default(),
                nowait: true,
            };
            // A body may be half out, so it is written with the next pull.
            channel.replies.queue(consumer.channel, &cancel, None);
            self.waiting.insert(consumer.channel);
        }
    }

    /// Consumers of a channel may have credit again.
    pub(super) fn unpark_channel(&mut self, number: u16) {
        if let Some(channel) = self.channels.get(&number) {
            for key in channel.tags.values() {
                self.consumers.unpark(*key);
            }
        }
    }

    /// Takes by turns while there is room, and writes what was taken.
    pub(in crate::protocols::amqp091) fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), CoreError> {
        let mut count = Count::default();
        while self.outgoing.is_none() && turn.out.room() > 0 {
            let Some(taken) = self.taken.pop_front() else {
                break;
            };
            self.write_delivery(turn, &taken, &mut count);
        }
        let mut skipped = Vec::new();
        while self.outgoing.is_none() && self.taken.is_empty() && turn.out.room() > 0 {
            let Some(key) = self.consumers.next_turn() else {
                break;
            };
            if self.take_turn(turn, key, &mut count)? == Turned::Skipped {
                skipped.push(key);
            }
        }
        for key in skipped {
            self.consumers.again(key);
        }
        if self.consumers.turns() > 0 {
            // No room, or answers come first: whoever else waits at these queues may take.
            for consumer in self.consumers.owing() {
                consumer.owes = false;
                turn.core().decline(&consumer.place, turn.now)?;
            }
        }
        count.report(turn.core());
        Ok(())
    }

    fn take_turn(
        &mut self,
        turn: &mut Turn<'_>,
        key: u64,
        count: &mut Count,
    ) -> Result<Turned, CoreError> {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return Ok(Turned::Done);
        };
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return Ok(Turned::Done);
        };
        if channel.replies.is_waiting() {
            return Ok(Turned::Skipped);
        }
        let credit = match channel.credit() {
            // Only what is acknowledged counts against a channel's limit.
            credit if consumer.no_ack && !channel.paused => credit.max(usize::MAX),
            credit => credit.min(consumer.credit()),
        };
        if credit == 0 {
            consumer.doing = Doing::Parked;
            if std::mem::take(&mut consumer.owes) {
                turn.core().decline(&consumer.place, turn.now)?;
            }
            return Ok(Turned::Done);
        }
        let room = turn.out.room();
        let terms = Terms {
            lease: if consumer.no_ack {
                TakeLease::Settled
            } else {
                TakeLease::Link
            },
            entries: credit.min(1 + room / MIN_DELIVERY_BYTES),
            bytes: room,
            wait: true,
        };
        consumer.owes = false;
        let mut deliveries = Vec::new();
        let took = turn
            .core()
            .take(&consumer.place, terms, turn.now, &mut deliveries)?;
        if !consumer.no_ack {
            consumer.in_flight += deliveries.len();
            channel.in_flight += deliveries.len();
        }
        match took {
            Took::Entries { .. } => self.consumers.again(key),
            Took::Nothing | Took::Gone => consumer.doing = Doing::Waiting,
        }
        let taken = deliveries.into_iter().map(|delivery| Taken {
            consumer: key,
            delivery,
        });
        self.taken.extend(taken);
        while self.outgoing.is_none() && turn.out.room() > 0 {
            let Some(taken) = self.taken.pop_front() else {
                break;
            };
            self.write_delivery(turn, &taken, count);
        }
        Ok(Turned::Done)
    }

    /// Writes a delivery; a body that there is no room for goes on with the next pull.
    fn write_delivery(&mut self, turn: &mut Turn<'_>, taken: &Taken, count: &mut Count) {
        let delivery = &taken.delivery;
        let Some(consumer) = self.consumers.get_mut(taken.consumer) else {
            return;
        };
        let number = consumer.channel;
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        let tag = channel.next_tag();
        if !consumer.no_ack {
            channel
                .unacked
                .push(tag, lease_of(delivery, consumer.source, taken.consumer));
        }
        let (exchange, key) = delivery::routed(delivery);
        let deliver = wire::Deliver {
            consumer_tag: ShortStr::new(&consumer.tag).unwrap_or_default(),
            delivery_tag: tag,
            redelivered: delivery.is_redelivered(),
            exchange: ShortStr::clipped(exchange),
            routing_key: ShortStr::new(key).unwrap_or_default(),
        };
        write_method(turn.out.buf(), number, &deliver);
        let shows_count = channel.shows_count(consumer.source);
        let head = mapping::head_for(
            turn.core().formats(),
            &delivery.message,
            delivery.overlay.as_deref(),
            delivery::shown_count(delivery, shows_count),
        );
        let rest = delivery::write_content(
            number,
            &delivery.message,
            &head,
            turn.link.frame_max,
            turn.out,
        );
        self.outgoing = rest;
        count.add(delivery);
    }

    /// What was taken and never written goes back as if it had not been.
    pub(super) fn release_taken(&mut self, core: &Core, now: CoreTime) -> Result<(), CoreError> {
        for taken in std::mem::take(&mut self.taken) {
            let Some(consumer) = self.consumers.get_mut(taken.consumer) else {
                continue;
            };
            if consumer.no_ack {
                continue;
            }
            let lease = LeaseRef {
                seq: taken.delivery.seq,
                attempt: taken.delivery.attempt,
            };
            let outcome = Outcome::Release { counted: false };
            self.settles
                .add(core, consumer.place.queue(), lease, outcome, now)?;
        }
        self.settles.flush(core, now)
    }
}

fn lease_of(delivery: &Delivery, source: usize, consumer: u64) -> Lease {
    Lease {
        source,
        consumer: Some(consumer),
        lease: LeaseRef {
            seq: delivery.seq,
            attempt: delivery.attempt,
        },
    }
}

/// What became of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    Done,
    /// Answers of its channel come first.
    Skipped,
}

/// Deliveries of a round, counted once.
#[derive(Default)]
struct Count {
    messages: u64,
    bytes: u64,
    again: u64,
}

impl Count {
    fn add(&mut self, delivery: &Delivery) {
        self.messages += 1;
        self.bytes += delivery.message.body_len() as u64;
        self.again += u64::from(delivery.is_redelivered());
    }

    fn report(&self, core: &Core) {
        if self.messages == 0 {
            return;
        }
        let metrics = core.metrics();
        metrics.write_messages.inc_by(self.messages);
        metrics.delivered.of(DOOR).inc_by(self.messages);
        metrics.delivered_bytes.of(DOOR).inc_by(self.bytes);
        metrics.redelivered.of(DOOR).inc_by(self.again);
    }
}

impl Channel {
    /// Whether deliveries of a source show how often they failed.
    pub(super) fn shows_count(&self, source: usize) -> bool {
        self.sources
            .get(source)
            .is_some_and(|source| source.is_quorum)
    }
}
