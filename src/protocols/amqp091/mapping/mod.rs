//! Where 0-9-1's properties and core's neutral view meet, both ways; nowhere else.
//!
//! The canonical head of a message from this door is the property flags and list of its content header,
//! exactly as sent ([`FORMAT`]), so that another 0-9-1 client gets the same bytes.

use std::borrow::Cow;

use crate::core::formats::Formats;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Death;
use crate::core::model::overlay::Overlay;
use crate::core::model::value::Decode;
use crate::core::model::value::Properties as Neutral;
use crate::core::model::value::Value;
use crate::protocols::amqp091::codec::CodecError;
use crate::protocols::amqp091::codec::FieldTable;
use crate::protocols::amqp091::codec::FieldValue;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::PropertyFields;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::RawValue;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::properties::Rewrite;
use crate::telemetry::Protocol;

/// Property flags and list of a 0-9-1 content header, as sent.
pub const FORMAT: FormatId = FormatId(1);

/// Decodes [`FORMAT`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Amqp091Head;

impl Decode for Amqp091Head {
    fn neutral(&self, head: &[u8]) -> Neutral {
        neutral(Properties::of_validated(head))
    }
}

/// The neutral view of a content header.
pub(super) fn neutral(properties: Properties<'_>) -> Neutral {
    let fields = properties.fields();
    let application = fields.headers.into_iter().flat_map(RawTable::iter);
    Neutral {
        message_id: text(fields.message_id),
        correlation_id: text(fields.correlation_id),
        reply_to: text(fields.reply_to),
        content_type: text(fields.content_type),
        content_encoding: text(fields.content_encoding),
        subject: text(fields.kind),
        user_id: text(fields.user_id),
        app_id: text(fields.app_id),
        // 0-9-1 counts seconds, everybody else milliseconds.
        timestamp_ms: fields.timestamp.map(|seconds| seconds.saturating_mul(1000)),
        group_id: None,
        group_sequence: None,
        application: application
            .map(|(name, raw)| (String::from_utf8_lossy(name).into(), value_of(raw)))
            .collect(),
    }
}

fn text(short: Option<ShortStr<'_>>) -> Option<Box<str>> {
    short.map(|short| short.lossy().into())
}

/// A field value in core's words. Nested values are bounded by the codec's 64 levels.
pub(super) fn value_of(raw: RawValue<'_>) -> Value {
    match raw {
        RawValue::Bool(value) => Value::Bool(value),
        RawValue::I8(value) => Value::I8(value),
        RawValue::U8(value) => Value::U8(value),
        RawValue::I16(value) | RawValue::I16Spec(value) => Value::I16(value),
        RawValue::U16(value) => Value::U16(value),
        RawValue::I32(value) => Value::I32(value),
        RawValue::U32(value) => Value::U32(value),
        RawValue::I64(value) | RawValue::I64Spec(value) => Value::I64(value),
        RawValue::F32(value) => Value::F32(value),
        RawValue::F64(value) => Value::F64(value),
        // Both are 32 bits; clients that write negative decimals mean them signed.
        RawValue::Decimal { scale, value } => Value::Decimal {
            scale,
            unscaled: value.cast_signed(),
        },
        RawValue::LongString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.into()),
            Err(_) => Value::Bytes(bytes.to_vec().into()),
        },
        RawValue::Bytes(bytes) => Value::Bytes(bytes.to_vec().into()),
        RawValue::Timestamp(seconds) => Value::Timestamp(
            i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1000),
        ),
        RawValue::Array(array) => Value::List(array.iter().map(value_of).collect()),
        RawValue::Table(table) => Value::Map(
            table
                .iter()
                .map(|(name, raw)| (String::from_utf8_lossy(name).into(), value_of(raw)))
                .collect(),
        ),
        RawValue::Void => Value::Null,
    }
}

/// A value in 0-9-1's words. What has no type here becomes text.
pub(super) fn field_of(value: &Value) -> FieldValue {
    match value {
        Value::Null => FieldValue::Void,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::I8(value) => FieldValue::I8(*value),
        Value::I16(value) => FieldValue::I16(*value),
        Value::I32(value) => FieldValue::I32(*value),
        Value::I64(value) => FieldValue::I64(*value),
        Value::U8(value) => FieldValue::U8(*value),
        Value::U16(value) => FieldValue::U16(*value),
        Value::U32(value) => FieldValue::U32(*value),
        Value::U64(value) => match i64::try_from(*value) {
            Ok(value) => FieldValue::I64(value),
            Err(_) => FieldValue::text(&value.to_string()),
        },
        Value::F32(value) => FieldValue::F32(*value),
        Value::F64(value) => FieldValue::F64(*value),
        Value::Decimal { scale, unscaled } => FieldValue::Decimal {
            scale: *scale,
            value: unscaled.cast_unsigned(),
        },
        // A number that is only known as text stays exact: as an integer if it is one, else as text.
        Value::Number(text) => match text.parse() {
            Ok(value) => FieldValue::I64(value),
            Err(_) => FieldValue::text(text),
        },
        Value::Text(text) => FieldValue::text(text),
        Value::Bytes(bytes) => FieldValue::Bytes((&**bytes).into()),
        Value::Timestamp(ms) => {
            FieldValue::Timestamp(u64::try_from(ms.div_euclid(1000)).unwrap_or(0))
        }
        Value::List(values) => FieldValue::Array(values.iter().map(field_of).collect()),
        Value::Map(values) => FieldValue::Table(table_of(values)),
    }
}

fn table_of(values: &[(Box<str>, Value)]) -> FieldTable {
    FieldTable(
        values
            .iter()
            .map(|(name, value)| {
                let name = ShortStr::clipped(name).as_bytes().into();
                (name, field_of(value))
            })
            .collect(),
    )
}

/// What a consumer sees as properties of a message.
pub(super) struct Head<'m> {
    /// Flags and list of the content header.
    pub(super) bytes: Cow<'m, [u8]>,
    /// Whether headers of another door could not be shown as they are.
    pub(super) has_lost_headers: bool,
}

/// What a consumer sees as properties of a message: the publisher's own bytes, unless the entry changes
/// something or another door wrote them. `deliveries` is shown as `x-delivery-count`.
pub(super) fn head_for<'m>(
    formats: &Formats,
    message: &'m Message,
    overlay: Option<&Overlay>,
    deliveries: Option<u16>,
) -> Head<'m> {
    let mut head = if message.format() == FORMAT {
        Head {
            bytes: Cow::Borrowed(message.head()),
            has_lost_headers: false,
        }
    } else {
        translated(message, formats.properties(message))
    };
    if overlay.is_none() && deliveries.is_none() {
        return head;
    }
    // Beyond the bounds of a table only by what the broker adds: the message itself comes first.
    if let Ok(changed) = changed(&head.bytes, overlay, deliveries) {
        head.bytes = Cow::Owned(changed);
    }
    head
}

/// The door that wrote a head, by the table of format ids in `ARCHITECTURE.md`.
pub(super) fn door_of(format: FormatId) -> Protocol {
    match format {
        FORMAT => Protocol::Amqp091,
        FormatId(2) => Protocol::Sqs,
        FormatId(_) => Protocol::Internal,
    }
}

/// Whether a name does not fit into a short string, at any depth.
fn has_long_name(values: &[(Box<str>, Value)]) -> bool {
    fn is_in(value: &Value) -> bool {
        if let Value::List(values) = value {
            values.iter().any(is_in)
        } else if let Value::Map(values) = value {
            has_long_name(values)
        } else {
            false
        }
    }
    values
        .iter()
        .any(|(name, value)| name.len() > ShortStr::MAX_BYTES || is_in(value))
}

/// The properties of a message that came through another door.
fn translated(message: &Message, neutral: &Neutral) -> Head<'static> {
    let mut has_lost_headers = has_long_name(&neutral.application);
    let mut headers = table_of(&neutral.application);
    if let Some(group) = &neutral.group_id {
        headers = headers.with("JMSXGroupID", FieldValue::text(group));
    }
    if let Some(sequence) = neutral.group_sequence {
        headers = headers.with("JMSXGroupSeq", field_of(&Value::U64(sequence)));
    }
    let mut fits = |name: &str, text: &'_ Option<Box<str>>| match text {
        // Too long for a short string: kept whole as a header.
        Some(text) if text.len() > ShortStr::MAX_BYTES => {
            let table = std::mem::take(&mut headers);
            headers = table.with(&format!("x-{name}"), FieldValue::text(text));
            false
        }
        text => text.is_some(),
    };
    let expiration = message.expiration_ms().map(|ms| ms.to_string());
    let mut fields = PropertyFields {
        delivery_mode: Some(if message.is_durable() { 2 } else { 1 }),
        priority: Some(message.priority()).filter(|priority| *priority != 0),
        expiration: short(expiration.as_deref()),
        timestamp: neutral.timestamp_ms.map(|ms| ms / 1000),
        ..PropertyFields::default()
    };
    let texts = [
        (
            "content-type",
            &neutral.content_type,
            &mut fields.content_type,
        ),
        (
            "content-encoding",
            &neutral.content_encoding,
            &mut fields.content_encoding,
        ),
        (
            "correlation-id",
            &neutral.correlation_id,
            &mut fields.correlation_id,
        ),
        ("reply-to", &neutral.reply_to, &mut fields.reply_to),
        ("message-id", &neutral.message_id, &mut fields.message_id),
        ("type", &neutral.subject, &mut fields.kind),
        ("user-id", &neutral.user_id, &mut fields.user_id),
        ("app-id", &neutral.app_id, &mut fields.app_id),
    ];
    for (name, text, field) in texts {
        if fits(name, text) {
            *field = short(text.as_deref());
        }
    }
    // Deeper or larger than a table may be: the message goes on without them.
    let headers = headers.to_bytes().unwrap_or_else(|_| {
        has_lost_headers = true;
        Vec::new()
    });
    fields.headers = RawTable::parse(&headers)
        .ok()
        .filter(|table| !table.is_empty());
    Head {
        bytes: Cow::Owned(fields.to_bytes()),
        has_lost_headers,
    }
}

fn short(text: Option<&str>) -> Option<ShortStr<'_>> {
    text.map(ShortStr::clipped)
}

fn changed(
    head: &[u8],
    overlay: Option<&Overlay>,
    deliveries: Option<u16>,
) -> Result<Vec<u8>, CodecError> {
    let mut set: Vec<(&[u8], FieldValue)> = Vec::new();
    if let Some(overlay) = overlay {
        set.extend(
            overlay
                .properties
                .iter()
                .map(|(name, value)| (name.as_bytes(), field_of(value))),
        );
        set.extend(deaths_of(overlay));
    }
    if let Some(deliveries) = deliveries {
        let count = FieldValue::I64(deliveries.into());
        set.push((b"x-delivery-count", count));
    }
    Rewrite {
        set_headers: &set,
        remove_headers: &[],
        remove_expiration: overlay.is_some_and(|overlay| overlay.without_expiration),
    }
    .apply(Properties::of_validated(head))
}

/// `x-death` and its companions, as RabbitMQ 3.13 writes them.
fn deaths_of(overlay: &Overlay) -> Vec<(&'static [u8], FieldValue)> {
    let mut headers: Vec<(&'static [u8], FieldValue)> = Vec::new();
    if let Some(last) = overlay.deaths.first() {
        let deaths = overlay.deaths.iter().map(death_of).map(FieldValue::Table);
        headers.push((b"x-death", FieldValue::Array(deaths.collect())));
        headers.push((
            b"x-last-death-exchange",
            FieldValue::text(last.exchange.as_str()),
        ));
        headers.push((b"x-last-death-queue", FieldValue::text(last.queue.as_str())));
        headers.push((b"x-last-death-reason", FieldValue::text(reason(last.cause))));
    }
    if let Some(first) = &overlay.first_death {
        headers.push((
            b"x-first-death-exchange",
            FieldValue::text(first.exchange.as_str()),
        ));
        headers.push((
            b"x-first-death-queue",
            FieldValue::text(first.queue.as_str()),
        ));
        headers.push((
            b"x-first-death-reason",
            FieldValue::text(reason(first.cause)),
        ));
    }
    headers
}

fn death_of(death: &Death) -> FieldTable {
    let keys = death
        .routing_keys
        .iter()
        .map(|key| FieldValue::LongString(key.as_slice().into()));
    let table = FieldTable::new()
        .with(
            "count",
            FieldValue::I64(i64::try_from(death.count).unwrap_or(i64::MAX)),
        )
        .with("reason", FieldValue::text(reason(death.cause)))
        .with("queue", FieldValue::text(death.queue.as_str()))
        .with("time", FieldValue::Timestamp(death.time.as_ms() / 1000))
        .with("exchange", FieldValue::text(death.exchange.as_str()))
        .with("routing-keys", FieldValue::Array(keys.collect()));
    match death.original_expiration_ms {
        Some(ms) => table.with("original-expiration", FieldValue::text(&ms.to_string())),
        None => table,
    }
}

/// RabbitMQ knows four reasons; the two of other doors show as the nearest of them.
fn reason(cause: Cause) -> &'static str {
    match cause {
        Cause::Rejected => "rejected",
        Cause::Expired => "expired",
        Cause::MaxLength | Cause::TooLarge => "maxlen",
        Cause::DeliveryLimit | Cause::ReceiveLimit => "delivery_limit",
    }
}

#[cfg(test)]
mod tests;
