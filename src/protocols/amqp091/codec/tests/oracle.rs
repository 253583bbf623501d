//! The same bytes through amq-protocol, an independent codec, wherever it is faithful.
//!
//! It forces UTF-8, sorts tables and drops repeated names, writes `U` as `s` and `L` as `l`, and
//! forgets reserved fields; what is compared here stays clear of that. It also recurses without
//! limit, which is why it sees nothing but what this file makes.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::frame::WriteContext;
use amq_protocol::frame::gen_frame;
use amq_protocol::frame::parse_frame;
use amq_protocol::protocol::AMQPClass;
use amq_protocol::protocol::basic as theirs_basic;
use amq_protocol::protocol::queue as theirs_queue;
use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::prelude::*;

use super::golden::FRAME_MAX;
use super::golden::all;
use crate::protocols::amqp091::codec::content::write_content_header;
use crate::protocols::amqp091::codec::field::FieldTable;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::frame::next_frame;
use crate::protocols::amqp091::codec::method::Method;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::connection;
use crate::protocols::amqp091::codec::method::connection::ConnectionMethod;
use crate::protocols::amqp091::codec::method::queue::QueueMethod;
use crate::protocols::amqp091::codec::method::write_method;
use crate::protocols::amqp091::codec::properties::PropertyFields;
use crate::protocols::amqp091::codec::text::LongStr;
use crate::protocols::amqp091::codec::text::ShortStr;

/// Golden frames that the oracle cannot give back as they were, and why.
const UNFAITHFUL: &[(&str, &str)] = &[
    ("basic.publish-latin1", "not UTF-8"),
    ("connection.open", "reserved bit"),
    ("connection.start", "table out of order"),
    ("connection.start-ok", "table out of order"),
    ("header.every-tag", "U, L, a repeated name, out of order"),
    ("queue.bind", "table out of order"),
];

fn theirs(bytes: &[u8]) -> AMQPFrame {
    parse_frame(bytes).expect("the oracle reads it").1
}

fn theirs_to_bytes(frame: &AMQPFrame) -> Vec<u8> {
    let context = gen_frame(frame)(WriteContext::from(Vec::new())).unwrap();
    context.into_inner().0
}

/// Whether the oracle reads a frame and writes it back as it was.
fn agrees(bytes: &[u8]) -> bool {
    match parse_frame(bytes) {
        Ok((rest, frame)) => rest.is_empty() && theirs_to_bytes(&frame) == bytes,
        Err(_) => false,
    }
}

#[test]
fn golden_frames_mean_the_same_to_the_oracle() {
    let mut differing: Vec<String> = all()
        .into_iter()
        .filter(|frame| frame.refused.is_none() && !agrees(&frame.bytes))
        .map(|frame| frame.name)
        .collect();
    differing.sort_unstable();
    let known: Vec<&str> = UNFAITHFUL.iter().map(|(name, _)| *name).collect();
    assert_eq!(differing, known);
}

#[test]
fn fields_have_the_same_names_as_in_the_oracle() {
    let deliver = theirs_basic::Deliver {
        consumer_tag: "tag".into(),
        delivery_tag: 77,
        redelivered: true,
        exchange: "exchange".into(),
        routing_key: "key".into(),
    };
    let frame = AMQPFrame::Method(
        3,
        AMQPClass::Basic(theirs_basic::AMQPMethod::Deliver(deliver)),
    );
    let expected = basic::Deliver {
        consumer_tag: ShortStr::new(b"tag").unwrap(),
        delivery_tag: 77,
        redelivered: true,
        exchange: ShortStr::new(b"exchange").unwrap(),
        routing_key: ShortStr::new(b"key").unwrap(),
    };
    ours_reads(&frame, Method::Basic(BasicMethod::Deliver(expected)));

    let unbind = theirs_queue::Unbind {
        queue: "queue".into(),
        exchange: "exchange".into(),
        routing_key: "key".into(),
        arguments: amq_protocol::types::FieldTable::default(),
    };
    let frame = AMQPFrame::Method(
        3,
        AMQPClass::Queue(theirs_queue::AMQPMethod::Unbind(unbind)),
    );
    let expected = crate::protocols::amqp091::codec::method::queue::Unbind {
        ticket: 0,
        queue: ShortStr::new(b"queue").unwrap(),
        exchange: ShortStr::new(b"exchange").unwrap(),
        routing_key: ShortStr::new(b"key").unwrap(),
        arguments: RawTable::default(),
    };
    ours_reads(&frame, Method::Queue(QueueMethod::Unbind(expected)));
}

fn ours_reads(frame: &AMQPFrame, expected: Method<'_>) {
    let bytes = theirs_to_bytes(frame);
    let frame = next_frame(&bytes, FRAME_MAX).unwrap().unwrap();
    assert_eq!(frame.channel, 3);
    assert_eq!(Method::decode(frame.payload), Ok(expected));
}

/// Values of the tags that the oracle keeps.
fn values() -> impl Strategy<Value = FieldValue> {
    let scalars = prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<f32>().prop_map(FieldValue::F32),
        any::<f64>().prop_map(FieldValue::F64),
        any::<(u8, u32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        vec(any::<u8>(), 0..20).prop_map(|bytes| FieldValue::LongString(bytes.into())),
        vec(any::<u8>(), 0..20).prop_map(|bytes| FieldValue::Bytes(bytes.into())),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ];
    scalars.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(FieldValue::Array),
            btree_map("[a-z]{0,4}", inner, 0..4)
                .prop_map(|entries| FieldValue::Table(table_of(entries))),
        ]
    })
}

fn table_of(entries: impl IntoIterator<Item = (String, FieldValue)>) -> FieldTable {
    let entries = entries.into_iter();
    FieldTable(
        entries
            .map(|(name, value)| (name.into_bytes().into(), value))
            .collect(),
    )
}

/// Tables of sorted, distinct names.
fn tables() -> impl Strategy<Value = FieldTable> {
    btree_map("[a-z-]{0,8}", values(), 0..6).prop_map(table_of)
}

proptest! {
    #[test]
    fn tables_mean_the_same_to_the_oracle(table in tables(), response in vec(any::<u8>(), 0..40)) {
        let bytes = table.to_bytes().unwrap();
        let start_ok = connection::StartOk {
            client_properties: RawTable::parse(&bytes).unwrap(),
            mechanism: ShortStr::new(b"PLAIN").unwrap(),
            response: LongStr::new(&response).unwrap(),
            locale: ShortStr::new(b"en_US").unwrap(),
        };
        let mut out = Vec::new();
        write_method(&mut out, 0, &start_ok);
        let frame = theirs(&out);
        prop_assert_eq!(theirs_to_bytes(&frame), &out[..]);
        let raw = next_frame(&out, FRAME_MAX).unwrap().unwrap();
        let ours = Method::Connection(ConnectionMethod::StartOk(start_ok));
        prop_assert_eq!(Method::decode(raw.payload), Ok(ours));
    }

    #[test]
    fn content_headers_mean_the_same_to_the_oracle(
        present in any::<[bool; 14]>(),
        texts in vec("[a-z]{0,12}", 10),
        headers in tables(),
        octets in any::<(u8, u8)>(),
        timestamp in any::<u64>(),
        body_size in any::<u64>(),
    ) {
        let headers = headers.to_bytes().unwrap();
        let headers = RawTable::parse(&headers).unwrap();
        let text = |at: usize| ShortStr::new(texts[at].as_bytes()).unwrap();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = present;
        let fields = PropertyFields {
            content_type: a.then_some(text(0)),
            content_encoding: b.then_some(text(1)),
            headers: c.then_some(headers),
            delivery_mode: d.then_some(octets.0),
            priority: e.then_some(octets.1),
            correlation_id: f.then_some(text(2)),
            reply_to: g.then_some(text(3)),
            expiration: h.then_some(text(4)),
            message_id: i.then_some(text(5)),
            timestamp: j.then_some(timestamp),
            kind: k.then_some(text(6)),
            user_id: l.then_some(text(7)),
            app_id: m.then_some(text(8)),
            cluster_id: n.then_some(text(9)),
        };
        let mut out = Vec::new();
        write_content_header(&mut out, 1, body_size, &fields.to_bytes());
        let frame = theirs(&out);
        prop_assert_eq!(theirs_to_bytes(&frame), &out[..]);
        let AMQPFrame::Header(1, theirs) = frame else {
            return Err(TestCaseError::fail("not a header"));
        };
        prop_assert_eq!(theirs.body_size, body_size);
        let same = |ours: Option<ShortStr<'_>>, theirs: Option<&str>| {
            ours.map(|text| text.as_str("text").unwrap()) == theirs
        };
        let theirs = theirs.properties;
        prop_assert!(same(fields.reply_to, theirs.reply_to().as_ref().map(|t| t.as_str())));
        prop_assert!(same(fields.expiration, theirs.expiration().as_ref().map(|t| t.as_str())));
        prop_assert!(same(fields.message_id, theirs.message_id().as_ref().map(|t| t.as_str())));
        prop_assert!(same(fields.user_id, theirs.user_id().as_ref().map(|t| t.as_str())));
        prop_assert_eq!(fields.priority, *theirs.priority());
        prop_assert_eq!(fields.delivery_mode, *theirs.delivery_mode());
        prop_assert_eq!(fields.timestamp, *theirs.timestamp());
    }
}
