//! Listening sockets: bound before the broker says that it is ready, accepting under a limit.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use super::runtime::Runtime;

/// Connections that the kernel holds for us while we are busy: 128, the usual figure, is too few
/// for a thousand devices that reconnect at once.
const BACKLOG: i32 = 1024;

/// Pause after an accept that failed for want of descriptors or memory: trying again at once would
/// burn a core until somebody leaves.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// Address and port; port 0 lets the system choose.
    pub socket: SocketAddr,
    /// Left out silently on a machine without this address family: the IPv6 half of `localhost`.
    pub is_optional: bool,
}

impl From<SocketAddr> for ListenAddress {
    fn from(socket: SocketAddr) -> Self {
        Self {
            socket,
            is_optional: false,
        }
    }
}

/// A listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for {protocol}: {}; the key listeners.{key} sets the address", reason(.source))]
pub struct ListenError {
    /// Address that was asked for.
    pub address: SocketAddr,
    /// What would have been served there.
    pub protocol: &'static str,
    /// Last part of the configuration key.
    pub key: &'static str,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// The system's words where they help, ours where they don't.
fn reason(error: &io::Error) -> String {
    let words = [
        (io::ErrorKind::AddrInUse, "another process uses the port"),
        (
            io::ErrorKind::AddrNotAvailable,
            "this machine has no such address",
        ),
        (
            io::ErrorKind::PermissionDenied,
            "ports below 1024 need a privilege",
        ),
    ];
    match words.iter().find(|(kind, _)| *kind == error.kind()) {
        Some((_, words)) => (*words).to_owned(),
        None => error.to_string(),
    }
}

/// A bound socket that doesn't accept yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// The real address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds all addresses of a door.
///
/// With port 0 for several addresses, the later ones try the port that the first was given, so that
/// `localhost` is one port on both of its addresses.
///
/// # Errors
/// [`ListenError`] names address, protocol and key.
pub fn bind(
    addresses: &[ListenAddress],
    protocol: &'static str,
    key: &'static str,
) -> Result<Vec<Bound>, ListenError> {
    let mut bound: Vec<Bound> = Vec::with_capacity(addresses.len());
    for address in addresses {
        let mut socket = address.socket;
        if let (0, Some(first)) = (socket.port(), bound.first()) {
            socket.set_port(first.address.port());
        }
        let result = open(socket).or_else(|error| {
            let is_taken = error.kind() == io::ErrorKind::AddrInUse;
            if is_taken && address.socket.port() == 0 {
                open(address.socket)
            } else {
                Err(error)
            }
        });
        match result {
            Ok(listener) => bound.push(listener),
            Err(error) if address.is_optional && lacks_family(&error) && !bound.is_empty() => {
                tracing::debug!(address = %address.socket, %error, "address left out");
            }
            Err(source) => {
                return Err(ListenError {
                    address: socket,
                    protocol,
                    key,
                    source,
                });
            }
        }
    }
    Ok(bound)
}

/// Whether the machine has no IPv6, or none on loopback.
fn lacks_family(error: &io::Error) -> bool {
    let no_family = Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == no_family
}

fn open(address: SocketAddr) -> io::Result<Bound> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        // Each address stands for itself: what is bound is what was written. Only `[::]` written
        // without its IPv4 twin would mean both, and we bind both by name (`*`) instead.
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

/// Accepts connections for one door.
#[derive(Clone, Debug)]
pub struct Listener {
    runtime: Runtime,
    places: Arc<Semaphore>,
}

impl Listener {
    /// A listener that starts its tasks on `runtime` and shares `places` with the other doors.
    pub fn new(runtime: Runtime, places: Arc<Semaphore>) -> Self {
        Self { runtime, places }
    }

    /// Accepts on a bound socket until the runtime stops.
    ///
    /// `serve` is called for each connection, with the place that it takes: dropping the place
    /// frees it. `refused` is called for each connection above the limit, which is closed at once:
    /// a client that waits in the backlog would only see a time-out.
    pub fn accept<S, R>(&self, bound: Bound, serve: S, refused: R)
    where
        S: Fn(TcpStream, SocketAddr, OwnedSemaphorePermit) + Send + 'static,
        R: Fn(SocketAddr) + Send + 'static,
    {
        let (stop, places) = (self.runtime.stop_token().clone(), Arc::clone(&self.places));
        self.runtime.spawn(async move {
            loop {
                // Both branches are safe to drop: `accept` loses no connection.
                let accepted = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    accepted = bound.listener.accept() => accepted,
                };
                match accepted {
                    Ok((stream, peer)) => match Arc::clone(&places).try_acquire_owned() {
                        Ok(place) => serve(stream, peer, place),
                        Err(_) => refused(peer),
                    },
                    // The peer was gone before we came.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        tracing::warn!(address = %bound.address, %error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;
    use tokio::io::AsyncReadExt;

    fn local(port: u16) -> Vec<ListenAddress> {
        let v4 = SocketAddr::from(([127, 0, 0, 1], port));
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
        vec![
            v4.into(),
            ListenAddress {
                socket: v6,
                is_optional: true,
            },
        ]
    }

    #[tokio::test]
    async fn port_zero_gives_one_real_port_on_both_addresses() {
        let bound = bind(&local(0), "AMQP", "amqp").unwrap();
        assert!(
            bound
                .iter()
                .all(|b| b.address().port() == bound[0].address().port())
        );
        assert_ne!(bound[0].address().port(), 0);
    }

    #[tokio::test]
    async fn a_port_in_use_names_address_protocol_and_key() {
        let first = bind(&local(0)[..1], "AMQP", "amqp").unwrap();
        let port = first[0].address().port();
        let error = bind(&local(port)[..1], "AMQP", "amqp")
            .unwrap_err()
            .to_string();
        let expected = format!(
            "cannot listen on 127.0.0.1:{port} for AMQP: another process uses the port; \
             the key listeners.amqp sets the address"
        );
        assert_eq!(error, expected);
    }

    #[tokio::test]
    async fn a_connection_above_the_limit_is_closed_at_once() {
        let runtime = Runtime::new();
        let mut bound = bind(&local(0)[..1], "AMQP", "amqp").unwrap();
        let address = bound[0].address();
        let (held, mut serving) = tokio::sync::mpsc::channel(8);
        let listener = Listener::new(runtime.clone(), Arc::new(Semaphore::new(1)));
        listener.accept(
            bound.remove(0),
            move |stream, _, place| held.try_send((stream, place)).unwrap(),
            |_| (),
        );

        let _first = TcpStream::connect(address).await.unwrap();
        let held = serving.recv().await.unwrap();
        let mut second = TcpStream::connect(address).await.unwrap();
        assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);

        drop(held);
        let _third = TcpStream::connect(address).await.unwrap();
        assert!(serving.recv().await.is_some());
        assert_eq!(runtime.shutdown(Duration::from_secs(5)).await, 0);
    }
}
