//! An open connection: frames to channels, one batch of publishes a read, takes by turns.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Buf;
use bytes::BytesMut;

use crate::auth::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;
use crate::core::queue::Consumer as Place;
use crate::core::queue::entry::Delivery;
use crate::core::topology::Vhost;
use crate::protocols::amqp091::channel::Channel;
use crate::protocols::amqp091::channel::ChannelSet;
use crate::protocols::amqp091::channel::State;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::RawFrame;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::frame::FRAME_HEAD_BYTES;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::channel;
use crate::protocols::amqp091::codec::method::channel::ChannelMethod;
use crate::protocols::amqp091::codec::method::connection as wire;
use crate::protocols::amqp091::codec::method::connection::ConnectionMethod;
use crate::protocols::amqp091::codec::method::ids;
use crate::protocols::amqp091::codec::next_frame;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::connection::Step;
use crate::protocols::amqp091::consumers::Consumers;
use crate::protocols::amqp091::delivery::Outgoing;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::methods::Incoming;
use crate::protocols::amqp091::publisher::Publisher;
use crate::protocols::amqp091::settles::Settles;
use crate::protocols::amqp091::streams::Streams;

/// A delivery that was taken and has not been written for lack of room.
pub(super) struct Taken {
    pub(super) consumer: u64,
    pub(super) delivery: Delivery,
}

/// What became of a frame.
pub(super) enum Used {
    /// So many bytes were used.
    Bytes(usize),
    /// It must wait where it is.
    Held,
    /// The client has closed the connection.
    Closed,
}

/// Most answers that wait on all channels together: each channel has its own bound, but there are
/// thousands of channels.
const ANSWERS_MAX: usize = 4096;

/// An open connection.
pub(super) struct Live {
    pub(super) vhost: Arc<Vhost>,
    pub(super) user: Identity,
    pub(super) channels: BTreeMap<u16, Channel>,
    pub(super) publisher: Publisher,
    pub(super) settles: Settles,
    pub(super) consumers: Consumers,
    /// A body that is not written whole.
    pub(super) outgoing: Option<Outgoing>,
    /// Bodies that are read from files as they are written.
    pub(super) streams: Streams,
    /// Whether these come before other deliveries this time: each is first every other time.
    pub(super) streams_first: bool,
    /// The body frame that is taken as it comes.
    pub(super) incoming: Option<Incoming>,
    /// The channel whose large body the connection waits for: the disk is behind, or the body is whole and not safe.
    pub(super) uploading: Option<u16>,
    /// Taken and not written.
    pub(super) taken: VecDeque<Taken>,
    /// What a take fills; empty in between.
    pub(super) scratch: Vec<Delivery>,
    /// Channels with answers or confirms to come.
    pub(super) waiting: ChannelSet,
    /// How many answers wait in them, at the most.
    pub(super) answers: usize,
    /// What the log was asked to tell about.
    pub(super) waited: Option<Lsn>,
    /// A publish stands in the input while an alarm is raised.
    pub(super) blocked: bool,
    pub(super) has_published: bool,
    /// connection.blocked was sent, and connection.unblocked was not.
    pub(super) announced: bool,
    /// The output is full even for answers, and frames are left.
    pub(super) is_full: bool,
    /// A frame of this channel waits until what was taken is written, and what its channel is writing: nothing more
    /// is taken before its turn.
    pub(super) method_waits: Option<u16>,
    /// A channel's fault that cannot be told before its half-written content is whole.
    pub(super) refused: Option<(u16, Refusal, (u16, u16))>,
    /// A method of this channel waits for the answers before it.
    pub(super) behind: Option<u16>,
    /// A basic.get waits for its message to come into memory.
    pub(super) getting: Option<Getting>,
}

/// A basic.get whose queue is not empty, but has nothing in memory: it stands in the input until it was
/// told that there is something.
pub(super) struct Getting {
    pub(super) key: u64,
    /// Its place in the queue's list; clients do not see it.
    pub(super) place: Place,
    pub(super) is_told: bool,
}

/// Class and method of what may be handled out of turn.
const BASIC_PUBLISH: (u16, u16) = (60, 40);
const BASIC_ACK: (u16, u16) = (60, 80);
const BASIC_REJECT: (u16, u16) = (60, 90);
const BASIC_NACK: (u16, u16) = (60, 120);
const CONNECTION_CLOSE: (u16, u16) = (10, 50);

impl Live {
    pub(super) fn new(vhost: Arc<Vhost>, user: Identity, name: &str) -> Self {
        let producer = Producer {
            user: user.user.as_str().into(),
            client_id: name.into(),
        };
        Self {
            vhost,
            user,
            channels: BTreeMap::new(),
            publisher: Publisher::new(Arc::new(producer)),
            settles: Settles::default(),
            consumers: Consumers::default(),
            outgoing: None,
            streams: Streams::default(),
            streams_first: false,
            incoming: None,
            uploading: None,
            taken: VecDeque::new(),
            scratch: Vec::new(),
            waiting: ChannelSet::default(),
            answers: 0,
            waited: None,
            blocked: false,
            has_published: false,
            announced: false,
            is_full: false,
            method_waits: None,
            refused: None,
            behind: None,
            getting: None,
        }
    }

    /// Whether an alarm, the log or the disk holds a publish back.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked || self.publisher.is_stalled() || self.uploading.is_some()
    }

    /// Whether nothing may be read: a publish or a method is held back, the output is full, or too many
    /// answers wait.
    pub(super) fn is_held(&self) -> bool {
        self.is_blocked()
            || self.is_full
            || self.method_waits.is_some()
            || self.refused.is_some()
            || self.behind.is_some()
            || self
                .getting
                .as_ref()
                .is_some_and(|getting| !getting.is_told)
            || self.answers >= ANSWERS_MAX
    }

    /// Whether a frame may be handled although deliveries were taken and are not written yet.
    ///
    /// Settles and publishes may: a client that is blocked in sending them does not read, and would wait
    /// for ever. What is answered on its channel waits for its turn behind the deliveries; while a content
    /// is half written, so does a publish that may come back.
    fn may_pass(&self, frame: &RawFrame<'_>) -> bool {
        let is_whole = self.outgoing.is_none() && !self.streams.has(frame.channel);
        if is_whole && self.taken.is_empty() {
            return true;
        }
        match (frame.kind, ids(frame.payload)) {
            (FrameKind::Heartbeat, _) => true,
            (FrameKind::Header | FrameKind::Body, _) => {
                is_whole || !self.expects_mandatory(frame.channel)
            }
            (FrameKind::Method, Some(BASIC_ACK | BASIC_REJECT | BASIC_NACK | CONNECTION_CLOSE)) => {
                true
            }
            // `mandatory` is the lowest of the bits at the end (0-9-1 basic.publish).
            (FrameKind::Method, Some(BASIC_PUBLISH)) => {
                is_whole || frame.payload.last().is_some_and(|bits| bits & 1 == 0)
            }
            (FrameKind::Method, _) => false,
        }
    }

    /// Whether a channel is in the middle of a content.
    pub(super) fn is_writing(&self, number: u16) -> bool {
        let outgoing = self.outgoing.as_ref();
        outgoing.is_some_and(|outgoing| outgoing.channel == number) || self.streams.has(number)
    }

    fn expects_mandatory(&self, number: u16) -> bool {
        let channel = self.channels.get(&number);
        channel.is_some_and(|channel| channel.content.is_mandatory())
    }

    pub(super) fn deadline(&self) -> Option<CoreTime> {
        self.publisher.deadline()
    }

    /// Handles every whole frame.
    pub(super) fn on_bytes(
        &mut self,
        turn: &mut Turn<'_>,
        input: &mut BytesMut,
    ) -> Result<Step, Fault> {
        let mut at = 0;
        let mut step = Step::Stay;
        self.publisher.expect_bytes(input.len());
        while !self.is_held() {
            if !turn.out.has_room_for_answers() {
                // A short question may have a long answer: whoever does not read gets no more.
                self.is_full = true;
                break;
            }
            let rest = input.get(at..).unwrap_or_default();
            match self.take_large(turn, rest)? {
                Some(0) => break,
                Some(used) => {
                    at += used;
                    continue;
                }
                None => {}
            }
            let Some(frame) = next_frame(rest, turn.link.frame_max)? else {
                break;
            };
            if !self.may_pass(&frame) {
                self.method_waits = Some(frame.channel);
                break;
            }
            if frame.kind == FrameKind::Body && self.shares_body(frame.channel) {
                let (channel, len) = (frame.channel, frame.wire_len());
                input.advance(at);
                at = 0;
                let frame = input.split_to(len).freeze();
                let payload = frame.slice(FRAME_HEAD_BYTES..len - 1);
                self.on_shared_body(turn, channel, payload)?;
                continue;
            }
            match self.on_frame(turn, frame, rest)? {
                Used::Bytes(used) => at += used,
                Used::Held => break,
                Used::Closed => {
                    step = Step::Close;
                    break;
                }
            }
        }
        input.advance(at);
        self.flush(turn)?;
        Ok(step)
    }

    fn on_frame(
        &mut self,
        turn: &mut Turn<'_>,
        frame: RawFrame<'_>,
        rest: &[u8],
    ) -> Result<Used, Fault> {
        let len = frame.wire_len();
        match frame.kind {
            FrameKind::Heartbeat => Ok(Used::Bytes(len)),
            FrameKind::Method => self.on_method(turn, frame, rest.get(len..).unwrap_or_default()),
            FrameKind::Header => {
                self.on_header(turn, frame.channel, frame.payload)?;
                Ok(Used::Bytes(len))
            }
            FrameKind::Body => {
                self.on_body(turn, frame.channel, frame.payload)?;
                Ok(Used::Bytes(len))
            }
        }
    }

    fn on_method(
        &mut self,
        turn: &mut Turn<'_>,
        frame: RawFrame<'_>,
        behind: &[u8],
    ) -> Result<Used, Fault> {
        let ids = ids(frame.payload).unwrap_or_default();
        let method = Method::decode_from_client(frame.payload)
            .map_err(|error| Fault::new(error.into(), ids))?;
        let (number, len) = (frame.channel, frame.wire_len());
        let used = if number == 0 {
            self.on_connection_method(turn, &method)
        } else if let Method::Basic(BasicMethod::Publish(publish)) = &method {
            self.on_publish(turn, number, publish, behind)
        } else {
            self.on_channel_method(turn, number, &method)
        };
        match used {
            Ok(Used::Bytes(used)) => Ok(Used::Bytes(len + used)),
            Ok(other) => Ok(other),
            Err(refusal) => {
                self.refuse(turn, number, refusal, ids)?;
                Ok(Used::Bytes(len))
            }
        }
    }

    /// Ends the channel, or the connection if the code says so.
    pub(super) fn refuse(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        refusal: Refusal,
        ids: (u16, u16),
    ) -> Result<(), Fault> {
        if number == 0 || refusal.code.is_hard() {
            return Err(Fault::new(refusal, ids));
        }
        if self.is_writing(number) {
            self.refused = Some((number, refusal, ids));
            return Ok(());
        }
        self.close_channel(turn, number, &refusal, ids)?;
        Ok(())
    }

    fn on_connection_method(
        &mut self,
        turn: &mut Turn<'_>,
        method: &Method<'_>,
    ) -> Result<Used, Refusal> {
        match method {
            Method::Connection(ConnectionMethod::Close(_)) => {
                self.flush(turn)?;
                if self.publisher.is_stalled() {
                    return Ok(Used::Held);
                }
                write_method(turn.out.buf(), 0, &wire::CloseOk {});
                Ok(Used::Closed)
            }
            Method::Connection(ConnectionMethod::CloseOk(_)) => Ok(Used::Bytes(0)),
            // The credentials were checked when the connection was opened, and passwords do not expire.
            Method::Connection(ConnectionMethod::UpdateSecret(_)) => {
                write_method(turn.out.buf(), 0, &wire::UpdateSecretOk {});
                Ok(Used::Bytes(0))
            }
            Method::Connection(_)
            | Method::Channel(_)
            | Method::Access(_)
            | Method::Exchange(_)
            | Method::Queue(_)
            | Method::Basic(_)
            | Method::Confirm(_)
            | Method::Tx(_) => Err(errors::out_of_place(method.name())),
        }
    }

    fn on_channel_method(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<Used, Refusal> {
        let state = self.channels.get(&number).map(|channel| channel.state);
        match (state, method) {
            (None, Method::Channel(ChannelMethod::Open(_))) => self.open_channel(turn, number)?,
            (None, Method::Channel(ChannelMethod::CloseOk(_))) => {}
            (None, _) => {
                let text = "expected 'channel.open'";
                return Err(Refusal::new(ReplyCode::ChannelError, text));
            }
            (Some(State::Open), method) => return self.on_open_channel(turn, number, method),
            (Some(State::Closing), Method::Channel(ChannelMethod::CloseOk(_))) => {
                self.forget_channel(turn, number);
            }
            (Some(State::Closing), Method::Channel(ChannelMethod::Close(_))) => {
                self.reply(turn, number, &channel::CloseOk {}, None);
            }
            (Some(State::Closing | State::Leaving), _) => {}
        }
        Ok(Used::Bytes(0))
    }

    /// A method on an open channel: what it must see is done before it.
    fn on_open_channel(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &Method<'_>,
    ) -> Result<Used, Refusal> {
        let is_idle = self.channels.get(&number).is_some_and(Channel::is_idle);
        if !is_idle {
            let text = "expected content header for class 60, got non content header frame instead";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        let settles = matches!(
            method,
            Method::Basic(BasicMethod::Ack(_) | BasicMethod::Nack(_) | BasicMethod::Reject(_))
        );
        if settles {
            // Records keep the order of the connection's methods.
            self.publisher
                .flush(turn.core(), &mut self.channels, turn.now)?;
        } else {
            self.flush(turn)?;
        }
        if self.publisher.is_stalled() || self.refused.is_some() {
            return Ok(Used::Held);
        }
        if self.channel(number)?.state != State::Open {
            // What it published before ended it.
            return Ok(Used::Bytes(0));
        }
        let replies = &self.channel(number)?.replies;
        let is_get = matches!(method, Method::Basic(BasicMethod::Get(_)));
        if (is_get && replies.is_waiting()) || replies.is_full() {
            // A content cannot stand in the list of answers, and the list is bounded: nothing is read
            // until they are out.
            self.behind = Some(number);
            return Ok(Used::Held);
        }
        self.dispatch(turn, number, method)?;
        match &self.getting {
            Some(getting) if !getting.is_told => Ok(Used::Held),
            Some(_) | None => Ok(Used::Bytes(0)),
        }
    }

    /// The channel, which was found open.
    pub(super) fn channel(&mut self, number: u16) -> Result<&mut Channel, Refusal> {
        self.channels
            .get_mut(&number)
            .ok_or_else(|| Refusal::new(ReplyCode::ChannelError, "expected 'channel.open'"))
    }

    /// Answers on a channel, in order.
    pub(super) fn reply(
        &mut self,
        turn: &mut Turn<'_>,
        number: u16,
        method: &impl MethodFrame,
        lsn: Option<Lsn>,
    ) {
        if let Some(channel) = self.channels.get_mut(&number)
            && channel
                .replies
                .send(turn.core(), number, method, lsn, turn.out.buf())
        {
            self.waiting.insert(number);
            self.answers += 1;
        }
    }
}
