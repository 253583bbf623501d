//! Doors: from an accepted connection to what serves it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::aws::gateway::Gateway;
use crate::aws::route;
use crate::config::Config;
use crate::telemetry::Metrics;
use crate::telemetry::Protocol;
use crate::transport::Bound;
use crate::transport::Listener;
use crate::transport::Runtime;
use crate::transport::first_bytes;
use crate::transport::tune;

use super::foundation::Foundation;

/// A client of an HTTP door that says nothing for so long is cut off.
const SILENCE: Duration = Duration::from_secs(60);

/// What the doors need.
pub(super) struct Doors {
    metrics: Arc<Metrics>,
    connections: Runtime,
    gateway: Arc<Gateway>,
}

impl Doors {
    pub(super) fn new(foundation: &Foundation, config: &Config, connections: &Runtime) -> Self {
        let gateway = Gateway::new(
            foundation.core.clone(),
            Arc::clone(&foundation.auth),
            Arc::clone(&foundation.clock),
            config.aws_gateway(),
            connections.clone(),
        );
        Self {
            metrics: Arc::clone(&foundation.metrics),
            connections: connections.clone(),
            gateway: Arc::new(gateway),
        }
    }

    /// Starts accepting.
    pub(super) fn open(&self, listener: &Listener, amqp: Vec<Bound>, aws: Vec<Bound>) {
        let _ = amqp;
        let gateway = Arc::clone(&self.gateway);
        let stop = self.connections.stop_token().clone();
        self.accept(listener, aws, Protocol::Sqs, move |stream, peer| {
            let (gateway, stop) = (Arc::clone(&gateway), stop.clone());
            async move {
                if is_http(&stream, peer, "aws", &stop).await {
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
    // Both branches only wait; dropping them loses nothing.
    let first = tokio::select! {
        biased;
        () = stop.cancelled() => return false,
        first = first_bytes(stream, SILENCE) => first,
    };
    match first {
        Some(first) if first.may_be_http() => true,
        Some(first) => {
            tracing::warn!(%peer, "this looks like {first} on a plain HTTP listener (listeners.{key})");
            false
        }
        None => false,
    }
}
