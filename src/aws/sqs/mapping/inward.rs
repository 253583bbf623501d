//! SQS into the core: attributes become properties with types.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::Value as Json;

use super::APP_ID;
use super::CONTENT_ENCODING;
use super::CONTENT_TYPE;
use super::CORRELATION_ID;
use super::MESSAGE_ID;
use super::MESSAGE_TYPE;
use super::OVERFLOW;
use super::PRIORITY;
use super::REPLY_TO_NAME;
use super::REPLY_TO_URL;
use super::SqsHead;
use super::TIMESTAMP;
use super::TYPE;
use super::USER_ID;
use crate::aws::sqs::types::AttributeValue;
use crate::core::model::message::BodyKind;
use crate::core::model::value::Decode;
use crate::core::model::value::Properties;
use crate::core::model::value::Value;

/// Gives other doors the neutral view of a message that came through SQS.
#[derive(Clone, Copy, Debug, Default)]
pub struct SqsDecode;

impl Decode for SqsDecode {
    fn neutral(&self, head: &[u8]) -> Properties {
        properties(&SqsHead::decode(head))
    }
}

fn properties(head: &SqsHead) -> Properties {
    let mut properties = Properties {
        group_id: head.group.as_deref().map(Into::into),
        ..Properties::default()
    };
    let has_reply_name = head.attributes.contains_key(REPLY_TO_NAME);
    for (name, value) in &head.attributes {
        let text = value.string_value.as_deref();
        let slot = match name.as_str() {
            CORRELATION_ID => &mut properties.correlation_id,
            REPLY_TO_NAME => &mut properties.reply_to,
            MESSAGE_ID => &mut properties.message_id,
            CONTENT_TYPE => &mut properties.content_type,
            CONTENT_ENCODING => &mut properties.content_encoding,
            TYPE => &mut properties.subject,
            USER_ID => &mut properties.user_id,
            APP_ID => &mut properties.app_id,
            TIMESTAMP => {
                let seconds: Option<u64> = text.and_then(|text| text.parse().ok());
                properties.timestamp_ms = seconds.and_then(|seconds| seconds.checked_mul(1_000));
                continue;
            }
            // The body's kind and the priority are the message's own; the URL says what the name says.
            MESSAGE_TYPE | PRIORITY => continue,
            REPLY_TO_URL if has_reply_name => continue,
            OVERFLOW => {
                overflow(text.unwrap_or_default(), &mut properties);
                continue;
            }
            _ => {
                if let Some(value) = typed(value) {
                    properties.application.push((name.as_str().into(), value));
                }
                continue;
            }
        };
        *slot = text.map(Into::into);
    }
    properties
}

/// The value of an attribute. Labels are those of amazon-sqs-java-messaging-lib; a number with another
/// label, or whose text does not fit its label, stays a number of which only the text is known.
fn typed(value: &AttributeValue) -> Option<Value> {
    if let Some(binary) = &value.binary_value {
        return Some(Value::Bytes(Bytes::from(STANDARD.decode(binary).ok()?)));
    }
    let text = value.string_value.as_deref()?;
    let (base, label) = value
        .data_type
        .split_once('.')
        .unwrap_or((&value.data_type, ""));
    if base != "Number" {
        return Some(Value::Text(text.into()));
    }
    let number = match label {
        "Boolean" => match text {
            "1" => Some(Value::Bool(true)),
            "0" => Some(Value::Bool(false)),
            _ => None,
        },
        "byte" => text.parse().ok().map(Value::I8),
        "short" => text.parse().ok().map(Value::I16),
        "int" => text.parse().ok().map(Value::I32),
        "long" => text.parse().ok().map(Value::I64),
        "float" => text.parse().ok().map(Value::F32),
        "double" => text.parse().ok().map(Value::F64),
        _ => None,
    };
    Some(number.unwrap_or_else(|| Value::Number(text.into())))
}

fn overflow(text: &str, properties: &mut Properties) {
    let Ok(Json::Object(members)) = serde_json::from_str(text) else {
        return properties
            .application
            .push((OVERFLOW.into(), Value::Text(text.into())));
    };
    for (name, value) in members {
        properties.application.push((name.into(), from_json(value)));
    }
}

/// The inverse of `outward::to_json`.
fn from_json(value: Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::I64(value),
            None => number
                .as_f64()
                .map_or_else(|| Value::Number(number.to_string().into()), Value::F64),
        },
        Json::String(text) => Value::Text(text.into()),
        Json::Array(items) => Value::List(items.into_iter().map(from_json).collect()),
        Json::Object(members) => special(&members).unwrap_or_else(|| {
            Value::Map(
                members
                    .into_iter()
                    .map(|(name, value)| (name.into(), from_json(value)))
                    .collect(),
            )
        }),
    }
}

/// What JSON has no type for: `{"$bytes": "<base64>"}`, `{"$timestamp": ms}`, `{"$number": "1.5"}`.
fn special(members: &serde_json::Map<String, Json>) -> Option<Value> {
    let (name, value) = members.iter().next().filter(|_| members.len() == 1)?;
    match name.as_str() {
        "$bytes" => Some(Value::Bytes(Bytes::from(
            STANDARD.decode(value.as_str()?).ok()?,
        ))),
        "$timestamp" => Some(Value::Timestamp(value.as_i64()?)),
        "$number" => Some(Value::Number(value.as_str()?.into())),
        _ => None,
    }
}

/// What is stored of an SQS body: its kind, and its bytes where it is base64 that comes out the same
/// when it is encoded again, so that an SQS receiver sees every character as it was sent.
pub(in crate::aws::sqs) fn body(text: &str, head: &SqsHead) -> (BodyKind, Option<Vec<u8>>) {
    let kind = match head
        .attributes
        .get(MESSAGE_TYPE)
        .and_then(|value| value.string_value.as_deref())
    {
        Some("byte") => BodyKind::Bytes,
        Some("object") => BodyKind::Object,
        Some(_) | None => return (BodyKind::Text, None),
    };
    let decoded = STANDARD
        .decode(text)
        .ok()
        .filter(|bytes| STANDARD.encode(bytes) == text);
    match decoded {
        Some(bytes) => (kind, Some(bytes)),
        None => (BodyKind::Text, None),
    }
}

/// The priority that an attribute carries back, 0 without one.
pub(in crate::aws::sqs) fn priority(head: &SqsHead) -> u8 {
    let text = head
        .attributes
        .get(PRIORITY)
        .and_then(|value| value.string_value.as_deref());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}
