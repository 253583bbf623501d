//! Contents whose body is read from a file while it is written: at most one a channel, all of a connection by turns.
//!
//! Frames of one content may not be mixed with anything else on its channel (0-9-1 §4.2.6), but other channels go on
//! in between. Method and header are written with the first bytes of the body, so that a body which turns out to be
//! damaged by then was never begun.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::body::BodyFile;
use crate::core::body::Download;
use crate::core::body::Part;
use crate::core::inbox::Inbox;
use crate::core::log::bodies::BodyError;
use crate::core::queue::Queue;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::frame::FrameKind;
use crate::protocols::amqp091::codec::frame::max_payload;
use crate::protocols::amqp091::codec::frame::write_frame;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::delivery::MIN_FRAME_BYTES;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::amqp091::live::Taken;
use crate::transport::buffer::WriteBuf;

/// Class and method of basic.get.
const BASIC_GET: (u16, u16) = (60, 70);

/// A content on its way out.
pub(super) struct Stream {
    channel: u16,
    /// What it is, as long as nothing of it was written.
    unstarted: Option<Unstarted>,
    /// Whose entry it is, for the case that it cannot be read to the end.
    entry: Option<(Arc<Queue>, Option<LeaseRef>)>,
    download: Download,
}

/// A content of which nothing was written.
pub(super) enum Unstarted {
    /// For a consumer.
    Delivery(Taken),
    /// The answer to a basic.get.
    Got(Got),
}

/// What a basic.get took.
pub(super) struct Got {
    pub(super) queue: Arc<Queue>,
    pub(super) no_ack: bool,
    pub(super) delivery: Delivery,
}

/// What became of a turn.
enum Turned {
    Wrote,
    Waits,
    Done,
}

impl Stream {
    /// A message that goes back to its publisher; its method and header were written.
    pub(super) fn returned(channel: u16, file: Arc<BodyFile>, inbox: &Arc<Inbox>) -> Self {
        Self {
            channel,
            unstarted: None,
            entry: None,
            download: Download::of_file(file, inbox),
        }
    }

    /// Writes a frame, as far as there is room.
    fn write(&mut self, frame_max: u32, out: &mut WriteBuf) {
        let most = usize::try_from(max_payload(frame_max)).unwrap_or(usize::MAX);
        if let Part::Bytes(bytes) = self.download.part() {
            let len = bytes.len().min(most).min(out.room().max(MIN_FRAME_BYTES));
            let payload = bytes.get(..len).unwrap_or(bytes);
            write_frame(out.buf(), FrameKind::Body, self.channel, payload);
            self.download.advance(len);
        }
    }
}

/// The contents that a connection is writing from files.
#[derive(Default)]
pub(super) struct Streams {
    /// The next one's turn is first.
    by_turn: VecDeque<Stream>,
}

impl Streams {
    pub(super) fn add(&mut self, stream: Stream) {
        self.by_turn.push_back(stream);
    }

    /// Whether a channel is in the middle of a content.
    pub(super) fn has(&self, channel: u16) -> bool {
        self.by_turn.iter().any(|stream| stream.channel == channel)
    }

    /// Takes the deliveries to a consumer that were not begun.
    pub(super) fn take_unstarted(&mut self, key: u64) -> Vec<Taken> {
        let mut unstarted = Vec::new();
        for stream in std::mem::take(&mut self.by_turn) {
            match stream.unstarted {
                Some(Unstarted::Delivery(taken)) if taken.consumer == key => unstarted.push(taken),
                other => self.by_turn.push_back(Stream {
                    unstarted: other,
                    ..stream
                }),
            }
        }
        unstarted
    }

    /// Takes the contents of a channel.
    fn take(&mut self, channel: u16) -> Vec<Stream> {
        let (of_channel, others) = std::mem::take(&mut self.by_turn)
            .into_iter()
            .partition(|stream| stream.channel == channel);
        self.by_turn = others;
        Vec::from_iter::<VecDeque<Stream>>(of_channel)
    }
}

impl Live {
    /// Begins a delivery whose body is in a file.
    pub(super) fn stream_delivery(&mut self, turn: &Turn<'_>, channel: u16, taken: Taken) {
        let Some(consumer) = self.consumers.get_mut(taken.consumer) else {
            return;
        };
        let entry = entry_of(consumer.place.queue(), consumer.no_ack, &taken.delivery);
        let unstarted = Unstarted::Delivery(taken);
        self.stream(turn, channel, entry, unstarted);
    }

    /// Begins the answer to a basic.get whose body is in a file.
    pub(super) fn stream_got(&mut self, turn: &Turn<'_>, channel: u16, got: Got) {
        let entry = entry_of(&got.queue, got.no_ack, &got.delivery);
        self.stream(turn, channel, entry, Unstarted::Got(got));
    }

    fn stream(
        &mut self,
        turn: &Turn<'_>,
        channel: u16,
        entry: (Arc<Queue>, Option<LeaseRef>),
        unstarted: Unstarted,
    ) {
        let message = match &unstarted {
            Unstarted::Delivery(taken) => &taken.delivery.message,
            Unstarted::Got(got) => &got.delivery.message,
        };
        if let Some(download) = turn.core().download(message, &turn.link.inbox) {
            self.streams.add(Stream {
                channel,
                unstarted: Some(unstarted),
                entry: Some(entry),
                download,
            });
        }
    }

    /// Writes frames of all contents by turns, as far as there is room and the disk has answered.
    pub(super) fn write_streams(&mut self, turn: &mut Turn<'_>) -> Result<(), Fault> {
        let mut waiting = 0;
        while waiting < self.streams.by_turn.len() && turn.out.room() > 0 {
            let Some(mut stream) = self.streams.by_turn.pop_front() else {
                break;
            };
            match self.write_stream(turn, &mut stream)? {
                Turned::Done => continue,
                Turned::Wrote => waiting = 0,
                Turned::Waits => waiting += 1,
            }
            self.streams.by_turn.push_back(stream);
        }
        Ok(())
    }

    fn write_stream(&mut self, turn: &mut Turn<'_>, stream: &mut Stream) -> Result<Turned, Fault> {
        match stream.download.part() {
            Part::Waits => return Ok(Turned::Waits),
            Part::End => return Ok(Turned::Done),
            Part::Unreadable(error) => {
                self.unreadable(turn, stream, error)?;
                return Ok(Turned::Done);
            }
            Part::Bytes(_) => {}
        }
        match stream.unstarted.take() {
            Some(Unstarted::Delivery(taken))
                if !self.start_delivery(turn, stream.channel, &taken) =>
            {
                return Ok(Turned::Done);
            }
            Some(Unstarted::Got(got)) => self.start_got(turn, stream.channel, &got)?,
            Some(Unstarted::Delivery(_)) | None => {}
        }
        stream.write(turn.link.frame_max, turn.out);
        match stream.download.part() {
            Part::End => Ok(Turned::Done),
            Part::Bytes(_) | Part::Waits | Part::Unreadable(_) => Ok(Turned::Wrote),
        }
    }

    /// A damaged body stays with its entry, and the queue is quarantined. When a part of it was sent already only the end of the
    /// connection keeps its consumer from taking it for whole; so it is when the disk refuses, but then the entry stays.
    fn unreadable(
        &mut self,
        turn: &mut Turn<'_>,
        stream: &mut Stream,
        error: BodyError,
    ) -> Result<(), Fault> {
        let core_error = |error| errors::refusal(&error, "");
        let is_damaged = error == BodyError::Damaged;
        if let Some((queue, lease)) = stream.entry.take().filter(|_| is_damaged) {
            turn.core()
                .body_damaged(&queue, stream.download.file(), lease, turn.now)
                .map_err(core_error)?;
        }
        match stream.unstarted.take().filter(|_| is_damaged) {
            Some(Unstarted::Delivery(taken)) => {
                self.credit_back(stream.channel, taken.consumer);
                Ok(())
            }
            Some(Unstarted::Got(got)) => {
                let (queue, no_ack) = (got.queue, got.no_ack);
                match self.get_instead(turn, stream.channel, queue, no_ack) {
                    Ok(()) => Ok(()),
                    Err(refusal) => self.refuse(turn, stream.channel, refusal, BASIC_GET),
                }
            }
            None => {
                let text = format!("a message cannot be sent: {error}");
                Err(Refusal::new(ReplyCode::InternalError, text).into())
            }
        }
    }

    /// A delivery that was taken will not be written: it counts against no credit any more.
    fn credit_back(&mut self, number: u16, key: u64) {
        let Some(consumer) = self.consumers.get_mut(key).filter(|c| !c.no_ack) else {
            return;
        };
        consumer.in_flight = consumer.in_flight.saturating_sub(1);
        if let Some(channel) = self.channels.get_mut(&number) {
            channel.in_flight = channel.in_flight.saturating_sub(1);
        }
        self.unpark_channel(number);
    }

    /// The channel ends: deliveries that were not begun wait with the others that were taken and never written, and go
    /// back with them. Returns what was got and not begun.
    pub(super) fn end_streams(&mut self, channel: u16) -> Vec<Got> {
        let mut got = Vec::new();
        for stream in self.streams.take(channel) {
            match stream.unstarted {
                Some(Unstarted::Delivery(taken)) => self.taken.push_back(taken),
                Some(Unstarted::Got(unwritten)) => got.push(unwritten),
                None => {}
            }
        }
        got
    }
}

/// Queue and lease of an entry; a take that settled it left no lease.
fn entry_of(
    queue: &Arc<Queue>,
    no_ack: bool,
    delivery: &Delivery,
) -> (Arc<Queue>, Option<LeaseRef>) {
    let lease = LeaseRef {
        seq: delivery.seq,
        attempt: delivery.attempt,
    };
    (Arc::clone(queue), (!no_ack).then_some(lease))
}

/// What becomes of what was got and not written.
pub(super) const GIVEN_BACK: Outcome = Outcome::Release { counted: false };
