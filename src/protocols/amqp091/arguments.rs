//! Arguments of queue.declare: checks and equivalence in RabbitMQ's words, and what they mean to core.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::json;

use crate::core::model::names::ExchangeName;
use crate::core::model::overlay::Cause;
use crate::core::model::value::Value;
use crate::core::queue::settings::DeadLetterTarget;
use crate::core::queue::settings::Overflow;
use crate::core::queue::settings::QueueSettings;
use crate::protocols::amqp091::codec::FieldValue;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::RawValue;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::mapping;

/// The key under which a queue keeps what this door was told.
pub(super) const VOCABULARY: &str = "amqp091";

/// `x-queue-type` of a plain queue, which is also what no type means.
pub(super) const CLASSIC: &str = "classic";
/// `x-queue-type` of a queue that counts its returns.
pub(super) const QUORUM: &str = "quorum";

/// RabbitMQ's bound for times, in milliseconds.
const MAX_TTL_MS: i64 = 4_294_967_295;

const TYPE: &str = "x-queue-type";
const TTL: &str = "x-message-ttl";
const MAX_LENGTH: &str = "x-max-length";
const MAX_BYTES: &str = "x-max-length-bytes";
const OVERFLOW: &str = "x-overflow";
const DEAD_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_KEY: &str = "x-dead-letter-routing-key";
const DELIVERY_LIMIT: &str = "x-delivery-limit";

/// What two declarations of a queue must agree on; other arguments are kept and compared with nothing.
const COMPARED: [&str; 8] = [
    TTL,
    MAX_LENGTH,
    MAX_BYTES,
    OVERFLOW,
    DEAD_EXCHANGE,
    DEAD_KEY,
    DELIVERY_LIMIT,
    TYPE,
];

/// What a later version brings.
const LATER: [&str; 4] = [
    "x-consumer-timeout",
    "x-expires",
    "x-max-priority",
    "x-single-active-consumer",
];

/// What a queue's vocabulary holds of this door.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    durable: Option<bool>,
    arguments: Arguments,
}

/// Arguments by name, the first of a repeated name.
pub(super) type Arguments = BTreeMap<Box<str>, Value>;

/// A queue as queue.declare describes it.
pub(super) struct Declaration {
    pub(super) durable: bool,
    pub(super) arguments: Arguments,
}

/// Reads arguments into core's values.
pub(super) fn read(table: RawTable<'_>) -> Arguments {
    let mut arguments = Arguments::new();
    for (name, raw) in table {
        arguments
            .entry(String::from_utf8_lossy(name).into())
            .or_insert_with(|| mapping::value_of(raw));
    }
    arguments
}

impl Declaration {
    /// Checks a declaration. `queue` names it as RabbitMQ's texts do.
    ///
    /// # Errors
    /// 406 and 540.
    pub(super) fn check(durable: bool, table: RawTable<'_>, queue: &str) -> Result<Self, Refusal> {
        let arguments = read(table);
        let declaration = Self { durable, arguments };
        let fault = |name: &str, error: String| {
            Refusal::precondition(format!("invalid arg '{name}' for {queue}: {error}"))
        };
        for name in LATER {
            if declaration.arguments.contains_key(name) {
                return Err(Refusal::later(name));
            }
        }
        for (name, most) in [
            (TTL, MAX_TTL_MS),
            (MAX_LENGTH, i64::MAX),
            (MAX_BYTES, i64::MAX),
            (DELIVERY_LIMIT, i64::MAX),
        ] {
            declaration
                .number(name, most)
                .map_err(|error| fault(name, error))?;
        }
        for name in [OVERFLOW, DEAD_EXCHANGE, DEAD_KEY, TYPE] {
            declaration.text(name).map_err(|error| fault(name, error))?;
        }
        declaration.check_values(queue, &fault)?;
        Ok(declaration)
    }

    fn check_values(
        &self,
        queue: &str,
        fault: &dyn Fn(&str, String) -> Refusal,
    ) -> Result<(), Refusal> {
        let text = |name| self.text(name).ok().flatten();
        if text(DEAD_KEY).is_some() && text(DEAD_EXCHANGE).is_none() {
            return Err(fault(DEAD_KEY, "routing_key_but_no_dlx_defined".to_owned()));
        }
        if let Some(name) = text(DEAD_EXCHANGE)
            && let Err(error) = ExchangeName::parse(name)
        {
            return Err(fault(DEAD_EXCHANGE, error.to_string()));
        }
        if text(OVERFLOW).is_some_and(|policy| overflow(policy).is_none()) {
            return Err(fault(OVERFLOW, "invalid_overflow".to_owned()));
        }
        match text(TYPE) {
            None | Some(CLASSIC) => Ok(()),
            Some(QUORUM) if self.durable => Ok(()),
            Some(QUORUM) => Err(Refusal::precondition(format!(
                "invalid property 'non-durable' for {queue}"
            ))),
            Some("stream") => Err(Refusal::later("x-queue-type=stream")),
            Some(other) => Err(fault(TYPE, format!("unsupported queue type '{other}'"))),
        }
    }

    fn number(&self, name: &str, most: i64) -> Result<Option<u64>, String> {
        let Some(value) = self.arguments.get(name) else {
            return Ok(None);
        };
        let number =
            integer(value).ok_or_else(|| format!("{{unacceptable_type,{}}}", type_name(value)))?;
        if number > most {
            return Err(format!("{{value_too_big,{number}}}"));
        }
        match u64::try_from(number) {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{{value_negative,{number}}}")),
        }
    }

    fn text(&self, name: &str) -> Result<Option<&str>, String> {
        match self.arguments.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{{unacceptable_type,{}}}", type_name(other))),
        }
    }

    /// What core is told for a queue that is not there yet.
    pub(super) fn settings(&self) -> QueueSettings {
        let number = |name| self.number(name, i64::MAX).ok().flatten();
        let text = |name| self.text(name).ok().flatten();
        let mut settings = QueueSettings::new(self.durable);
        settings.message_ttl_ms = number(TTL);
        settings.max_length = number(MAX_LENGTH);
        settings.max_length_bytes = number(MAX_BYTES);
        settings.overflow = text(OVERFLOW).and_then(overflow).unwrap_or_default();
        settings.delivery_limit =
            number(DELIVERY_LIMIT).map(|limit| u16::try_from(limit).unwrap_or(u16::MAX));
        if let Some(exchange) = text(DEAD_EXCHANGE).and_then(|name| ExchangeName::parse(name).ok())
        {
            let target = DeadLetterTarget::Exchange {
                exchange,
                routing_key: text(DEAD_KEY).map(|key| key.as_bytes().to_vec()),
            };
            let causes = [
                Cause::Rejected,
                Cause::Expired,
                Cause::MaxLength,
                Cause::DeliveryLimit,
            ];
            settings.dead_letter = causes.map(|cause| (cause, target.clone())).into();
        }
        let told = json!({ "durable": self.durable, "arguments": self.arguments });
        settings.vocabulary.insert(VOCABULARY, &told);
        settings
    }

    /// Compares with a queue that is there: only what this door's vocabulary can say (DESIGN §5).
    ///
    /// # Errors
    /// 406 names the first difference.
    pub(super) fn check_equivalent(
        &self,
        settings: &QueueSettings,
        queue: &str,
    ) -> Result<(), Refusal> {
        let told: Told = settings.vocabulary.get(VOCABULARY).unwrap_or_default();
        // Another door may have made it durable since: both declarations mean this queue.
        if self.durable != settings.durable && Some(self.durable) != told.durable {
            let (received, current) = (self.durable, settings.durable);
            return Err(Refusal::precondition(format!(
                "inequivalent arg 'durable' for {queue}: received '{received}' but current is '{current}'"
            )));
        }
        let current = told.arguments;
        for name in COMPARED {
            let (new, old) = (self.arguments.get(name), current.get(name));
            if !is_same(name, new, old) {
                return Err(Refusal::precondition(format!(
                    "inequivalent arg '{name}' for {queue}: received {} but current is {}",
                    shown(new),
                    shown(old)
                )));
            }
        }
        Ok(())
    }
}

/// The arguments that this door declared a queue with; none if another door made it.
pub(super) fn declared(settings: &QueueSettings) -> Arguments {
    let told: Option<Told> = settings.vocabulary.get(VOCABULARY);
    told.unwrap_or_default().arguments
}

/// The type that a queue was declared with.
pub(super) fn declared_type(settings: &QueueSettings) -> &'static str {
    match declared(settings).get(TYPE) {
        Some(Value::Text(kind)) if &**kind == QUORUM => QUORUM,
        _ => CLASSIC,
    }
}

fn overflow(policy: &str) -> Option<Overflow> {
    match policy {
        "drop-head" => Some(Overflow::DropOldest),
        "reject-publish" => Some(Overflow::Reject),
        "reject-publish-dlx" => Some(Overflow::RejectDeadLetter),
        _ => None,
    }
}

/// Values are compared by their class, as RabbitMQ does: integers of any width are equal.
fn is_same(name: &str, new: Option<&Value>, old: Option<&Value>) -> bool {
    match (new, old) {
        (Some(new), Some(old)) => {
            new == old || integer(new).is_some_and(|number| integer(old) == Some(number))
        }
        (None, None) => true,
        // No type is the plain type.
        (Some(Value::Text(kind)), None) | (None, Some(Value::Text(kind))) => {
            name == TYPE && &**kind == CLASSIC
        }
        _ => false,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::I8(value) => Some((*value).into()),
        Value::U8(value) => Some((*value).into()),
        Value::I16(value) => Some((*value).into()),
        Value::U16(value) => Some((*value).into()),
        Value::I32(value) => Some((*value).into()),
        Value::U32(value) => Some((*value).into()),
        Value::I64(value) => Some(*value),
        Value::U64(value) => i64::try_from(*value).ok(),
        Value::Null
        | Value::Bool(_)
        | Value::F32(_)
        | Value::F64(_)
        | Value::Decimal { .. }
        | Value::Number(_)
        | Value::Text(_)
        | Value::Bytes(_)
        | Value::Timestamp(_)
        | Value::List(_)
        | Value::Map(_) => None,
    }
}

fn type_name(value: &Value) -> &'static str {
    mapping::field_of(value).type_name()
}

/// A value in RabbitMQ's words.
pub(super) fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "none".to_owned();
    };
    let text = match mapping::field_of(value) {
        FieldValue::LongString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        FieldValue::Bool(value) => value.to_string(),
        FieldValue::F32(value) => value.to_string(),
        FieldValue::F64(value) => value.to_string(),
        FieldValue::I8(_)
        | FieldValue::U8(_)
        | FieldValue::I16(_)
        | FieldValue::I16Spec(_)
        | FieldValue::U16(_)
        | FieldValue::I32(_)
        | FieldValue::U32(_)
        | FieldValue::I64(_)
        | FieldValue::I64Spec(_) => integer(value).unwrap_or_default().to_string(),
        FieldValue::Decimal { .. }
        | FieldValue::Bytes(_)
        | FieldValue::Timestamp(_)
        | FieldValue::Array(_)
        | FieldValue::Table(_)
        | FieldValue::Void => "...".to_owned(),
    };
    format!("the value '{text}' of type '{}'", type_name(value))
}

/// Whether a table has any of these names.
pub(super) fn has(table: RawTable<'_>, name: &str) -> bool {
    table
        .get(name.as_bytes())
        .is_some_and(|value| value != RawValue::Void)
}
