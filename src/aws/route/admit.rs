//! Who is asking: signature, body, caller.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Body;
use hyper::header::HOST;
use hyper::http::request::Parts;

use crate::auth::AccessKey;
use crate::aws::config::CredentialsMode;
use crate::aws::config::DEFAULT_REGION;
use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::gateway::KEY_SHOWN_BYTES;
use crate::aws::gateway::cut;
use crate::aws::sigv4;
use crate::aws::sigv4::Claim;
use crate::aws::sigv4::Policy;
use crate::aws::sigv4::SignatureError;
use crate::aws::sigv4::SignedRequest;
use crate::aws::wire::AwsError;
use crate::aws::wire::shape::ServiceModel;
use crate::telemetry::Protocol;

use super::body::Received;
use super::body::receive;
use super::dispatch::signed;
use super::dispatch::text;

/// What a log line and an answer show of the reason: AWS' own texts have up to 200 bytes, but some quote
/// what was sent.
const REASON_SHOWN_BYTES: usize = 512;

pub(super) fn base_url(gateway: &Gateway, headers: &HeaderMap, is_tls: bool) -> String {
    if let Some(url) = &gateway.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if is_tls { "https" } else { "http" };
    let host = text(headers, HOST.as_str()).unwrap_or("localhost");
    format!("{scheme}://{host}")
}

/// Finds out who is asking, and reads the body on the way.
pub(super) async fn authenticate<B>(
    gateway: &Gateway,
    peer: SocketAddr,
    service: &ServiceModel,
    parts: &Parts,
    base_url: String,
    body: B,
) -> Result<(Caller, Received), AwsError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let request = signed(parts);
    let limit = gateway.config.max_request_bytes;
    let body = receive(
        body,
        limit,
        &gateway.body_memory,
        gateway.runtime.stop_token(),
    );
    if gateway.config.credentials == CredentialsMode::Any {
        let key_id = sigv4::access_key_of(&request).unwrap_or_default();
        let region = sigv4::region_of(&request);
        let region = region
            .as_deref()
            .filter(|region| !region.is_empty())
            .unwrap_or(DEFAULT_REGION);
        let caller = gateway.anybody(&key_id, region, base_url);
        return Ok((caller, body.await?));
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
    let body = body.await?;
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
    let key = cut(&key, KEY_SHOWN_BYTES);
    gateway.core.metrics().logins_failed.of(Protocol::Sqs).inc();
    let is_logged = is_known || error != SignatureError::UnknownKey;
    let mut answer = AwsError::from(error);
    if answer.message.len() > REASON_SHOWN_BYTES {
        answer.message = cut(&answer.message, REASON_SHOWN_BYTES).to_owned().into();
    }
    // The look-up has said why it refused a key.
    if is_logged {
        tracing::warn!(%peer, key, reason = %answer.message, "signature refused");
    }
    answer
}
