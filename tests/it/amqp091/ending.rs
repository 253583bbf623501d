//! How leases end with their channel and connection (SEMANTICS §3).

use super::client::Broker;
use super::client::Client;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::session::End;
use viaduct::protocols::session::Flow;
use viaduct::protocols::session::Session;

/// A client that holds three messages of `q`, with a delivery limit of 0: what counts is gone.
fn holding(broker: &Broker, kind: &str) -> Client {
    let mut client = broker.channel();
    let arguments = FieldTable::new()
        .with("x-delivery-limit", FieldValue::I32(0))
        .with("x-queue-type", FieldValue::text(kind));
    client.declare_with("q", &arguments);
    client.publish("q", &[b"1", b"2", b"3"]).lines();
    client.consume("q", false);
    client
}

fn ready(broker: &Broker) -> u64 {
    broker
        .core
        .vhost("/")
        .unwrap()
        .queue("q")
        .unwrap()
        .counts()
        .ready
}

#[test]
fn an_orderly_close_counts_nothing() {
    let broker = Broker::new();
    let mut client = holding(&broker, "quorum");
    assert_eq!(
        client.ask(1, &channel::Close::default()),
        ["1 channel.close-ok"]
    );
    assert_eq!(ready(&broker), 3);
    let mut client = broker.channel();
    client.consume("q", false);
    assert_eq!(
        client.ask(0, &connection::Close::default()),
        ["0 connection.close-ok"]
    );
    assert_eq!(client.flow, Flow::Close);
    client.end(End::Closed);
    assert_eq!(ready(&broker), 3);
}

#[test]
fn a_lost_link_counts_its_oldest_delivery() {
    let broker = Broker::new();
    holding(&broker, "classic").end(End::Lost);
    assert_eq!(ready(&broker), 2);
}

#[test]
fn a_lost_link_counts_everything_of_a_quorum_queue() {
    let broker = Broker::new();
    holding(&broker, "quorum").end(End::Lost);
    assert_eq!(ready(&broker), 0);
}

#[test]
fn nothing_is_left_of_a_connection() {
    let broker = Broker::new();
    let client = holding(&broker, "classic");
    let metrics = broker.core.metrics();
    let consumers = metrics.consumers.of(viaduct::telemetry::Protocol::Amqp091);
    assert_eq!((metrics.channels.get(), consumers.get()), (1, 1));
    client.end(End::Lost);
    assert_eq!((metrics.channels.get(), consumers.get()), (0, 0));
    let counts = broker.core.vhost("/").unwrap().queue("q").unwrap().counts();
    assert_eq!((counts.leased, counts.consumers), (0, 0));
}

#[test]
fn what_was_taken_and_never_written_goes_back_uncounted() {
    let broker = Broker::new();
    let mut client = broker.channel();
    let arguments = FieldTable::new().with("x-delivery-limit", FieldValue::I32(0));
    client.declare_with("q", &arguments);
    let large = vec![0; 60_000];
    for _ in 0..8 {
        client.publish("q", &[&large]).lines();
    }
    let consume = viaduct::protocols::amqp091::codec::method::basic::Consume {
        queue: super::client::s("q"),
        ..Default::default()
    };
    // Its output is never drained.
    client.send(1, &consume);
    client.end(End::Lost);
    assert_eq!(ready(&broker), 7, "only the oldest that was written counts");
}

#[test]
fn whole_frames_before_the_end_are_processed() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[b"1", b"2"]);
    client.bytes(b"\x01\0\x01\0\0\0\x30half a frame");
    client.end(End::Lost);
    assert_eq!(ready(&broker), 2);
}

#[test]
fn a_stop_does_not_wait_for_the_answer_to_an_earlier_close() {
    let mut client = Broker::new().connect();
    let lines = client.ask(0, &channel::Open::default());
    assert!(lines[0].starts_with("0 connection.close"), "{lines:?}");
    let flow = client.session.on_shutdown(client.now, &mut client.out);
    assert_eq!(flow, Flow::Continue);
    assert_eq!(client.session.deadline(), Some(client.now + 500));
    // A close that is nearly over is not prolonged.
    let later = client.now + 400;
    client.session.on_shutdown(later, &mut client.out);
    assert_eq!(client.session.deadline(), Some(client.now + 500));
}
