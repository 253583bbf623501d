//! What the AMQP 0-9-1 codec costs a message, without sockets or queues.
//!
//! Each round handles what one read or one write of the broker holds (about 64 KiB), so that the figures can be laid
//! beside the messages per second of a whole broker. Run with `cargo bench --bench amqp091_codec`.

#![allow(clippy::unwrap_used)] // the input is made here

use std::hint::black_box;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use viaduct::protocols::amqp091::codec::ContentHeader;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::method::basic::Deliver;
use viaduct::protocols::amqp091::codec::method::basic::Publish;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;

const FRAME_MAX: u32 = 131_072;
const CHANNEL: u16 = 1;
/// One read of the broker.
const BATCH_BYTES: usize = 64 * 1024;

/// Properties as an application sets them: persistent, with a type, an id and three headers.
fn properties() -> Vec<u8> {
    let headers = FieldTable::default()
        .with("tenant", FieldValue::text("north"))
        .with("attempt", FieldValue::I32(1))
        .with("urgent", FieldValue::Bool(true))
        .to_bytes()
        .unwrap();
    PropertyFields {
        content_type: Some(ShortStr::new(b"application/json").unwrap()),
        headers: Some(RawTable::parse(&headers).unwrap()),
        delivery_mode: Some(2),
        message_id: Some(ShortStr::new(b"6f1c8a0e-52f4-4d0c-9a55").unwrap()),
        ..PropertyFields::default()
    }
    .to_bytes()
}

fn publish(out: &mut Vec<u8>, properties: &[u8], body: &[u8]) {
    let method = Publish {
        ticket: 0,
        exchange: ShortStr::new(b"").unwrap(),
        routing_key: ShortStr::new(b"orders").unwrap(),
        mandatory: false,
        immediate: false,
    };
    write_method(out, CHANNEL, &method);
    write_content(out, properties, body);
}

fn deliver(out: &mut Vec<u8>, delivery_tag: u64, properties: &[u8], body: &[u8]) {
    let method = Deliver {
        consumer_tag: ShortStr::new(b"ctag1.0").unwrap(),
        delivery_tag,
        redelivered: false,
        exchange: ShortStr::new(b"").unwrap(),
        routing_key: ShortStr::new(b"orders").unwrap(),
    };
    write_method(out, CHANNEL, &method);
    write_content(out, properties, body);
}

fn write_content(out: &mut Vec<u8>, properties: &[u8], body: &[u8]) {
    write_content_header(out, CHANNEL, body.len() as u64, properties);
    write_body_frames(out, CHANNEL, [body], FRAME_MAX);
}

/// Reads every frame as a session does, and answers the octets of all bodies.
fn decode(input: &[u8]) -> usize {
    let mut bodies = 0;
    for frame in Frames::new(input, FRAME_MAX) {
        let frame = frame.unwrap();
        match frame.kind {
            FrameKind::Method => drop(black_box(Method::decode(frame.payload).unwrap())),
            FrameKind::Header => {
                let header = ContentHeader::decode(frame.payload).unwrap();
                black_box(header.properties.is_persistent());
            }
            FrameKind::Body => bodies += frame.payload.len(),
            FrameKind::Heartbeat => {}
        }
    }
    bodies
}

fn codec(criterion: &mut Criterion) {
    let properties = properties();
    for body_bytes in [16, 1024] {
        let body = vec![b'x'; body_bytes];
        let mut input = Vec::with_capacity(2 * BATCH_BYTES);
        let mut messages = 0;
        while input.len() < BATCH_BYTES {
            publish(&mut input, &properties, &body);
            messages += 1;
        }

        let mut group = criterion.benchmark_group(format!("body of {body_bytes} bytes"));
        group.throughput(Throughput::Elements(messages));
        group.bench_function("read publishes", |bencher| {
            bencher.iter(|| decode(black_box(&input)));
        });
        let mut output = Vec::with_capacity(2 * BATCH_BYTES);
        group.bench_function("write deliveries", |bencher| {
            bencher.iter(|| {
                output.clear();
                for tag in 0..messages {
                    deliver(&mut output, tag, black_box(&properties), black_box(&body));
                }
                output.len()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
