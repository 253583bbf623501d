//! Deliveries: consumers take by turns, up to their credit and to the room in the output.

use crate::core::Core;
use crate::core::error::CoreError;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::take::Lease as TakeLease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::Lease;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::consumers::Consumer;
use crate::protocols::amqp091::consumers::Doing;
use crate::protocols::amqp091::delivery;
use crate::protocols::amqp091::delivery::Outgoing;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::live::Taken;
use crate::protocols::amqp091::streams::GIVEN_BACK;

/// A delivery of an empty body takes about this many bytes of output: bounds how many are taken for
/// the room that there is.
const MIN_DELIVERY_BYTES: usize = 128;

/// What became of a turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turned {
    Done,
    /// Answers of its channel come first, or the rest of a content.
    Skipped,
}

impl Live {
    /// Takes by turns while there is room, and writes what was taken.
    pub(in crate::protocols::amqp091) fn deliver(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), CoreError> {
        let mut count = Count::default();
        self.write_taken(turn, &mut count);
        // The method is next, before more is taken: a cancel or a close does not wait for the backlog.
        let turn_of_method = self.method_waits.is_some_and(|ch| !self.streams.has(ch));
        if turn_of_method && self.outgoing.is_none() && self.taken.is_empty() {
            self.method_waits = None;
        }
        let mut skipped = Vec::new();
        while !turn_of_method
            && self.outgoing.is_none()
            && self.taken.is_empty()
            && turn.out.room() > 0
        {
            let Some(key) = self.consumers.next_turn() else {
                break;
            };
            if self.take_turn(turn, key)? == Turned::Skipped {
                skipped.push(key);
            }
            self.write_taken(turn, &mut count);
        }
        for key in skipped {
            self.consumers.again(key);
        }
        count.report(turn.core());
        self.decline_owed(turn)
    }

    /// No room, or answers come first: whoever else waits at these queues may take.
    pub(in crate::protocols::amqp091) fn decline_owed(
        &mut self,
        turn: &Turn<'_>,
    ) -> Result<(), CoreError> {
        for consumer in self.consumers.owing() {
            turn.core().decline(&consumer.place, turn.now)?;
        }
        Ok(())
    }

    /// Takes for one consumer.
    fn take_turn(&mut self, turn: &mut Turn<'_>, key: u64) -> Result<Turned, CoreError> {
        let Some(consumer) = self.consumers.get_mut(key) else {
            return Ok(Turned::Done);
        };
        let Some(channel) = self.channels.get_mut(&consumer.channel) else {
            return Ok(Turned::Done);
        };
        if channel.replies.is_waiting() || self.streams.has(consumer.channel) {
            return Ok(Turned::Skipped);
        }
        let credit = credit(channel, consumer);
        let owed = std::mem::take(&mut consumer.owes);
        if credit == 0 {
            consumer.doing = Doing::Parked;
            if owed {
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
        let took = turn
            .core()
            .take(&consumer.place, terms, turn.now, &mut self.scratch)?;
        if !consumer.no_ack {
            consumer.in_flight += self.scratch.len();
            channel.in_flight += self.scratch.len();
        }
        match took {
            Took::Entries { .. } => self.consumers.again(key),
            Took::Nothing | Took::Loading | Took::Gone => consumer.doing = Doing::Waiting,
        }
        let taken = self.scratch.drain(..).map(|delivery| Taken {
            consumer: key,
            delivery,
        });
        self.taken.extend(taken);
        Ok(Turned::Done)
    }

    /// Writes what was taken, as far as there is room.
    fn write_taken(&mut self, turn: &mut Turn<'_>, count: &mut Count) {
        while let Some(first) = self.taken.front() {
            let key = first.consumer;
            let Some(consumer) = self.consumers.get_mut(key) else {
                // Whoever removes a consumer sees to what was taken for it.
                self.taken.pop_front();
                continue;
            };
            let Some(channel) = self.channels.get_mut(&consumer.channel) else {
                self.taken.pop_front();
                continue;
            };
            while self
                .taken
                .front()
                .is_some_and(|taken| taken.consumer == key)
            {
                let number = consumer.channel;
                if self.outgoing.is_some() || turn.out.room() == 0 || self.streams.has(number) {
                    return;
                }
                let Some(taken) = self.taken.pop_front() else {
                    break;
                };
                if taken.delivery.message.body_file().is_some() {
                    self.stream_delivery(turn, number, taken);
                    break;
                }
                write(turn, channel, consumer, key, &taken.delivery);
                self.outgoing = write_body(turn, number, &taken.delivery);
                count.add(&taken.delivery);
            }
        }
    }

    /// Writes method and header of a delivery whose body is in a file; false: its consumer is gone.
    pub(in crate::protocols::amqp091) fn start_delivery(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        taken: &Taken,
    ) -> bool {
        // Whoever removes a consumer sees to its deliveries that were not begun.
        let (Some(consumer), Some(channel)) = (
            self.consumers.get_mut(taken.consumer),
            self.channels.get_mut(&number),
        ) else {
            return false;
        };
        write(turn, channel, consumer, taken.consumer, &taken.delivery);
        let mut count = Count::default();
        count.add(&taken.delivery);
        count.report(turn.core());
        true
    }

    /// What was taken for a channel and never written goes back as if it had not been.
    pub(super) fn release_taken(
        &mut self,
        core: &Core,
        channel: u16,
        now: CoreTime,
    ) -> Result<(), CoreError> {
        for got in self
            .end_streams(channel)
            .into_iter()
            .filter(|got| !got.no_ack)
        {
            let lease = LeaseRef {
                seq: got.delivery.seq,
                attempt: got.delivery.attempt,
            };
            self.settles.add(core, &got.queue, lease, GIVEN_BACK, now)?;
        }
        for taken in std::mem::take(&mut self.taken) {
            let Some(consumer) = self.consumers.get_mut(taken.consumer) else {
                continue;
            };
            if consumer.channel != channel {
                self.taken.push_back(taken);
                continue;
            }
            if consumer.no_ack {
                continue;
            }
            let lease = LeaseRef {
                seq: taken.delivery.seq,
                attempt: taken.delivery.attempt,
            };
            self.settles
                .add(core, consumer.place.queue(), lease, GIVEN_BACK, now)?;
        }
        self.settles.flush(core, now)
    }
}

/// The least of a consumer's pools; what need not be acknowledged counts against none.
fn credit(channel: &Channel, consumer: &Consumer) -> usize {
    match channel.credit() {
        _ if consumer.no_ack && !channel.paused => usize::MAX,
        credit => credit.min(consumer.credit()),
    }
}

/// Writes method and header of a delivery.
fn write(
    turn: &mut Turn<'_>,
    channel: &mut Channel,
    consumer: &Consumer,
    key: u64,
    delivery: &Delivery,
) {
    let (number, tag) = (consumer.channel, channel.next_tag());
    if !consumer.no_ack {
        let lease = LeaseRef {
            seq: delivery.seq,
            attempt: delivery.attempt,
        };
        let lease = Lease {
            source: consumer.source,
            consumer: Some(key),
            lease,
        };
        channel.unacked.push(tag, lease);
    }
    let (exchange, routing_key) = delivery::routed(delivery);
    let deliver = wire::Deliver {
        consumer_tag: ShortStr::new(&consumer.tag).unwrap_or_default(),
        delivery_tag: tag,
        redelivered: delivery.is_redelivered(),
        exchange: ShortStr::clipped(exchange),
        routing_key: ShortStr::new(routing_key).unwrap_or_default(),
    };
    write_method(turn.out.buf(), number, &deliver);
    let shows_count = channel.shows_count(consumer.source);
    let head = delivery::head(turn.core(), delivery, shows_count);
    let len = delivery.message.body_len();
    delivery::write_header(turn.out.buf(), number, len, &head);
}

/// Writes the body of a delivery; what there is no room for comes back.
fn write_body(turn: &mut Turn<'_>, number: u16, delivery: &Delivery) -> Option<Outgoing> {
    delivery::write_body(number, &delivery.message, turn.link.frame_max, turn.out)
}

/// Deliveries of a round, counted once.
#[derive(Default)]
pub(super) struct Count {
    messages: u64,
    bytes: u64,
    again: u64,
}

impl Count {
    pub(super) fn add(&mut self, delivery: &Delivery) {
        self.messages += 1;
        self.bytes += delivery.message.body_len() as u64;
        self.again += u64::from(delivery.is_redelivered());
    }

    pub(super) fn report(&self, core: &Core) {
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
