//! The connection: which phase it is in, and what each phase makes of bytes, events and time.
//!
//! ```text
//! Greeting ─header─► Start ─start-ok─► Login ─checked─► Tune ─tune-ok─► Open ─open─► Live ─► (closed)
//!     any fault ─► Closing: close was sent, only close-ok counts
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf;
use bytes::BytesMut;

use crate::auth::Auth;
use crate::auth::Credentials;
use crate::auth::Identity;
use crate::auth::LoginError;
use crate::core::Core;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::model::time::CoreTime;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::frame;
use crate::protocols::amqp091::codec::method::connection as wire;
use crate::protocols::amqp091::codec::method::ids;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::handshake;
use crate::protocols::amqp091::handshake::Handshake;
use crate::protocols::amqp091::heartbeat::Beat;
use crate::protocols::amqp091::heartbeat::Heartbeat;
use crate::protocols::amqp091::link::Capabilities;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::link::Turn;
use crate::protocols::amqp091::live::Live;
use crate::protocols::session::End;
use crate::protocols::session::Flow;
use crate::protocols::session::Session;
use crate::telemetry::Protocol;
use crate::transport::Limits;
use crate::transport::buffer::WriteBuf;

/// How long a client may take to answer a close.
const CLOSE_MS: u64 = 5000;

/// The same when the broker stops: clients that sleep must not delay it.
const SHUTDOWN_MS: u64 = 500;

/// A method that ends the whole connection, and its ids for the close that says so.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) refusal: Refusal,
    pub(super) ids: (u16, u16),
}

impl Fault {
    pub(super) fn new(refusal: Refusal, ids: (u16, u16)) -> Self {
        Self { refusal, ids }
    }
}

impl<E: Into<Refusal>> From<E> for Fault {
    fn from(error: E) -> Self {
        Self::new(error.into(), (0, 0))
    }
}

/// What a phase made of its bytes.
pub(super) enum Step {
    /// Stays in the phase.
    Stay,
    /// Goes on, and looks at the rest of the bytes.
    Next(Phase),
    /// Writes what is there and closes.
    Close,
}

/// Where the connection is.
pub(super) enum Phase {
    /// Up to the open virtual host.
    Handshake(Handshake),
    /// In use.
    Live(Box<Live>),
    /// We sent a close; until then its answer is waited for.
    Closing(CoreTime),
}

/// A session of AMQP 0-9-1.
pub struct Amqp091 {
    link: Link,
    phase: Phase,
    heart: Heartbeat,
    /// Bytes of the handshake so far.
    before_login_bytes: usize,
    login_deadline: CoreTime,
    /// The output was full, so the driver does not read.
    was_full: bool,
    /// A time-out said that the peer is gone.
    lost: bool,
}

impl Amqp091 {
    /// A connection that was just accepted. `conn_id` names it in the log.
    pub fn new(
        core: Core,
        auth: Arc<Auth>,
        limits: Arc<Limits>,
        peer: SocketAddr,
        conn_id: u64,
        now: CoreTime,
    ) -> Self {
        let timeout = u64::try_from(limits.login_timeout.as_millis()).unwrap_or(u64::MAX);
        let inbox = Inbox::new();
        core.watch_alarms(&inbox);
        let link = Link {
            frame_max: limits.before_login_max_bytes,
            channel_max: limits.channels_max,
            core,
            auth,
            limits,
            inbox,
            peer,
            conn: conn_id,
            client: Capabilities::default(),
            name: Box::default(),
        };
        Self {
            link,
            phase: Phase::Handshake(Handshake::Greeting),
            heart: Heartbeat::new(0, now),
            before_login_bytes: 0,
            login_deadline: now + timeout,
            was_full: false,
            lost: false,
        }
    }

    /// Runs the phases over the bytes until one of them wants more.
    fn step(&mut self, input: &mut BytesMut, now: CoreTime, out: &mut WriteBuf) -> Flow {
        loop {
            let before = input.len();
            let outcome = match &mut self.phase {
                Phase::Handshake(state) => {
                    handshake::on_bytes(state, &mut self.link, &mut self.heart, input, now, out)
                }
                Phase::Live(live) => {
                    let mut turn = Turn {
                        link: &self.link,
                        now,
                        out,
                    };
                    live.on_bytes(&mut turn, input)
                }
                Phase::Closing(_) => Ok(closing(&self.link, input, out)),
            };
            if matches!(self.phase, Phase::Handshake(_)) {
                self.before_login_bytes += before - input.len();
            }
            match outcome {
                Ok(Step::Stay) => return Flow::Continue,
                Ok(Step::Next(phase)) => self.phase = phase,
                Ok(Step::Close) => return Flow::Close,
                Err(fault) => self.fail(&fault, now, out),
            }
        }
    }

    /// Tells the client why, and waits for its close-ok.
    fn fail(&mut self, fault: &Fault, now: CoreTime, out: &mut WriteBuf) {
        let text = fault.refusal.text();
        // A refused login has its own line, and a shutdown is nobody's error.
        if !matches!(
            fault.refusal.code,
            ReplyCode::AccessRefused | ReplyCode::ConnectionForced
        ) {
            tracing::warn!(conn = self.link.conn, protocol = %DOOR, peer = %self.link.peer, error = %text, "connection closed on an error");
        }
        let close = wire::Close {
            reply_code: fault.refusal.code.code(),
            reply_text: ShortStr::clipped(&text),
            class_id: fault.ids.0,
            method_id: fault.ids.1,
        };
        write_method(out.buf(), 0, &close);
        self.end_live(End::Closed, now);
        self.phase = Phase::Closing(now + CLOSE_MS);
    }

    fn end_live(&mut self, end: End, now: CoreTime) {
        if let Phase::Live(live) = &mut self.phase {
            live.end(&self.link, end, now);
        }
    }

    /// Notes that something was sent, if the buffer grew.
    fn note_sent(&mut self, before: usize, now: CoreTime, out: &WriteBuf) {
        if out.pending().len() > before {
            self.heart.sent(now);
        }
    }
}

/// After our close everything but its answer is ignored (0-9-1 §1.4.2.5).
fn closing(link: &Link, input: &mut BytesMut, out: &mut WriteBuf) -> Step {
    loop {
        match frame::next_frame(input, link.frame_max) {
            Ok(None) => return Step::Stay,
            Ok(Some(raw)) => {
                let answer = raw.channel == 0 && raw.kind == frame::FrameKind::Method;
                let ids = ids(raw.payload);
                let len = raw.wire_len();
                input.advance(len);
                match ids {
                    Some((10, 51)) if answer => return Step::Close,
                    // Both closed at the same time.
                    Some((10, 50)) if answer => write_method(out.buf(), 0, &wire::CloseOk {}),
                    _ => {}
                }
            }
            // What cannot be read any more cannot answer either.
            Err(_) => return Step::Close,
        }
    }
}

impl Session for Amqp091 {
    fn protocol(&self) -> Protocol {
        DOOR
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.link.inbox
    }

    fn on_bytes(&mut self, input: &mut BytesMut, now: CoreTime, out: &mut WriteBuf) -> Flow {
        self.heart.heard(now);
        let limit = usize::try_from(self.link.limits.before_login_max_bytes).unwrap_or(usize::MAX);
        if matches!(self.phase, Phase::Handshake(_))
            && self.before_login_bytes + input.len() > limit
        {
            tracing::warn!(conn = self.link.conn, protocol = %DOOR, peer = %self.link.peer, limit, "too many bytes before the login");
            return Flow::Close;
        }
        let before = out.pending().len();
        let flow = self.step(input, now, out);
        self.note_sent(before, now, out);
        flow
    }

    fn wants_bytes(&self) -> bool {
        match &self.phase {
            Phase::Handshake(state) => state.wants_bytes(),
            Phase::Live(live) => !live.is_held(),
            Phase::Closing(_) => true,
        }
    }

    fn heard(&mut self, now: CoreTime) {
        self.heart.heard(now);
    }

    fn on_event(&mut self, event: Event, now: CoreTime, out: &mut WriteBuf) -> Flow {
        let before = out.pending().len();
        if let Phase::Live(live) = &mut self.phase {
            let mut turn = Turn {
                link: &self.link,
                now,
                out,
            };
            if let Err(fault) = live.on_event(&mut turn, event) {
                self.fail(&fault, now, out);
            }
        }
        self.note_sent(before, now, out);
        Flow::Continue
    }

    fn pull(&mut self, now: CoreTime, out: &mut WriteBuf) -> bool {
        let before = out.pending().len();
        if let Phase::Live(live) = &mut self.phase {
            let mut turn = Turn {
                link: &self.link,
                now,
                out,
            };
            if let Err(fault) = live.pull(&mut turn) {
                self.fail(&fault, now, out);
            }
        }
        let wrote = out.pending().len() > before;
        if wrote {
            self.heart.sent(now);
            if self.was_full {
                // It was not read from, but it takes what it gets, so it is there.
                self.heart.heard(now);
            }
        }
        self.was_full = out.room() == 0;
        wrote
    }

    fn on_deadline(&mut self, now: CoreTime, out: &mut WriteBuf) -> Flow {
        match &mut self.phase {
            Phase::Handshake(_) if now >= self.login_deadline => {
                tracing::warn!(conn = self.link.conn, protocol = %DOOR, peer = %self.link.peer, "no login in time");
                return Flow::Close;
            }
            Phase::Closing(until) if now >= *until => return Flow::Close,
            Phase::Live(live) => {
                let mut turn = Turn {
                    link: &self.link,
                    now,
                    out,
                };
                if let Err(fault) = live.retry(&mut turn) {
                    self.fail(&fault, now, out);
                }
            }
            Phase::Handshake(_) | Phase::Closing(_) => {}
        }
        let held = match &self.phase {
            Phase::Live(live) => live.is_blocked(),
            Phase::Handshake(_) | Phase::Closing(_) => false,
        };
        match self.heart.look(now, held) {
            Beat::Nothing => {}
            Beat::Send => frame::write_heartbeat(out.buf()),
            Beat::Lost => {
                tracing::warn!(conn = self.link.conn, protocol = %DOOR, peer = %self.link.peer, "missed two heartbeats");
                self.lost = true;
                return Flow::Close;
            }
        }
        Flow::Continue
    }

    fn deadline(&self) -> Option<CoreTime> {
        let own = match &self.phase {
            Phase::Handshake(_) => Some(self.login_deadline),
            Phase::Closing(until) => Some(*until),
            Phase::Live(live) => live.deadline(),
        };
        [own, self.heart.deadline()].into_iter().flatten().min()
    }

    fn take_login(&mut self) -> Option<Credentials> {
        match &mut self.phase {
            Phase::Handshake(state) => state.take_login(),
            Phase::Live(_) | Phase::Closing(_) => None,
        }
    }

    fn on_login(
        &mut self,
        login: Result<Identity, LoginError>,
        now: CoreTime,
        out: &mut WriteBuf,
    ) -> Flow {
        let Phase::Handshake(state) = &mut self.phase else {
            return Flow::Continue;
        };
        match handshake::on_login(state, &self.link, login, out) {
            Ok(Step::Close) => Flow::Close,
            Ok(_) => Flow::Continue,
            Err(fault) => {
                self.fail(&fault, now, out);
                Flow::Continue
            }
        }
    }

    fn on_shutdown(&mut self, now: CoreTime, out: &mut WriteBuf) -> Flow {
        match &mut self.phase {
            Phase::Handshake(_) => Flow::Close,
            Phase::Closing(until) => {
                *until = (*until).min(now + SHUTDOWN_MS);
                Flow::Continue
            }
            Phase::Live(_) => {
                let text = "broker forced connection closure with reason 'shutdown'";
                let refusal = Refusal::new(ReplyCode::ConnectionForced, text);
                self.fail(&Fault::new(refusal, (0, 0)), now, out);
                self.phase = Phase::Closing(now + SHUTDOWN_MS);
                Flow::Continue
            }
        }
    }

    fn on_end(&mut self, end: End, now: CoreTime) {
        let end = if self.lost { End::Lost } else { end };
        self.end_live(end, now);
    }
}
