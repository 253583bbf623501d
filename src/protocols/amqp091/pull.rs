//! What an open connection does between reads: events, answers and confirms that became possible, takes.

use crate::core::inbox::Event;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Lsn;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::method::connection as wire;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::methods::PUBLISH;

impl Live {
    /// Settles and pushes what is in hand.
    pub(super) fn flush(&mut self, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        self.settles
            .flush(turn.core(), turn.now)
            .map_err(|error| errors::refusal(&error, ""))?;
        self.publisher
            .flush(turn.core(), &mut self.channels, turn.now)?;
        self.close_withheld(turn)
    }

    /// Ends the channels without confirms that published what no queue took: nothing else tells them.
    fn close_withheld(&mut self, turn: &mut Turn<'_>) -> Result<(), Refusal> {
        while self.refused.is_none() {
            let Some((number, refusal)) = self.publisher.take_withheld() else {
                break;
            };
            let channel = self.channels.get(&number);
            if channel.is_none_or(|channel| channel.state != State::Open) {
                continue;
            }
            if self.is_writing(number) {
                self.refused = Some((number, refusal, PUBLISH));
            } else {
                self.close_channel(turn, number, &refusal, PUBLISH)?;
            }
        }
        Ok(())
    }

    /// The log may have room again.
    pub(super) fn retry(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.publisher
            .retry(turn.core(), &mut self.channels, turn.now)?;
        self.close_withheld(turn)?;
        self.go_on_large(turn)
    }

    pub(super) fn on_event(&mut self, turn: &mut Turn<'_>, event: Event) -> Result<(), Fault> {
        match event {
            Event::Ready(key) | Event::Cancelled(key) if self.get_told(key) => {}
            Event::Ready(key) => self.consumers.ready(key),
            Event::Cancelled(key) => self
                .cancelled(turn, key)
                .map_err(|error| errors::refusal(&error, ""))?,
            Event::WatermarkMoved => {
                self.waited = None;
                if turn.core().watermark(self.vhost.shard()) == Watermark::Failed {
                    let text = "the log has failed";
                    return Err(Refusal::new(ReplyCode::InternalError, text).into());
                }
                self.retry(turn)?;
            }
            Event::AlarmsChanged => {
                self.alarms_changed(turn);
                self.retry(turn)?;
            }
            Event::BodyMoved => self.go_on_large(turn)?,
        }
        Ok(())
    }

    /// connection.blocked and connection.unblocked, to a publisher that knows them.
    pub(super) fn alarms_changed(&mut self, turn: &mut Turn<'_>) {
        let alarms = turn.core().alarms();
        if !alarms.any() {
            self.blocked = false;
            if std::mem::take(&mut self.announced) {
                write_method(turn.out.buf(), 0, &wire::Unblocked {});
            }
            return;
        }
        if self.has_published && !self.announced && turn.link.client.connection_blocked {
            let reason = match (alarms.memory(), alarms.disk()) {
                (true, true) => "low on memory & disk",
                (true, false) => "low on memory",
                (false, _) => "low on disk",
            };
            let blocked = wire::Blocked {
                reason: ShortStr::clipped(reason),
            };
            write_method(turn.out.buf(), 0, &blocked);
            self.announced = true;
        }
    }

    /// Writes what became possible: the rest of a body, answers, confirms, then deliveries.
    pub(super) fn pull(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        self.is_full = !turn.out.has_room_for_answers();
        if let Some(outgoing) = &mut self.outgoing {
            if !outgoing.write(turn.link.frame_max, turn.out) {
                return self
                    .decline_owed(turn)
                    .map_err(|error| errors::refusal(&error, "").into());
            }
            self.outgoing = None;
        }
        if let Some((number, refusal, ids)) = self.refused.take() {
            self.refuse(turn, number, refusal, ids)?;
            self.close_withheld(turn)?;
        }
        self.streams_first = !self.streams_first;
        if self.streams_first {
            self.write_streams(turn)?;
        }
        self.flush_waiting(turn);
        self.deliver(turn)
            .map_err(|error| errors::refusal(&error, ""))?;
        self.write_streams(turn)?;
        self.go_on_large(turn)?;
        self.watch(turn);
        Ok(())
    }

    fn flush_waiting(&mut self, turn: &mut Turn<'_>) {
        // Publishes add confirms without a word: they are few channels that have any.
        self.publisher.take_confirming(&mut self.waiting);
        if self.waiting.is_empty() {
            self.answers = 0;
            return;
        }
        let core = turn.core();
        let durable = match core.watermark(self.vhost.shard()) {
            Watermark::Durable(upto) => upto,
            Watermark::Failed => return,
        };
        let is_durable = |lsn: Lsn| lsn.number() <= durable;
        let (channels, behind) = (&mut self.channels, &mut self.behind);
        let streams = &self.streams;
        let mut answers = 0;
        self.waiting.retain(|number| {
            let Some(channel) = channels.get_mut(&number) else {
                return false;
            };
            if streams.has(number) {
                // In the middle of a content.
                answers += channel.replies.len();
                return true;
            }
            channel.replies.flush(is_durable, turn.out.buf());
            answers += channel.replies.len();
            if let Some(confirms) = &mut channel.confirms {
                let answered = confirms.flush(number, is_durable, turn.out.buf());
                core.metrics().confirmed.of(DOOR).inc_by(answered.accepted);
                core.metrics().refused.of(DOOR).inc_by(answered.refused);
            }
            if channel.replies.is_waiting() {
                return true;
            }
            if *behind == Some(number) {
                *behind = None;
            }
            if channel.state == State::Leaving {
                channels.remove(&number);
                core.metrics().channels.dec();
                return false;
            }
            channel
                .confirms
                .as_ref()
                .is_some_and(|confirms| confirms.waits_for().is_some())
        });
        self.answers = answers;
    }

    /// Asks the log to tell when the next of the answers can go out.
    fn watch(&mut self, turn: &mut Turn<'_>) {
        let channels = &self.channels;
        // Those that are in the middle of a content cannot answer, durable or not.
        let free = self
            .waiting
            .iter()
            .filter(|number| !self.streams.has(*number));
        let answers = free.filter_map(|number| {
            let channel = channels.get(&number)?;
            let confirm = channel.confirms.as_ref().and_then(|c| c.waits_for());
            [channel.replies.waits_for(), confirm]
                .into_iter()
                .flatten()
                .min()
        });
        let next = answers.chain(self.publisher.waits_for(turn.core())).min();
        if let Some(lsn) = next
            && self.waited.is_none_or(|waited| lsn < waited)
        {
            self.waited = Some(lsn);
            turn.core().wait(lsn, &turn.link.inbox);
        }
    }
}
