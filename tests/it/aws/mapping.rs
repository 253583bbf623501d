//! `docs/mapping.md`, SQS' side: one test per row.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value as Json;
use serde_json::json;
use viaduct::aws::sqs::mapping::SQS_FORMAT;
use viaduct::aws::sqs::mapping::SqsDecode;
use viaduct::core::formats::Formats;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::message::BodyKind;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Message;
use viaduct::core::model::message::Producer;
use viaduct::core::model::time::CoreTime;
use viaduct::core::model::value::Decode;
use viaduct::core::model::value::Properties;
use viaduct::core::model::value::Value;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Conversion;
use viaduct::telemetry::Protocol;

use super::harness::Broker;
use super::harness::any;
use super::harness::start_on;

/// A door whose messages all have the same neutral view.
const OTHER: FormatId = FormatId(9_999);

struct OtherDoor(Properties);

impl Decode for OtherDoor {
    fn neutral(&self, _head: &[u8]) -> Properties {
        self.0.clone()
    }
}

async fn start(properties: Properties) -> (Broker, String) {
    let formats = Formats::new().with(OTHER, Arc::new(OtherDoor(properties)));
    let broker = start_on(MemoryStore::new(1), any(), formats).await;
    let url = broker.create("q", json!({})).await;
    (broker, url)
}

fn publish(broker: &Broker, body: &[u8], change: impl FnOnce(&mut Draft<'_>)) {
    let now = CoreTime::from_ms(broker.clock.now_ms());
    let vhost = broker.core.vhost("/").unwrap();
    let mut builder = BatchBuilder::new();
    let mut draft = Draft::new(OTHER, b"", "", b"q");
    draft.body = DraftBody::Copied(body);
    draft.durable = true;
    change(&mut draft);
    builder.push(draft);
    let batch = builder.finish(&Arc::new(Producer::default()), now, broker.core.budget());
    let empty = Properties::default();
    let route = vhost.route("", b"q", &mut || &empty).unwrap();
    broker.core.publish(&batch, 0..1, &route, now).unwrap();
}

/// What an SQS receiver sees of a message with this neutral view.
async fn seen(properties: Properties, body: &[u8], change: impl FnOnce(&mut Draft<'_>)) -> Json {
    let (broker, url) = start(properties).await;
    publish(&broker, body, change);
    broker.receive(&url).await.remove(0)
}

async fn attributes(properties: Properties) -> Json {
    seen(properties, b"x", |_| {}).await["MessageAttributes"].clone()
}

fn application(values: Vec<(&str, Value)>) -> Properties {
    Properties {
        application: values
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect(),
        ..Properties::default()
    }
}

fn string(text: &str) -> Json {
    json!({"DataType": "String", "StringValue": text})
}

/// What another door sees of a message that was sent through SQS: the message and its neutral view.
async fn inward(input: Json) -> (Message, Properties) {
    let (broker, url) = start(Properties::default()).await;
    let mut request = json!({"QueueUrl": url, "MessageBody": "x"});
    for (name, value) in input.as_object().unwrap() {
        request[name] = value.clone();
    }
    broker.ok("SendMessage", request).await;
    let queue = broker.core.vhost("/").unwrap().queue("q").unwrap();
    let terms = Terms {
        lease: Lease::Settled,
        entries: 1,
        bytes: usize::MAX,
        wait: false,
    };
    let mut out = Vec::new();
    broker
        .core
        .take_once(
            &queue,
            terms,
            CoreTime::from_ms(broker.clock.now_ms()),
            &mut out,
        )
        .unwrap();
    let message = out.remove(0).message;
    assert_eq!(message.format(), SQS_FORMAT);
    let properties = SqsDecode.neutral(message.head());
    (message, properties)
}

async fn inward_attribute(name: &str, data_type: &str, text: &str) -> Properties {
    let attribute = json!({"DataType": data_type, "StringValue": text});
    let (_, properties) = inward(json!({"MessageAttributes": {name: attribute}})).await;
    properties
}

/// A text property: how another door's value looks to SQS, and that it comes back to the same place.
macro_rules! text_property {
    ($($test:ident: $field:ident = $attribute:literal;)*) => {
        $(#[tokio::test]
        async fn $test() {
            let properties = Properties { $field: Some("value".into()), ..Properties::default() };
            assert_eq!(attributes(properties.clone()).await[$attribute], string("value"));
            assert_eq!(inward_attribute($attribute, "String", "value").await, properties);
        })*
    };
}

text_property! {
    message_id_is_an_attribute_both_ways: message_id = "amqp.message-id";
    correlation_id_is_jms_sqs_correlation_id: correlation_id = "JMS_SQSCorrelationID";
    content_type_is_an_attribute_both_ways: content_type = "amqp.content-type";
    content_encoding_is_an_attribute_both_ways: content_encoding = "amqp.content-encoding";
    type_is_an_attribute_both_ways: subject = "amqp.type";
    user_id_is_an_attribute_both_ways: user_id = "amqp.user-id";
    app_id_is_an_attribute_both_ways: app_id = "amqp.app-id";
}

#[tokio::test]
async fn reply_to_is_a_queue_by_name_and_url() {
    let properties = Properties {
        reply_to: Some("answers".into()),
        ..Properties::default()
    };
    let (broker, url) = start(properties.clone()).await;
    publish(&broker, b"x", |_| {});
    let attributes = broker.receive(&url).await[0]["MessageAttributes"].clone();
    assert_eq!(attributes["JMS_SQSReplyToQueueName"], string("answers"));
    assert_eq!(
        attributes["JMS_SQSReplyToQueueURL"],
        string(&broker.url("answers"))
    );
    let (_, back) = inward(json!({"MessageAttributes": attributes})).await;
    assert_eq!(back, properties);
}

#[tokio::test]
async fn timestamp_is_seconds() {
    let properties = Properties {
        timestamp_ms: Some(1_700_000_000_000),
        ..Properties::default()
    };
    let attributes = attributes(properties.clone()).await;
    assert_eq!(
        attributes["amqp.timestamp"],
        json!({"DataType": "Number", "StringValue": "1700000000"})
    );
    assert_eq!(
        inward_attribute("amqp.timestamp", "Number", "1700000000").await,
        properties
    );
}

#[tokio::test]
async fn priority_is_an_attribute_where_it_is_not_0() {
    let message = seen(Properties::default(), b"x", |draft| draft.priority = 7).await;
    assert_eq!(
        message["MessageAttributes"],
        json!({"amqp.priority": {"DataType": "Number", "StringValue": "7"}})
    );
    let attribute = json!({"DataType": "Number", "StringValue": "7"});
    let (message, properties) =
        inward(json!({"MessageAttributes": {"amqp.priority": attribute}})).await;
    assert_eq!((message.priority(), properties), (7, Properties::default()));
}

#[tokio::test]
async fn group_is_message_group_id() {
    let message = seen(Properties::default(), b"x", |draft| {
        draft.group = Some(b"g")
    })
    .await;
    assert_eq!(message["Attributes"]["MessageGroupId"], "g");
    let (message, properties) = inward(json!({"MessageGroupId": "g"})).await;
    assert_eq!(
        (message.group(), properties.group_id.as_deref()),
        (&b"g"[..], Some("g"))
    );
}

#[tokio::test]
async fn what_sqs_sends_is_durable_and_its_delay_is_the_entrys() {
    let (message, _) = inward(json!({"DelaySeconds": 0})).await;
    assert!(message.is_durable());
    assert_eq!(message.delay_ms(), Some(0));
}

#[tokio::test]
async fn expiration_has_no_attribute_but_holds() {
    let (broker, url) = start(Properties::default()).await;
    publish(&broker, b"gone", |draft| draft.expiration_ms = Some(0));
    publish(&broker, b"here", |draft| draft.expiration_ms = Some(60_000));
    let messages = broker
        .receive_with(&url, json!({"WaitTimeSeconds": 1}))
        .await;
    assert_eq!((messages.len(), &messages[0]["Body"]), (1, &json!("here")));
    assert_eq!(messages[0]["MessageAttributes"], Json::Null);
}

#[tokio::test]
async fn text_bodies_go_as_they_are_both_ways() {
    assert_eq!(
        seen(
            Properties::default(),
            "gr\u{fc}\u{df}e\r\n".as_bytes(),
            |_| {}
        )
        .await["Body"],
        "gr\u{fc}\u{df}e\r\n"
    );
    let empty = seen(Properties::default(), b"", |_| {}).await;
    assert_eq!(
        (&empty["Body"], &empty["MessageAttributes"]),
        (&json!(""), &Json::Null)
    );
    let (message, _) = inward(json!({"MessageBody": "gr\u{fc}\u{df}e"})).await;
    assert_eq!(
        (message.body_bytes(), message.body_kind()),
        ("gr\u{fc}\u{df}e".as_bytes().into(), BodyKind::Text)
    );
}

#[tokio::test]
async fn binary_bodies_are_base64_with_a_word_that_says_so_both_ways() {
    for body in [&b"\xff\x00"[..], b"control \x01", "\u{fffe}".as_bytes()] {
        let message = seen(Properties::default(), body, |_| {}).await;
        assert_eq!(
            message["MessageAttributes"],
            json!({"JMS_SQSMessageType": string("byte")})
        );
        let again = json!({"MessageBody": message["Body"], "MessageAttributes": message["MessageAttributes"]});
        let (back, properties) = inward(again).await;
        assert_eq!(
            (&back.body_bytes()[..], back.body_kind()),
            (body, BodyKind::Bytes)
        );
        assert_eq!(properties, Properties::default());
    }
}

#[tokio::test]
async fn what_only_claims_to_be_base64_stays_text() {
    let attributes = json!({"JMS_SQSMessageType": string("byte")});
    for body in ["not base64!", "YQ", "YR=="] {
        let input = json!({"MessageBody": body, "MessageAttributes": attributes});
        let (message, _) = inward(input).await;
        assert_eq!(message.body_bytes(), body.as_bytes());
    }
}

#[tokio::test]
async fn sqs_to_sqs_every_character_is_kept() {
    let (broker, url) = start(Properties::default()).await;
    let attributes = json!({"JMS_SQSMessageType": string("byte"), "n": {"DataType": "Number.custom", "StringValue": "01.50"}});
    broker
        .ok(
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": "AP8=", "MessageAttributes": attributes}),
        )
        .await;
    let message = &broker.receive(&url).await[0];
    assert_eq!(
        (&message["Body"], &message["MessageAttributes"]),
        (&json!("AP8="), &attributes)
    );
}

/// A header: its value, how SQS sees it, and what comes back.
async fn header(value: Value, data_type: &str, text: &str, back: Value) {
    let seen = attributes(application(vec![("h", value)])).await;
    assert_eq!(
        seen["h"],
        json!({"DataType": data_type, "StringValue": text})
    );
    assert_eq!(
        inward_attribute("h", data_type, text).await,
        application(vec![("h", back)])
    );
}

#[tokio::test]
async fn headers_of_signed_integers_keep_their_type() {
    header(Value::I8(-8), "Number.byte", "-8", Value::I8(-8)).await;
    header(Value::I16(-16), "Number.short", "-16", Value::I16(-16)).await;
    header(Value::I32(-32), "Number.int", "-32", Value::I32(-32)).await;
    header(Value::I64(-64), "Number.long", "-64", Value::I64(-64)).await;
}

#[tokio::test]
async fn headers_of_unsigned_integers_widen() {
    header(Value::U8(255), "Number.short", "255", Value::I16(255)).await;
    header(
        Value::U16(65_535),
        "Number.int",
        "65535",
        Value::I32(65_535),
    )
    .await;
    header(
        Value::U32(u32::MAX),
        "Number.long",
        "4294967295",
        Value::I64(4_294_967_295),
    )
    .await;
    header(Value::U64(1), "Number.long", "1", Value::I64(1)).await;
    header(
        Value::U64(u64::MAX),
        "Number",
        "18446744073709551615",
        Value::Number("18446744073709551615".into()),
    )
    .await;
}

#[tokio::test]
async fn headers_of_booleans_floats_and_text_keep_their_type() {
    header(Value::Bool(true), "Number.Boolean", "1", Value::Bool(true)).await;
    header(
        Value::Bool(false),
        "Number.Boolean",
        "0",
        Value::Bool(false),
    )
    .await;
    header(Value::F32(0.5), "Number.float", "0.5", Value::F32(0.5)).await;
    header(
        Value::F64(-0.25),
        "Number.double",
        "-0.25",
        Value::F64(-0.25),
    )
    .await;
    header(
        Value::Text("gr\u{fc}n".into()),
        "String",
        "gr\u{fc}n",
        Value::Text("gr\u{fc}n".into()),
    )
    .await;
    header(
        Value::Number("1.50".into()),
        "Number",
        "1.50",
        Value::Number("1.50".into()),
    )
    .await;
}

#[tokio::test]
async fn headers_without_a_counterpart_become_the_nearest() {
    header(
        Value::Decimal {
            scale: 2,
            unscaled: -5,
        },
        "Number",
        "-0.05",
        Value::Number("-0.05".into()),
    )
    .await;
    header(
        Value::Timestamp(1_000),
        "Number.long",
        "1000",
        Value::I64(1_000),
    )
    .await;
    header(
        Value::F64(f64::INFINITY),
        "String",
        "inf",
        Value::Text("inf".into()),
    )
    .await;
}

#[tokio::test]
async fn headers_of_bytes_are_binary_both_ways() {
    let properties = application(vec![("h", Value::Bytes(Bytes::from_static(b"\x00\xff")))]);
    let seen = attributes(properties.clone()).await;
    assert_eq!(
        seen,
        json!({"h": {"DataType": "Binary", "BinaryValue": "AP8="}})
    );
    assert_eq!(
        inward(json!({"MessageAttributes": seen})).await.1,
        properties
    );
}

#[tokio::test]
async fn what_no_attribute_can_carry_overflows_into_one_and_comes_back() {
    let properties = application(vec![
        ("AWS.name", Value::I64(9)),
        ("bytes", Value::Bytes(Bytes::new())),
        ("control", Value::Text("\u{1}".into())),
        ("empty", Value::Text("".into())),
        (
            "list",
            Value::List(vec![
                Value::I64(1),
                Value::Text("two".into()),
                Value::Null,
                Value::Timestamp(3),
            ]),
        ),
        (
            "map",
            Value::Map(vec![(
                "deep".into(),
                Value::Map(vec![("b".into(), Value::Bool(true))]),
            )]),
        ),
        ("nothing", Value::Null),
        ("odd name!", Value::Text("x".into())),
    ]);
    let seen = attributes(properties.clone()).await;
    let overflow: Json =
        serde_json::from_str(seen["viaduct.headers"]["StringValue"].as_str().unwrap()).unwrap();
    assert_eq!(
        overflow,
        json!({
            "AWS.name": 9, "bytes": {"$bytes": ""}, "control": "\u{1}", "empty": "", "list": [1, "two", null, {"$timestamp": 3}],
            "map": {"deep": {"b": true}}, "nothing": null, "odd name!": "x",
        })
    );
    assert_eq!(seen.as_object().unwrap().len(), 1);
    assert_eq!(
        inward(json!({"MessageAttributes": seen})).await.1,
        properties
    );
}

#[tokio::test]
async fn more_than_ten_overflow_and_none_is_lost() {
    let names: Vec<String> = (0..15).map(|n| format!("h{n:02}")).collect();
    let values = names
        .iter()
        .map(|name| (name.as_str(), Value::I64(7)))
        .collect();
    let mut properties = application(values);
    properties.correlation_id = Some("c".into());
    let seen = attributes(properties.clone()).await;
    assert_eq!(seen.as_object().unwrap().len(), 10);
    assert_eq!(
        seen["JMS_SQSCorrelationID"],
        string("c"),
        "standard properties go first"
    );
    let mut back = inward(json!({"MessageAttributes": seen})).await.1;
    back.application.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(back, properties);
    let ten = application(
        names
            .iter()
            .take(10)
            .map(|name| (name.as_str(), Value::I64(7)))
            .collect(),
    );
    assert_eq!(
        attributes(ten).await["viaduct.headers"],
        Json::Null,
        "ten fit"
    );
}

#[tokio::test]
async fn of_a_name_that_repeats_sqs_sees_the_first_and_the_loss_is_counted() {
    let (broker, url) = start(application(vec![
        ("h", Value::I32(1)),
        ("h", Value::I32(2)),
        ("h", Value::I32(3)),
    ]))
    .await;
    publish(&broker, b"x", |draft| draft.expiration_ms = Some(60_000));
    // The message is one, however often it is received.
    for _ in 0..2 {
        let received = broker
            .receive_with(&url, json!({"VisibilityTimeout": 0}))
            .await;
        assert_eq!(received[0]["MessageAttributes"]["h"]["StringValue"], "1");
    }
    for field in ["headers", "expiration"] {
        let loss = Conversion {
            from: Protocol::Internal,
            to: Protocol::Sqs,
            field,
        };
        assert_eq!(
            broker
                .core
                .metrics()
                .conversion_loss
                .get_or_create(&loss)
                .get(),
            1,
            "{field}"
        );
    }
}
