//! Publisher confirms: one (tags, LSN) pair a batch, answered once the watermark covers it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use bytes::BufMut;

use crate::core::model::ids::Lsn;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::codec::write_method;

/// What is to be confirmed on a channel.
///
/// INVARIANT: `pending` ascends in tags, and in LSNs, since a vhost is one shard of the log.
#[derive(Debug)]
pub(in crate::protocols::amqp091) struct Confirms {
    next_tag: u64,
    pending: VecDeque<(RangeInclusive<u64>, Lsn)>,
    /// Accepted, and nothing of it is waited for.
    accepted: Vec<RangeInclusive<u64>>,
    /// Refused by a full queue, or a quarantined one.
    refused: Vec<u64>,
}

/// What a flush answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::protocols::amqp091) struct Answered {
    pub(in crate::protocols::amqp091) accepted: u64,
    pub(in crate::protocols::amqp091) refused: u64,
}

impl Default for Confirms {
    fn default() -> Self {
        Self {
            next_tag: 1,
            pending: VecDeque::new(),
            accepted: Vec::new(),
            refused: Vec::new(),
        }
    }
}

impl Confirms {
    /// The tag of the next publish.
    pub(in crate::protocols::amqp091) fn next_tag(&mut self) -> u64 {
        let tag = self.next_tag;
        self.next_tag += 1;
        tag
    }

    /// These were accepted; they are answered when `lsn` is durable, or at once.
    pub(in crate::protocols::amqp091) fn accept(
        &mut self,
        tags: RangeInclusive<u64>,
        lsn: Option<Lsn>,
    ) {
        if tags.is_empty() {
            return;
        }
        match (lsn, self.pending.back_mut()) {
            (None, _) => join(&mut self.accepted, tags),
            (Some(lsn), Some((last, last_lsn)))
                if lsn == *last_lsn && *last.end() + 1 == *tags.start() =>
            {
                *last = *last.start()..=*tags.end();
            }
            (Some(lsn), _) => self.pending.push_back((tags, lsn)),
        }
    }

    /// This one was refused.
    pub(in crate::protocols::amqp091) fn refuse(&mut self, tag: u64) {
        self.refused.push(tag);
    }

    /// What the next answer waits for.
    pub(in crate::protocols::amqp091) fn waits_for(&self) -> Option<Lsn> {
        self.pending.front().map(|(_, lsn)| *lsn)
    }

    /// Answers what can be answered: what was refused one by one, what lies below the lowest pending
    /// tag at once, the rest one by one.
    pub(in crate::protocols::amqp091) fn flush(
        &mut self,
        channel: u16,
        is_durable: impl Fn(Lsn) -> bool,
        out: &mut impl BufMut,
    ) -> Answered {
        while let Some((tags, lsn)) = self.pending.front() {
            if !is_durable(*lsn) {
                break;
            }
            let tags = tags.clone();
            self.pending.pop_front();
            self.accepted.push(tags);
        }
        let mut answered = Answered::default();
        for tag in self.refused.drain(..) {
            let nack = basic::Nack {
                delivery_tag: tag,
                multiple: false,
                requeue: false,
            };
            write_method(out, channel, &nack);
            answered.refused += 1;
        }
        let lowest = self
            .pending
            .front()
            .map_or(u64::MAX, |(tags, _)| *tags.start());
        let (mut upto, mut below) = (0, 0);
        let mut ack = |delivery_tag, multiple| {
            let ack = basic::Ack {
                delivery_tag,
                multiple,
            };
            write_method(out, channel, &ack);
        };
        for tags in &self.accepted {
            if *tags.end() < lowest {
                upto = upto.max(*tags.end());
                below += tags.end() - tags.start() + 1;
            }
        }
        if below > 0 {
            ack(upto, below > 1);
        }
        answered.accepted = below;
        for tags in self.accepted.drain(..).filter(|tags| *tags.end() >= lowest) {
            for tag in tags {
                ack(tag, false);
                answered.accepted += 1;
            }
        }
        answered
    }
}

/// Adds tags, to the last range if they follow it.
fn join(ranges: &mut Vec<RangeInclusive<u64>>, tags: RangeInclusive<u64>) {
    match ranges.last_mut() {
        Some(last) if *last.end() + 1 == *tags.start() => *last = *last.start()..=*tags.end(),
        _ => ranges.push(tags),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::Shard;
    use crate::protocols::amqp091::codec::Method;
    use crate::protocols::amqp091::codec::frame::Frames;
    use crate::protocols::amqp091::codec::method::basic::BasicMethod;

    fn lsn(number: u64) -> Lsn {
        Lsn::new(Shard(0), number).unwrap()
    }

    /// Flushes with this watermark: `+3` an ack, `+3*` one with multiple, `-3` a nack.
    fn flushed(confirms: &mut Confirms, watermark: u64) -> Vec<String> {
        let mut out = Vec::new();
        confirms.flush(1, |lsn| lsn.number() <= watermark, &mut out);
        let frames = Frames::new(&out, 4096);
        frames
            .map(|frame| {
                let method = Method::decode(frame.unwrap().payload).unwrap();
                if let Method::Basic(BasicMethod::Ack(ack)) = method {
                    let all = if ack.multiple { "*" } else { "" };
                    return format!("+{}{all}", ack.delivery_tag);
                }
                let Method::Basic(BasicMethod::Nack(nack)) = method else {
                    panic!("{method:?}");
                };
                format!("-{}", nack.delivery_tag)
            })
            .collect()
    }

    #[test]
    fn a_move_of_the_watermark_confirms_everything_below_it_at_once() {
        let mut confirms = Confirms::default();
        confirms.accept(1..=10, Some(lsn(5)));
        confirms.accept(11..=20, Some(lsn(9)));
        confirms.accept(21..=30, Some(lsn(12)));
        assert_eq!(flushed(&mut confirms, 4), [""; 0]);
        assert_eq!(flushed(&mut confirms, 9), ["+20*"]);
        assert_eq!(confirms.waits_for(), Some(lsn(12)));
        assert_eq!(flushed(&mut confirms, 12), ["+30*"]);
        assert_eq!(confirms.waits_for(), None);
    }

    #[test]
    fn multiple_reaches_only_up_to_the_lowest_pending_tag() {
        let mut confirms = Confirms::default();
        confirms.accept(1..=1, None);
        confirms.accept(2..=2, Some(lsn(7)));
        confirms.accept(3..=4, None);
        assert_eq!(flushed(&mut confirms, 0), ["+1", "+3", "+4"]);
        assert_eq!(flushed(&mut confirms, 7), ["+2"]);
    }

    #[test]
    fn a_refused_publish_is_answered_alone_and_before_what_covers_it() {
        let mut confirms = Confirms::default();
        confirms.accept(1..=2, None);
        confirms.refuse(3);
        confirms.accept(4..=5, None);
        assert_eq!(flushed(&mut confirms, 0), ["-3", "+5*"]);
    }
}
