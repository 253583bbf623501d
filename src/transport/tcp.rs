//! Options of accepted sockets.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::net::TcpStream;

/// Idle time before the kernel asks whether the peer is still there: below the 5 minutes after
/// which home routers and cloud balancers forget a connection.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(120);

/// Time between two questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Sets what every client socket wants.
///
/// Nagle's algorithm is off: what we write is a batch already, and with it the last small segment
/// of a batch would wait for the peer's delayed acknowledgement (40 ms).
///
/// # Errors
/// Whatever the kernel says; a socket that the peer has reset already gives one.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}
