//! `docs/mapping.md`, both doors: what a RabbitMQ client publishes as SQS sees it, and the reverse.

use serde_json::Value as Json;
use serde_json::json;
use viaduct::core::formats::Formats;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::Properties;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::mapping::Amqp091Head;
use viaduct::protocols::amqp091::mapping::FORMAT;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Conversion;
use viaduct::telemetry::Protocol;

use super::amqp::Client;
use super::harness::Broker;
use super::harness::any;
use super::harness::start_on;

async fn start() -> (Broker, Client, String) {
    let formats = Formats::new().with(FORMAT, std::sync::Arc::new(Amqp091Head));
    let broker = start_on(MemoryStore::new(1), any(), formats).await;
    let url = broker.create("q", json!({})).await;
    let client = Client::connect(&broker).await;
    (broker, client, url)
}

fn short(text: &str) -> Option<ShortStr<'_>> {
    ShortStr::new(text.as_bytes()).ok()
}

/// Publishes by AMQP and returns what SQS receives.
async fn outward(fields: PropertyFields<'_>, body: &[u8]) -> Json {
    let (broker, mut client, url) = start().await;
    client.publish("q", &fields.to_bytes(), body).await;
    broker.receive(&url).await.remove(0)
}

/// Sends by SQS and hands what an AMQP client gets to `check`.
async fn inward(attributes: Json, check: impl FnOnce(PropertyFields<'_>, &[u8])) {
    inward_with(json!({"MessageAttributes": attributes}), check).await;
}

async fn inward_with(more: Json, check: impl FnOnce(PropertyFields<'_>, &[u8])) {
    let (broker, mut client, url) = start().await;
    let mut input = json!({"QueueUrl": url, "MessageBody": "x"});
    for (name, value) in more.as_object().unwrap() {
        input[name] = value.clone();
    }
    broker.ok("SendMessage", input).await;
    let got = client.get("q").await.expect("a message");
    check(
        Properties::parse(&got.properties).unwrap().fields(),
        &got.body,
    );
}

fn string(text: &str) -> Json {
    json!({"DataType": "String", "StringValue": text})
}

fn number(label: &str, text: &str) -> Json {
    json!({"DataType": label, "StringValue": text})
}

/// A property of short text and the attribute that it is, both ways.
macro_rules! text_rows {
    ($($test:ident: $field:ident = $attribute:literal;)*) => {
        $(#[tokio::test]
        async fn $test() {
            let fields = PropertyFields { $field: short("value"), ..PropertyFields::default() };
            assert_eq!(outward(fields, b"x").await["MessageAttributes"][$attribute], string("value"));
            inward(json!({$attribute: string("value")}), |fields, _| {
                assert_eq!(fields.$field, short("value"));
                assert_eq!(fields.headers, None, "it is a property and no header");
            })
            .await;
        })*
    };
}

text_rows! {
    message_id_crosses: message_id = "amqp.message-id";
    correlation_id_crosses: correlation_id = "JMS_SQSCorrelationID";
    content_type_crosses: content_type = "amqp.content-type";
    content_encoding_crosses: content_encoding = "amqp.content-encoding";
    type_crosses: kind = "amqp.type";
    app_id_crosses: app_id = "amqp.app-id";
    reply_to_crosses: reply_to = "JMS_SQSReplyToQueueName";
}

#[tokio::test]
async fn user_id_crosses() {
    let fields = PropertyFields {
        user_id: short("guest"),
        ..PropertyFields::default()
    };
    assert_eq!(
        outward(fields, b"x").await["MessageAttributes"]["amqp.user-id"],
        string("guest")
    );
    inward(json!({"amqp.user-id": string("somebody")}), |fields, _| {
        assert_eq!(fields.user_id, short("somebody"))
    })
    .await;
}

#[tokio::test]
async fn timestamp_crosses_in_seconds() {
    let fields = PropertyFields {
        timestamp: Some(1_700_000_000),
        ..PropertyFields::default()
    };
    let seen = outward(fields, b"x").await;
    assert_eq!(
        seen["MessageAttributes"]["amqp.timestamp"],
        number("Number", "1700000000")
    );
    let attributes = json!({"amqp.timestamp": number("Number", "1700000000")});
    inward(attributes, |fields, _| {
        assert_eq!(fields.timestamp, Some(1_700_000_000))
    })
    .await;
}

#[tokio::test]
async fn priority_crosses() {
    let fields = PropertyFields {
        priority: Some(7),
        ..PropertyFields::default()
    };
    assert_eq!(
        outward(fields, b"x").await["MessageAttributes"]["amqp.priority"],
        number("Number", "7")
    );
    inward(
        json!({"amqp.priority": number("Number", "7")}),
        |fields, _| assert_eq!(fields.priority, Some(7)),
    )
    .await;
}

#[tokio::test]
async fn what_has_no_counterpart_in_sqs_is_not_shown() {
    let fields = PropertyFields {
        delivery_mode: Some(2),
        priority: Some(0),
        expiration: short("60000"),
        cluster_id: short("c"),
        ..PropertyFields::default()
    };
    assert_eq!(outward(fields, b"x").await["MessageAttributes"], Json::Null);
}

#[tokio::test]
async fn sqs_sends_with_delivery_mode_2_and_nothing_else() {
    inward(json!({}), |fields, body| {
        assert_eq!(
            fields,
            PropertyFields {
                delivery_mode: Some(2),
                ..PropertyFields::default()
            }
        );
        assert_eq!(body, b"x");
    })
    .await;
}

#[tokio::test]
async fn group_id_is_the_header_jmsxgroupid() {
    inward_with(json!({"MessageGroupId": "g"}), |fields, _| {
        let headers = fields.headers.unwrap().to_owned();
        assert_eq!(
            headers.0,
            [(b"JMSXGroupID"[..].into(), FieldValue::text("g"))]
        );
    })
    .await;
}

#[tokio::test]
async fn binary_bodies_cross() {
    let body: Vec<u8> = (0..=255).collect();
    let seen = outward(PropertyFields::default(), &body).await;
    assert_eq!(
        seen["MessageAttributes"]["JMS_SQSMessageType"],
        string("byte")
    );
    let again =
        json!({"MessageBody": seen["Body"], "MessageAttributes": seen["MessageAttributes"]});
    inward_with(again, |_, got| assert_eq!(got, body)).await;
}

/// A header and the attribute that it is: there, and back as `back`.
async fn header(value: FieldValue, attribute: Json, back: FieldValue) {
    let table = FieldTable(vec![(b"h"[..].into(), value)])
        .to_bytes()
        .unwrap();
    let fields = PropertyFields {
        headers: RawTable::parse(&table).ok(),
        ..PropertyFields::default()
    };
    let seen = outward(fields, b"x").await["MessageAttributes"].clone();
    assert_eq!(seen, json!({"h": attribute}));
    inward(seen, |fields, _| {
        assert_eq!(
            fields.headers.unwrap().to_owned().0,
            [(b"h"[..].into(), back)]
        );
    })
    .await;
}

#[tokio::test]
async fn headers_of_numbers_cross() {
    use FieldValue as V;
    header(V::Bool(true), number("Number.Boolean", "1"), V::Bool(true)).await;
    header(V::I8(-1), number("Number.byte", "-1"), V::I8(-1)).await;
    header(V::I16(-2), number("Number.short", "-2"), V::I16(-2)).await;
    header(V::I32(-3), number("Number.int", "-3"), V::I32(-3)).await;
    header(V::I64(-4), number("Number.long", "-4"), V::I64(-4)).await;
    header(V::U8(5), number("Number.short", "5"), V::I16(5)).await;
    header(V::U16(6), number("Number.int", "6"), V::I32(6)).await;
    header(V::U32(7), number("Number.long", "7"), V::I64(7)).await;
    header(V::F32(0.5), number("Number.float", "0.5"), V::F32(0.5)).await;
    header(V::F64(0.25), number("Number.double", "0.25"), V::F64(0.25)).await;
    header(
        V::Decimal {
            scale: 2,
            value: 314,
        },
        number("Number", "3.14"),
        V::text("3.14"),
    )
    .await;
    header(
        V::Timestamp(8),
        number("Number.long", "8000"),
        V::I64(8_000),
    )
    .await;
}

#[tokio::test]
async fn headers_of_text_and_bytes_cross() {
    use FieldValue as V;
    header(
        V::text("gr\u{fc}n"),
        string("gr\u{fc}n"),
        V::text("gr\u{fc}n"),
    )
    .await;
    let binary = json!({"DataType": "Binary", "BinaryValue": "AP8="});
    header(
        V::Bytes(vec![0, 255].into()),
        binary.clone(),
        V::Bytes(vec![0, 255].into()),
    )
    .await;
    // A long string that is no text is bytes to everybody else.
    header(
        V::LongString(vec![0, 255].into()),
        binary,
        V::Bytes(vec![0, 255].into()),
    )
    .await;
}

#[tokio::test]
async fn an_untyped_number_keeps_every_digit() {
    let attributes = json!({"a": number("Number", "42"), "b": number("Number", "1.50"), "c": number("Number.x", "7"), "d": number("Number.int", "1.5")});
    inward(attributes, |fields, _| {
        let expected = [
            (b"a", FieldValue::I64(42)),
            (b"b", FieldValue::text("1.50")),
            (b"c", FieldValue::I64(7)),
            (b"d", FieldValue::text("1.5")),
        ];
        let expected = expected.map(|(name, value)| (name[..].into(), value));
        assert_eq!(fields.headers.unwrap().to_owned().0, expected);
    })
    .await;
}

#[tokio::test]
async fn labels_are_shown_to_sqs_only() {
    let attributes = json!({
        "a": string("x"),
        "b": json!({"DataType": "Binary", "BinaryValue": "AP8="}),
        "c": json!({"DataType": "String.label", "StringValue": "y"}),
        "d": json!({"DataType": "Binary.label", "BinaryValue": "AP8="}),
    });
    let (broker, mut client, url) = start().await;
    let input = json!({"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes});
    broker.ok("SendMessage", input).await;
    let received = broker
        .receive_with(&url, json!({"VisibilityTimeout": 0}))
        .await;
    assert_eq!(received[0]["MessageAttributes"], attributes);
    let got = client.get("q").await.expect("a message");
    let bytes = || FieldValue::Bytes(vec![0, 255].into());
    let expected = [
        (b"a", FieldValue::text("x")),
        (b"b", bytes()),
        (b"c", FieldValue::text("y")),
        (b"d", bytes()),
    ];
    let expected = expected.map(|(name, value)| (name[..].into(), value));
    let headers = Properties::parse(&got.properties).unwrap().fields().headers;
    let mut headers = headers.unwrap().to_owned().0;
    // It was received before, and that is shown, too.
    headers.retain(|(name, _)| **name != b"x-delivery-count"[..]);
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn what_has_no_counterpart_in_amqp_is_not_shown() {
    let trace = json!({"AWSTraceHeader": string("Root=1")});
    inward_with(json!({"MessageSystemAttributes": trace}), |fields, _| {
        let expected = PropertyFields {
            delivery_mode: Some(2),
            ..PropertyFields::default()
        };
        assert_eq!(fields, expected);
    })
    .await;
}

#[tokio::test]
async fn tables_and_arrays_overflow_and_come_back() {
    let inner = FieldTable(vec![(b"deep"[..].into(), FieldValue::I64(1))]);
    let headers = vec![
        (
            b"array"[..].into(),
            FieldValue::Array(vec![FieldValue::I64(1), FieldValue::Void]),
        ),
        (b"empty"[..].into(), FieldValue::text("")),
        (b"table"[..].into(), FieldValue::Table(inner)),
        (b"void"[..].into(), FieldValue::Void),
    ];
    let table = FieldTable(headers.clone()).to_bytes().unwrap();
    let fields = PropertyFields {
        headers: RawTable::parse(&table).ok(),
        ..PropertyFields::default()
    };
    let seen = outward(fields, b"x").await["MessageAttributes"].clone();
    let overflow: Json =
        serde_json::from_str(seen["viaduct.headers"]["StringValue"].as_str().unwrap()).unwrap();
    assert_eq!(
        overflow,
        json!({"array": [1, null], "empty": "", "table": {"deep": 1}, "void": null})
    );
    inward(seen, |fields, _| {
        assert_eq!(fields.headers.unwrap().to_owned().0, headers)
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_of_the_other_door_names_its_source() {
    let (broker, mut client, _) = start().await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let policy = json!({"deadLetterTargetArn": arn("q"), "maxReceiveCount": 1}).to_string();
    let source = broker
        .create(
            "source",
            json!({"RedrivePolicy": policy, "VisibilityTimeout": "0"}),
        )
        .await;
    client
        .publish("source", &PropertyFields::default().to_bytes(), b"x")
        .await;
    assert_eq!(broker.receive(&source).await.len(), 1);
    assert!(broker.receive(&source).await.is_empty());
    let dead = &broker.receive(&broker.url("q")).await[0];
    assert_eq!(
        dead["Attributes"]["DeadLetterQueueSourceArn"],
        arn("source")
    );
}

/// What `viaduct_conversion_loss_total` says about headers on their way from SQS.
fn lost_headers(broker: &Broker) -> u64 {
    let loss = Conversion {
        from: Protocol::Sqs,
        to: Protocol::Amqp091,
        field: "headers",
    };
    let losses = &broker.core.metrics().conversion_loss;
    losses.get_or_create(&loss).get()
}

#[tokio::test]
async fn headers_that_amqp_cannot_carry_are_counted_once_a_message() {
    let (broker, mut client, url) = start().await;
    let deep = format!("{{\"deep\":{}1{}}}", "[".repeat(90), "]".repeat(90));
    let long_names = json!({"n".repeat(256): 1, "m".repeat(256): 2}).to_string();
    for (count, overflow) in [(0, "{\"fits\":[1]}"), (1, &deep), (2, &long_names)] {
        let attributes = json!({"viaduct.headers": string(overflow)});
        let input = json!({"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes});
        broker.ok("SendMessage", input).await;
        assert_eq!(client.get("q").await.expect("a message").body, b"x");
        assert_eq!(lost_headers(&broker), count, "{overflow}");
    }
    client
        .publish("q", &PropertyFields::default().to_bytes(), b"y")
        .await;
    assert_eq!(client.get("q").await.expect("a message").body, b"y");
    assert_eq!(lost_headers(&broker), 2, "AMQP to AMQP loses nothing");
}
