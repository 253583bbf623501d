//! Answers and errors as HTTP.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use hyper::header::HeaderValue;
use serde_json::Value;

use crate::aws::wire::AwsError;
use crate::aws::wire::Wire;
use crate::aws::wire::json;
use crate::aws::wire::shape::Operation;
use crate::aws::wire::shape::ServiceModel;
use crate::aws::wire::xml;

/// What the gateway answers: always in one piece.
pub(super) type Answer = Response<Full<Bytes>>;

pub(super) fn answered(
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

pub(super) fn failed(
    wire: Wire,
    service: &ServiceModel,
    error: &AwsError,
    request_id: &str,
) -> Answer {
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

pub(super) fn plain(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
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

pub(super) fn request_id() -> String {
    let mut bytes = [0; 16];
    // An id without entropy is still an id; nothing depends on it.
    let _ = getrandom::fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}
