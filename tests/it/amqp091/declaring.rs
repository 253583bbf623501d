//! Declarations: answers behind the log and in order, equivalence, RabbitMQ's texts.

use super::client::Broker;
use super::client::Client;
use super::client::START;
use super::client::s;
use viaduct::core::model::names::QueueName;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::exchange;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::session::Session;

#[test]
fn an_answer_waits_for_the_log_and_later_answers_behind_it() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.open(2);
    broker.store.hold();
    assert_eq!(client.declare("q"), [""; 0]);
    let qos = basic::Qos::default();
    assert_eq!(
        client.ask(1, &qos),
        [""; 0],
        "in the order of the questions"
    );
    assert_eq!(
        client.ask(2, &qos),
        ["2 basic.qos-ok"],
        "another channel goes on"
    );
    broker.store.release();
    assert_eq!(
        client.lines(),
        ["1 queue.declare-ok q 0 0", "1 basic.qos-ok"]
    );
}

#[test]
fn a_second_declaration_is_the_same_promise() {
    let broker = Broker::new();
    let (mut one, mut other) = (broker.channel(), broker.channel());
    broker.store.hold();
    assert_eq!(one.declare("q"), [""; 0]);
    assert_eq!(other.declare("q"), [""; 0]);
    broker.store.release();
    assert_eq!(other.lines(), ["1 queue.declare-ok q 0 0"]);
}

#[test]
fn a_get_behind_a_declaration_waits_with_everything_after_it() {
    let broker = Broker::new();
    let mut client = broker.channel();
    client.declare("q");
    client.publish("q", &[b"1"]).lines();
    broker.store.hold();
    client.declare("r");
    assert_eq!(client.get("q"), [""; 0]);
    broker.store.release();
    let expected = [
        "1 queue.declare-ok r 0 0",
        "1 basic.get-ok 1 left 0",
        "1 header 1",
        "1 body 1",
    ];
    assert_eq!(client.lines(), expected);
}

#[test]
fn a_client_that_asks_on_while_the_log_is_slow_is_not_read_from() {
    let broker = Broker::new();
    let mut client = broker.channel();
    broker.store.hold();
    for n in 0..1100 {
        client.declare(&format!("q{n}"));
    }
    assert!(!client.session.wants_bytes());
    assert_eq!(
        broker.core.vhost("/").unwrap().queues_from("", 2000).len(),
        1024
    );
    broker.store.release();
    assert_eq!(client.lines().len(), 1100);
}

#[test]
fn closing_a_channel_comes_after_its_answers() {
    let broker = Broker::new();
    let mut client = broker.channel();
    broker.store.hold();
    client.declare("q");
    assert_eq!(client.ask(1, &channel::Close::default()), [""; 0]);
    broker.store.release();
    assert_eq!(
        client.lines(),
        ["1 queue.declare-ok q 0 0", "1 channel.close-ok"]
    );
    client.open(1);
}

#[test]
fn bind_unbind_purge_and_delete_answer() {
    let mut client = Broker::new().channel();
    client.declare("q");
    let bind = queue::Bind {
        queue: s("q"),
        exchange: s("amq.topic"),
        routing_key: s("a.#"),
        ..queue::Bind::default()
    };
    assert_eq!(client.ask(1, &bind), ["1 queue.bind-ok"]);
    assert_eq!(client.ask(1, &bind), ["1 queue.bind-ok"]);
    let unbind = queue::Unbind {
        queue: s(""),
        exchange: s("amq.topic"),
        routing_key: s("a.#"),
        ..queue::Unbind::default()
    };
    assert_eq!(
        client.ask(1, &unbind),
        ["1 queue.unbind-ok"],
        "the last declared queue"
    );
    client.publish("q", &[b"1", b"2"]).lines();
    let purge = queue::Purge {
        queue: s("q"),
        ..queue::Purge::default()
    };
    assert_eq!(client.ask(1, &purge), ["1 queue.purge-ok 2"]);
    client.publish("q", &[b"1"]).lines();
    let delete = queue::Delete {
        queue: s("q"),
        ..queue::Delete::default()
    };
    assert_eq!(client.ask(1, &delete), ["1 queue.delete-ok 1"]);
    assert_eq!(
        client.ask(1, &delete),
        ["1 queue.delete-ok 0"],
        "gone is gone"
    );
}

#[test]
fn a_server_names_queues() {
    let mut client = Broker::new().channel();
    let first = client.declare("");
    assert!(
        first[0].starts_with("1 queue.declare-ok amq.gen-"),
        "{first:?}"
    );
    let passive = queue::Declare {
        passive: true,
        ..queue::Declare::default()
    };
    assert_eq!(
        client.ask(1, &passive),
        first,
        "an empty name is the last one"
    );
    assert_ne!(client.declare(""), first);
}

/// Declares and says what came back, on a channel of its own.
fn declared(broker: &Broker, durable: bool, arguments: &[(&str, FieldValue)]) -> String {
    let mut client: Client = broker.channel();
    let table = arguments
        .iter()
        .fold(FieldTable::new(), |table, (name, value)| {
            table.with(name, value.clone())
        });
    let bytes = table.to_bytes().unwrap();
    let declare = queue::Declare {
        queue: s("q"),
        durable,
        arguments: RawTable::parse(&bytes).unwrap(),
        ..queue::Declare::default()
    };
    let line = client.ask(1, &declare).remove(0);
    line.replace("1 channel.close 50.10 PRECONDITION_FAILED - ", "")
        .replace("0 connection.close 50.10 ", "")
}

#[test]
fn a_declaration_must_be_equivalent() {
    let broker = Broker::new();
    let ok = "1 queue.declare-ok q 0 0";
    let ttl = |value| ("x-message-ttl", value);
    assert_eq!(declared(&broker, true, &[ttl(FieldValue::I32(1000))]), ok);
    assert_eq!(
        declared(&broker, true, &[ttl(FieldValue::I64(1000))]),
        ok,
        "any integer"
    );
    let other = ("x-queue-mode", FieldValue::text("lazy"));
    assert_eq!(
        declared(&broker, true, &[ttl(FieldValue::I32(1000)), other]),
        ok
    );
    let kind = ("x-queue-type", FieldValue::text("classic"));
    assert_eq!(
        declared(&broker, true, &[ttl(FieldValue::I32(1000)), kind]),
        ok
    );
    let of_q = "for queue 'q' in vhost '/'";
    assert_eq!(
        declared(&broker, false, &[ttl(FieldValue::I32(1000))]),
        format!("inequivalent arg 'durable' {of_q}: received 'false' but current is 'true'")
    );
    assert_eq!(
        declared(&broker, true, &[]),
        format!(
            "inequivalent arg 'x-message-ttl' {of_q}: received none but current is the value '1000' of type 'signedint'"
        )
    );
    let quorum = ("x-queue-type", FieldValue::text("quorum"));
    assert_eq!(
        declared(&broker, true, &[ttl(FieldValue::I32(1000)), quorum]),
        format!(
            "inequivalent arg 'x-queue-type' {of_q}: received the value 'quorum' of type 'longstr' but current is none"
        )
    );
}

#[test]
fn a_queue_of_another_door_is_compared_in_this_doors_words() {
    let broker = Broker::new();
    let vhost = broker.core.vhost("/").unwrap();
    let settings = QueueSettings {
        retention_ms: Some(60_000),
        delay_ms: 1000,
        force_durable: true,
        ..QueueSettings::new(true)
    };
    let name = QueueName::parse("q").unwrap();
    broker
        .core
        .declare_queue(&vhost, &name, || settings, START)
        .unwrap();
    assert_eq!(declared(&broker, true, &[]), "1 queue.declare-ok q 0 0");
    assert!(
        declared(&broker, true, &[("x-max-length", FieldValue::I8(1))]).starts_with("inequivalent")
    );
    assert!(declared(&broker, false, &[]).starts_with("inequivalent"));
}

#[test]
fn a_queue_that_another_door_made_durable_keeps_accepting_its_own_declaration() {
    let broker = Broker::new();
    let ok = "1 queue.declare-ok q 0 0";
    assert_eq!(declared(&broker, false, &[]), ok);
    assert!(declared(&broker, true, &[]).starts_with("inequivalent"));
    let queue = broker.core.vhost("/").unwrap().queue("q").unwrap();
    broker
        .core
        .update_queue(&queue, |settings| settings.durable = true, START)
        .unwrap();
    assert_eq!(declared(&broker, false, &[]), ok);
    assert_eq!(declared(&broker, true, &[]), ok);
}

#[test]
fn arguments_are_checked_in_rabbitmqs_words() {
    let broker = Broker::new();
    let long = |text: &str| FieldValue::text(text);
    let later = |what: &str| format!("NOT_IMPLEMENTED - {what} will arrive with a later version");
    let invalid = |name: &str, error: &str| {
        format!("invalid arg '{name}' for queue 'q' in vhost '/': {error}")
    };
    let table = [
        (
            "x-message-ttl",
            FieldValue::I32(-1),
            invalid("x-message-ttl", "{value_negative,-1}"),
        ),
        (
            "x-message-ttl",
            FieldValue::I64(4_294_967_296),
            invalid("x-message-ttl", "{value_too_big,4294967296}"),
        ),
        (
            "x-max-length",
            long("1"),
            invalid("x-max-length", "{unacceptable_type,longstr}"),
        ),
        (
            "x-max-length-bytes",
            FieldValue::Bool(true),
            invalid("x-max-length-bytes", "{unacceptable_type,bool}"),
        ),
        (
            "x-delivery-limit",
            FieldValue::I8(-2),
            invalid("x-delivery-limit", "{value_negative,-2}"),
        ),
        (
            "x-overflow",
            long("block"),
            invalid("x-overflow", "invalid_overflow"),
        ),
        (
            "x-dead-letter-exchange",
            FieldValue::I8(1),
            invalid("x-dead-letter-exchange", "{unacceptable_type,byte}"),
        ),
        (
            "x-dead-letter-routing-key",
            long("k"),
            invalid(
                "x-dead-letter-routing-key",
                "routing_key_but_no_dlx_defined",
            ),
        ),
        (
            "x-queue-type",
            long("odd"),
            invalid("x-queue-type", "unsupported queue type 'odd'"),
        ),
        ("x-queue-type", long("stream"), later("x-queue-type=stream")),
        ("x-expires", FieldValue::I32(1), later("x-expires")),
        (
            "x-consumer-timeout",
            FieldValue::I32(1),
            later("x-consumer-timeout"),
        ),
        (
            "x-max-priority",
            FieldValue::I32(1),
            later("x-max-priority"),
        ),
        (
            "x-single-active-consumer",
            FieldValue::Bool(true),
            later("x-single-active-consumer"),
        ),
    ];
    for (name, value, expected) in table {
        assert_eq!(declared(&broker, true, &[(name, value)]), expected);
    }
    let quorum = [("x-queue-type", long("quorum"))];
    let text = "invalid property 'non-durable' for queue 'q' in vhost '/'";
    assert_eq!(declared(&broker, false, &quorum), text);
    assert_eq!(declared(&broker, true, &quorum), "1 queue.declare-ok q 0 0");
}

#[test]
fn exchanges_are_compared_by_type_and_flags() {
    let broker = Broker::new();
    let declare = |kind, durable, internal| {
        let declare = exchange::Declare {
            exchange: s("x"),
            kind: s(kind),
            durable,
            internal,
            ..exchange::Declare::default()
        };
        let line = broker.channel().ask(1, &declare).remove(0);
        line.replace("1 channel.close 40.10 PRECONDITION_FAILED - ", "")
    };
    assert_eq!(declare("topic", true, false), "1 exchange.declare-ok");
    assert_eq!(declare("topic", true, false), "1 exchange.declare-ok");
    let of_x = "for exchange 'x' in vhost '/'";
    assert_eq!(
        declare("fanout", true, false),
        format!("inequivalent arg 'type' {of_x}: received 'fanout' but current is 'topic'")
    );
    assert_eq!(
        declare("topic", false, false),
        format!("inequivalent arg 'durable' {of_x}: received 'false' but current is 'true'")
    );
    assert_eq!(
        declare("topic", true, true),
        format!("inequivalent arg 'internal' {of_x}: received 'true' but current is 'false'")
    );
    let unknown = declare("odd", true, false);
    assert_eq!(
        unknown,
        "0 connection.close 40.10 COMMAND_INVALID - unknown exchange type 'odd'"
    );
}
