//! The one loop that drives every session.
//!
//! One task a connection reads, parses, acts, delivers and writes (DESIGN §3.1): no reader and writer
//! pair, no channel on the message path. A round: events, at most one read, the session, its takes, one
//! write; the task sleeps only after a round that did nothing.

use std::future::Future;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::auth::Auth;
use crate::auth::Identity;
use crate::auth::LoginError;
use crate::core::inbox::Event;
use crate::core::model::time::CoreTime;
use crate::protocols::session::End;
use crate::protocols::session::Flow;
use crate::protocols::session::Session;
use crate::telemetry::Metrics;
use crate::transport::Clock;
use crate::transport::buffer::READ_BYTES;
use crate::transport::buffer::WriteBuf;
use crate::transport::give_buffer;
use crate::transport::take_buffer;

/// How long a peer may take to accept the last bytes of a connection that we close.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// What every connection of a broker shares.
#[derive(Clone, Debug)]
pub struct Shared {
    /// Reads the time.
    pub clock: Arc<Clock>,
    /// Checks logins.
    pub auth: Arc<Auth>,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Cancelled when the broker stops.
    pub stop: CancellationToken,
}

/// What a round waits for.
enum Step {
    Stop,
    Wrote(usize),
    Event(Event),
    Login(Result<Identity, LoginError>),
    Read(usize),
    Deadline,
    /// The output has room again.
    Again,
    Gone,
}

type Login = Pin<Box<dyn Future<Output = Result<Identity, LoginError>> + Send>>;

struct Connection<S: Session, IO> {
    io: IO,
    session: S,
    shared: Shared,
    peer: SocketAddr,
    input: BytesMut,
    /// Whole frames may stand in the input, because the session had to wait: no read brings them back.
    held: bool,
    out: WriteBuf,
    /// Something was written since the session last took: it may have more.
    again: bool,
    /// Something else was done since the last look at the socket's input: it is looked at next, so that
    /// neither writing nor events keep the peer from being heard.
    read_first: bool,
    login: Option<Login>,
    timer: Option<(CoreTime, Pin<Box<Sleep>>)>,
    /// None once the session was told.
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// How it ends: lost, unless it turns out otherwise.
    end: End,
    /// Whether the session knows that it is over.
    ended: bool,
}

/// Drives a session over a connection until either ends.
///
/// # Cancel safety
/// Not cancel safe: a dropped drive leaves the session's leases to nobody. It ends by itself when the
/// broker stops.
pub async fn drive<S, IO>(io: IO, session: S, peer: SocketAddr, shared: Shared)
where
    S: Session,
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    let protocol = session.protocol();
    shared.metrics.connections.of(protocol).inc();
    shared.metrics.connections_opened.of(protocol).inc();
    let stop = Some(Box::pin(shared.stop.clone().cancelled_owned()));
    let mut connection = Connection {
        io,
        session,
        shared,
        peer,
        input: BytesMut::new(),
        held: false,
        out: WriteBuf::new(),
        again: false,
        read_first: false,
        login: None,
        timer: None,
        stop,
        end: End::Lost,
        ended: false,
    };
    connection.end = connection.run().await;
}

impl<S: Session, IO> Drop for Connection<S, IO> {
    /// However the task ends, a panic included, its leases go back and its consumers leave.
    fn drop(&mut self) {
        self.end_session(self.end);
        give_buffer(std::mem::take(&mut self.input));
        self.out.release();
        let protocol = self.session.protocol();
        self.shared.metrics.connections.of(protocol).dec();
    }
}

impl<S: Session, IO> Connection<S, IO> {
    /// Tells the session once that its connection is gone.
    fn end_session(&mut self, end: End) {
        if !std::mem::replace(&mut self.ended, true) {
            let now = CoreTime::from_ms(self.shared.clock.now_ms());
            self.session.on_end(end, now);
        }
    }
}

impl<S, IO> Connection<S, IO>
where
    S: Session,
    IO: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn now(&self) -> CoreTime {
        CoreTime::from_ms(self.shared.clock.now_ms())
    }

    async fn run(&mut self) -> End {
        loop {
            let step = self.step().await;
            let now = self.now();
            self.read_first = !matches!(step, Step::Read(_));
            let busy = matches!(step, Step::Read(_) | Step::Event(_) | Step::Again);
            let flow = match step {
                Step::Stop => {
                    self.stop = None;
                    self.session.on_shutdown(now, &mut self.out)
                }
                Step::Wrote(n) => {
                    self.wrote(n);
                    Flow::Continue
                }
                Step::Again => Flow::Continue,
                Step::Event(event) => self.on_events(event, now),
                Step::Login(login) => {
                    self.login = None;
                    self.session.on_login(login, now, &mut self.out)
                }
                Step::Read(n) => {
                    self.shared.metrics.reads.inc();
                    self.shared.metrics.read_bytes.inc_by(n as u64);
                    self.on_bytes(now)
                }
                Step::Deadline => self.session.on_deadline(now, &mut self.out),
                Step::Gone => return End::Lost,
            };
            if flow == Flow::Close {
                self.write_last().await;
                return End::Closed;
            }
            self.again = false;
            if self.pull(now) == Flow::Close {
                self.write_last().await;
                return End::Closed;
            }
            self.start_login();
            if busy {
                // Others have turns too, and what comes meanwhile makes the next batch larger.
                if self.write_now() {
                    return End::Lost;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    /// What the round does. What the session has a deadline for is never late, however busy it is.
    async fn step(&mut self) -> Step {
        let is_due = |at: CoreTime| at <= self.now();
        if self.session.deadline().is_some_and(is_due) {
            return Step::Deadline;
        }
        poll_fn(|cx| self.poll_step(cx)).await
    }

    /// All events that are there, as one round.
    fn on_events(&mut self, first: Event, now: CoreTime) -> Flow {
        let mut next = Some(first);
        while let Some(event) = next {
            if self.session.on_event(event, now, &mut self.out) == Flow::Close {
                return Flow::Close;
            }
            next = self.session.inbox().try_next();
        }
        Flow::Continue
    }

    fn on_bytes(&mut self, now: CoreTime) -> Flow {
        if !self.session.wants_bytes() {
            // Read to see whether the peer is still there; its turn comes.
            self.session.heard(now);
            self.held = true;
            return Flow::Continue;
        }
        let flow = self.session.on_bytes(&mut self.input, now, &mut self.out);
        self.held = !self.input.is_empty() && !self.session.wants_bytes();
        flow
    }

    /// Takes, and goes on with what was left in the input once the session need not wait any more.
    fn pull(&mut self, now: CoreTime) -> Flow {
        loop {
            self.session.pull(now, &mut self.out);
            if !self.held || !self.session.wants_bytes() {
                return Flow::Continue;
            }
            if self.on_bytes(now) == Flow::Close {
                return Flow::Close;
            }
        }
    }

    fn start_login(&mut self) {
        if let Some(credentials) = self.session.take_login() {
            let (auth, ip) = (Arc::clone(&self.shared.auth), self.peer.ip());
            self.login = Some(Box::pin(async move { auth.login(&credentials, ip).await }));
        }
    }

    /// What the round waits for, the most urgent first. Every branch may be left half-way: bytes leave a
    /// buffer, and events the inbox, only by being returned.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Step::Stop);
        }
        if std::mem::take(&mut self.read_first)
            && self.may_read()
            && let Poll::Ready(step) = self.poll_read(cx)
        {
            return Poll::Ready(step);
        }
        if !self.out.is_empty()
            && let Poll::Ready(step) = self.poll_write(cx)
        {
            return Poll::Ready(step);
        }
        if let Poll::Ready(event) = self.session.inbox().poll_next(cx) {
            return Poll::Ready(Step::Event(event));
        }
        if let Some(login) = &mut self.login
            && let Poll::Ready(login) = login.as_mut().poll(cx)
        {
            return Poll::Ready(Step::Login(login));
        }
        if self.may_read()
            && let Poll::Ready(step) = self.poll_read(cx)
        {
            return Poll::Ready(step);
        }
        if self.poll_timer(cx).is_ready() {
            return Poll::Ready(Step::Deadline);
        }
        if self.again && self.out.is_empty() {
            return Poll::Ready(Step::Again);
        }
        // A connection that waits holds no buffer that is empty, whatever it waits for: the input went back when there
        // was nothing to read.
        self.out.release();
        Poll::Pending
    }

    /// Whether to read. A peer that must wait, or whose output stays full, is not read from: that is
    /// back-pressure. One buffer of it is, though, or nobody would notice that it has gone.
    fn may_read(&self) -> bool {
        let is_welcome = self.session.wants_bytes() && self.out.has_room_for_answers();
        is_welcome || self.input.len() < READ_BYTES
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        match Pin::new(&mut self.io).poll_write(cx, self.out.pending()) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Step::Wrote(n)),
            Poll::Ready(_) => Poll::Ready(Step::Gone),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Writes what the socket takes at once; true if the peer is gone.
    fn write_now(&mut self) -> bool {
        while !self.out.is_empty() {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            match self.poll_write(&mut cx) {
                Poll::Ready(Step::Wrote(n)) => self.wrote(n),
                Poll::Ready(_) => return true,
                // The next step registers for it again, with a waker that wakes.
                Poll::Pending => return false,
            }
        }
        false
    }

    fn wrote(&mut self, n: usize) {
        self.out.advance(n);
        self.again = true;
        self.shared.metrics.writes.inc();
        self.shared.metrics.write_bytes.inc_by(n as u64);
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        if self.input.capacity() == 0 {
            self.input = take_buffer();
        } else if self.input.capacity() - self.input.len() < READ_BYTES / 2 {
            self.input.reserve(READ_BYTES);
        }
        let mut limited = bytes::BufMut::limit(&mut self.input, READ_BYTES);
        match tokio_util::io::poll_read_buf(Pin::new(&mut self.io), cx, &mut limited) {
            Poll::Ready(Ok(n)) if n > 0 => Poll::Ready(Step::Read(n)),
            Poll::Ready(_) => Poll::Ready(Step::Gone),
            Poll::Pending => {
                if self.input.is_empty() {
                    give_buffer(std::mem::take(&mut self.input));
                }
                Poll::Pending
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.session.deadline() else {
            self.timer = None;
            return Poll::Pending;
        };
        let wanted = tokio::time::Instant::from_std(self.shared.clock.instant_of(deadline.as_ms()));
        match &mut self.timer {
            Some((at, _)) if *at == deadline => {}
            Some((at, sleep)) => {
                *at = deadline;
                sleep.as_mut().reset(wanted);
            }
            none => *none = Some((deadline, Box::pin(tokio::time::sleep_until(wanted)))),
        }
        match &mut self.timer {
            Some((_, sleep)) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// The goodbye goes out, if the peer takes it within a moment.
    async fn write_last(&mut self) {
        // What it held goes back now, however long the peer takes to read the goodbye and to go.
        self.end_session(End::Closed);
        let last = async {
            while !self.out.is_empty() {
                let Step::Wrote(n) = poll_fn(|cx| self.poll_write(cx)).await else {
                    return;
                };
                self.wrote(n);
            }
            let _ = poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await;
            self.drain().await;
        };
        let _ = tokio::time::timeout(LAST_WRITE, last).await;
    }

    /// Reads to the peer's own end and forgets what it reads.
    ///
    /// A client may have more on its way than its close: amqplib 2.3 writes pending acks after it. A socket that is
    /// closed with unread bytes answers them with a reset, which takes the goodbye away from the client, too.
    async fn drain(&mut self) {
        self.input.clear();
        while let Step::Read(_) = poll_fn(|cx| self.poll_read(cx)).await {
            self.input.clear();
        }
    }
}

#[cfg(test)]
mod tests;
