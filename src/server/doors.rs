//! Doors: from an accepted connection to what serves it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::aws::gateway::Gateway;
use crate::aws::route;
use crate::config::Config;
use crate::core::Core;
use crate::core::model::time::CoreTime;
use crate::protocols::amqp091::Amqp091;
use crate::protocols::driver::Shared;
use crate::protocols::driver::drive;
use crate::telemetry::Metrics;
use crate::telemetry::Protocol;
use crate::transport::Bound;
use crate::transport::Limits;
use crate::transport::Listener;
use crate::transport::Runtime;
use crate::transport::first_bytes;
use crate::transport::tune;

use super::foundation::Foundation;

/// A client of an HTTP door without logins that says nothing for so long is cut off.
const SILENCE: Duration = Duration::from_secs(60);

/// What the doors need.
pub(super) struct Doors {
    metrics: Arc<Metrics>,
    connections: Runtime,
    core: Core,
    limits: Arc<Limits>,
    shared: Shared,
    gateway: Arc<Gateway>,
}

impl Doors {
    pub(super) fn new(foundation: &Foundation, config: &Config, connections: &Runtime) -> Self {
        let mut gateway = Gateway::new(
            foundation.core.clone(),
            Arc::clone(&foundation.auth),
            Arc::clone(&foundation.clock),
            config.aws_gateway(),
            connections.clone(),
        );
        gateway.login_timeout = config.limits.login_timeout;
        let shared = Shared {
            clock: Arc::clone(&foundation.clock),
            auth: Arc::clone(&foundation.auth),
            metrics: Arc::clone(&foundation.metrics),
            stop: connections.stop_token().clone(),
        };
        Self {
            metrics: Arc::clone(&foundation.metrics),
            connections: connections.clone(),
            core: foundation.core.clone(),
            limits: Arc::new(config.limits.clone()),
            shared,
            gateway: Arc::new(gateway),
        }
    }

    /// Starts accepting.
    pub(super) fn open(&self, listener: &Listener, amqp: Vec<Bound>, aws: Vec<Bound>) {
        self.open_amqp(listener, amqp);
        self.open_aws(listener, aws);
    }

    fn open_amqp(&self, listener: &Listener, sockets: Vec<Bound>) {
        let (core, limits, shared) = (
            self.core.clone(),
            Arc::clone(&self.limits),
            self.shared.clone(),
        );
        let serial = Arc::new(AtomicU64::new(1));
        self.accept(listener, sockets, Protocol::Amqp091, move |stream, peer| {
            let id = serial.fetch_add(1, Ordering::Relaxed);
            let now = CoreTime::from_ms(shared.clock.now_ms());
            let auth = Arc::clone(&shared.auth);
            let session = Amqp091::new(core.clone(), auth, Arc::clone(&limits), peer, id, now);
            drive(stream, session, peer, shared.clone())
        });
    }

    fn open_aws(&self, listener: &Listener, sockets: Vec<Bound>) {
        let (gateway, stop) = (
            Arc::clone(&self.gateway),
            self.connections.stop_token().clone(),
        );
        self.accept(listener, sockets, Protocol::Sqs, move |stream, peer| {
            let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
            async move {
                if is_http_within(&stream, peer, "aws", &stop, gateway.login_timeout).await {
                    route::serve_connection(stream, peer, false, gateway).await;
                }
            }
        });
    }

    /// Accepts on all sockets of one door and runs `serve` for each connection in a task of its own.
    fn accept<F, S>(&self, listener: &Listener, sockets: Vec<Bound>, protocol: Protocol, serve: F)
    where
        F: Fn(TcpStream, SocketAddr) -> S + Clone + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        for bound in sockets {
            let (connections, serve) = (self.connections.clone(), serve.clone());
            let metrics = Arc::clone(&self.metrics);
            let accepted = move |stream: TcpStream, peer, place| {
                if let Err(error) = tune(&stream) {
                    tracing::debug!(%peer, %error, "connection was gone before it began");
                    return;
                }
                let serving = serve(stream, peer);
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            };
            let refused = move |peer: SocketAddr| {
                metrics.connections_refused.inc();
                tracing::warn!(%peer, protocol = %protocol, "connection refused: limits.connections_max is reached");
            };
            listener.accept(bound, accepted, refused);
        }
    }
}

/// Whether a client speaks HTTP. One that clearly speaks something else is named in the log, which
/// saves somebody an evening, and let go.
pub(super) async fn is_http(
    stream: &TcpStream,
    peer: SocketAddr,
    key: &'static str,
    stop: &CancellationToken,
) -> bool {
    is_http_within(stream, peer, key, stop, SILENCE).await
}

/// As [`is_http`], for a client that must speak within `silence`.
async fn is_http_within(
    stream: &TcpStream,
    peer: SocketAddr,
    key: &'static str,
    stop: &CancellationToken,
    silence: Duration,
) -> bool {
    // Both branches only wait; dropping them loses nothing.
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => return false,
        first = first_bytes(stream, silence) => first,
    };
    match first {
        Some(first) if first.may_be_http() => true,
        Some(first) => {
            let hint = first.hint();
            tracing::warn!(%peer, hint, "this looks like {first} on a plain HTTP listener (listeners.{key})");
            false
        }
        None => false,
    }
}
