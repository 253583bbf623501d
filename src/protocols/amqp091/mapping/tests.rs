//! 0-9-1's properties and the neutral view, both ways.

use std::sync::Arc;

use crate::core::budget::Budget;
use crate::core::formats::Formats;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::Draft;
use crate::core::model::message::FormatId;
use crate::core::model::message::Message;
use crate::core::model::message::Producer;
use crate::core::model::time::CoreTime;
use crate::core::model::value::Decode;
use crate::core::model::value::Properties as Neutral;
use crate::core::model::value::Value;
use crate::protocols::amqp091::codec::FieldTable;
use crate::protocols::amqp091::codec::FieldValue;
use crate::protocols::amqp091::codec::Properties;
use crate::protocols::amqp091::codec::PropertyFields;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::mapping;

/// Another door, whose heads mean always the same.
struct Other(Neutral);

const OTHER: FormatId = FormatId(999);

impl Decode for Other {
    fn neutral(&self, _head: &[u8]) -> Neutral {
        self.0.clone()
    }
}

/// The head that a 0-9-1 client sees of a message with these properties from another door.
fn seen(neutral: Neutral, draft: impl FnOnce(&mut Draft<'_>)) -> Vec<u8> {
    let formats = Formats::new().with(OTHER, Arc::new(Other(neutral)));
    let mut builder = BatchBuilder::new();
    let mut message = Draft::new(OTHER, b"", "", b"q");
    draft(&mut message);
    builder.push(message);
    let budget = Budget::new(1 << 20);
    let batch = builder.finish(&Arc::new(Producer::default()), CoreTime::default(), &budget);
    let message: Message = batch.message(0).unwrap();
    mapping::head_for(&formats, &message, None, None)
        .bytes
        .into_owned()
}

fn text(text: &str) -> Option<Box<str>> {
    Some(text.into())
}

fn short(text: &str) -> Option<ShortStr<'_>> {
    Some(ShortStr::try_from(text).unwrap())
}

#[test]
fn every_property_has_its_standard_place() {
    let neutral = Neutral {
        message_id: text("m"),
        correlation_id: text("c"),
        reply_to: text("r"),
        content_type: text("text/plain"),
        content_encoding: text("gzip"),
        subject: text("s"),
        user_id: text("u"),
        app_id: text("a"),
        timestamp_ms: Some(5999),
        group_id: text("g"),
        group_sequence: Some(7),
        application: vec![("k".into(), Value::Text("v".into()))],
    };
    let head = seen(neutral, |draft| {
        draft.durable = true;
        draft.priority = 4;
        draft.expiration_ms = Some(60_000);
    });
    let headers = FieldTable::new()
        .with("k", FieldValue::text("v"))
        .with("JMSXGroupID", FieldValue::text("g"))
        .with("JMSXGroupSeq", FieldValue::I64(7))
        .to_bytes()
        .unwrap();
    let expected = PropertyFields {
        content_type: short("text/plain"),
        content_encoding: short("gzip"),
        headers: Some(RawTable::parse(&headers).unwrap()),
        delivery_mode: Some(2),
        priority: Some(4),
        correlation_id: short("c"),
        reply_to: short("r"),
        expiration: short("60000"),
        message_id: short("m"),
        timestamp: Some(5),
        kind: short("s"),
        user_id: short("u"),
        app_id: short("a"),
        cluster_id: None,
    };
    assert_eq!(Properties::parse(&head).unwrap().fields(), expected);
}

#[test]
fn a_text_too_long_for_its_property_is_kept_whole_as_a_header() {
    let long = "x".repeat(300);
    let head = seen(
        Neutral {
            reply_to: text(&long),
            ..Neutral::default()
        },
        |_| {},
    );
    let properties = Properties::parse(&head).unwrap();
    assert_eq!(properties.reply_to(), None);
    let header = properties.headers().unwrap().get(b"x-reply-to").unwrap();
    assert_eq!(header.as_str().unwrap(), long);
}

#[test]
fn a_head_of_ours_has_a_neutral_view() {
    let headers = FieldTable::new()
        .with("n", FieldValue::I64Spec(-1))
        .with("at", FieldValue::Timestamp(3))
        .with("not text", FieldValue::LongString([0xff].into()))
        .to_bytes()
        .unwrap();
    let head = PropertyFields {
        headers: Some(RawTable::parse(&headers).unwrap()),
        timestamp: Some(2),
        kind: short("order"),
        correlation_id: short("c"),
        ..PropertyFields::default()
    }
    .to_bytes();
    let expected = Neutral {
        timestamp_ms: Some(2000),
        subject: text("order"),
        correlation_id: text("c"),
        application: vec![
            ("n".into(), Value::I64(-1)),
            ("at".into(), Value::Timestamp(3000)),
            ("not text".into(), Value::Bytes(vec![0xff].into())),
        ],
        ..Neutral::default()
    };
    assert_eq!(mapping::Amqp091Head.neutral(&head), expected);
    assert_eq!(mapping::Amqp091Head.neutral(b"\xff"), Neutral::default());
}

/// What a 0-9-1 client sees of a value.
fn field(value: Value) -> FieldValue {
    let neutral = Neutral {
        application: vec![("k".into(), value)],
        ..Neutral::default()
    };
    let head = seen(neutral, |_| {});
    let headers = Properties::parse(&head).unwrap().headers().unwrap();
    headers.to_owned().get(b"k").unwrap().clone()
}

#[test]
fn values_keep_their_types_and_numbers_their_digits() {
    let table = [
        (Value::Null, FieldValue::Void),
        (Value::Bool(true), FieldValue::Bool(true)),
        (Value::U8(200), FieldValue::U8(200)),
        (Value::U64(5), FieldValue::I64(5)),
        (
            Value::U64(u64::MAX),
            FieldValue::text("18446744073709551615"),
        ),
        (Value::F64(0.1), FieldValue::F64(0.1)),
        (Value::Number("42".into()), FieldValue::I64(42)),
        (Value::Number("0.10".into()), FieldValue::text("0.10")),
        (Value::Timestamp(-1), FieldValue::Timestamp(0)),
        (Value::Bytes(vec![1].into()), FieldValue::Bytes([1].into())),
        (
            Value::List(vec![Value::I8(1), Value::Null]),
            FieldValue::Array(vec![FieldValue::I8(1), FieldValue::Void]),
        ),
        (
            Value::Map(vec![("n".into(), Value::I16(1))]),
            FieldValue::Table(FieldTable::new().with("n", FieldValue::I16(1))),
        ),
    ];
    for (value, expected) in table {
        assert_eq!(field(value), expected);
    }
}
