//! Doors: from an accepted connection to what serves it.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::aws::gateway::Gateway;
use crate::aws::route;
use crate::config::Config;
use crate::telemetry::Metrics;
use crate::telemetry::Protocol;
use crate::transport::Bound;
use crate::transport::Listener;
use crate::transport::Runtime;
use crate::transport::tune;

use super::foundation::Foundation;

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
        self.accept(listener, aws, Protocol::Sqs, move |stream, peer| {
            route::serve_connection(stream, peer, false, Arc::clone(&gateway))
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
