//! basic.qos and basic.get.

use std::sync::Arc;

use crate::auth::Action;
use crate::core::queue::Queue;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::take::Lease as TakeLease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;
use crate::protocols::amqp091::channel::Lease;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::delivery;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Getting;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::deliver::Count;
use crate::protocols::amqp091::streams::Got;

impl Live {
    pub(super) fn basic_qos(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Qos,
    ) -> Result<(), Refusal> {
        if method.prefetch_size != 0 {
            let text = format!("prefetch_size!=0 ({})", method.prefetch_size);
            return Err(Refusal::new(ReplyCode::NotImplemented, text));
        }
        let channel = self.channel(number)?;
        // RabbitMQ's reading: global is the channel, else each consumer that comes after.
        if method.global {
            channel.channel_prefetch = method.prefetch_count;
            self.unpark_channel(number);
        } else {
            channel.consumer_prefetch = method.prefetch_count;
        }
        self.reply(turn, number, &wire::QosOk {}, None);
        Ok(())
    }

    pub(super) fn basic_get(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Get<'_>,
    ) -> Result<(), Refusal> {
        let name = self.queue_name(number, method.queue)?;
        self.permit_queue(turn, Action::Read, &name)?;
        let queue = self
            .vhost
            .queue(&name)
            .map_err(|error| errors::refusal(&error, ""))?;
        let terms = Terms {
            lease: if method.no_ack {
                TakeLease::Settled
            } else {
                TakeLease::Link
            },
            entries: 1,
            bytes: usize::MAX,
            wait: true,
        };
        let mut taken = Vec::new();
        let took = self.take_for_get(turn, &queue, terms, &mut taken)?;
        if took == Took::Loading {
            return Ok(());
        }
        if took == Took::Gone {
            return Err(errors::refusal(&queue.closed_because(), ""));
        }
        let Some(delivery) = taken.pop() else {
            self.reply(turn, number, &wire::GetEmpty::default(), None);
            return Ok(());
        };
        self.answer_get(turn, number, queue, method.no_ack, delivery)
    }

    fn answer_get(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        queue: Arc<Queue>,
        no_ack: bool,
        delivery: Delivery,
    ) -> Result<(), Refusal> {
        let is_large = delivery.message.body_file().is_some();
        let got = Got {
            queue,
            no_ack,
            delivery,
        };
        if is_large {
            self.stream_got(turn, number, got);
            return Ok(());
        }
        self.start_got(turn, number, &got)?;
        let (message, frame_max) = (&got.delivery.message, turn.link.frame_max);
        self.outgoing = delivery::write_body(number, message, frame_max, turn.out);
        Ok(())
    }

    /// Gets the next message in place of one that turned out to be damaged: mostly the answer is that its queue is
    /// quarantined.
    pub(in crate::protocols::amqp091) fn get_instead(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        queue: Arc<Queue>,
        no_ack: bool,
    ) -> Result<(), Refusal> {
        let terms = Terms {
            lease: if no_ack {
                TakeLease::Settled
            } else {
                TakeLease::Link
            },
            entries: 1,
            bytes: usize::MAX,
            wait: false,
        };
        let mut taken = Vec::new();
        let took = turn
            .core()
            .take_once(&queue, terms, turn.now, &mut taken)
            .map_err(|error| errors::refusal(&error, ""))?;
        match taken.pop() {
            Some(delivery) => self.answer_get(turn, number, queue, no_ack, delivery),
            // Its method is gone, so that it cannot wait; and the queue must not look empty.
            None if took == Took::Loading => Err(Refusal::precondition(
                "the message was damaged, and the next one is loading: get again".to_owned(),
            )),
            None if took == Took::Gone => Err(errors::refusal(&queue.closed_because(), "")),
            None => {
                self.reply(turn, number, &wire::GetEmpty::default(), None);
                Ok(())
            }
        }
    }

    /// Writes method and header of what was got.
    pub(in crate::protocols::amqp091) fn start_got(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        got: &Got,
    ) -> Result<(), Refusal> {
        let (queue, delivery) = (&got.queue, &got.delivery);
        let channel = self.channel(number)?;
        let source = channel.source(queue);
        let tag = channel.next_tag();
        let shows_count = channel.shows_count(source);
        if !got.no_ack {
            let lease = LeaseRef {
                seq: delivery.seq,
                attempt: delivery.attempt,
            };
            channel.unacked.push(
                tag,
                Lease {
                    source,
                    consumer: None,
                    lease,
                },
            );
        }
        let left = u32::try_from(queue.counts().ready).unwrap_or(u32::MAX);
        write_get_ok(turn, number, tag, left, delivery, shows_count);
        Ok(())
    }

    /// Takes for a basic.get. While what it would get is loading, it stands in the queue's list like a
    /// consumer: a deep queue must not look empty.
    fn take_for_get(
        &mut self,
        turn: &Turn<'_>,
        queue: &Arc<Queue>,
        terms: Terms,
        taken: &mut Vec<Delivery>,
    ) -> Result<Took, Refusal> {
        let core = turn.core();
        // Another queue of this name may be here by now.
        let known = self.getting.take();
        let known = known.filter(|getting| getting.place.queue().id() == queue.id());
        let once = Terms {
            wait: false,
            ..terms
        };
        let took = match &known {
            Some(getting) => core.take(&getting.place, terms, turn.now, taken),
            None => core.take_once(queue, once, turn.now, taken),
        };
        let took = took.map_err(|error| errors::refusal(&error, ""))?;
        if took != Took::Loading {
            return Ok(took);
        }
        if let Some(getting) = known {
            self.getting = Some(Getting {
                is_told: false,
                ..getting
            });
            return Ok(took);
        }
        let key = self.consumers.next_key();
        let place = core
            .subscribe(queue, &turn.link.inbox, key, false)
            .map_err(|error| errors::refusal(&error, ""))?;
        // It may have come meanwhile, and nobody was there to be told.
        let took = core
            .take(&place, terms, turn.now, taken)
            .map_err(|error| errors::refusal(&error, ""))?;
        if took == Took::Loading {
            self.getting = Some(Getting {
                key,
                place,
                is_told: false,
            });
        }
        Ok(took)
    }

    /// Whether an event was for the basic.get that waits: it is tried again.
    pub(in crate::protocols::amqp091) fn get_told(&mut self, key: u64) -> bool {
        let getting = self.getting.as_mut().filter(|getting| getting.key == key);
        getting.map(|getting| getting.is_told = true).is_some()
    }
}

fn write_get_ok(
    turn: &mut Turn<'_>,
    number: u16,
    tag: u64,
    left: u32,
    delivery: &Delivery,
    shows_count: bool,
) {
    let (exchange, key) = delivery::routed(delivery);
    let ok = wire::GetOk {
        delivery_tag: tag,
        redelivered: delivery.is_redelivered(),
        exchange: ShortStr::clipped(exchange),
        routing_key: ShortStr::new(key).unwrap_or_default(),
        message_count: left,
    };
    write_method(turn.out.buf(), number, &ok);
    let head = delivery::head(turn.core(), delivery, shows_count);
    let len = delivery.message.body_len();
    delivery::write_header(turn.out.buf(), number, len, &head);
    let mut count = Count::default();
    count.add(delivery);
    count.report(turn.core());
}
