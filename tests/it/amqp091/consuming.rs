//! Consumers: credit, turns, acknowledgements, redelivery, dead letters.

use super::client::Broker;
use super::client::Client;
use super::client::s;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::session::Session;

/// Tags of the deliveries among these lines.
fn deliveries(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("1 basic.deliver "))
        .collect()
}

fn with_messages(broker: &Broker, count: usize) -> Client {
    let mut client = broker.channel();
    client.declare("q");
    let bodies: Vec<&[u8]> = vec![b"x"; count];
    client.publish("q", &bodies).lines();
    client
}

#[test]
fn a_consumer_gets_what_is_there_and_what_comes() {
    let broker = Broker::new();
    let mut client = with_messages(&broker, 1);
    let lines = client.consume("q", false);
    let expected = [
        "1 basic.consume-ok t",
        "1 basic.deliver t 1",
        "1 header 1",
        "1 body x",
    ];
    assert_eq!(lines, expected);
    let mut other = broker.channel();
    other.publish("q", &[b"y"]).lines();
    assert_eq!(
        client.lines(),
        ["1 basic.deliver t 2", "1 header 1", "1 body y"]
    );
}

#[test]
fn prefetch_bounds_a_consumer_and_acks_give_credit_back() {
    let mut client = with_messages(&Broker::new(), 10);
    client.qos(3, false);
    assert_eq!(
        deliveries(&client.consume("q", false)),
        ["t 1", "t 2", "t 3"]
    );
    assert_eq!(deliveries(&client.ack(2, true)), ["t 4", "t 5"]);
    assert_eq!(deliveries(&client.ack(4, false)), ["t 6"]);
    assert_eq!(deliveries(&client.ack(0, true)), ["t 7", "t 8", "t 9"]);
}

#[test]
fn a_channels_prefetch_bounds_all_its_consumers_and_no_get() {
    let mut client = with_messages(&Broker::new(), 10);
    client.qos(2, true);
    let consume = basic::Consume {
        queue: s("q"),
        consumer_tag: s("u"),
        ..basic::Consume::default()
    };
    let mut lines = client.consume("q", false);
    lines.extend(client.ask(1, &consume));
    assert_eq!(deliveries(&lines).len(), 2);
    assert_eq!(client.get("q")[0], "1 basic.get-ok 3 left 7");
    assert_eq!(deliveries(&client.ack(1, false)).len(), 1);
    assert_eq!(
        deliveries(&client.ack(3, false)).len(),
        0,
        "a get gives no credit"
    );
}

#[test]
fn two_consumers_of_two_queues_take_turns() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("a");
    client.declare("b");
    let large = vec![1; 40_000];
    for queue in ["a", "b"] {
        client
            .publish(queue, &[&large, &large, &large, &large])
            .lines();
    }
    client.ask(1, &channel::Flow { active: false });
    for queue in ["a", "b"] {
        let consume = basic::Consume {
            queue: s(queue),
            consumer_tag: s(queue),
            ..basic::Consume::default()
        };
        client.ask(1, &consume);
    }
    client.send(1, &channel::Flow { active: true });
    let lines = client.lines();
    let tags: String = deliveries(&lines).iter().map(|line| &line[..1]).collect();
    assert_eq!(tags.len(), 8);
    assert_eq!(&tags[..4], "aabb", "64 KiB each: {tags}");
}

#[test]
fn no_ack_settles_by_taking() {
    let broker = Broker::new();
    let mut client = with_messages(&broker, 3);
    client.qos(1, false);
    assert_eq!(deliveries(&client.consume("q", true)).len(), 3, "no limit");
    let counts = broker.core.vhost("/").unwrap().queue("q").unwrap().counts();
    assert_eq!((counts.ready, counts.leased), (0, 0));
    let text = "1 channel.close 60.80 PRECONDITION_FAILED - unknown delivery tag 1";
    assert_eq!(client.ack(1, false), [text]);
}

#[test]
fn a_refused_message_comes_again_and_a_rejected_one_does_not() {
    let mut client = with_messages(&Broker::new(), 2);
    client.qos(1, false);
    assert_eq!(deliveries(&client.consume("q", false)), ["t 1"]);
    assert_eq!(deliveries(&client.nack(1, true)), ["t 2 again"]);
    assert_eq!(deliveries(&client.nack(2, false)), ["t 3"]);
    let recover = basic::Recover { requeue: true };
    let lines = client.ask(1, &recover);
    assert_eq!(lines[0], "1 basic.recover-ok");
    assert_eq!(deliveries(&lines), ["t 4 again"]);
}

#[test]
fn a_tag_is_acknowledged_once() {
    for (multiple, tag) in [(false, 2), (true, 2), (false, 9), (true, 9), (false, 0)] {
        let mut client = with_messages(&Broker::new(), 3);
        client.consume("q", false);
        client.ack(2, false);
        let lines = client.ack(tag, multiple);
        let text =
            format!("1 channel.close 60.80 PRECONDITION_FAILED - unknown delivery tag {tag}");
        assert_eq!(lines, [text]);
    }
}

#[test]
fn acks_of_a_read_are_one_settle() {
    let broker = Broker::new();
    let mut client = with_messages(&broker, 20);
    client.consume("q", false);
    let before = broker.core.metrics().settles.get();
    let mut bytes = Vec::new();
    for delivery_tag in 1..=20 {
        let ack = basic::Ack {
            delivery_tag,
            multiple: false,
        };
        viaduct::protocols::amqp091::codec::write_method(&mut bytes, 1, &ack);
    }
    client.bytes(&bytes);
    assert_eq!(broker.core.metrics().settles.get() - before, 1);
    let acknowledged = &broker.core.metrics().acknowledged;
    assert_eq!(acknowledged.of(client.session.protocol()).get(), 20);
}

#[test]
fn a_cancelled_consumer_keeps_what_it_holds() {
    let mut client = with_messages(&Broker::new(), 2);
    client.qos(1, false);
    client.consume("q", false);
    let cancel = basic::Cancel {
        consumer_tag: s("t"),
        nowait: false,
    };
    assert_eq!(client.ask(1, &cancel), ["1 basic.cancel-ok"]);
    assert_eq!(client.ack(1, false), [""; 0]);
    assert_eq!(client.get("q")[0], "1 basic.get-ok 2 left 0");
}

#[test]
fn a_deleted_queue_cancels_its_consumers() {
    let broker = Broker::new();
    let mut client = with_messages(&broker, 1);
    client.consume("q", false);
    let delete = queue::Delete {
        queue: s("q"),
        ..queue::Delete::default()
    };
    broker.channel().ask(1, &delete);
    assert_eq!(client.lines(), ["1 basic.cancel t"]);
    assert_eq!(
        client.ack(1, false),
        [""; 0],
        "its entry is gone, and that is no error"
    );
    assert!(client.consume("q", false)[0].contains("NOT_FOUND - no queue 'q' in vhost '/'"));
}

#[test]
fn a_paused_channel_gets_nothing_until_it_goes_on() {
    let mut client = with_messages(&Broker::new(), 1);
    let pause = |active| channel::Flow { active };
    assert_eq!(client.ask(1, &pause(false)), ["1 channel.flow-ok"]);
    assert_eq!(client.consume("q", false), ["1 basic.consume-ok t"]);
    let lines = client.ask(1, &pause(true));
    assert_eq!(lines[0], "1 channel.flow-ok");
    assert_eq!(deliveries(&lines), ["t 1"]);
}

#[test]
fn a_consumer_without_credit_leaves_its_wake_to_the_next() {
    let broker = Broker::new();
    let (mut full, mut free) = (with_messages(&broker, 1), broker.channel());
    full.qos(1, true);
    full.declare("other");
    let consume = |queue, tag| basic::Consume {
        queue: s(queue),
        consumer_tag: s(tag),
        ..basic::Consume::default()
    };
    full.ask(1, &consume("other", "o"));
    full.ask(1, &consume("q", "q"));
    assert_eq!(free.consume("other", false), ["1 basic.consume-ok t"]);
    broker.channel().publish("other", &[b"1"]).lines();
    full.settle();
    assert_eq!(deliveries(&free.lines()), ["t 1"]);
}

#[test]
fn a_dead_letter_tells_where_it_died() {
    let mut client = Broker::new().channel();
    client.declare("dead");
    let arguments = FieldTable::new()
        .with("x-dead-letter-exchange", FieldValue::text(""))
        .with("x-dead-letter-routing-key", FieldValue::text("dead"));
    client.declare_with("q", &arguments);
    let properties = viaduct::protocols::amqp091::codec::PropertyFields {
        expiration: Some(s("60000")),
        ..Default::default()
    };
    let bytes = super::client::content(1, ("", "q"), b"x", &properties.to_bytes(), 131_072);
    client.bytes(&bytes);
    client.get("q");
    client.nack(1, false);
    let get = basic::Get {
        queue: s("dead"),
        ..basic::Get::default()
    };
    client.send(1, &get);
    let bytes = client.drain();
    let header = viaduct::protocols::amqp091::codec::frame::Frames::new(&bytes, 131_072)
        .map(Result::unwrap)
        .find(|frame| frame.kind == viaduct::protocols::amqp091::codec::FrameKind::Header)
        .unwrap();
    let header = viaduct::protocols::amqp091::codec::ContentHeader::decode(header.payload).unwrap();
    assert!(!header.properties.has_expiration());
    let headers = header.properties.headers().unwrap().to_owned();
    let text = |name: &[u8]| headers.get(name).cloned();
    assert_eq!(
        text(b"x-first-death-reason"),
        Some(FieldValue::text("rejected"))
    );
    assert_eq!(text(b"x-last-death-queue"), Some(FieldValue::text("q")));
    let Some(FieldValue::Array(deaths)) = headers.get(b"x-death") else {
        panic!("{headers:?}");
    };
    let FieldValue::Table(death) = &deaths[0] else {
        panic!("{deaths:?}");
    };
    assert_eq!(death.get(b"count"), Some(&FieldValue::I64(1)));
    assert_eq!(death.get(b"queue"), Some(&FieldValue::text("q")));
    assert_eq!(
        death.get(b"original-expiration"),
        Some(&FieldValue::text("60000"))
    );
    let keys = FieldValue::Array(vec![FieldValue::text("q")]);
    assert_eq!(death.get(b"routing-keys"), Some(&keys));
}

#[test]
fn a_consumer_behind_a_stuck_body_leaves_its_message_to_another() {
    let broker = Broker::new();
    let (mut stuck, mut other, mut publisher) =
        (broker.channel(), broker.channel(), broker.channel());
    publisher.declare("large");
    publisher.declare("small");
    stuck.consume("large", false);
    let consume = basic::Consume {
        queue: s("small"),
        consumer_tag: s("u"),
        ..basic::Consume::default()
    };
    stuck.ask(1, &consume);
    other.consume("small", false);
    publisher.publish("large", &[&vec![0; 3_000_000]]);
    // Its output is never drained.
    stuck.settle();
    publisher.publish("small", &[b"hello"]);
    stuck.settle();
    let lines = other.lines();
    assert_eq!(lines, ["1 basic.deliver t 1", "1 header 5", "1 body hello"]);
}

#[test]
fn deliveries_that_were_never_written_give_their_credit_back_when_their_queue_is_gone() {
    let broker = Broker::new();
    let (mut client, mut other) = (broker.channel(), broker.channel());
    let long = "n".repeat(100);
    other.declare(&long);
    other.declare("q");
    client.qos(500, true);
    client.consume(&long, false);
    let consume = basic::Consume {
        queue: s("q"),
        consumer_tag: s("u"),
        ..basic::Consume::default()
    };
    client.ask(1, &consume);
    let bodies = vec![&b"x"[..]; 500];
    other.publish(&long, &bodies);
    // As many are taken as there is credit for, and as many written as there is room for.
    client.settle();
    other.publish("q", &bodies);
    client.settle();
    let delete = queue::Delete {
        queue: s(&long),
        ..queue::Delete::default()
    };
    other.ask(1, &delete);
    let lines = client.lines();
    let of = |tag: &str| {
        let start = format!("1 basic.deliver {tag} ");
        lines.iter().filter(|line| line.starts_with(&start)).count()
    };
    let (gone, here) = (of("t"), of("u"));
    assert!((100..500).contains(&gone), "{gone}");
    assert_eq!(gone + here, 500, "{gone}");
}

#[test]
fn deliveries_that_were_never_written_go_back_when_their_channel_is_closed_for_a_fault() {
    let broker = Broker::new();
    let (mut client, mut other) = (broker.channel(), broker.channel());
    let long = "n".repeat(100);
    other.declare(&long);
    client.consume(&long, false);
    other.publish(&long, &vec![&b"x"[..]; 500]);
    // More is taken than there is room for.
    client.settle();
    let last = client.ack(9999, false).pop().unwrap();
    assert!(last.contains("unknown delivery tag 9999"), "{last}");
    let queue = broker.core.vhost("/").unwrap().queue(&long).unwrap();
    let counts = queue.counts();
    assert_eq!((counts.ready, counts.leased), (500, 0));
}
