//! What is refused, with which code, and whether the channel or the connection ends.

use proptest::prelude::*;

use super::client::Broker;
use super::client::content;
use super::client::message;
use super::client::s;
use viaduct::auth::PermissionTexts;
use viaduct::auth::UserName;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::exchange;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::method::tx;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::session::Flow;

/// Sends bytes on an open channel, and says what came back.
fn after(bytes: &[u8]) -> String {
    let mut client = Broker::new().channel();
    client.declare("q");
    client.bytes(bytes).lines().join("; ")
}

fn method(method: &impl viaduct::protocols::amqp091::codec::method::MethodFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_method(&mut bytes, 1, method);
    bytes
}

#[test]
fn faults_of_a_method_end_its_channel() {
    let q = s("q");
    let declare = queue::Declare {
        queue: s("amq.mine"),
        ..queue::Declare::default()
    };
    let text = "1 channel.close 50.10 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'";
    assert_eq!(after(&method(&declare)), text);
    let bind = queue::Bind {
        queue: q,
        ..queue::Bind::default()
    };
    let text =
        "1 channel.close 50.20 ACCESS_REFUSED - operation not permitted on the default exchange";
    assert_eq!(after(&method(&bind)), text);
    let delete = exchange::Delete {
        exchange: s("amq.topic"),
        ..exchange::Delete::default()
    };
    let text = "1 channel.close 40.20 ACCESS_REFUSED - exchange name 'amq.topic' contains reserved prefix 'amq.*'";
    assert_eq!(after(&method(&delete)), text);
    let get = basic::Get {
        queue: s("missing"),
        ..basic::Get::default()
    };
    let text = "1 channel.close 60.70 NOT_FOUND - no queue 'missing' in vhost '/'";
    assert_eq!(after(&method(&get)), text);
}

#[test]
fn faults_of_a_publish_end_its_channel() {
    let publish = |fields: PropertyFields<'_>| {
        after(&content(1, ("", "q"), b"", &fields.to_bytes(), 131_072))
            .replace("1 channel.close 60.40 PRECONDITION_FAILED - ", "")
    };
    let expiring = |text| PropertyFields {
        expiration: Some(s(text)),
        ..PropertyFields::default()
    };
    assert_eq!(
        publish(expiring("soon")),
        "invalid expiration 'soon': no_integer"
    );
    assert_eq!(
        publish(expiring("-1")),
        "invalid expiration '-1': {value_negative,-1}"
    );
    let text = "invalid expiration '4294967296': {value_too_big,4294967296}";
    assert_eq!(publish(expiring("4294967296")), text);
    let foreign = PropertyFields {
        user_id: Some(s("mallory")),
        ..PropertyFields::default()
    };
    let text = "user_id property set to 'mallory' but authenticated user was 'guest'";
    assert_eq!(publish(foreign), text);
}

#[test]
fn in_use_and_not_empty_are_said_of_the_queue() {
    let mut client = Broker::new().channel();
    client.declare("q");
    client.publish("q", &[b"x"]).lines();
    let delete = queue::Delete {
        queue: s("q"),
        if_empty: true,
        ..queue::Delete::default()
    };
    let text = "1 channel.close 50.40 PRECONDITION_FAILED - queue 'q' in vhost '/' not empty";
    assert_eq!(client.ask(1, &delete), [text]);
    client.send(1, &channel::CloseOk {});
    client.open(1);
    client.consume("q", true);
    let delete = queue::Delete {
        queue: s("q"),
        if_unused: true,
        ..queue::Delete::default()
    };
    let text = "1 channel.close 50.40 PRECONDITION_FAILED - queue 'q' in vhost '/' in use";
    assert_eq!(client.ask(1, &delete), [text]);
}

#[test]
fn what_is_not_offered_ends_the_connection() {
    let publish = basic::Publish {
        routing_key: s("q"),
        immediate: true,
        ..basic::Publish::default()
    };
    let text = "0 connection.close 60.40 NOT_IMPLEMENTED - immediate=true";
    assert_eq!(after(&method(&publish)), text);
    let qos = basic::Qos {
        prefetch_size: 1,
        ..basic::Qos::default()
    };
    let text = "0 connection.close 60.10 NOT_IMPLEMENTED - prefetch_size!=0 (1)";
    assert_eq!(after(&method(&qos)), text);
    let text =
        "0 connection.close 90.10 NOT_IMPLEMENTED - transactions will arrive with a later version";
    assert_eq!(after(&method(&tx::Select {})), text);
    let consume = basic::Consume {
        queue: s("q"),
        exclusive: true,
        ..basic::Consume::default()
    };
    let text = "0 connection.close 60.20 NOT_IMPLEMENTED - exclusive consumers will arrive with a later version";
    assert_eq!(after(&method(&consume)), text);
    for (exclusive, auto_delete, what) in [(true, false, "exclusive"), (false, true, "auto-delete")]
    {
        let declare = queue::Declare {
            exclusive,
            auto_delete,
            ..queue::Declare::default()
        };
        let text = format!(
            "0 connection.close 50.10 NOT_IMPLEMENTED - {what} queues will arrive with a later version"
        );
        assert_eq!(after(&method(&declare)), text);
    }
}

#[test]
fn faults_of_frames_end_the_connection() {
    for (bytes, text) in [
        (
            &b"\x01\0\x01\0\0\0\x04\0\x3c\0\x0a\xcd"[..],
            "0 connection.close 0.0 FRAME_ERROR",
        ),
        (
            b"\x07\0\x01\0\0\0\0\xce",
            "0 connection.close 0.0 FRAME_ERROR",
        ),
        (
            b"\x01\0\x01\xff\xff\xff\xff",
            "0 connection.close 0.0 FRAME_ERROR",
        ),
        (
            b"\x08\0\x01\0\0\0\0\xce",
            "0 connection.close 0.0 UNEXPECTED_FRAME",
        ),
        (
            b"\x01\0\x01\0\0\0\x04\0\x3c\0\x0a\xce",
            "0 connection.close 60.10 SYNTAX_ERROR",
        ),
        (
            b"\x01\0\x01\0\0\0\x04\0\x3c\0\x0b\xce",
            "0 connection.close 60.11 COMMAND_INVALID",
        ),
        (
            b"\x01\0\x01\0\0\0\x04\x01\0\0\x0b\xce",
            "0 connection.close 256.11 COMMAND_INVALID",
        ),
        (
            b"\x03\0\x01\0\0\0\x01x\xce",
            "0 connection.close 60.40 UNEXPECTED_FRAME",
        ),
        (
            b"\x01\0\x01\0\0\0\x04\0\x55\0\x0b\xce",
            "0 connection.close 85.11 COMMAND_INVALID",
        ),
    ] {
        let line = after(bytes);
        assert!(line.starts_with(text), "{}: {line}", bytes.escape_ascii());
    }
}

#[test]
fn a_channel_must_be_opened_once() {
    let mut client = Broker::new().channel();
    let text = "0 connection.close 20.10 CHANNEL_ERROR - second 'channel.open' seen";
    assert_eq!(client.ask(1, &channel::Open::default()), [text]);
    let mut client = Broker::new().channel();
    let text = "0 connection.close 60.40 CHANNEL_ERROR - expected 'channel.open'";
    assert_eq!(client.bytes(&message(2, "q", b"", true)).lines(), [text]);
    let mut client = Broker::new().connect();
    let text = "0 connection.close 20.10 NOT_ALLOWED - number of channels opened (0) has reached the negotiated channel_max (2047)";
    assert_eq!(client.ask(2048, &channel::Open::default()), [text]);
}

#[test]
fn a_tag_names_one_consumer() {
    let mut client = Broker::new().channel();
    client.declare("q");
    client.consume("q", false);
    let text = "0 connection.close 60.20 NOT_ALLOWED - attempt to reuse consumer tag 't'";
    assert_eq!(client.consume("q", false), [text]);
}

#[test]
fn every_method_asks_for_its_permission() {
    let broker = Broker::new();
    broker.channel().declare("q");
    let none = PermissionTexts {
        configure: String::new(),
        write: String::new(),
        read: String::new(),
    };
    let guest = UserName::parse("guest").unwrap();
    broker.auth.set_permissions(&guest, "/", none).unwrap();
    let refused = |lines: Vec<String>, action: &str, resource: &str| {
        let text = format!(
            "ACCESS_REFUSED - {action} access to {resource} in vhost '/' refused for user 'guest'"
        );
        assert!(lines[0].ends_with(&text), "{lines:?}");
    };
    refused(
        broker.channel().declare("other"),
        "configure",
        "queue 'other'",
    );
    refused(broker.channel().get("q"), "read", "queue 'q'");
    refused(broker.channel().consume("q", false), "read", "queue 'q'");
    refused(
        broker.channel().publish("q", &[b"x"]).lines(),
        "write",
        "exchange ''",
    );
    let bind = queue::Bind {
        queue: s("q"),
        exchange: s("amq.fanout"),
        ..queue::Bind::default()
    };
    refused(broker.channel().ask(1, &bind), "write", "queue 'q'");
    let delete = queue::Delete {
        queue: s("q"),
        ..queue::Delete::default()
    };
    refused(broker.channel().ask(1, &delete), "configure", "queue 'q'");
    let denied = &broker.core.metrics().permissions_denied;
    assert_eq!(denied.of(viaduct::telemetry::Protocol::Amqp091).get(), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_get_an_answer(frames in proptest::collection::vec(
        (prop_oneof![Just(1u8), Just(2), Just(3), Just(8), any::<u8>()], 0u16..3, proptest::collection::vec(any::<u8>(), 0..40)),
        1..12,
    )) {
        let mut client = Broker::new().channel();
        client.declare("q");
        for (kind, channel, payload) in frames {
            let mut bytes = vec![kind];
            bytes.extend(channel.to_be_bytes());
            bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
            bytes.extend(payload);
            bytes.push(0xCE);
            client.bytes(&bytes);
            let _ = client.drain();
            if client.flow == Flow::Close {
                break;
            }
        }
        client.end(viaduct::protocols::session::End::Lost);
    }
}
