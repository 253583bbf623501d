//! A request's claim to be signed by the owner of an access key, checked step by step.

use std::fmt::Write;

use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SignatureError;
use super::SignedRequest;
use super::canonical;
use super::date;
use super::parse;
use super::parse::ALGORITHM;
use super::parse::Parts;

/// How far a request's date may be from ours, in seconds, both ways.
const SKEW_SECONDS: i64 = 15 * 60;
pub(super) const TERMINATOR: &str = "aws4_request";

/// What is known of an access key.
pub struct Credential {
    /// The secret access key.
    pub secret: Zeroizing<Vec<u8>>,
    /// The session token that must come with it; permanent keys have none.
    pub session_token: Option<Zeroizing<Vec<u8>>>,
}

/// What a request must be scoped to.
#[derive(Clone, Copy, Debug)]
pub struct Policy<'a> {
    /// Service names that the scope may have: the service's own, and those that the configuration adds.
    pub services: &'a [&'a str],
    /// The only region, or `None` for any.
    pub region: Option<&'a str>,
}

/// For whom and where a request is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The access key id.
    pub key_id: String,
    /// The region.
    pub region: String,
    /// The service.
    pub service: String,
}

/// A request that passed every check but that of its signature, which needs the body.
pub struct Claim {
    parts: Parts,
    secret: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim")
            .field("key_id", &self.parts.key_id)
            .finish_non_exhaustive()
    }
}

impl Claim {
    /// Makes every check that needs no body. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`SignatureError`], by the first check that fails.
    pub fn check_head(
        request: &SignedRequest<'_>,
        policy: Policy<'_>,
        now: i64,
        lookup: impl FnOnce(&str) -> Option<Credential>,
    ) -> Result<Self, SignatureError> {
        let parts = parse::parts(request)?;
        let instant = date::parse(&parts.date).ok_or_else(|| {
            SignatureError::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                parts.date
            ))
        })?;
        let credential = lookup(&parts.key_id).ok_or(SignatureError::UnknownKey)?;
        check_token(parts.token.as_deref(), credential.session_token.as_ref())?;
        check_scope(&parts, policy)?;
        check_time(&parts, instant, now)?;
        check_signed_headers(request, &parts)?;
        Ok(Self {
            parts,
            secret: credential.secret,
        })
    }

    /// Checks the signature over the request and the body as received.
    ///
    /// # Errors
    /// [`SignatureError::Mismatch`] when it is not the one that the key's owner would have made.
    pub fn check_body(
        self,
        request: &SignedRequest<'_>,
        body: &[u8],
    ) -> Result<Scope, SignatureError> {
        let parts = &self.parts;
        let canonical =
            canonical::request(request, &parts.signed_headers, &hex(&Sha256::digest(body)));
        let scope = format!(
            "{}/{}/{}/{TERMINATOR}",
            parts.day, parts.region, parts.service
        );
        let key = signing_key(&self.secret, &parts.day, &parts.region, &parts.service);
        let text = to_sign(&parts.date, &scope, &canonical);
        let expected = hex(&*sign(&*key, text.as_bytes()));
        if bool::from(expected.as_bytes().ct_eq(parts.signature.as_bytes())) {
            Ok(Scope {
                key_id: self.parts.key_id,
                region: self.parts.region,
                service: self.parts.service,
            })
        } else {
            Err(SignatureError::differs())
        }
    }
}

fn check_token(
    sent: Option<&str>,
    known: Option<&Zeroizing<Vec<u8>>>,
) -> Result<(), SignatureError> {
    let same = match (sent, known) {
        (None, None) => true,
        (Some(sent), Some(known)) => bool::from(sent.as_bytes().ct_eq(known)),
        (Some(_), None) | (None, Some(_)) => false,
    };
    if same {
        Ok(())
    } else {
        Err(SignatureError::UnknownKey)
    }
}

fn check_scope(parts: &Parts, policy: Policy<'_>) -> Result<(), SignatureError> {
    let day = parts.date.get(..8).unwrap_or_default();
    let mut faults = Vec::new();
    if parts.day != day {
        faults.push(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{day}', from '{}'.",
            parts.day, parts.date
        ));
    }
    if parts.region.is_empty() || policy.region.is_some_and(|region| region != parts.region) {
        faults.push(format!(
            "Credential should be scoped to a valid region, not '{}'. ",
            parts.region
        ));
    }
    if !policy.services.contains(&parts.service.as_str()) {
        let service = policy.services.first().copied().unwrap_or_default();
        faults.push(format!(
            "Credential should be scoped to correct service: '{service}'. "
        ));
    }
    if parts.terminator != TERMINATOR {
        faults.push(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
            parts.terminator
        ));
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SignatureError::Mismatch(faults.concat()))
    }
}

fn check_time(parts: &Parts, instant: i64, now: i64) -> Result<(), SignatureError> {
    let (earliest, latest) = (now - SKEW_SECONDS, now + SKEW_SECONDS);
    if instant > latest {
        return Err(SignatureError::Mismatch(format!(
            "Signature not yet current: {} is still later than {} ({} + 15 min.)",
            parts.date,
            date::print(latest),
            date::print(now)
        )));
    }
    match parts.expires {
        Some(expires) if instant.saturating_add(expires) < now => Err(SignatureError::Expired),
        None if instant < earliest => Err(SignatureError::Mismatch(format!(
            "Signature expired: {} is now earlier than {} ({} - 15 min.)",
            parts.date,
            date::print(earliest),
            date::print(now)
        ))),
        Some(_) | None => Ok(()),
    }
}

fn check_signed_headers(request: &SignedRequest<'_>, parts: &Parts) -> Result<(), SignatureError> {
    let signed = |name: &str| parts.signed_headers.iter().any(|signed| signed == name);
    if !signed("host") {
        let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(SignatureError::Mismatch(text.to_owned()));
    }
    for name in request.headers.keys() {
        if name.as_str().starts_with("x-amz-") && !signed(name.as_str()) {
            let text = format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.");
            return Err(SignatureError::Mismatch(text));
        }
    }
    // Lower case, present and once: else one request would have several canonical forms.
    for name in &parts.signed_headers {
        let once = parts
            .signed_headers
            .iter()
            .filter(|other| *other == name)
            .count()
            == 1;
        let lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !once || !lower || !request.headers.contains_key(name.as_str()) {
            return Err(SignatureError::differs());
        }
    }
    Ok(())
}

/// The text whose MAC is the signature.
pub(super) fn to_sign(date: &str, scope: &str, canonical: &str) -> String {
    let hash = hex(&Sha256::digest(canonical.as_bytes()));
    format!("{ALGORITHM}\n{date}\n{scope}\n{hash}")
}

/// The key of one day, region and service.
pub(super) fn signing_key(
    secret: &[u8],
    day: &str,
    region: &str,
    service: &str,
) -> Zeroizing<[u8; 32]> {
    let start = Zeroizing::new([b"AWS4", secret].concat());
    let mut key = sign(&start, day.as_bytes());
    for part in [region, service, TERMINATOR] {
        key = sign(&*key, part.as_bytes());
    }
    key
}

/// HMAC-SHA-256.
pub(super) fn sign(key: &[u8], text: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().into())
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing into a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests;
