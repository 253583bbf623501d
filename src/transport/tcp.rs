//! Options of accepted sockets.

use std::io;
use std::time::Duration;

use socket2::SockRef;
use socket2::TcpKeepalive;
use tokio::net::TcpStream;

use super::detect::FirstBytes;

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

/// Waits for the first bytes of a client and guesses what they are, without taking them. `None`: the
/// client left, or said nothing within `patience`.
///
/// # Cancel safety
/// May be dropped at any time: nothing is read.
pub async fn first_bytes(stream: &TcpStream, patience: Duration) -> Option<FirstBytes> {
    let mut start = [0; FirstBytes::NEEDED_BYTES];
    match tokio::time::timeout(patience, stream.peek(&mut start)).await {
        Ok(Ok(length)) if length > 0 => Some(FirstBytes::guess(start.get(..length)?)),
        Ok(_) | Err(_) => None,
    }
}
