//! Signature Version 4, verified: header-signed and presigned requests.
//!
//! The checks run in AWS' order, because clients and their users read the errors: credentials present,
//! well formed, known, scope, date, signed headers, signature. All but the last need no body, so a
//! stranger is refused before memory is taken for one; [`Claim::check_body`] is the last.
//!
//! Deliberate choices:
//! - A session token is refused with a key that has none, as AWS refuses it.
//! - `x-amz-content-sha256` is not believed: the hash is that of the body as received.
//! - A date comes from `X-Amz-Date`, or from `Date` in the same ISO 8601 basic form.

mod canonical;

mod claim;

mod date;

mod error;

mod parse;

mod sign;

pub use claim::Claim;
pub use claim::Credential;
pub use claim::Policy;
pub use claim::Scope;
pub use error::SignatureError;
pub use parse::access_key_of;
pub use parse::region_of;
pub use parse::scope_service_of;
pub use sign::Signer;

/// The parts of a request that a signature covers, as they came over the wire.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// The method.
    pub method: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// The query string, still percent-encoded, without `?`.
    pub query: &'a str,
    /// The headers. HTTP/2 has `:authority` instead of `host`; the caller adds it as `host`.
    pub headers: &'a hyper::HeaderMap,
}
