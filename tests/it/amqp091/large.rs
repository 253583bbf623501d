//! Bodies from 1 MiB up: they go to files of their own as they come, and come back in pieces.

use std::sync::Arc;

use super::client::Broker;
use super::client::Client;
use super::client::content;
use super::client::message;
use super::client::s;
use super::client::show;
use viaduct::core::log::store::Store;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::session::End;
use viaduct::protocols::session::Session;

/// The smallest body that gets a file, and a bit of a block more.
const LARGE: usize = 1024 * 1024 + 100;

/// How long a test waits for what comes from another thread.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

/// Frames as lines, those of one body as one.
fn squeezed(bytes: &[u8]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut of_body = 0;
    for (frame, line) in Frames::new(bytes, 131_072).zip(show(bytes)) {
        let frame = frame.unwrap();
        if frame.kind == FrameKind::Body && frame.payload.len() > 32 {
            let text = format!("{} body of ", frame.channel);
            match lines.last_mut() {
                Some(last) if last.starts_with(&text) => {
                    of_body += frame.payload.len();
                    *last = format!("{text}{of_body}");
                }
                _ => {
                    of_body = frame.payload.len();
                    lines.push(line);
                }
            }
        } else if frame.kind == FrameKind::Body
            && lines.last().is_some_and(|l| l.contains("body of"))
        {
            of_body += frame.payload.len();
            *lines.last_mut().unwrap() = format!("{} body of {of_body}", frame.channel);
        } else {
            lines.push(line);
        }
    }
    lines
}

fn drained(client: &mut Client) -> Vec<u8> {
    let mut all = Vec::new();
    loop {
        client.settle();
        let bytes = client.drain();
        if bytes.is_empty() {
            return all;
        }
        all.extend(bytes);
    }
}

/// Everything that comes once something does: after a restart a message has to be read back first.
#[expect(
    clippy::disallowed_methods,
    reason = "a deadline for what comes from another thread"
)]
fn awaited(client: &mut Client) -> Vec<u8> {
    let start = std::time::Instant::now();
    loop {
        let bytes = drained(client);
        if !bytes.is_empty() {
            return bytes;
        }
        assert!(start.elapsed() < PATIENCE, "nothing came");
        std::thread::yield_now();
    }
}

fn lines(client: &mut Client) -> Vec<String> {
    squeezed(&drained(client))
}

/// What a basic.get brings, and its body.
fn get(client: &mut Client, queue: &str) -> (Vec<String>, Vec<u8>) {
    let get = basic::Get {
        queue: s(queue),
        ..basic::Get::default()
    };
    client.send(1, &get);
    let bytes = awaited(client);
    let frames = Frames::new(&bytes, 131_072).map(Result::unwrap);
    let body = frames
        .filter(|frame| frame.kind == FrameKind::Body)
        .flat_map(|frame| frame.payload.to_vec())
        .collect();
    (squeezed(&bytes), body)
}

fn ack(client: &mut Client, delivery_tag: u64) {
    let ack = basic::Ack {
        delivery_tag,
        multiple: false,
    };
    assert_eq!(lines(client.send(1, &ack)), [""; 0]);
    // Settles are flushed behind what was read.
    client.settle();
}

#[test]
fn a_large_publish_keeps_its_place_and_is_confirmed_when_its_file_is_safe() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold_bodies(true);
    client.publish("q", &[b"before", &body(LARGE), b"behind"]);
    assert_eq!(lines(&mut client), ["1 basic.ack 1"]);
    broker.store.hold_bodies(false);
    assert_eq!(lines(&mut client), ["1 basic.ack 3*"]);
    assert_eq!(get(&mut client, "q").1, b"before");
    let (large, bytes) = get(&mut client, "q");
    let size = format!("1 header {LARGE}");
    let whole = format!("1 body of {LARGE}");
    assert_eq!(large, ["1 basic.get-ok 2 left 1", &size, &whole]);
    assert_eq!(bytes, body(LARGE));
    assert_eq!(get(&mut client, "q").1, b"behind");
}

#[test]
fn a_sender_waits_for_the_disk_with_little_in_memory() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold_bodies(true);
    let mut sent = 0;
    let all = message(1, "q", &body(4 * LARGE), true);
    for part in all.chunks(16 * 1024) {
        client.bytes(part);
        sent += part.len();
        if !client.session.wants_bytes() {
            break;
        }
    }
    assert!(sent <= 256 * 1024, "{sent}");
    broker.store.hold_bodies(false);
    client.settle();
    assert!(client.session.wants_bytes());
    client.bytes(&all[sent..]);
    assert_eq!(lines(&mut client), ["1 basic.ack 1"]);
    assert_eq!(get(&mut client, "q").1, body(4 * LARGE));
}

#[test]
fn an_upload_that_is_given_up_leaves_nothing() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.open(2);
    client.declare("q");
    let all = message(2, "q", &body(LARGE), true);
    // In the middle of a frame.
    client.bytes(&all[..700_000]);
    assert_eq!(broker.store.large_bodies(), 1);
    client.end(End::Lost);
    assert_eq!(broker.store.large_bodies(), 0);

    // A method where a body must come.
    let mut client = broker.channel();
    let frames = frames_of(&message(1, "q", &body(LARGE), true));
    client.bytes(&frames[..4].concat());
    assert_eq!(broker.store.large_bodies(), 1);
    let said = client.ask(1, &basic::Qos::default()).join("\n");
    assert!(said.starts_with("0 connection.close"), "{said}");
    assert_eq!(broker.store.large_bodies(), 0);
}

#[test]
fn a_body_may_come_byte_by_byte_and_on_two_channels_at_once() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.open(2);
    client.declare("q");
    let (one, two) = (body(LARGE), vec![7; LARGE]);
    let first = frames_of(&content(1, ("", "q"), &one, &[0, 0], 8192));
    let second = frames_of(&content(2, ("", "q"), &two, &[0, 0], 8192));
    for (a, b) in first.iter().zip(&second) {
        for part in a.chunks(if a.len() < 100 { 1 } else { 5_000 }) {
            client.bytes(part);
        }
        client.bytes(b);
    }
    assert_eq!(lines(&mut client), [""; 0]);
    assert_eq!(get(&mut client, "q").1, one);
    assert_eq!(get(&mut client, "q").1, two);
}

fn frames_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    for frame in Frames::new(bytes, 131_072) {
        let (frame, later) = rest.split_at(frame.unwrap().wire_len());
        all.push(frame.to_vec());
        rest = later;
    }
    all
}

#[test]
fn a_body_longer_than_its_header_says_ends_the_connection() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    let frames = frames_of(&content(1, ("", "q"), &body(LARGE), &[0, 0], 8192));
    let (last, others) = frames.split_last().unwrap();
    let longer = others.last().unwrap();
    assert!(longer.len() > last.len());
    client.bytes(&others.concat()).bytes(longer);
    let said = lines(&mut client).join("\n");
    assert!(said.contains("connection.close"), "{said}");
    assert_eq!(broker.store.large_bodies(), 0);
}

#[test]
fn an_unroutable_body_comes_back_before_its_confirm_and_leaves_nothing() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.publish("nowhere", &[&body(LARGE)]);
    let size = format!("1 header {LARGE}");
    let whole = format!("1 body of {LARGE}");
    assert_eq!(
        lines(&mut client),
        [
            "1 basic.return 312 NO_ROUTE",
            &size,
            &whole,
            "1 basic.ack 1"
        ]
    );
    assert_eq!(broker.store.large_bodies(), 0);
}

#[test]
fn a_body_above_the_limit_is_refused_before_a_byte_of_it_is_written() {
    let mut broker = Broker::new();
    broker.limits.message_max_bytes = 2 * 1024 * 1024;
    let mut client = broker.channel();
    let all = message(1, "q", &body(2 * 1024 * 1024 + 1), true);
    client.bytes(&all[..300]);
    let said = lines(&mut client).join("\n");
    assert!(
        said.starts_with("1 channel.close 60.40 PRECONDITION_FAILED"),
        "{said}"
    );
    assert_eq!(broker.store.large_bodies(), 0);
}

#[test]
fn a_full_disk_refuses_the_body_and_serves_the_other_channels() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.open(2);
    client.declare("q");
    broker.store.fill_bodies(true);
    client.bytes(&message(2, "q", &body(LARGE), true));
    let said = lines(&mut client).join("\n");
    assert!(
        said.starts_with("2 channel.close 60.40 CONTENT_TOO_LARGE"),
        "{said}"
    );
    assert_eq!(broker.store.large_bodies(), 0);
    client.send(2, &channel::CloseOk {});
    broker.store.fill_bodies(false);
    client.publish("q", &[&body(LARGE)]);
    assert_eq!(get(&mut client, "q").1, body(LARGE));
}

#[test]
fn a_disk_alarm_holds_an_upload_until_it_is_cleared() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    let all = message(1, "q", &body(LARGE), true);
    client.bytes(&all[..500_000]);
    broker.core.set_disk_alarm(true);
    client.bytes(&all[500_000..]);
    assert_eq!(lines(&mut client), ["0 connection.blocked low on disk"]);
    assert!(!client.session.wants_bytes());
    broker.core.set_disk_alarm(false);
    assert_eq!(
        lines(&mut client),
        ["0 connection.unblocked", "1 basic.ack 1"]
    );
}

#[test]
fn queues_share_a_file_and_the_last_settle_ends_it() {
    let broker = Broker::new();
    let mut client = broker.channel();
    for queue in ["a", "b", "c"] {
        client.declare(queue);
        let bind = viaduct::protocols::amqp091::codec::method::queue::Bind {
            queue: s(queue),
            exchange: s("amq.fanout"),
            ..Default::default()
        };
        client.ask(1, &bind);
    }
    client.bytes(&content(
        1,
        ("amq.fanout", ""),
        &body(LARGE),
        &[0x10, 0, 2],
        131_072,
    ));
    for (tag, queue) in [(1, "a"), (2, "b"), (3, "c")] {
        assert_eq!(broker.store.large_bodies(), 1);
        assert_eq!(get(&mut client, queue).1, body(LARGE));
        ack(&mut client, tag);
    }
    assert_eq!(broker.store.large_bodies(), 0);
}

#[test]
fn a_small_neighbour_does_not_keep_a_file() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[&body(LARGE), b"small"]);
    get(&mut client, "q");
    ack(&mut client, 1);
    assert_eq!(broker.store.large_bodies(), 0);
    assert_eq!(get(&mut client, "q").1, b"small");
}

#[test]
fn a_dead_letter_is_the_same_file() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("dead");
    let arguments = FieldTable::new()
        .with("x-dead-letter-exchange", FieldValue::text(""))
        .with("x-dead-letter-routing-key", FieldValue::text("dead"));
    client.declare_with("q", &arguments);
    for durable in [true, false] {
        client.bytes(&message(1, "q", &body(LARGE), durable));
        let (got, _) = get(&mut client, "q");
        let tag: u64 = got[0].split(' ').nth(2).unwrap().parse().unwrap();
        client.nack(tag, false);
        assert_eq!(broker.store.large_bodies(), 1);
        let (got, bytes) = get(&mut client, "dead");
        assert_eq!(bytes, body(LARGE));
        let tag: u64 = got[0].split(' ').nth(2).unwrap().parse().unwrap();
        ack(&mut client, tag);
        assert_eq!(broker.store.large_bodies(), 0);
    }
}

/// A client with two channels that consume from `large` (1) and `small` (2).
fn two_consumers(broker: &Broker) -> Client {
    let mut client = broker.channel();
    client.open(2);
    client.declare("large");
    client.declare("small");
    client.consume("large", false);
    let consume = basic::Consume {
        queue: s("small"),
        consumer_tag: s("u"),
        ..basic::Consume::default()
    };
    client.ask(2, &consume);
    client
}

#[test]
fn other_channels_go_on_while_a_body_is_on_its_way() {
    let broker = Broker::new();
    let mut client = two_consumers(&broker);
    let mut publisher = broker.channel();
    publisher.publish("large", &[&body(LARGE)]);
    broker.store.hold_bodies(true);
    assert_eq!(lines(&mut client), [""; 0]);
    publisher.publish("small", &[b"1", b"2"]);
    let small = ["2 basic.deliver u 1", "2 header 1", "2 body 1"];
    let said = lines(&mut client);
    assert_eq!(said[..3], small);
    // An answer on the channel that is in the middle of a content waits for its end.
    let cancel = basic::Cancel {
        consumer_tag: s("t"),
        nowait: false,
    };
    assert_eq!(lines(client.send(1, &cancel)), [""; 0]);
    broker.store.hold_bodies(false);
    let size = format!("1 header {LARGE}");
    let whole = format!("1 body of {LARGE}");
    assert_eq!(
        lines(&mut client),
        ["1 basic.deliver t 1", &size, &whole, "1 basic.cancel-ok"]
    );
}

#[test]
fn frames_of_two_bodies_take_turns() {
    let broker = Broker::new();
    let mut client = two_consumers(&broker);
    let mut publisher = broker.channel();
    publisher.publish("large", &[&body(LARGE)]);
    publisher.publish("small", &[&body(LARGE)]);
    let bytes = drained(&mut client);
    let channels: Vec<u16> = Frames::new(&bytes, 131_072)
        .map(Result::unwrap)
        .filter(|frame| frame.kind == FrameKind::Body)
        .map(|frame| frame.channel)
        .collect();
    let changes = channels
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    assert!(changes > 10, "{channels:?}");
    for number in [1, 2] {
        let of_channel = Frames::new(&bytes, 131_072).map(Result::unwrap);
        let of_channel = of_channel.filter(|f| f.kind == FrameKind::Body && f.channel == number);
        let got: Vec<u8> = of_channel
            .flat_map(|frame| frame.payload.to_vec())
            .collect();
        assert_eq!(got, body(LARGE));
    }
}

#[test]
fn the_output_stays_bounded_while_a_body_is_written() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[&body(8 * LARGE)]);
    client.high_water = 0;
    assert_eq!(get(&mut client, "q").1, body(8 * LARGE));
    assert!(
        client.high_water < 64 * 1024 + 8192,
        "{}",
        client.high_water
    );
}

#[test]
fn a_restart_delivers_the_same_bytes_and_forgets_what_was_transient() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.bytes(&message(1, "q", &body(LARGE + 1), false));
    client.bytes(&message(1, "q", &body(LARGE), true));
    let store = broker.store.reopened();
    let broker = Broker::over(Arc::clone(&store), store as Arc<dyn Store>, 1 << 30);
    assert_eq!(broker.store.large_bodies(), 1);
    let mut client = broker.channel();
    assert_eq!(get(&mut client, "q").1, body(LARGE));
}

/// What a client is told of queue `q` once the body of its message turned out to be damaged.
const QUARANTINED: &str = "PRECONDITION_FAILED - queue 'q' in vhost '/' is quarantined until 'viaduct repair' has run: \
                           body 0000000000000001: the body of a message is damaged";

#[test]
fn a_damaged_body_stays_and_nothing_of_it_is_sent() {
    for consumes in [true, false] {
        let broker = Broker::new();
        let mut client = broker.channel();
        client.declare("q");
        client.publish("q", &[&body(LARGE)]);
        let store = broker.store.reopened();
        store.damage_bodies(9);
        let broker = Broker::over(Arc::clone(&store), store as Arc<dyn Store>, 1 << 30);
        let mut client = broker.channel();
        client.publish("q", &[b"whole"]);
        if consumes {
            client.qos(1, false);
            assert_eq!(client.consume("q", false), ["1 basic.consume-ok t"]);
            assert_eq!(squeezed(&awaited(&mut client)), ["1 basic.cancel t"]);
            client.send(
                1,
                &basic::Get {
                    queue: s("q"),
                    ..basic::Get::default()
                },
            );
            let expected = format!("1 channel.close 60.70 {QUARANTINED}");
            assert_eq!(client.lines(), [expected]);
        } else {
            let expected = format!("1 channel.close 60.70 {QUARANTINED}");
            assert_eq!(get(&mut client, "q").0, [expected]);
        }
        assert_eq!(broker.core.metrics().damaged.get(), 1);
        assert_eq!(broker.store.large_bodies(), 1);
        let counts = broker.core.vhost("/").unwrap().queue("q").unwrap().counts();
        assert_eq!((counts.ready, counts.leased), (2, 0), "nothing is dropped");
    }
}

#[test]
fn damage_in_the_middle_of_a_delivery_ends_the_connection_and_keeps_the_message() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[&body(LARGE), b"whole"]);
    broker.store.damage_bodies(9);
    let (said, _) = get(&mut client, "q");
    assert!(
        said.last().unwrap().contains("connection.close"),
        "{said:?}"
    );
    client.end(End::Closed);
    let mut client = broker.channel();
    let expected = format!("1 channel.close 60.70 {QUARANTINED}");
    assert_eq!(get(&mut client, "q").0, [expected]);
    assert_eq!(broker.store.large_bodies(), 1);
}

#[test]
fn a_lost_consumer_gives_a_body_back_that_was_half_written() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[&body(LARGE)]);
    for _ in 0..2 {
        let mut consumer = broker.channel();
        consumer.send(
            1,
            &basic::Consume {
                queue: s("q"),
                ..basic::Consume::default()
            },
        );
        consumer.end(End::Lost);
    }
    broker.store.hold_bodies(true);
    let mut consumer = broker.channel();
    consumer.consume("q", false);
    consumer.end(End::Closed);
    broker.store.hold_bodies(false);
    assert_eq!(get(&mut client, "q").1, body(LARGE));
}
