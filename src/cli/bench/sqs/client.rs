//! One connection to an endpoint, and one signed call at a time on it.
//!
//! The connection is driven by the task that calls, not by a task of its own: no call changes tasks on its way.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use std::time::SystemTime;

use anyhow::Context as _;
use anyhow::anyhow;
use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::Request;
use hyper::StatusCode;
use hyper::client::conn::http1;
use hyper::header;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::aws::sigv4::SignedRequest;
use crate::aws::sigv4::Signer;
use crate::cli::bench::peer::Identity;

use super::endpoint::Endpoint;
use super::refusal;
use super::refusal::Refusal;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const AWS_JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.0");
/// Largest answer: ten messages of SQS' largest size, and the escapes of their JSON.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// What is shown of a refusal.
const SHOWN_CHARS: usize = 400;
/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

type Connection = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// A client of one endpoint.
#[derive(Debug)]
pub(in crate::cli::bench) struct Client {
    endpoint: Arc<Endpoint>,
    signer: Signer,
    open: Option<Open>,
    server: Option<String>,
}

#[derive(Debug)]
struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    connection: Pin<Box<Connection>>,
}

impl Client {
    /// A client that connects with its first call.
    pub(super) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            signer: endpoint.signer(),
            endpoint,
            open: None,
            server: None,
        }
    }

    /// Who answers, as the last answer said.
    pub(super) fn identity(&self) -> Identity {
        let server = self.server.as_deref().unwrap_or("SQS");
        let (product, version) = server.split_once('/').unwrap_or((server, ""));
        Identity {
            product: product.to_owned(),
            version: version.to_owned(),
        }
    }

    /// Connects, so that the first call need not.
    ///
    /// # Errors
    /// Nobody listens, or doesn't answer in time.
    pub(super) async fn connect(&mut self) -> anyhow::Result<()> {
        let Endpoint { host, port, .. } = &*self.endpoint;
        let connecting = TcpStream::connect((host.as_str(), *port));
        let stream = tokio::time::timeout(CONNECT_PATIENCE, connecting)
            .await
            .unwrap_or_else(|late| Err(late.into()))
            .with_context(|| format!("cannot connect to {host}:{port}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = Box::pin(connection);
        self.open = Some(Open { sender, connection });
        Ok(())
    }

    /// Calls an operation and returns the body of its answer.
    ///
    /// # Errors
    /// The connection failed, or the answer is a [`Refusal`].
    ///
    /// # Cancel safety
    /// A call that is dropped may have been carried out; the client is good for another one.
    pub(super) async fn call(
        &mut self,
        operation: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Bytes> {
        let mut open = self.reopen().await?;
        let request = self.request(operation, body)?;
        let (status, server, body) = exchange(&mut open, request)
            .await
            .with_context(|| operation.to_owned())?;
        // Back only now: with a call that was dropped half-way nothing else can be said on a connection.
        self.open = Some(open);
        self.server = server;
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body);
            let text: String = text.chars().take(SHOWN_CHARS).collect();
            let is_for_now = refusal::is_for_now(status, &body);
            let refusal = Refusal {
                operation,
                status,
                text,
                is_for_now,
            };
            return Err(refusal.into());
        }
        Ok(body)
    }

    /// Takes the connection, or a new one where the other side has closed it while nothing was said.
    async fn reopen(&mut self) -> anyhow::Result<Open> {
        if let Some(mut open) = self.open.take()
            && !has_ended(&mut open).await
        {
            return Ok(open);
        }
        self.connect().await?;
        self.open.take().context("just connected")
    }

    fn request(
        &mut self,
        operation: &'static str,
        body: Vec<u8>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let date = Signer::date(seconds_since_1970());
        let mut headers = HeaderMap::with_capacity(7);
        headers.insert(header::HOST, self.endpoint.authority.parse()?);
        headers.insert(header::CONTENT_TYPE, AWS_JSON);
        headers.insert(TARGET, format!("AmazonSQS.{operation}").parse()?);
        headers.insert(DATE, date.parse()?);
        if let Some(token) = self.endpoint.token() {
            headers.insert(TOKEN, token.clone());
        }
        let signed = SignedRequest {
            method: "POST",
            path: "/",
            query: "",
            headers: &headers,
        };
        let authorization = self.signer.authorization(&signed, &body, &date);
        headers.insert(header::AUTHORIZATION, authorization.parse()?);
        let mut request = Request::post("/").body(Full::from(body))?;
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// Whether the other side has closed a connection on which nothing is under way.
async fn has_ended(open: &mut Open) -> bool {
    poll_fn(|cx| Poll::Ready(open.connection.as_mut().poll(cx).is_ready())).await
        || open.sender.is_closed()
}

/// Sends a request and reads the whole answer.
async fn exchange(
    open: &mut Open,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<(StatusCode, Option<String>, Bytes)> {
    let Open { sender, connection } = open;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let (parts, body) = answer.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow!(error))?.to_bytes();
        let server = parts.headers.get(header::SERVER);
        let server = server.and_then(|server| server.to_str().ok());
        anyhow::Ok((parts.status, server.map(str::to_owned), body))
    };
    tokio::pin!(answer);
    let mut has_ended = false;
    poll_fn(|cx| {
        if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
            return Poll::Ready(answer);
        }
        // What was asked for is written here, and what came is handed on, which wakes this task again.
        if !has_ended && connection.as_mut().poll(cx).is_ready() {
            has_ended = true;
            return answer.as_mut().poll(cx);
        }
        if has_ended {
            return Poll::Ready(Err(anyhow!("the connection was closed before the answer")));
        }
        Poll::Pending
    })
    .await
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature carries the date, and the generator is a client with a clock of its own"
)]
fn seconds_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    })
}
