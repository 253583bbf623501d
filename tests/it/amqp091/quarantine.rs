//! What clients see of a queue that is quarantined: before it happens, when it happens, and afterwards.

use viaduct::core::log::store::Hole;
use viaduct::core::log::store::Store;
use viaduct::core::log::store::Watermark;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::ids::Shard;
use viaduct::core::queue::Counts;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::queue;

use super::client::Broker;
use super::client::Client;
use super::client::content;
use super::client::message;
use super::client::s;

const TEXT: &str = "PRECONDITION_FAILED - queue 'q' in vhost '/' is quarantined until 'viaduct repair' has run: \
                    /data/1.seg: a frame is bad (offset 4096): record ";

/// Damages the last record, the only one of a queue with something in it.
fn damage(broker: &Broker) {
    let upto = match broker.store.watermark(Shard(0)) {
        Watermark::Durable(upto) => upto,
        Watermark::Failed => 0,
    };
    let last = Lsn::new(Shard(0), upto).expect("the log works");
    broker.store.lose(&Hole {
        path: "/data/1.seg".to_owned(),
        what: "a frame is bad (offset 4096)".to_owned(),
        first: last,
        last,
        queues: None,
    });
}

/// A queue `q` with so many messages that is quarantined, and a client on channel 1.
fn quarantined(messages: usize) -> (Broker, Client) {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &vec![&b"x"[..]; messages]).lines();
    damage(&broker);
    (broker, client)
}

fn counts(broker: &Broker, queue: &str) -> Counts {
    let vhost = broker.core.vhost("/").unwrap();
    vhost.queue(queue).unwrap().counts()
}

/// The channel ends, in words that help.
fn assert_closed(lines: &[String], method: &str) {
    assert_eq!(lines.len(), 1, "{lines:?}");
    let line = &lines[0];
    let expected = format!("1 channel.close {method} {TEXT}");
    assert!(line.starts_with(&expected), "{line}");
}

#[test]
fn taking_and_purging_end_the_channel_and_declaring_does_not() {
    let (broker, mut client) = quarantined(2);
    assert_eq!(client.declare("q"), ["1 queue.declare-ok q 2 0"]);
    assert_closed(&client.get("q"), "60.70");
    let mut client = broker.channel();
    assert_closed(&client.consume("q", true), "60.20");
    let mut client = broker.channel();
    let purge = queue::Purge {
        queue: s("q"),
        ..queue::Purge::default()
    };
    assert_closed(&client.ask(1, &purge), "50.30");
    let mut client = broker.channel();
    let delete = queue::Delete {
        queue: s("q"),
        ..queue::Delete::default()
    };
    assert_eq!(client.ask(1, &delete), ["1 queue.delete-ok 2"]);
    assert_eq!(client.declare("q"), ["1 queue.declare-ok q 0 0"]);
}

#[test]
fn consumers_are_cancelled_and_what_they_have_is_theirs_to_settle() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[b"1", b"2", b"3"]).lines();
    client.qos(2, false);
    assert_eq!(client.consume("q", false).len(), 7);
    damage(&broker);
    assert_eq!(client.lines(), ["1 basic.cancel t"]);
    assert_eq!(client.ack(1, false), [""; 0]);
    let before = counts(&broker, "q");
    assert_eq!((before.ready, before.leased, before.consumers), (1, 1, 0));
    assert_eq!(client.nack(2, true), [""; 0]);
    let after = counts(&broker, "q");
    assert_eq!(
        (after.ready, after.leased),
        (2, 0),
        "and nobody gets it again"
    );
}

#[test]
fn what_was_taken_for_a_consumer_and_not_sent_goes_back() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    let body = vec![b'x'; 300_000];
    client.publish("q", &[&body, b"2", b"3"]).lines();
    let consume = basic::Consume {
        queue: s("q"),
        consumer_tag: s("t"),
        ..basic::Consume::default()
    };
    // The first one is half written when it happens.
    client.send(1, &consume);
    let before = counts(&broker, "q");
    assert!(before.leased >= 1);
    damage(&broker);
    let lines = client.lines();
    assert_eq!(lines.last().unwrap(), "1 basic.cancel t");
    let delivered = lines.iter().filter(|line| line.contains("deliver")).count();
    let after = counts(&broker, "q");
    assert_eq!((delivered, after.leased, after.ready), (1, 1, 2));
}

#[test]
fn a_publish_is_refused_by_a_nack_or_else_ends_its_channel() {
    let (broker, mut client) = quarantined(1);
    client.confirm(1);
    client.declare("sound");
    let mut bytes = message(1, "q", b"no", true);
    bytes.extend(message(1, "q", b"no", true));
    bytes.extend(message(1, "sound", b"yes", true));
    let lines = client.bytes(&bytes).lines();
    assert_eq!(lines, ["1 basic.nack 1", "1 basic.nack 2", "1 basic.ack 3"]);
    // Without confirms; what comes behind it on the channel is passed over, and other channels are not concerned.
    let mut client = broker.channel();
    client.open(2);
    let mut bytes = message(1, "q", b"no", true);
    bytes.extend(message(2, "sound", b"yes", true));
    bytes.extend(message(1, "sound", b"no", true));
    let lines = client.bytes(&bytes).lines();
    assert_closed(&lines, "60.40");
    let mut client = broker.channel();
    client.bytes(&message(1, "q", b"no", true));
    let declare = queue::Declare {
        queue: s("q"),
        passive: true,
        ..queue::Declare::default()
    };
    assert_closed(&client.ask(1, &declare), "60.40");
    assert_eq!(counts(&broker, "q").ready, 1);
}

#[test]
fn a_fan_out_reaches_the_others_and_is_not_confirmed() {
    let (broker, mut client) = quarantined(1);
    client.declare("sound");
    for name in ["q", "sound"] {
        let bind = queue::Bind {
            queue: s(name),
            exchange: s("amq.fanout"),
            ..queue::Bind::default()
        };
        assert_eq!(client.ask(1, &bind), ["1 queue.bind-ok"]);
    }
    let publish = content(1, ("amq.fanout", ""), b"x", &[0x10, 0, 2], 131_072);
    assert_eq!(client.bytes(&publish).lines(), [""; 0]);
    client.confirm(1);
    assert_eq!(client.bytes(&publish).lines(), ["1 basic.nack 1"]);
    assert_eq!(counts(&broker, "sound").ready, 2);
    assert_eq!(broker.core.metrics().withheld.get(), 2);
}
