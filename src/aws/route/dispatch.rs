//! Which wire, which service, which operation, with what input.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde_json::Value;

use crate::aws::sigv4;
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

/// Services of the gateway.
static SERVICES: [&ServiceModel; 1] = [&sqs::model::SQS];

pub(super) fn wire_of(headers: &HeaderMap) -> Wire {
    let content_type = text(headers, CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_json =
        content_type.starts_with("application/x-amz-json-") || headers.contains_key("x-amz-target");
    if is_json { Wire::Json } else { Wire::Query }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// JSON names its service in the target; Query services are told apart by the credential scope only.
pub(super) fn service_of(wire: Wire, parts: &Parts) -> Result<&'static ServiceModel, AwsError> {
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

pub(super) fn is_query_call(parts: &Parts) -> bool {
    let query = parts.uri.query().unwrap_or_default();
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "Action")
}

fn unknown_operation(name: &str) -> AwsError {
    AwsError::new(
        &error::UNKNOWN_OPERATION,
        format!("The action {name} is not valid for this endpoint."),
    )
}

pub(super) fn signed(parts: &Parts) -> SignedRequest<'_> {
    SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    }
}

pub(super) fn parse(
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
