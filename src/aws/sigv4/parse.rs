//! Where a signature stands in a request: the `Authorization` header, or a presigned query.
//!
//! ```text
//! Authorization: AWS4-HMAC-SHA256 Credential=<key>/<day>/<region>/<service>/aws4_request,
//!                SignedHeaders=<a;b>, Signature=<64 hex digits>
//! ?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=…&X-Amz-Date=…&X-Amz-Expires=…
//!                &X-Amz-SignedHeaders=…&X-Amz-Signature=…[&X-Amz-Security-Token=…]
//! ```

use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use hyper::header::DATE;

use super::SignatureError;
use super::SignedRequest;

/// The only algorithm that SQS and its sisters accept for one region.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// AWS' limit of a presigned URL's life: a week.
const MAX_EXPIRES_SECONDS: i64 = 604_800;

/// A signature's parts, well formed but not believed yet.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) key_id: String,
    pub(super) day: String,
    pub(super) region: String,
    pub(super) service: String,
    pub(super) terminator: String,
    pub(super) signed_headers: Vec<String>,
    pub(super) signature: String,
    pub(super) date: String,
    pub(super) token: Option<String>,
    /// Seconds that a presigned request lives; `None` in a header-signed one.
    pub(super) expires: Option<i64>,
}

/// The access key id that a request names, well signed or not.
///
/// This is all that `aws.credentials = "any"` looks at.
#[must_use]
pub fn access_key_of(request: &SignedRequest<'_>) -> Option<String> {
    credential_of(request)?
        .split('/')
        .next()
        .filter(|key| !key.is_empty())
        .map(str::to_owned)
}

/// The service that a request's credential scope names, well signed or not; it tells Query services
/// apart, which share path and content type.
#[must_use]
pub fn scope_service_of(request: &SignedRequest<'_>) -> Option<String> {
    credential_of(request)?.split('/').nth(3).map(str::to_owned)
}

/// The region that a request's credential scope names, well signed or not.
#[must_use]
pub fn region_of(request: &SignedRequest<'_>) -> Option<String> {
    credential_of(request)?.split('/').nth(2).map(str::to_owned)
}

fn credential_of(request: &SignedRequest<'_>) -> Option<String> {
    if let Some(header) = header(request.headers, AUTHORIZATION.as_str()) {
        let start = header.find("Credential=")?;
        let rest = header.get(start..)?.strip_prefix("Credential=")?;
        return rest.split([',', ' ']).next().map(str::to_owned);
    }
    query_value(request.query, "X-Amz-Credential")
}

/// Finds the signature of a request.
///
/// # Errors
/// `Missing` when there is none, `Incomplete` when it is not well formed.
pub(super) fn parts(request: &SignedRequest<'_>) -> Result<Parts, SignatureError> {
    match header(request.headers, AUTHORIZATION.as_str()) {
        Some(authorization) => from_header(authorization, request.headers),
        None if query_value(request.query, "X-Amz-Algorithm").is_some() => {
            from_query(request.query)
        }
        None => Err(SignatureError::Missing),
    }
}

fn from_header(authorization: &str, headers: &HeaderMap) -> Result<Parts, SignatureError> {
    let Some((algorithm, rest)) = authorization.split_once(' ') else {
        return Err(SignatureError::Missing);
    };
    if algorithm != ALGORITHM {
        let text = format!("Unsupported AWS 'algorithm': '{algorithm}'.");
        return Err(SignatureError::Incomplete(text));
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for pair in rest.split(',').map(str::trim) {
        let Some((name, value)) = pair.split_once('=') else {
            let text = format!(
                "'{pair}' not a valid key=value pair (missing equal-sign) in Authorization header: '{}'.",
                redact(authorization)
            );
            return Err(SignatureError::Incomplete(text));
        };
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            let text = format!("Authorization header has '{name}' more than once.");
            return Err(SignatureError::Incomplete(text));
        }
    }
    let date = header(headers, "x-amz-date").or_else(|| header(headers, DATE.as_str()));
    let mut missing = Vec::new();
    for (name, value) in [
        ("Credential", credential),
        ("Signature", signature),
        ("SignedHeaders", signed_headers),
    ] {
        if value.is_none_or(str::is_empty) {
            missing.push(format!("Authorization header requires '{name}' parameter."));
        }
    }
    if date.is_none() {
        let text =
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
        missing.push(text.to_owned());
    }
    let (Some(credential), Some(signed_headers), Some(signature), Some(date), true) = (
        credential,
        signed_headers,
        signature,
        date,
        missing.is_empty(),
    ) else {
        missing.push(format!("Authorization={}", redact(authorization)));
        return Err(SignatureError::Incomplete(missing.join(" ")));
    };
    let token = header(headers, "x-amz-security-token").map(str::to_owned);
    assemble(credential, signed_headers, signature, date, token, None)
}

fn from_query(query: &str) -> Result<Parts, SignatureError> {
    let required = |name: &str| {
        query_value(query, name).filter(|value| !value.is_empty()).ok_or_else(|| {
            SignatureError::Incomplete(format!(
                "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
            ))
        })
    };
    let algorithm = required("X-Amz-Algorithm")?;
    if algorithm != ALGORITHM {
        let text = format!("Unsupported AWS 'algorithm': '{algorithm}'.");
        return Err(SignatureError::Incomplete(text));
    }
    let credential = required("X-Amz-Credential")?;
    let signature = required("X-Amz-Signature")?;
    let signed_headers = required("X-Amz-SignedHeaders")?;
    let date = required("X-Amz-Date")?;
    let expires = required("X-Amz-Expires")?;
    let expires = expires
        .parse()
        .ok()
        .filter(|seconds| (0..=MAX_EXPIRES_SECONDS).contains(seconds));
    let Some(expires) = expires else {
        let text = format!(
            "X-Amz-Expires must be a number of seconds between 0 and {MAX_EXPIRES_SECONDS}."
        );
        return Err(SignatureError::Incomplete(text));
    };
    let token = query_value(query, "X-Amz-Security-Token");
    assemble(
        &credential,
        &signed_headers,
        &signature,
        &date,
        token,
        Some(expires),
    )
}

fn assemble(
    credential: &str,
    signed_headers: &str,
    signature: &str,
    date: &str,
    token: Option<String>,
    expires: Option<i64>,
) -> Result<Parts, SignatureError> {
    let mut elements = credential.split('/').map(str::to_owned);
    let (Some(key_id), Some(day), Some(region), Some(service), Some(terminator), None) = (
        elements.next(),
        elements.next(),
        elements.next(),
        elements.next(),
        elements.next(),
        elements.next(),
    ) else {
        return Err(SignatureError::Incomplete(format!(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, \
             got '{credential}'"
        )));
    };
    Ok(Parts {
        key_id,
        day,
        region,
        service,
        terminator,
        signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
        signature: signature.to_owned(),
        date: date.to_owned(),
        token,
        expires,
    })
}

/// An error goes to logs and screens; a valid signature must not.
fn redact(authorization: &str) -> &str {
    authorization.split("Signature=").next().unwrap_or_default()
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn query_value(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.into_owned())
}
