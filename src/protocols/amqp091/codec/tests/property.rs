//! What holds for all input: it gets an answer, a prefix is never a frame, and what was decoded
//! encodes to the same bytes.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::sample::select;

use super::golden::FRAME_MAX;
use super::golden::all;
use crate::protocols::amqp091::codec::content::ContentHeader;
use crate::protocols::amqp091::codec::field::FieldTable;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::frame::FrameKind;
use crate::protocols::amqp091::codec::frame::Frames;
use crate::protocols::amqp091::codec::frame::next_frame;
use crate::protocols::amqp091::codec::frame::write_frame;
use crate::protocols::amqp091::codec::greeting::Greeting;
use crate::protocols::amqp091::codec::greeting::PROTOCOL_HEADER;
use crate::protocols::amqp091::codec::method::Method;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::codec::method::basic::BasicMethod;
use crate::protocols::amqp091::codec::method::queue;
use crate::protocols::amqp091::codec::method::queue::QueueMethod;
use crate::protocols::amqp091::codec::method::write_method;
use crate::protocols::amqp091::codec::properties::Properties;
use crate::protocols::amqp091::codec::properties::PropertyFields;
use crate::protocols::amqp091::codec::text::ShortStr;

/// Scalars of every tag; floats by their bits, so that every NaN is among them.
fn scalars() -> impl Strategy<Value = FieldValue> {
    prop_oneof![
        any::<bool>().prop_map(FieldValue::Bool),
        any::<i8>().prop_map(FieldValue::I8),
        any::<u8>().prop_map(FieldValue::U8),
        any::<i16>().prop_map(FieldValue::I16),
        any::<i16>().prop_map(FieldValue::I16Spec),
        any::<u16>().prop_map(FieldValue::U16),
        any::<i32>().prop_map(FieldValue::I32),
        any::<u32>().prop_map(FieldValue::U32),
        any::<i64>().prop_map(FieldValue::I64),
        any::<i64>().prop_map(FieldValue::I64Spec),
        any::<u32>().prop_map(|bits| FieldValue::F32(f32::from_bits(bits))),
        any::<u64>().prop_map(|bits| FieldValue::F64(f64::from_bits(bits))),
        any::<(u8, u32)>().prop_map(|(scale, value)| FieldValue::Decimal { scale, value }),
        vec(any::<u8>(), 0..20).prop_map(|bytes| FieldValue::LongString(bytes.into())),
        vec(any::<u8>(), 0..20).prop_map(|bytes| FieldValue::Bytes(bytes.into())),
        any::<u64>().prop_map(FieldValue::Timestamp),
        Just(FieldValue::Void),
    ]
}

fn names() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..6).prop_map(Into::into)
}

fn values() -> impl Strategy<Value = FieldValue> {
    scalars().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(FieldValue::Array),
            vec((names(), inner), 0..4).prop_map(|t| FieldValue::Table(FieldTable(t))),
        ]
    })
}

/// Tables with names that are no text and may repeat.
fn tables() -> impl Strategy<Value = FieldTable> {
    vec((names(), values()), 0..6).prop_map(FieldTable)
}

fn shorts() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..=255)
}

fn golden_bytes() -> impl Strategy<Value = Vec<u8>> {
    let frames: Vec<Vec<u8>> = all()
        .into_iter()
        .filter(|frame| frame.refused.is_none())
        .map(|frame| frame.bytes)
        .collect();
    select(frames)
}

/// Asks everything of a payload that a session could ask.
fn read_payload(payload: &[u8]) {
    let _ = Method::decode(payload);
    let _ = Method::decode_from_client(payload);
    let _ = ContentHeader::decode(payload).map(|header| header.properties.fields());
    let _ = RawTable::parse(payload).map(RawTable::to_owned);
    let _ = Properties::parse(payload).map(Properties::fields);
    let _ = Properties::of_validated(payload).fields();
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..512)) {
        let mut frames = Frames::new(&bytes, FRAME_MAX);
        prop_assert!(frames.by_ref().count() <= bytes.len());
        prop_assert!(frames.consumed() <= bytes.len());
        let _ = Greeting::recognize(&bytes);
        read_payload(&bytes);
    }

    #[test]
    fn any_arguments_get_an_answer(
        class in select(vec![10_u16, 20, 30, 40, 50, 60, 85, 90]),
        method in 0_u16..130,
        arguments in vec(any::<u8>(), 0..256),
    ) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), &arguments].concat();
        read_payload(&payload);
    }

    #[test]
    fn a_damaged_frame_gets_an_answer_and_what_is_understood_is_stable(
        bytes in golden_bytes(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes;
        for (at, octet) in damage {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        let Ok(Some(frame)) = next_frame(&bytes, FRAME_MAX) else {
            return Ok(());
        };
        read_payload(frame.payload);
        if let Ok(method) = Method::decode(frame.payload) {
            let mut out = Vec::new();
            write_method(&mut out, frame.channel, &method);
            let again = next_frame(&out, FRAME_MAX).unwrap().unwrap();
            let again = Method::decode(again.payload).unwrap();
            // By text: a float that became NaN is not equal to itself.
            prop_assert_eq!(format!("{method:?}"), format!("{again:?}"));
        }
    }

    #[test]
    fn a_prefix_is_never_a_frame(bytes in golden_bytes(), cut in any::<Index>()) {
        let prefix = &bytes[..cut.index(bytes.len())];
        prop_assert_eq!(next_frame(prefix, FRAME_MAX), Ok(None));
    }

    #[test]
    fn a_prefix_is_never_a_greeting(cut in 0..PROTOCOL_HEADER.len()) {
        prop_assert_eq!(Greeting::recognize(&PROTOCOL_HEADER[..cut]), None);
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(
        channel in any::<u16>(),
        payload in vec(any::<u8>(), 0..300),
        rest in vec(any::<u8>(), 0..20),
    ) {
        let mut out = Vec::new();
        write_frame(&mut out, FrameKind::Body, channel, &payload);
        let len = out.len();
        out.extend_from_slice(&rest);
        let frame = next_frame(&out, FRAME_MAX).unwrap().unwrap();
        prop_assert_eq!((frame.kind, frame.channel), (FrameKind::Body, channel));
        prop_assert_eq!(frame.payload, &payload[..]);
        prop_assert_eq!(frame.wire_len(), len);
    }

    #[test]
    fn a_table_survives_decoding_and_encoding(table in tables()) {
        let bytes = table.to_bytes().unwrap();
        let decoded = FieldTable::decode(&bytes).unwrap();
        prop_assert_eq!(format!("{decoded:?}"), format!("{table:?}"));
        prop_assert_eq!(decoded.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn any_table_that_is_understood_is_stable(bytes in vec(any::<u8>(), 0..64)) {
        if let Ok(table) = FieldTable::decode(&bytes) {
            let once = table.to_bytes().unwrap();
            // Only a boolean may be spelt in more than one way.
            prop_assert_eq!(once.len(), bytes.len());
            prop_assert_eq!(FieldTable::decode(&once).unwrap().to_bytes().unwrap(), once);
        }
    }

    #[test]
    fn a_publish_survives(
        exchange in shorts(),
        routing_key in shorts(),
        ticket in any::<u16>(),
        mandatory in any::<bool>(),
        immediate in any::<bool>(),
    ) {
        let publish = basic::Publish {
            ticket,
            exchange: ShortStr::new(&exchange).unwrap(),
            routing_key: ShortStr::new(&routing_key).unwrap(),
            mandatory,
            immediate,
        };
        survives(Method::Basic(BasicMethod::Publish(publish)))?;
    }

    #[test]
    fn a_delivery_survives(
        consumer_tag in shorts(),
        delivery_tag in any::<u64>(),
        redelivered in any::<bool>(),
        exchange in shorts(),
        routing_key in shorts(),
    ) {
        let deliver = basic::Deliver {
            consumer_tag: ShortStr::new(&consumer_tag).unwrap(),
            delivery_tag,
            redelivered,
            exchange: ShortStr::new(&exchange).unwrap(),
            routing_key: ShortStr::new(&routing_key).unwrap(),
        };
        survives(Method::Basic(BasicMethod::Deliver(deliver)))?;
    }

    #[test]
    fn a_nack_survives(
        delivery_tag in any::<u64>(),
        multiple in any::<bool>(),
        requeue in any::<bool>(),
    ) {
        let nack = basic::Nack { delivery_tag, multiple, requeue };
        survives(Method::Basic(BasicMethod::Nack(nack)))?;
    }

    #[test]
    fn a_queue_declaration_survives(
        name in shorts(),
        bits in any::<[bool; 5]>(),
        arguments in tables(),
    ) {
        let [passive, durable, exclusive, auto_delete, nowait] = bits;
        let arguments = arguments.to_bytes().unwrap();
        let declare = queue::Declare {
            ticket: 0,
            queue: ShortStr::new(&name).unwrap(),
            passive,
            durable,
            exclusive,
            auto_delete,
            nowait,
            arguments: RawTable::parse(&arguments).unwrap(),
        };
        survives(Method::Queue(QueueMethod::Declare(declare)))?;
    }

    #[test]
    fn any_choice_of_properties_survives(
        present in any::<[bool; 14]>(),
        text in shorts(),
        headers in tables(),
        octet in any::<u8>(),
        timestamp in any::<u64>(),
    ) {
        let headers = headers.to_bytes().unwrap();
        let headers = RawTable::parse(&headers).unwrap();
        let text = ShortStr::new(&text).unwrap();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = present;
        let fields = PropertyFields {
            content_type: a.then_some(text),
            content_encoding: b.then_some(text),
            headers: c.then_some(headers),
            delivery_mode: d.then_some(octet),
            priority: e.then_some(octet),
            correlation_id: f.then_some(text),
            reply_to: g.then_some(text),
            expiration: h.then_some(text),
            message_id: i.then_some(text),
            timestamp: j.then_some(timestamp),
            kind: k.then_some(text),
            user_id: l.then_some(text),
            app_id: m.then_some(text),
            cluster_id: n.then_some(text),
        };
        let bytes = fields.to_bytes();
        let properties = Properties::parse(&bytes).unwrap();
        prop_assert_eq!(properties.fields(), fields);
        prop_assert_eq!(Properties::of_validated(&bytes), properties);
        for cut in 0..bytes.len() {
            prop_assert!(Properties::parse(&bytes[..cut]).is_err());
        }
    }
}

/// Holds that a method is read as it was written.
fn survives(method: Method<'_>) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    write_method(&mut out, 7, &method);
    let frame = next_frame(&out, FRAME_MAX).unwrap().unwrap();
    prop_assert_eq!(frame.wire_len(), out.len());
    prop_assert_eq!(Method::decode(frame.payload), Ok(method));
    Ok(())
}
