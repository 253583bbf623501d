//! The metrics endpoint.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use tokio::sync::Semaphore;

use crate::telemetry::Format;
use crate::telemetry::Metrics;
use crate::transport::Bound;
use crate::transport::Listener;
use crate::transport::Runtime;
use crate::transport::http;
use crate::transport::tune;

use super::doors::is_http;

/// Scrapers at a time: they have places of their own, so that they get through when clients don't.
const SCRAPERS_MAX: usize = 64;

/// A scrape has no body.
const BODY_MAX_BYTES: usize = 1024;

/// Serves `/metrics` on these sockets until the runtime stops.
pub(super) fn serve(
    runtime: &Runtime,
    sockets: Vec<Bound>,
    metrics: &Arc<Metrics>,
    refresh: &Arc<dyn Fn() + Send + Sync>,
) {
    let listener = Listener::new(runtime.clone(), Arc::new(Semaphore::new(SCRAPERS_MAX)));
    for bound in sockets {
        let (runtime, metrics, refresh) =
            (runtime.clone(), Arc::clone(metrics), Arc::clone(refresh));
        let serve = move |stream, peer: SocketAddr, place| {
            if tune(&stream).is_err() {
                return;
            }
            let (metrics, refresh) = (Arc::clone(&metrics), Arc::clone(&refresh));
            let answer = move |request: Request<Bytes>| {
                refresh();
                std::future::ready(answer(&request, &metrics))
            };
            let stop = runtime.stop_token().clone();
            runtime.spawn(async move {
                if is_http(&stream, peer, "metrics", &stop).await {
                    http::serve(stream, stop, BODY_MAX_BYTES, answer).await;
                }
                drop(place);
            });
        };
        listener.accept(bound, serve, |_| {});
    }
}

fn answer(request: &Request<Bytes>, metrics: &Metrics) -> Response<Bytes> {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => {
            let accept = request
                .headers()
                .get(hyper::header::ACCEPT)
                .and_then(|value| value.to_str().ok());
            let format = Format::accepted(accept);
            http::text(
                StatusCode::OK,
                format.content_type(),
                metrics.render(format),
            )
        }
        (&Method::GET | &Method::HEAD, "/") => {
            http::text(StatusCode::OK, "text/plain", "metrics are at /metrics\n")
        }
        (&Method::GET | &Method::HEAD, _) => http::empty(StatusCode::NOT_FOUND),
        _ => http::empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}
