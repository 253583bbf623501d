//! Contents: in pieces, between other frames, back byte for byte, across doors.

use super::client::Broker;
use super::client::content;
use super::client::message;
use std::sync::Arc;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Producer;
use viaduct::protocols::amqp091::codec::ContentHeader;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::session::Session;

/// Gets one message as properties and body.
fn got(client: &mut super::client::Client, queue: &str) -> (Vec<u8>, Vec<u8>) {
    let get = basic::Get {
        queue: ShortStr::try_from(queue).unwrap(),
        no_ack: true,
        ..basic::Get::default()
    };
    client.send(1, &get);
    let mut bytes = Vec::new();
    loop {
        client.settle();
        let more = client.drain();
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let (mut properties, mut body) = (Vec::new(), Vec::new());
    for frame in Frames::new(&bytes, 131_072) {
        let frame = frame.unwrap();
        match frame.kind {
            FrameKind::Header => {
                let header = ContentHeader::decode(frame.payload).unwrap();
                properties = header.properties.as_bytes().to_vec();
            }
            FrameKind::Body => body.extend_from_slice(frame.payload),
            FrameKind::Method | FrameKind::Heartbeat => {}
        }
    }
    (properties, body)
}

/// Every property, and every type that a header may have.
fn all_properties() -> Vec<u8> {
    let headers = FieldTable::new()
        .with("bool", FieldValue::Bool(true))
        .with("i8", FieldValue::I8(-1))
        .with("u8", FieldValue::U8(200))
        .with("spec16", FieldValue::I16Spec(-300))
        .with("spec64", FieldValue::I64Spec(1 << 40))
        .with("f32", FieldValue::F32(0.5))
        .with(
            "decimal",
            FieldValue::Decimal {
                scale: 2,
                value: 314,
            },
        )
        .with("text", FieldValue::text("grüße"))
        .with("bytes", FieldValue::Bytes([0, 255].into()))
        .with("time", FieldValue::Timestamp(1_700_000_000))
        .with(
            "list",
            FieldValue::Array(vec![FieldValue::Void, FieldValue::I32(1)]),
        )
        .with(
            "table",
            FieldValue::Table(FieldTable::new().with("n", FieldValue::U16(1))),
        )
        .with("twice", FieldValue::I8(1))
        .with("twice", FieldValue::I8(2))
        .to_bytes()
        .unwrap();
    let short = |text| Some(ShortStr::try_from(text).unwrap());
    PropertyFields {
        content_type: short("text/plain"),
        content_encoding: short("gzip"),
        headers: Some(RawTable::parse(&headers).unwrap()),
        delivery_mode: Some(2),
        priority: Some(3),
        correlation_id: short("c"),
        reply_to: short("r"),
        expiration: short("60000"),
        message_id: short("m"),
        timestamp: Some(1),
        kind: short("t"),
        user_id: short("guest"),
        app_id: short("a"),
        cluster_id: short("l"),
    }
    .to_bytes()
}

#[test]
fn properties_come_back_byte_for_byte() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let properties = all_properties();
    client
        .bytes(&content(1, ("", "q"), b"body", &properties, 131_072))
        .lines();
    assert_eq!(got(&mut client, "q"), (properties, b"body".to_vec()));
}

#[test]
fn a_content_may_be_cut_anywhere() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let large: Vec<u8> = (0..20_000u32).map(|n| n.to_be_bytes()[3]).collect();
    for body in [&b""[..], b"small", &large] {
        let bytes = content(1, ("", "q"), body, &all_properties(), 5000);
        let step = (bytes.len() / 40).max(1);
        for piece in bytes.chunks(step) {
            client.bytes(piece);
        }
        assert_eq!(client.lines(), [""; 0]);
        assert_eq!(got(&mut client, "q").1, body);
    }
}

#[test]
fn contents_of_two_channels_may_be_mixed() {
    let mut client = Broker::new().channel();
    client.open(2);
    client.declare("q");
    let one = message(1, "q", &[1; 100], true);
    let two = message(2, "q", &[2; 9000], true);
    let cut = one.len() - 108;
    client.bytes(&one[..cut]).bytes(&two).bytes(&one[cut..]);
    assert_eq!(got(&mut client, "q").1, [2; 9000]);
    assert_eq!(got(&mut client, "q").1, [1; 100]);
}

#[test]
fn a_large_body_never_takes_more_output_than_its_mark() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    let body = vec![9; 3_000_000];
    client.bytes(&message(1, "q", &body, true));
    let read = got(&mut client, "q").1;
    assert!(read == body, "{} bytes", read.len());
    assert!(
        client.high_water <= 64 * 1024 + 4096 + 64,
        "{}",
        client.high_water
    );
}

#[test]
fn a_client_that_asks_and_does_not_read_is_not_read_from() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let headers = FieldTable::new()
        .with("h", FieldValue::text(&"x".repeat(50_000)))
        .to_bytes()
        .unwrap();
    let properties = PropertyFields {
        headers: Some(RawTable::parse(&headers).unwrap()),
        ..PropertyFields::default()
    };
    for _ in 0..10 {
        client.bytes(&content(1, ("", "q"), b"", &properties.to_bytes(), 131_072));
    }
    let mut gets = Vec::new();
    for _ in 0..11 {
        let get = basic::Get {
            queue: ShortStr::try_from("q").unwrap(),
            ..basic::Get::default()
        };
        write_method(&mut gets, 1, &get);
    }
    client.bytes(&gets);
    assert!(!client.session.wants_bytes());
    assert!(
        client.high_water < 128 * 1024 + 51_000,
        "{}",
        client.high_water
    );
    assert_eq!(client.lines().last().unwrap(), "1 basic.get-empty");
    assert!(client.session.wants_bytes());
}

#[test]
fn what_a_body_must_not_be() {
    let mut broker = Broker::new();
    broker.limits.message_max_bytes = 1000;
    let mut client = broker.channel();
    client.declare("q");
    let lines = client.bytes(&message(1, "q", &[0; 1001], true)).lines();
    let text = "1 channel.close 60.40 PRECONDITION_FAILED - message size 1001 is larger than configured max size 1000";
    assert_eq!(lines, [text]);

    let mut client = broker.channel();
    let publish = message(1, "q", &[0; 100], true);
    let lines = client
        .bytes(&publish[..publish.len() - 108])
        .bytes(&publish)
        .lines();
    assert!(lines[0].contains("UNEXPECTED_FRAME"), "{lines:?}");

    let mut client = broker.channel();
    let mut longer = message(1, "q", b"", true);
    let size = longer.len() - 3 - 1 - 8;
    longer[size..size + 8].copy_from_slice(&5u64.to_be_bytes());
    longer.extend(b"\x03\0\x01\0\0\0\x06abcdef\xce");
    let lines = client.bytes(&longer).lines();
    assert!(
        lines[0].contains("FRAME_ERROR - body is longer than the 5 bytes"),
        "{lines:?}"
    );
}

#[test]
fn headers_choose_at_a_headers_exchange() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let arguments = FieldTable::new()
        .with("x-match", FieldValue::text("any"))
        .with("i8", FieldValue::I8(-1))
        .to_bytes()
        .unwrap();
    let bind = viaduct::protocols::amqp091::codec::method::queue::Bind {
        queue: ShortStr::try_from("q").unwrap(),
        exchange: ShortStr::try_from("amq.headers").unwrap(),
        arguments: RawTable::parse(&arguments).unwrap(),
        ..Default::default()
    };
    assert_eq!(client.ask(1, &bind), ["1 queue.bind-ok"]);
    let found = content(1, ("amq.headers", ""), b"in", &all_properties(), 131_072);
    let lost = content(1, ("amq.headers", ""), b"out", &[0, 0], 131_072);
    let lines = client.bytes(&found).bytes(&lost).lines();
    assert_eq!(
        lines,
        ["1 basic.return 312 NO_ROUTE", "1 header 3", "1 body out"]
    );
    assert_eq!(got(&mut client, "q").1, b"in");
}

#[test]
fn a_message_of_another_door_shows_what_is_known_of_it() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    let vhost = broker.core.vhost("/").unwrap();
    let none = viaduct::core::model::value::Properties::default();
    let route = vhost.route("", b"q", &mut || &none).unwrap();
    let mut builder = BatchBuilder::new();
    builder.push(Draft {
        durable: true,
        expiration_ms: Some(60_000),
        body: DraftBody::Copied(b"from elsewhere"),
        ..Draft::new(FormatId(999), b"?", "", b"q")
    });
    let batch = builder.finish(
        &Arc::new(Producer::default()),
        client.now,
        broker.core.budget(),
    );
    broker
        .core
        .publish(&batch, 0..1, &route, client.now)
        .unwrap();
    let (properties, body) = got(&mut client, "q");
    assert_eq!(body, b"from elsewhere");
    let properties = viaduct::protocols::amqp091::codec::Properties::parse(&properties).unwrap();
    assert!(properties.is_persistent());
    assert_eq!(properties.expiration().unwrap().as_bytes(), b"60000");
    assert_eq!(properties.headers(), None);
}

#[test]
fn a_publish_that_stops_a_channel_takes_its_content_along() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let mut bytes = content(1, ("missing", "k"), b"lost", &[0, 0], 131_072);
    bytes.extend(message(1, "q", b"ignored", true));
    let lines = client.bytes(&bytes).lines();
    let text = "1 channel.close 60.40 NOT_FOUND - no exchange 'missing' in vhost '/'";
    assert_eq!(lines, [text]);
    let mut close_ok = Vec::new();
    write_method(
        &mut close_ok,
        1,
        &viaduct::protocols::amqp091::codec::method::channel::CloseOk {},
    );
    client.bytes(&close_ok);
    client.open(1);
    assert_eq!(client.get("q"), ["1 basic.get-empty"]);
}

#[test]
fn small_bodies_that_are_begun_on_many_channels_are_bounded_too() {
    let mut broker = Broker::new();
    broker.limits.message_max_bytes = 1000;
    let mut client = broker.channel();
    client.declare("q");
    for number in 2..=3 {
        client.open(number);
    }
    for number in 1..=2 {
        let begun = message(number, "q", &[0; 900], true);
        let lines = client.bytes(&begun[..begun.len() - 908]).lines();
        assert_eq!(lines, [""; 0]);
    }
    let third = message(3, "q", &[0; 900], true);
    let lines = client.bytes(&third[..third.len() - 908]).lines();
    assert!(lines[0].contains("RESOURCE_ERROR"), "{lines:?}");
}
