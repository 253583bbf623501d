//! Who is asking: signature, body, caller.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::HOST;
use hyper::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::auth::AccessKey;
use crate::aws::config::CredentialsMode;
use crate::aws::config::DEFAULT_REGION;
use crate::aws::gateway::BODY_MEMORY_KIB;
use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::sigv4;
use crate::aws::sigv4::Claim;
use crate::aws::sigv4::Policy;
use crate::aws::sigv4::SignatureError;
use crate::aws::sigv4::SignedRequest;
use crate::aws::wire::AwsError;
use crate::aws::wire::error;
use crate::aws::wire::shape::ServiceModel;
use crate::telemetry::Protocol;

use super::dispatch::signed;
use super::dispatch::text;

/// A body that takes longer is given up.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

pub(super) fn base_url(gateway: &Gateway, headers: &HeaderMap, is_tls: bool) -> String {
    if let Some(url) = &gateway.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if is_tls { "https" } else { "http" };
    let host = text(headers, HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// A body, and its share of the memory for bodies as long as it is needed.
pub(super) struct Request {
    pub(super) body: Bytes,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Finds out who is asking, and reads the body on the way.
pub(super) async fn authenticate<B>(
    gateway: &Gateway,
    peer: SocketAddr,
    service: &ServiceModel,
    parts: &Parts,
    base_url: String,
    body: B,
) -> Result<(Caller, Request), AwsError>
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
    let is_known = found.is_some();
    let claim = claim.map_err(|error| refused(gateway, peer, &request, error, is_known))?;
    let body = read_body(gateway, body).await?;
    let scope = claim
        .check_body(&request, &body.body)
        .map_err(|error| refused(gateway, peer, &request, error, is_known))?;
    let key = found.ok_or(SignatureError::UnknownKey)?;
    Ok((gateway.caller(&key, &scope.region, base_url)?, body))
}

fn refused(
    gateway: &Gateway,
    peer: SocketAddr,
    request: &SignedRequest<'_>,
    error: SignatureError,
    is_known: bool,
) -> AwsError {
    let key = sigv4::access_key_of(request).unwrap_or_default();
    gateway.core.metrics().logins_failed.of(Protocol::Sqs).inc();
    // The look-up has said why it refused a key.
    if is_known || error != SignatureError::UnknownKey {
        tracing::warn!(%peer, key, reason = %error, "signature refused");
    }
    error.into()
}

/// Collects a body, never more of it than the limit, and counts it against the memory of all bodies
/// until it is parsed.
async fn read_body<B>(gateway: &Gateway, body: B) -> Result<Request, AwsError>
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
    // A limit above all memory for bodies takes all of it.
    let kib = u32::try_from(most / 1024 + 1)
        .unwrap_or(u32::MAX)
        .min(BODY_MEMORY_KIB);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let read = async {
        // It is never closed.
        let memory = Arc::clone(&gateway.body_memory)
            .acquire_many_owned(kib)
            .await
            .ok();
        let body = Limited::new(body, limit).collect().await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(Request {
            body: body.to_bytes(),
            _memory: memory,
        })
    };
    match tokio::time::timeout(BODY_TIMEOUT, read).await {
        Ok(Ok(request)) => Ok(request),
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
