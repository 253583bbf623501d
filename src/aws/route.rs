//! From a connection to an operation and back.
//!
//! A request is checked in this order: size, signature but for the body, body, signature, operation.
//! So nobody without a key makes the broker read a body.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::StatusCode;
use hyper::body::Body;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::header::HOST;
use hyper::header::HeaderValue;
use hyper::http::request::Parts;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;

use crate::auth::AccessKey;
use crate::aws::config::CredentialsMode;
use crate::aws::config::DEFAULT_REGION;
use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::health;
use crate::aws::sigv4;
use crate::aws::sigv4::Claim;
use crate::aws::sigv4::Policy;
use crate::aws::sigv4::SignatureError;
use crate::aws::sigv4::SignedRequest;
use crate::aws::sqs;
use crate::aws::sqs::address::QueueAddress;
use crate::aws::wire::AwsError;
use crate::aws::wire::Wire;
use crate::aws::wire::error;
use crate::aws::wire::json;
use crate::aws::wire::query::Form;
use crate::aws::wire::shape::Operation;
use crate::aws::wire::shape::ServiceModel;
use crate::aws::wire::xml;
use crate::transport::Runtime;

/// Services of the gateway.
static SERVICES: [&ServiceModel; 1] = [&sqs::model::SQS];
/// A client that sends no head, or nothing on a kept connection, for so long is cut off.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// A body that takes longer is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Memory for a request's head.
const HEAD_BYTES: usize = 64 * 1024;
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

type Answer = Response<Full<Bytes>>;

/// Serves one accepted connection until the peer closes it or the gateway stops. Speaks HTTP/1.1, and
/// HTTP/2 to those who begin with its preface.
pub async fn serve_connection<I>(io: I, peer: SocketAddr, is_tls: bool, gateway: Arc<Gateway>)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stop = gateway.runtime.stop_token().clone();
    let executor = Tracked(gateway.runtime.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(handle(&gateway, peer, is_tls, request).await) }
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
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    let connection = builder.serve_connection(TokioIo::new(io), service);
    tokio::pin!(connection);
    let mut is_stopping = false;
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
        }
    }
}

/// Answers one request.
async fn handle<B>(gateway: &Gateway, peer: SocketAddr, is_tls: bool, request: Request<B>) -> Answer
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
        let (caller, body) = authenticate(gateway, peer, service, &parts, base_url, body).await?;
        let (operation, input) = parse(wire, service, &parts, &body)?;
        drop(body);
        let output = sqs::call(gateway, &caller, operation.name, input).await?;
        Ok((operation, output))
    };
    match result.await {
        Ok((operation, output)) => answered(wire, service, operation, &output, &request_id),
        Err(error) => failed(wire, service, &error, &request_id),
    }
}

fn wire_of(headers: &HeaderMap) -> Wire {
    let content_type = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_json =
        content_type.starts_with("application/x-amz-json-") || headers.contains_key("x-amz-target");
    if is_json { Wire::Json } else { Wire::Query }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// JSON names its service in the target; Query services are told apart by the credential scope only.
fn service_of(wire: Wire, parts: &Parts) -> Result<&'static ServiceModel, AwsError> {
    match wire {
        Wire::Json => {
            let target = text(&parts.headers, "x-amz-target").unwrap_or_default();
            let prefix = target.split('.').next().unwrap_or_default();
            SERVICES
                .into_iter()
                .find(|service| service.target_prefix == prefix)
                .ok_or_else(|| unknown_operation(target))
        }
        Wire::Query => {
            let scope = sigv4::scope_service_of(&signed(parts));
            let service = SERVICES
                .into_iter()
                .find(|service| scope.as_deref() == Some(service.scope));
            // A scope of no service here is for the signature's check to refuse, in its own words.
            Ok(service.unwrap_or(&sqs::model::SQS))
        }
    }
}

fn is_query_call(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "Action")
}

fn unknown_operation(name: &str) -> AwsError {
    AwsError::new(
        &error::UNKNOWN_OPERATION,
        format!("The action {name} is not valid for this endpoint."),
    )
}

fn signed(parts: &Parts) -> SignedRequest<'_> {
    SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    }
}

fn base_url(gateway: &Gateway, headers: &HeaderMap, is_tls: bool) -> String {
    if let Some(url) = &gateway.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if is_tls { "https" } else { "http" };
    let host = text(headers, HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// Finds out who is asking, and reads the body on the way.
async fn authenticate<B>(
    gateway: &Gateway,
    peer: SocketAddr,
    service: &ServiceModel,
    parts: &Parts,
    base_url: String,
    body: B,
) -> Result<(Caller, Bytes), AwsError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let request = signed(parts);
    if gateway.config.credentials == CredentialsMode::Any {
        let key_id = sigv4::access_key_of(&request).unwrap_or_default();
        let region = sigv4::region_of(&request);
        let region = region
            .as_deref()
            .filter(|region| !region.is_empty())
            .unwrap_or(DEFAULT_REGION);
        let caller = gateway.anybody(&key_id, region, base_url);
        return Ok((caller, read_body(gateway, body).await?));
    }
    let mut services = vec![service.scope];
    services.extend(
        gateway
            .config
            .scopes
            .get(service.scope)
            .into_iter()
            .flatten()
            .map(String::as_str),
    );
    let policy = Policy {
        services: &services,
        region: None,
    };
    let now = i64::try_from(gateway.clock.wall_ms() / 1_000).unwrap_or(i64::MAX);
    let mut found: Option<Arc<AccessKey>> = None;
    let claim = Claim::check_head(&request, policy, now, |id| {
        let (key, credential) = gateway.credential(id, peer.ip())?;
        found = Some(key);
        Some(credential)
    });
    let claim = claim.map_err(|error| refused(peer, &request, error))?;
    let body = read_body(gateway, body).await?;
    let scope = claim
        .check_body(&request, &body)
        .map_err(|error| refused(peer, &request, error))?;
    let key = found.ok_or(SignatureError::UnknownKey)?;
    Ok((gateway.caller(&key, &scope.region, base_url)?, body))
}

fn refused(peer: SocketAddr, request: &SignedRequest<'_>, error: SignatureError) -> AwsError {
    let key = sigv4::access_key_of(request).unwrap_or_default();
    tracing::warn!(%peer, key, reason = %error, "signature refused");
    error.into()
}

/// Collects a body, never more of it than the limit, and counts it against the memory of all bodies
/// while it is read.
async fn read_body<B>(gateway: &Gateway, body: B) -> Result<Bytes, AwsError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let limit = gateway.config.max_request_bytes;
    let too_large = || {
        AwsError::new(
            &error::REQUEST_TOO_LARGE,
            format!("The request must be shorter than {limit} bytes."),
        )
    };
    if body.size_hint().lower() > limit {
        return Err(too_large());
    }
    // Without a length the most that it can become is taken.
    let most = body.size_hint().upper().unwrap_or(limit).min(limit);
    let kib = u32::try_from(most / 1024 + 1).unwrap_or(u32::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let read = async {
        let _memory = gateway.body_memory.acquire_many(kib).await;
        Limited::new(body, limit).collect().await
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(AwsError::new(
            &error::SERIALIZATION,
            format!("The request body could not be read: {error}."),
        )),
        Err(_) => Err(AwsError::new(
            &error::SERIALIZATION,
            "The request body took too long.",
        )),
    }
}

fn parse(
    wire: Wire,
    service: &ServiceModel,
    parts: &Parts,
    body: &[u8],
) -> Result<(&'static Operation, Value), AwsError> {
    match wire {
        Wire::Json => {
            let target = text(&parts.headers, "x-amz-target").unwrap_or_default();
            let name = target.split_once('.').map_or("", |(_, name)| name);
            let operation = service
                .operation(name)
                .ok_or_else(|| unknown_operation(name))?;
            Ok((operation, json::parse(body)?))
        }
        Wire::Query => {
            let mut form = Form::parse(parts.uri.query().unwrap_or_default(), body)?;
            let name = form
                .get("Action")
                .ok_or_else(|| error::missing_parameter("Action"))?;
            let operation = service
                .operation(name)
                .ok_or_else(|| unknown_operation(name))?;
            if form
                .get("Version")
                .is_some_and(|version| version != service.version)
            {
                let text = format!(
                    "The requested version is not valid; use {}.",
                    service.version
                );
                return Err(error::invalid_parameter(text));
            }
            // The queue's own path stands for its URL.
            if QueueAddress::from_path(parts.uri.path()).is_some() {
                form.default_field("QueueUrl", parts.uri.path().to_owned());
            }
            Ok((operation, form.into_value(operation.input)?))
        }
    }
}

fn answered(
    wire: Wire,
    service: &ServiceModel,
    operation: &Operation,
    output: &Value,
    request_id: &str,
) -> Answer {
    let body = match wire {
        Wire::Json => json::answer(output),
        Wire::Query => xml::answer(operation, service.namespace, output, request_id),
    };
    with_id(plain(StatusCode::OK, wire.content_type(), body), request_id)
}

fn failed(wire: Wire, service: &ServiceModel, error: &AwsError, request_id: &str) -> Answer {
    let (status, body) = match wire {
        Wire::Json => (error.kind.status, json::error(error)),
        Wire::Query => (
            error.kind.query_status,
            xml::error(error, service.namespace, request_id),
        ),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut answer = with_id(plain(status, wire.content_type(), body), request_id);
    let query_error = format!("{};{}", error.kind.code, error.kind.fault());
    if wire == Wire::Json
        && let Ok(value) = HeaderValue::from_str(&query_error)
    {
        answer.headers_mut().insert("x-amzn-query-error", value);
    }
    answer
}

fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

fn with_id(mut answer: Answer, request_id: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        answer.headers_mut().insert("x-amzn-requestid", value);
    }
    answer
}

fn request_id() -> String {
    let mut bytes = [0; 16];
    // An id without entropy is still an id; nothing depends on it.
    let _ = getrandom::fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}
