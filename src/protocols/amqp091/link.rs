//! What every level of a connection shares: the broker, the limits, and what was agreed with the peer.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::auth::Auth;
use crate::core::Core;
use crate::core::inbox::Inbox;
use crate::core::model::time::CoreTime;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::RawValue;
use crate::telemetry::Protocol;
use crate::transport::Limits;
use crate::transport::buffer::WriteBuf;

/// The label of everything that this door counts.
pub(super) const DOOR: Protocol = Protocol::Amqp091;

/// Longest name of a connection that is kept, in bytes.
const NAME_MAX_BYTES: usize = 255;

/// The name that a client gives its connection, as far as it is kept.
pub(super) fn connection_name(client_properties: RawTable<'_>) -> Box<str> {
    let name = client_properties
        .get(b"connection_name")
        .and_then(RawValue::as_str)
        .unwrap_or_default();
    let end = name.floor_char_boundary(NAME_MAX_BYTES);
    name.get(..end).unwrap_or_default().into()
}

/// What the client says that it can do (`client-properties`, table `capabilities`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) authentication_failure_close: bool,
    pub(super) consumer_cancel_notify: bool,
    pub(super) connection_blocked: bool,
}

impl Capabilities {
    pub(super) fn of(client_properties: RawTable<'_>) -> Self {
        let Some(RawValue::Table(table)) = client_properties.get(b"capabilities") else {
            return Self::default();
        };
        let has = |name: &[u8]| table.get(name).and_then(RawValue::as_bool) == Some(true);
        Self {
            authentication_failure_close: has(b"authentication_failure_close"),
            consumer_cancel_notify: has(b"consumer_cancel_notify"),
            connection_blocked: has(b"connection.blocked"),
        }
    }
}

/// A connection's surroundings.
pub(super) struct Link {
    pub(super) core: Core,
    pub(super) auth: Arc<Auth>,
    pub(super) limits: Arc<Limits>,
    pub(super) inbox: Arc<Inbox>,
    pub(super) peer: SocketAddr,
    pub(super) conn: u64,
    pub(super) client: Capabilities,
    /// What the client calls the connection.
    pub(super) name: Box<str>,
    /// Agreed size of a frame, in bytes.
    pub(super) frame_max: u32,
    /// Agreed highest channel number.
    pub(super) channel_max: u16,
}

/// One call of the driver: the surroundings, the time, and where to write.
pub(super) struct Turn<'a> {
    pub(super) link: &'a Link,
    pub(super) now: CoreTime,
    pub(super) out: &'a mut WriteBuf,
}

impl<'a> Turn<'a> {
    pub(super) fn core(&self) -> &'a Core {
        &self.link.core
    }
}
