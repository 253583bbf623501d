//! basic.ack, nack, reject and recover.

use crate::core::queue::settle::Outcome;
use crate::protocols::amqp091::channel::Lease;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::method::basic as wire;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;

impl Live {
    pub(super) fn basic_ack(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Ack,
    ) -> Result<(), Refusal> {
        let tag = method.delivery_tag;
        self.settle_tags(turn, number, tag, method.multiple, Outcome::Accept)
    }

    pub(super) fn basic_nack(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Nack,
    ) -> Result<(), Refusal> {
        let (tag, outcome) = (method.delivery_tag, refused(method.requeue));
        self.settle_tags(turn, number, tag, method.multiple, outcome)
    }

    pub(super) fn basic_reject(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &wire::Reject,
    ) -> Result<(), Refusal> {
        let (tag, outcome) = (method.delivery_tag, refused(method.requeue));
        self.settle_tags(turn, number, tag, false, outcome)
    }

    /// Gives everything unacknowledged back (0-9-1 §1.8.3.14).
    pub(super) fn basic_recover(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        requeue: bool,
        answer: bool,
    ) -> Result<(), Refusal> {
        if !requeue {
            let text = "requeue=false";
            return Err(Refusal::new(ReplyCode::NotImplemented, text));
        }
        let leases: Vec<_> = self.channel(number)?.unacked.take_all().collect();
        self.settle_leases(turn, number, leases, refused(true))?;
        self.flush(turn)?;
        if answer {
            self.reply(turn, number, &wire::RecoverOk {}, None);
        }
        Ok(())
    }

    fn settle_tags(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        tag: u64,
        multiple: bool,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let unacked = &mut self.channel(number)?.unacked;
        let leases = match (tag, multiple) {
            (0, true) => Some(unacked.take_all().collect::<Vec<_>>()),
            (_, true) => unacked.take_upto(tag).map(Iterator::collect),
            (_, false) => match unacked.take(tag) {
                Some(lease) => return self.settle_leases(turn, number, [lease], outcome),
                None => None,
            },
        };
        let Some(leases) = leases else {
            return Err(Refusal::precondition(format!("unknown delivery tag {tag}")));
        };
        self.settle_leases(turn, number, leases, outcome)
    }

    /// Settles leases that left the channel's list, and gives their consumers credit again.
    fn settle_leases(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        leases: impl IntoIterator<Item = Lease>,
        outcome: Outcome,
    ) -> Result<(), Refusal> {
        let Some(channel) = self.channels.get_mut(&number) else {
            return Ok(());
        };
        let (settles, consumers) = (&mut self.settles, &mut self.consumers);
        for lease in leases {
            if let Some(source) = channel.sources.get(lease.source) {
                settles
                    .add(turn.core(), &source.queue, lease.lease, outcome, turn.now)
                    .map_err(|error| errors::refusal(&error, ""))?;
            }
            let Some(key) = lease.consumer else { continue };
            channel.in_flight = channel.in_flight.saturating_sub(1);
            if let Some(consumer) = consumers.get_mut(key) {
                consumer.in_flight = consumer.in_flight.saturating_sub(1);
                consumers.unpark(key);
            }
        }
        if channel.channel_prefetch != 0 {
            self.unpark_channel(number);
        }
        Ok(())
    }
}

/// What refusing means: back to its place, counted, or out (SEMANTICS §3).
fn refused(requeue: bool) -> Outcome {
    if requeue {
        Outcome::Release { counted: true }
    } else {
        Outcome::Reject
    }
}
