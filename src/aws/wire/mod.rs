//! AWS' wire formats, once for all services: JSON 1.0, and Query forms answered in XML.
//!
//! The neutral form of a request and of an answer is the JSON value that the JSON protocol carries.
//! [`query`] builds that value from a form, and [`xml`] prints an answer from it; both are driven by the
//! service's [`shape`] table, so no operation knows which wire it is on.

pub mod error;

mod bounded;

pub mod json;

pub mod query;

pub mod shape;

pub mod xml;

pub use error::AwsError;
pub use error::ErrorKind;

/// The two ways in which a client may speak to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// AWS JSON 1.0: `X-Amz-Target` names the operation.
    Json,
    /// AWS Query: a form with `Action`, answered in XML.
    Query,
}

impl Wire {
    /// The content type of answers on this wire.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.0",
            Self::Query => "text/xml",
        }
    }
}
