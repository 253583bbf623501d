//! A confirm is a promise: none before the log has it, returns first, refusals alone.

use super::client::Broker;
use super::client::message;
use viaduct::core::model::ids::Shard;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::session::Session;

#[test]
fn no_confirm_comes_before_the_watermark() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold();
    assert_eq!(client.publish("q", &[b"1", b"2", b"3"]).lines(), [""; 0]);
    assert_eq!(client.publish("q", &[b"4"]).lines(), [""; 0]);
    assert_eq!(
        broker
            .core
            .vhost("/")
            .unwrap()
            .queue("q")
            .unwrap()
            .counts()
            .ready,
        4
    );
    broker.store.release();
    assert_eq!(
        client.lines(),
        ["1 basic.ack 4*"],
        "one answer for all of them"
    );
}

#[test]
fn a_part_of_the_log_confirms_a_part_of_the_publishes() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold();
    client.publish("q", &[b"1", b"2"]);
    let shard = Shard(0);
    let first = broker.core.vhost("/").unwrap().queue("q").unwrap();
    client.publish("q", &[b"3"]);
    // What the log has of the first push, and nothing of the second.
    let taken = broker
        .core
        .take_once(&first, terms(), client.now, &mut Vec::new());
    taken.unwrap();
    let mut deliveries = Vec::new();
    broker
        .core
        .take_once(&first, terms(), client.now, &mut deliveries)
        .unwrap();
    let second = deliveries[0].lsn.unwrap();
    broker.store.release_upto(shard, second.number());
    assert_eq!(client.lines(), ["1 basic.ack 2*"]);
    broker.store.release();
    assert_eq!(client.lines(), ["1 basic.ack 3"]);
}

fn terms() -> viaduct::core::queue::take::Terms {
    viaduct::core::queue::take::Terms {
        lease: viaduct::core::queue::take::Lease::Link,
        entries: 1,
        bytes: 1,
        wait: false,
    }
}

#[test]
fn what_is_not_durable_is_confirmed_at_once_and_below_nothing_that_is_pending() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("q");
    broker.store.hold();
    client.bytes(&message(1, "q", b"kept", true));
    client.bytes(&message(1, "q", b"quick", false));
    client.bytes(&message(1, "q", b"quick", false));
    assert_eq!(client.lines(), ["1 basic.ack 2", "1 basic.ack 3"]);
    broker.store.release();
    assert_eq!(client.lines(), ["1 basic.ack 1"]);
}

#[test]
fn a_return_comes_before_its_confirm() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    let lines = client.publish("nowhere", &[b"back"]).lines();
    let expected = [
        "1 basic.return 312 NO_ROUTE",
        "1 header 4",
        "1 body back",
        "1 basic.ack 1",
    ];
    assert_eq!(lines, expected);
    // Above the room of the output: the confirm waits for all of the body.
    let large = vec![7; 300_000];
    let lines = client.publish("nowhere", &[&large]).lines();
    assert_eq!(
        lines[..2],
        ["1 basic.return 312 NO_ROUTE", "1 header 300000"]
    );
    assert_eq!(lines.last().unwrap(), "1 basic.ack 2");
    let returned = &broker.core.metrics().returned;
    assert_eq!(returned.of(client.session.protocol()).get(), 2);
}

#[test]
fn a_full_queue_refuses_single_publishes() {
    let mut client = Broker::new().channel();
    client.confirm(1);
    let arguments = FieldTable::new()
        .with("x-max-length", FieldValue::I32(2))
        .with("x-overflow", FieldValue::text("reject-publish"));
    client.declare_with("q", &arguments);
    let lines = client.publish("q", &[b"1", b"2", b"3", b"4"]).lines();
    assert_eq!(
        lines,
        ["1 basic.nack 3", "1 basic.nack 4", "1 basic.ack 2*"]
    );
}

#[test]
fn all_publishes_of_a_read_are_one_push() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    let before = broker.core.metrics().pushes.get();
    let bodies: Vec<&[u8]> = vec![b"x"; 50];
    client.publish("q", &bodies);
    assert_eq!(broker.core.metrics().pushes.get() - before, 1);
    assert_eq!(broker.core.metrics().read_messages.get(), 50);
}

#[test]
fn runs_of_equal_routes_are_pushed_in_order() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.confirm(1);
    client.declare("a");
    client.declare("b");
    let mut bytes = Vec::new();
    for queue in ["a", "a", "b", "nowhere", "a"] {
        bytes.extend(message(1, queue, b"x", true));
    }
    let lines = client.bytes(&bytes).lines();
    assert_eq!(lines.last().unwrap(), "1 basic.ack 5*");
    let vhost = broker.core.vhost("/").unwrap();
    let ready = |name| vhost.queue(name).unwrap().counts().ready;
    assert_eq!((ready("a"), ready("b")), (3, 1));
}

#[test]
fn an_alarm_holds_publishers_back_and_lets_consumers_drain() {
    let broker = Broker::new();
    let (mut publisher, mut consumer) = (broker.channel(), broker.channel());
    publisher.confirm(1);
    publisher.declare("q");
    publisher.publish("q", &[b"before"]).lines();
    broker.core.set_disk_alarm(true);
    assert_eq!(publisher.lines(), ["0 connection.blocked low on disk"]);
    assert_eq!(publisher.publish("q", &[b"held"]).lines(), [""; 0]);
    assert!(!publisher.session.wants_bytes());
    let lines = consumer.get("q");
    assert_eq!(lines[0], "1 basic.get-ok 1 left 0");
    assert_eq!(consumer.ack(1, false), [""; 0]);
    assert!(consumer.session.wants_bytes());
    broker.core.set_disk_alarm(false);
    assert_eq!(
        publisher.lines(),
        ["0 connection.unblocked", "1 basic.ack 2"]
    );
    assert_eq!(consumer.get("q")[2], "1 body held");
}

#[test]
fn a_held_publisher_is_not_missed() {
    let broker = Broker::new();
    let mut client = broker.channel();
    broker.core.set_disk_alarm(true);
    client.publish("q", &[b"held"]).lines();
    client.after(3_600_000);
    assert_eq!(client.flow, viaduct::protocols::session::Flow::Continue);
}
