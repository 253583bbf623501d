//! What AWS answers to a request whose signature it cannot accept.

use crate::aws::wire::AwsError;
use crate::aws::wire::ErrorKind;

/// Why a request is not authentic. The texts are AWS' own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Neither an `Authorization` header nor a presigned query.
    #[error("Request is missing Authentication Token")]
    Missing,
    /// The header or the presigned query is not well formed.
    #[error("{0}")]
    Incomplete(String),
    /// Nobody has this access key, or its session token is another one.
    #[error("The security token included in the request is invalid.")]
    UnknownKey,
    /// Scope, date or signed headers are wrong, or the signature differs.
    #[error("{0}")]
    Mismatch(String),
    /// A presigned request after its time.
    #[error("Request has expired.")]
    Expired,
}

impl SignatureError {
    /// The signature differs from ours.
    pub(super) fn differs() -> Self {
        Self::Mismatch(
            "The request signature we calculated does not match the signature you provided. Check your AWS \
             Secret Access Key and signing method. Consult the service documentation for details."
                .to_owned(),
        )
    }
}

static MISSING: ErrorKind = ErrorKind::sender(
    "MissingAuthenticationToken",
    "com.amazon.coral.service#MissingAuthenticationTokenException",
    403,
);
static INCOMPLETE: ErrorKind = ErrorKind::sender(
    "IncompleteSignature",
    "com.amazon.coral.service#IncompleteSignatureException",
    400,
);
static UNKNOWN_KEY: ErrorKind = ErrorKind::sender(
    "InvalidClientTokenId",
    "com.amazon.coral.service#UnrecognizedClientException",
    403,
);
static MISMATCH: ErrorKind = ErrorKind::sender(
    "SignatureDoesNotMatch",
    "com.amazon.coral.service#InvalidSignatureException",
    403,
);
static EXPIRED: ErrorKind = ErrorKind::sender(
    "RequestExpired",
    "com.amazon.coral.service#RequestExpiredException",
    400,
);

impl From<SignatureError> for AwsError {
    fn from(error: SignatureError) -> Self {
        let kind = match &error {
            SignatureError::Missing => &MISSING,
            SignatureError::Incomplete(_) => &INCOMPLETE,
            SignatureError::UnknownKey => &UNKNOWN_KEY,
            SignatureError::Mismatch(_) => &MISMATCH,
            SignatureError::Expired => &EXPIRED,
        };
        Self::new(kind, error.to_string())
    }
}
