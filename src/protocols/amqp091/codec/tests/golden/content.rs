//! Content headers with every property and every tag, bodies, heartbeats.

use crate::protocols::amqp091::codec::content::ContentHeader;
use crate::protocols::amqp091::codec::content::write_body_frames;
use crate::protocols::amqp091::codec::content::write_content_header;
use crate::protocols::amqp091::codec::field::FieldTable;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::frame::FrameKind;
use crate::protocols::amqp091::codec::frame::next_frame;
use crate::protocols::amqp091::codec::frame::write_heartbeat;
use crate::protocols::amqp091::codec::properties::PropertyFields;

use super::FRAME_MAX;
use super::golden;
use super::short;
use super::text;

/// Holds that the header frame of this name has these fields, and the fields this frame.
fn check_header(name: &str, body_size: u64, fields: &PropertyFields<'_>) {
    let bytes = golden(name);
    let frame = next_frame(&bytes, FRAME_MAX).unwrap().unwrap();
    let header = ContentHeader::decode(frame.payload).unwrap();
    assert_eq!(header.body_size, body_size);
    assert_eq!(header.properties.fields(), *fields);
    let mut out = Vec::new();
    write_content_header(&mut out, 1, body_size, &fields.to_bytes());
    assert_eq!(out, bytes, "{name}");
}

#[test]
fn golden_content_headers() {
    check_header("header.none", 0, &PropertyFields::default());
    let persistent = PropertyFields {
        delivery_mode: Some(2),
        ..PropertyFields::default()
    };
    check_header("header.small", 5, &persistent);
    let retries = FieldTable::new().with("retries", FieldValue::I32(3));
    let retries = retries.to_bytes().unwrap();
    let all = PropertyFields {
        content_type: Some(short("application/json")),
        content_encoding: Some(short("gzip")),
        headers: Some(RawTable::parse(&retries).unwrap()),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(short("corr")),
        reply_to: Some(short("replies")),
        expiration: Some(short("60000")),
        message_id: Some(short("m-1")),
        timestamp: Some(1_700_000_000),
        kind: Some(short("order")),
        user_id: Some(short("guest")),
        app_id: Some(short("shop")),
        cluster_id: Some(short("c")),
    };
    check_header("header.all", 1_048_576, &all);
}

#[test]
fn golden_header_table_of_every_tag() {
    let nested = FieldValue::Array(vec![
        FieldValue::I32(1),
        text("two"),
        FieldValue::Array(vec![FieldValue::Void]),
        FieldValue::Table(FieldTable::new()),
    ]);
    let void = FieldTable::new().with("void", FieldValue::Void);
    let headers = FieldTable::new()
        .with("bool", FieldValue::Bool(true))
        .with("i8", FieldValue::I8(i8::MIN))
        .with("u8", FieldValue::U8(u8::MAX))
        .with("i16", FieldValue::I16(i16::MIN))
        .with("i16-spec", FieldValue::I16Spec(-2))
        .with("u16", FieldValue::U16(u16::MAX))
        .with("i32", FieldValue::I32(i32::MIN))
        .with("u32", FieldValue::U32(u32::MAX))
        .with("i64", FieldValue::I64(i64::MIN))
        .with("i64-spec", FieldValue::I64Spec(-1))
        .with("f32", FieldValue::F32(1.5))
        .with("f64", FieldValue::F64(-2.5))
        .with(
            "decimal",
            FieldValue::Decimal {
                scale: 2,
                value: 315,
            },
        )
        .with("text", text("é"))
        .with("bytes", FieldValue::Bytes([0, 0xFF].into()))
        .with("time", FieldValue::Timestamp(1_700_000_000))
        .with("array", nested)
        .with("table", FieldValue::Table(void))
        .with("bool", FieldValue::Bool(false));
    let bytes = headers.to_bytes().unwrap();
    let fields = PropertyFields {
        headers: Some(RawTable::parse(&bytes).unwrap()),
        ..PropertyFields::default()
    };
    check_header("header.every-tag", 0, &fields);
    assert_eq!(FieldTable::decode(&bytes), Ok(headers));
}

#[test]
fn golden_body_and_heartbeat() {
    let mut out = Vec::new();
    write_body_frames(&mut out, 1, [&b"hello"[..]], FRAME_MAX);
    assert_eq!(out, golden("body.hello"));
    out.clear();
    write_heartbeat(&mut out);
    assert_eq!(out, golden("heartbeat"));
    let empty = golden("body.empty");
    let frame = next_frame(&empty, FRAME_MAX).unwrap().unwrap();
    assert_eq!((frame.kind, frame.payload), (FrameKind::Body, &b""[..]));
}
