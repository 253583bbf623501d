//! What every protocol is to the driver: a state machine of bytes, events and time.

use std::sync::Arc;

use bytes::BytesMut;

use crate::auth::Credentials;
use crate::auth::Identity;
use crate::auth::LoginError;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::model::time::CoreTime;
use crate::telemetry::Protocol;
use crate::transport::buffer::WriteBuf;

/// What the driver does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Goes on.
    Continue,
    /// Writes what is left in the buffer, and closes.
    Close,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By the protocol's own closing handshake, or by our closing after telling the client.
    Closed,
    /// The peer went away, or a time-out said that it had.
    Lost,
}

/// One client conversation: what came in, and when, decides what goes out.
///
/// No sockets, no clock, no tasks. The session holds a `Core`, which is synchronous and does no IO, so a
/// test drives a session with bytes and time over the memory store. Every call gets the present core
/// time and the output buffer.
pub trait Session: Send {
    /// Whose metrics this connection counts on.
    fn protocol(&self) -> Protocol;

    /// Where core posts this session's events.
    fn inbox(&self) -> &Arc<Inbox>;

    /// Handles every whole frame in `input`, and leaves the rest in it: one push to core per run of
    /// publishes to the same queues. May leave whole frames too once [`Session::wants_bytes`] is false.
    fn on_bytes(&mut self, input: &mut BytesMut, now: CoreTime, out: &mut WriteBuf) -> Flow;

    /// Whether bytes may be read and handed in now. False while the client must wait: a login is being
    /// checked, an alarm blocks a publisher, the log has too much to write.
    fn wants_bytes(&self) -> bool;

    /// Bytes came while the session does not want any: the peer is there, though it must wait.
    fn heard(&mut self, now: CoreTime);

    /// A watermark moved, a consumer is ready or was cancelled, an alarm changed.
    fn on_event(&mut self, event: Event, now: CoreTime, out: &mut WriteBuf) -> Flow;

    /// Sends what became possible (confirms), then takes up to the credit and to `out`'s room, and
    /// encodes what it took. Called after every round; true if it wrote something.
    fn pull(&mut self, now: CoreTime, out: &mut WriteBuf) -> bool;

    /// A deadline of the session's own has come: heartbeat, login time-out.
    fn on_deadline(&mut self, now: CoreTime, out: &mut WriteBuf) -> Flow;

    /// When [`Session::on_deadline`] is to be called.
    fn deadline(&self) -> Option<CoreTime>;

    /// A login to be checked, taken out once: hashing runs off the session's thread.
    fn take_login(&mut self) -> Option<Credentials>;

    /// The login was checked.
    fn on_login(
        &mut self,
        login: Result<Identity, LoginError>,
        now: CoreTime,
        out: &mut WriteBuf,
    ) -> Flow;

    /// The broker stops: tells the client in its protocol's words.
    fn on_shutdown(&mut self, now: CoreTime, out: &mut WriteBuf) -> Flow;

    /// The connection is gone: leases go back, consumers leave.
    fn on_end(&mut self, end: End, now: CoreTime);
}
