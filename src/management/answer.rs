//! Answers and refusals, in the shapes of RabbitMQ's management API.

use bytes::Bytes;
use hyper::Response;
use hyper::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::AuthError;
use crate::transport::http;

/// What a handler gives.
pub(super) type Answer = Result<Response<Bytes>, Refusal>;

/// A request that was not carried out.
#[derive(Debug, Serialize)]
pub(super) struct Refusal {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    reason: String,
}

impl Refusal {
    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            error: "bad_request",
            reason: reason.into(),
        }
    }

    pub(super) fn not_found() -> Self {
        // RabbitMQ's own words.
        Self {
            status: StatusCode::NOT_FOUND,
            error: "Object Not Found",
            reason: "Not Found".to_owned(),
        }
    }

    pub(super) fn not_allowed() -> Self {
        let reason = "the resource has no such method".to_owned();
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            error: "method_not_allowed",
            reason,
        }
    }

    pub(super) fn exists(reason: impl Into<String>) -> Self {
        Self {
            status: StatusCode::PRECONDITION_FAILED,
            error: "precondition_failed",
            reason: reason.into(),
        }
    }

    pub(super) fn busy(reason: String) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            error: "busy",
            reason,
        }
    }

    pub(super) fn no_broker() -> Self {
        let reason = "no broker runs on this data dir".to_owned();
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            error: "no_broker",
            reason,
        }
    }

    fn internal(reason: String) -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "internal_error",
            reason,
        }
    }

    pub(super) fn into_response(self) -> Response<Bytes> {
        json(self.status, &self)
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        let reason = error.to_string();
        match error {
            AuthError::UserNotFound(_) | AuthError::KeyNotFound(_) => Self {
                status: StatusCode::NOT_FOUND,
                error: "Object Not Found",
                reason,
            },
            AuthError::UserExists(_) => Self::exists(reason),
            AuthError::Name { .. }
            | AuthError::PasswordLength { .. }
            | AuthError::UnknownTag(_)
            | AuthError::Pattern { .. } => Self::bad_request(reason),
            AuthError::Hash(_) | AuthError::Records(_) | AuthError::Damaged { .. } => {
                Self::internal(reason)
            }
        }
    }
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(body) => http::text(status, "application/json", body),
        Err(_) => http::empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// Parses a request's body.
pub(super) fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("bad JSON: {error}")))
}

/// 201 for what is new, 204 for what was there, as RabbitMQ answers a PUT.
pub(super) fn put(is_new: bool) -> Response<Bytes> {
    http::empty(if is_new {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}
