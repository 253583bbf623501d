//! From a connection to an operation and back.
//!
//! A request is checked in this order: size, signature but for the body, body, signature, operation.
//! So nobody without a key makes the broker read a body.

mod admit;

mod answer;

mod body;

mod dispatch;

mod login;

mod output;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use hyper::Request;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::header::HeaderValue;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::aws::gateway::Gateway;
use crate::aws::health;
use crate::aws::sqs;
use crate::aws::wire::AwsError;
use crate::aws::wire::Wire;
use crate::telemetry::HttpRequest;
use crate::telemetry::Metrics;
use crate::telemetry::Protocol;
use crate::transport::Runtime;

use admit::authenticate;
use admit::base_url;
use answer::Answer;
use answer::answered;
use answer::failed;
use answer::plain;
use answer::request_id;
use dispatch::is_query_call;
use dispatch::parse;
use dispatch::service_of;
use dispatch::wire_of;
use login::Login;
use output::Output;

/// A client that sends no head, or nothing on a kept connection, for so long is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a client is looked at whose first request is being read after the time for it.
const LOGIN_CHECK: Duration = Duration::from_secs(1);
/// Memory for a request's head.
const HEAD_BYTES: usize = 64 * 1024;
/// An HTTP/2 peer that answers no ping is gone; HTTP/1.1 has the time-out of the head.
const PING_EVERY: Duration = Duration::from_secs(60);
/// Requests at once on an HTTP/2 connection: long polls each hold one.
const MAX_STREAMS: u32 = 256;

/// Starts the streams of an HTTP/2 connection where shutdown knows them.
#[derive(Clone)]
struct Tracked(Runtime);

impl<F> Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        // Nobody joins it: the tracker waits for it.
        drop(self.0.spawn(task));
    }
}

/// Serves one accepted connection until the peer closes it or the gateway stops. Speaks HTTP/1.1, and
/// HTTP/2 to those who begin with its preface.
pub async fn serve_connection<I>(io: I, peer: SocketAddr, is_tls: bool, gateway: Arc<Gateway>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _open = Open::new(&gateway);
    let stop = gateway.runtime.stop_token().clone();
    let executor = Tracked(gateway.runtime.clone());
    let client = Arc::new(Login::default());
    let login_timeout = tokio::time::sleep(gateway.login_timeout);
    tokio::pin!(login_timeout);
    let known = Arc::clone(&client);
    let service = service_fn(move |request: Request<Incoming>| {
        let (gateway, client) = (Arc::clone(&gateway), Arc::clone(&client));
        async move { Ok::<_, Infallible>(handle(&gateway, peer, is_tls, request, &client).await) }
    });
    let mut builder = auto::Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    let io = TokioIo::new(Output::new(io, stop.clone()));
    let connection = builder.serve_connection(io, service);
    tokio::pin!(connection);
    let mut is_stopping = false;
    let mut is_verified = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "http connection ended");
                }
                return;
            }
            () = &mut login_timeout, if !is_verified => {
                is_verified = known.is_verified();
                if !is_verified && !known.is_admitting() {
                    tracing::debug!(%peer, "no verified request within limits.login_timeout");
                    return;
                }
                login_timeout.as_mut().reset(Instant::now() + LOGIN_CHECK);
            }
        }
    }
}

/// Counts a connection as long as it is open, however its task ends.
struct Open(Arc<Metrics>);

impl Open {
    fn new(gateway: &Gateway) -> Self {
        let metrics = Arc::clone(gateway.core.metrics());
        metrics.connections_opened.of(Protocol::Sqs).inc();
        metrics.connections.of(Protocol::Sqs).inc();
        Self(metrics)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.of(Protocol::Sqs).dec();
    }
}

/// Answers one request, and counts it.
async fn handle<B>(
    gateway: &Gateway,
    peer: SocketAddr,
    is_tls: bool,
    request: Request<B>,
    client: &Login,
) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let mut operation = "unknown";
    let answer = respond(gateway, peer, is_tls, request, client, &mut operation).await;
    let request = HttpRequest {
        operation,
        status: answer.status().as_u16(),
    };
    gateway
        .core
        .metrics()
        .http_requests
        .get_or_create(&request)
        .inc();
    answer
}

/// Answers one request.
async fn respond<B>(
    gateway: &Gateway,
    peer: SocketAddr,
    is_tls: bool,
    request: Request<B>,
    client: &Login,
    named: &mut &'static str,
) -> Answer
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    if request.method() == Method::GET
        && let Some(body) = health::answer(request.uri().path())
    {
        return plain(StatusCode::OK, "application/json", body.into_bytes());
    }
    let (mut parts, body) = request.into_parts();
    // HTTP/2 has `:authority` in place of `host` (RFC 9113 §8.3.1); a signature covers `host`.
    if !parts.headers.contains_key(HOST)
        && let Some(authority) = parts.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        parts.headers.insert(HOST, host);
    }
    let wire = wire_of(&parts.headers);
    let service = match service_of(wire, &parts) {
        Ok(service) => service,
        Err(error) => return failed(wire, &sqs::model::SQS, &error, &request_id()),
    };
    if wire == Wire::Query && parts.method == Method::GET && !is_query_call(&parts) {
        // What AWS answers to a browser.
        return plain(
            StatusCode::NOT_FOUND,
            "text/xml",
            b"<UnknownOperationException/>\n".to_vec(),
        );
    }
    let request_id = request_id();
    let result = async {
        let base_url = base_url(gateway, &parts.headers, is_tls);
        let admitting = client.admit();
        let (caller, request) =
            authenticate(gateway, peer, service, &parts, base_url, body).await?;
        client.verified();
        drop(admitting);
        let (operation, input) = parse(wire, service, &parts, &request.body)?;
        // What was made from the body takes memory until the operation is done.
        let _memory = request.memory;
        drop(request.body);
        *named = operation.name;
        let output = sqs::call(gateway, &caller, operation.name, input).await?;
        Ok((operation, output))
    };
    let result: Result<_, AwsError> = result.await;
    if let Err(error) = &result
        && !error.kind.sender_fault
    {
        // An alarm has its own line; a client that tries again must not repeat it for ever.
        if error.kind.status == 503 {
            tracing::debug!(%peer, operation = *named, %error, "request put off");
        } else {
            tracing::warn!(%peer, operation = *named, %error, "request failed");
        }
    }
    match result {
        Ok((operation, output)) => answered(wire, service, operation, &output, &request_id),
        Err(error) => failed(wire, service, &error, &request_id),
    }
}
