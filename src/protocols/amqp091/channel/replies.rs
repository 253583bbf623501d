//! Answers of a channel, in the order of their questions: a declare-ok waits for the log, and what
//! was asked after it waits behind it.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::core::Core;
use crate::core::model::ids::Lsn;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::write_method;

/// Most answers that wait, about 300 bytes each at the most: a client that asks on and on while the disk
/// is slow is not read from.
const WAITING_MAX: usize = 1024;

/// Encoded answers that wait.
#[derive(Debug, Default)]
pub(in crate::protocols::amqp091) struct Replies {
    waiting: VecDeque<(Option<Lsn>, Vec<u8>)>,
}

impl Replies {
    /// Whether an answer is being waited for, and everything else with it.
    pub(in crate::protocols::amqp091) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// How many answers wait.
    pub(in crate::protocols::amqp091) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the client has to wait with more questions.
    pub(in crate::protocols::amqp091) fn is_full(&self) -> bool {
        self.waiting.len() >= WAITING_MAX
    }

    /// What the first of them waits for.
    pub(in crate::protocols::amqp091) fn waits_for(&self) -> Option<Lsn> {
        self.waiting.front().and_then(|(lsn, _)| *lsn)
    }

    /// Answers when `lsn` is durable and everything before is answered. True if it has to wait.
    pub(in crate::protocols::amqp091) fn send(
        &mut self,
        core: &Core,
        channel: u16,
        method: &impl MethodFrame,
        lsn: Option<Lsn>,
        out: &mut BytesMut,
    ) -> bool {
        if self.waiting.is_empty() && lsn.is_none_or(|lsn| core.is_durable(lsn)) {
            write_method(out, channel, method);
            return false;
        }
        self.queue(channel, method, lsn);
        true
    }

    /// Answers with the next flush: for answers that may not be written now.
    pub(in crate::protocols::amqp091) fn queue(
        &mut self,
        channel: u16,
        method: &impl MethodFrame,
        lsn: Option<Lsn>,
    ) {
        let mut bytes = Vec::new();
        write_method(&mut bytes, channel, method);
        self.waiting.push_back((lsn, bytes));
    }

    /// Writes what need not wait any more.
    pub(in crate::protocols::amqp091) fn flush(
        &mut self,
        is_durable: impl Fn(Lsn) -> bool,
        out: &mut BytesMut,
    ) {
        while let Some((lsn, bytes)) = self.waiting.front() {
            if lsn.is_some_and(|lsn| !is_durable(lsn)) {
                return;
            }
            out.extend_from_slice(bytes);
            self.waiting.pop_front();
        }
    }
}
