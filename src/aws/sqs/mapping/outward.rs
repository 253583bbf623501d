//! The core into SQS: properties become attributes with types, at most ten.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Map;
use serde_json::Value as Json;
use serde_json::json;

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
use super::SQS_FORMAT;
use super::SqsHead;
use super::TIMESTAMP;
use super::TYPE;
use super::USER_ID;
use crate::aws::sqs::message;
use crate::aws::sqs::message::MAX_ATTRIBUTES;
use crate::aws::sqs::types::AttributeValue;
use crate::aws::sqs::types::AttributeValues;
use crate::core::formats::Formats;
use crate::core::model::message::BodyKind;
use crate::core::model::message::Message;
use crate::core::model::overlay::Overlay;
use crate::core::model::value::Value;

/// A message as an SQS receiver sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// The body, base64 where [`MESSAGE_TYPE`] says so.
    pub body: String,
    /// All message attributes.
    pub attributes: AttributeValues,
    /// `AWSTraceHeader`.
    pub trace: Option<String>,
    /// Fields that an SQS receiver cannot be shown.
    pub lost: Vec<&'static str>,
}

/// Renders messages for one receiver.
pub struct Renderer<'a> {
    /// Decodes the heads of other doors.
    pub formats: &'a Formats,
    /// Prints a queue's URL; the receiver's host decides.
    pub url: &'a dyn Fn(&str) -> String,
}

impl Renderer<'_> {
    /// Renders a message and what its entry changes about it.
    #[must_use]
    pub fn render(&self, message: &Message, overlay: Option<&Overlay>) -> Rendered {
        let changed = overlay
            .map(|overlay| overlay.properties.as_slice())
            .unwrap_or_default();
        if message.format() == SQS_FORMAT {
            return native(message, changed);
        }
        let (body, kind) = body_of(message);
        let mut attributes = Collector::default();
        if let Some(kind) = kind {
            attributes.text(MESSAGE_TYPE, Some(kind));
        }
        let properties = self.formats.properties(message);
        attributes.text(CORRELATION_ID, properties.correlation_id.as_deref());
        attributes.text(REPLY_TO_NAME, properties.reply_to.as_deref());
        let reply_url = properties.reply_to.as_deref().map(|name| (self.url)(name));
        attributes.text(REPLY_TO_URL, reply_url.as_deref());
        attributes.text(MESSAGE_ID, properties.message_id.as_deref());
        attributes.text(CONTENT_TYPE, properties.content_type.as_deref());
        attributes.text(CONTENT_ENCODING, properties.content_encoding.as_deref());
        attributes.text(TYPE, properties.subject.as_deref());
        attributes.text(USER_ID, properties.user_id.as_deref());
        attributes.text(APP_ID, properties.app_id.as_deref());
        if let Some(ms) = properties.timestamp_ms {
            attributes.number(TIMESTAMP, "Number", (ms / 1_000).to_string());
        }
        if message.priority() != 0 {
            attributes.number(PRIORITY, "Number", message.priority().to_string());
        }
        let kept = properties
            .application
            .iter()
            .filter(|(name, _)| !changed.iter().any(|(n, _)| n == name));
        for (name, value) in kept.chain(changed) {
            attributes.value(name, value);
        }
        if message.expiration_ms().is_some() {
            // It holds in the queue, but no receiver is told.
            attributes.lost.push("expiration");
        }
        let (attributes, lost) = attributes.finish();
        Rendered {
            body,
            attributes,
            trace: None,
            lost,
        }
    }
}

/// A message that came through SQS goes back as it came.
fn native(message: &Message, changed: &[(Box<str>, Value)]) -> Rendered {
    let head = SqsHead::decode(message.head());
    let bytes = message.body_bytes();
    let body = if head.was_base64 {
        STANDARD.encode(&bytes)
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut attributes = Collector::default();
    for (name, value) in head.attributes {
        if !changed.iter().any(|(n, _)| **n == name) {
            attributes.add(name, value);
        }
    }
    for (name, value) in changed {
        attributes.value(name, value);
    }
    let (attributes, lost) = attributes.finish();
    Rendered {
        body,
        attributes,
        trace: head.trace,
        lost,
    }
}

/// Text that SQS can carry goes as it is; everything else as base64, with the word that says so.
fn body_of(message: &Message) -> (String, Option<&'static str>) {
    let bytes = message.body_bytes();
    if message.body_kind() == BodyKind::Object {
        return (STANDARD.encode(&bytes), Some("object"));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.chars().all(message::is_allowed) => (text.to_owned(), None),
        Ok(_) | Err(_) => (STANDARD.encode(&bytes), Some("byte")),
    }
}

/// Collects attributes in the order of their importance; what does not fit overflows.
#[derive(Default)]
struct Collector {
    attributes: Vec<(String, AttributeValue)>,
    overflow: Map<String, Json>,
    lost: Vec<&'static str>,
}

impl Collector {
    fn add(&mut self, name: String, value: AttributeValue) {
        // Names may repeat in other protocols; SQS takes the first.
        if self.attributes.iter().all(|(n, _)| *n != name) {
            self.attributes.push((name, value));
        } else if !self.lost.contains(&"headers") {
            self.lost.push("headers");
        }
    }

    fn text(&mut self, name: &str, text: Option<&str>) {
        match text {
            None | Some("") => {}
            Some(text) if text.chars().all(message::is_allowed) => {
                self.string(name, "String", text.to_owned())
            }
            Some(text) => self.spill(name, &Value::Text(text.into())),
        }
    }

    fn number(&mut self, name: &str, data_type: &str, text: String) {
        self.string(name, data_type, text);
    }

    fn string(&mut self, name: &str, data_type: &str, text: String) {
        let value = AttributeValue {
            data_type: data_type.to_owned(),
            string_value: Some(text),
            ..AttributeValue::default()
        };
        self.add(name.to_owned(), value);
    }

    /// An application property: typed where SQS has the type, spilled where it has not.
    fn value(&mut self, name: &str, value: &Value) {
        if message::check_attribute_name(name).is_err() {
            return self.spill(name, value);
        }
        match value {
            Value::Text(text) if !text.is_empty() && text.chars().all(message::is_allowed) => {
                self.string(name, "String", text.as_ref().to_owned());
            }
            Value::Bytes(bytes) if !bytes.is_empty() => {
                let value = AttributeValue {
                    data_type: "Binary".to_owned(),
                    binary_value: Some(STANDARD.encode(bytes)),
                    ..AttributeValue::default()
                };
                self.add(name.to_owned(), value);
            }
            Value::Text(_) | Value::Bytes(_) | Value::Null | Value::List(_) | Value::Map(_) => {
                self.spill(name, value)
            }
            Value::Bool(value) => self.number(name, "Number.Boolean", u8::from(*value).to_string()),
            Value::I8(value) => self.number(name, "Number.byte", value.to_string()),
            Value::I16(value) => self.number(name, "Number.short", value.to_string()),
            Value::I32(value) => self.number(name, "Number.int", value.to_string()),
            Value::I64(value) | Value::Timestamp(value) => {
                self.number(name, "Number.long", value.to_string())
            }
            // Java has no unsigned numbers: the next wider type holds them.
            Value::U8(value) => self.number(name, "Number.short", value.to_string()),
            Value::U16(value) => self.number(name, "Number.int", value.to_string()),
            Value::U32(value) => self.number(name, "Number.long", value.to_string()),
            Value::U64(value) if i64::try_from(*value).is_ok() => {
                self.number(name, "Number.long", value.to_string())
            }
            Value::U64(value) => self.number(name, "Number", value.to_string()),
            Value::F32(value) if value.is_finite() => {
                self.number(name, "Number.float", value.to_string())
            }
            Value::F64(value) if value.is_finite() => {
                self.number(name, "Number.double", value.to_string())
            }
            // Infinity and NaN are no numbers to SQS.
            Value::F32(value) => self.string(name, "String", value.to_string()),
            Value::F64(value) => self.string(name, "String", value.to_string()),
            Value::Decimal { scale, unscaled } => {
                self.number(name, "Number", decimal(*scale, *unscaled))
            }
            Value::Number(text) => self.number(name, "Number", text.as_ref().to_owned()),
        }
    }

    fn spill(&mut self, name: &str, value: &Value) {
        if !self.overflow.contains_key(name) {
            self.overflow.insert(name.to_owned(), to_json(value));
        }
    }

    fn finish(mut self) -> (AttributeValues, Vec<&'static str>) {
        let overflows = !self.overflow.is_empty() || self.attributes.len() > MAX_ATTRIBUTES;
        if overflows {
            let room = MAX_ATTRIBUTES - 1;
            for (name, value) in self.attributes.split_off(room.min(self.attributes.len())) {
                self.overflow
                    .entry(name)
                    .or_insert_with(|| attribute_json(&value));
            }
            let text = Json::Object(std::mem::take(&mut self.overflow)).to_string();
            self.string(OVERFLOW, "String", text);
        }
        (self.attributes.into_iter().collect(), self.lost)
    }
}

/// A decimal's digits with its point.
fn decimal(scale: u8, unscaled: i32) -> String {
    let scale = usize::from(scale);
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = scale + 1);
    let sign = if unscaled < 0 { "-" } else { "" };
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// An attribute that was one and became part of the overflow.
fn attribute_json(value: &AttributeValue) -> Json {
    match (&value.binary_value, &value.string_value) {
        (Some(binary), _) => json!({"$bytes": binary}),
        (None, Some(text)) if value.data_type == "Number.Boolean" => Json::Bool(text == "1"),
        (None, Some(text)) if value.data_type.starts_with("Number") => match text.parse::<i64>() {
            Ok(number) => json!(number),
            Err(_) => json!({"$number": text}),
        },
        (None, Some(text)) => json!(text),
        (None, None) => Json::Null,
    }
}

/// A value as plain JSON; what JSON has no type for is an object with one member that starts with `$`.
fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::I8(value) => json!(value),
        Value::I16(value) => json!(value),
        Value::I32(value) => json!(value),
        Value::I64(value) => json!(value),
        Value::U8(value) => json!(value),
        Value::U16(value) => json!(value),
        Value::U32(value) => json!(value),
        Value::U64(value) => json!(value),
        Value::F32(value) if value.is_finite() => json!(value),
        Value::F64(value) if value.is_finite() => json!(value),
        Value::F32(value) => json!({"$number": value.to_string()}),
        Value::F64(value) => json!({"$number": value.to_string()}),
        Value::Decimal { scale, unscaled } => json!({"$number": decimal(*scale, *unscaled)}),
        Value::Number(text) => json!({"$number": text}),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({"$bytes": STANDARD.encode(bytes)}),
        Value::Timestamp(ms) => json!({"$timestamp": ms}),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| (name.to_string(), to_json(value)))
                .collect(),
        ),
    }
}
