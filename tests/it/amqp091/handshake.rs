//! From the first byte to the open virtual host, and everything that goes wrong on the way.

use super::client::Broker;
use super::client::Client;
use super::client::s;
use super::client::show;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::RawValue;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::connection::ConnectionMethod;
use viaduct::protocols::session::Flow;
use viaduct::protocols::session::Session;

#[test]
fn amqp_4_2_2_another_protocol_header_is_answered_with_ours() {
    for first in [
        &b"AMQP\x01\x01\0\x0a"[..],
        b"AMQP\0\x01\0\0",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01",
    ] {
        let mut client = Broker::new().accept();
        client.bytes(first);
        assert_eq!(client.drain(), PROTOCOL_HEADER, "{}", first.escape_ascii());
        assert_eq!(client.flow, Flow::Close);
    }
}

#[test]
fn the_server_says_what_it_is_and_what_it_can() {
    let mut client = Broker::new().accept();
    client.bytes(&PROTOCOL_HEADER);
    let bytes = client.drain();
    let frame = Frames::new(&bytes, 131_072).next().unwrap().unwrap();
    let Method::Connection(ConnectionMethod::Start(start)) = Method::decode(frame.payload).unwrap()
    else {
        panic!("{:?}", show(&bytes));
    };
    let text = |name: &[u8]| start.server_properties.get(name).unwrap().as_str().unwrap();
    assert_eq!((text(b"product"), text(b"version")), ("Viaduct", "3.13.7"));
    assert_eq!(text(b"viaduct_version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(start.mechanisms.as_bytes(), b"PLAIN AMQPLAIN");
    let Some(RawValue::Table(capabilities)) = start.server_properties.get(b"capabilities") else {
        panic!("no capabilities");
    };
    let has = |name: &[u8]| capabilities.get(name).unwrap().as_bool().unwrap();
    assert!(has(b"publisher_confirms") && has(b"basic.nack") && has(b"connection.blocked"));
    assert!(!has(b"exchange_exchange_bindings") && !has(b"direct_reply_to"));
}

#[test]
fn both_mechanisms_log_in() {
    let amqplain = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDS\0\0\0\x05guest";
    for (mechanism, response) in [("PLAIN", &b"\0guest\0guest"[..]), ("AMQPLAIN", amqplain)] {
        let mut client = Broker::new().accept();
        client.bytes(&PROTOCOL_HEADER).start_ok(mechanism, response);
        assert_eq!(client.lines(), ["0 connection.start", "0 connection.tune"]);
    }
}

#[test]
fn a_wrong_password_is_refused_in_words_that_clients_know() {
    let broker = Broker::new();
    let mut client = broker.accept();
    client.bytes(&PROTOCOL_HEADER);
    client.start_ok("PLAIN", b"\0guest\0wrong");
    let text = "0 connection.close 0.0 ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.";
    assert_eq!(client.lines(), ["0 connection.start", text]);
    let failed = &broker.core.metrics().logins_failed;
    assert_eq!(failed.of(viaduct::telemetry::Protocol::Amqp091).get(), 1);
    client.send(0, &connection::CloseOk {});
    assert_eq!(client.flow, Flow::Close);
}

#[test]
fn limits_are_settled_downwards_only() {
    let table: [(u16, u32, &str); 4] = [
        (
            2047,
            131_073,
            "NOT_ALLOWED - frame_max=131073 > 131072 max size",
        ),
        (2047, 4095, "NOT_ALLOWED - frame_max=4095 < 4096 min size"),
        (
            2048,
            131_072,
            "NOT_ALLOWED - channel_max=2048 > 2047 max value",
        ),
        (0, 0, ""),
    ];
    for (channel_max, frame_max, text) in table {
        let mut client = Broker::new().accept();
        client.bytes(&PROTOCOL_HEADER);
        client.start_ok("PLAIN", b"\0guest\0guest").lines();
        let tune_ok = connection::TuneOk {
            channel_max,
            frame_max,
            heartbeat: 0,
        };
        let lines = client.ask(0, &tune_ok);
        if text.is_empty() {
            assert_eq!(lines, [""; 0]);
        } else {
            assert_eq!(lines, [format!("0 connection.close 10.31 {text}")]);
        }
    }
}

#[test]
fn a_vhost_must_exist() {
    let mut client = Broker::new().accept();
    client.bytes(&PROTOCOL_HEADER);
    client.start_ok("PLAIN", b"\0guest\0guest");
    client.send(0, &connection::TuneOk::default()).lines();
    let open = connection::Open {
        virtual_host: s("other"),
        ..connection::Open::default()
    };
    let text = "0 connection.close 10.40 NOT_ALLOWED - vhost other not found";
    assert_eq!(client.ask(0, &open), [text]);
}

#[test]
fn a_client_must_log_in_in_time_and_in_few_bytes() {
    let mut slow = Broker::new().accept();
    slow.bytes(&PROTOCOL_HEADER);
    slow.after(9_999);
    assert_eq!(slow.flow, Flow::Continue);
    slow.after(1);
    assert_eq!(slow.flow, Flow::Close);

    let mut long = Broker::new().accept();
    long.bytes(&PROTOCOL_HEADER);
    long.bytes(b"\x01\0\0\0\0\xff\xf0");
    assert_eq!(long.flow, Flow::Continue);
    long.bytes(&[0; 65_529]);
    assert_eq!(long.flow, Flow::Close, "64 KiB, and no login");
}

/// Opens a connection with a heartbeat of 10 seconds.
fn with_heartbeat(broker: &Broker) -> Client {
    let mut client = broker.accept();
    client.bytes(&PROTOCOL_HEADER);
    client.start_ok("PLAIN", b"\0guest\0guest").lines();
    let tune_ok = connection::TuneOk {
        heartbeat: 10,
        ..connection::TuneOk::default()
    };
    client.send(0, &tune_ok);
    let open = connection::Open {
        virtual_host: s("/"),
        ..connection::Open::default()
    };
    assert_eq!(client.ask(0, &open), ["0 connection.open-ok"]);
    client
}

#[test]
fn amqp_4_2_7_a_peer_that_must_wait_is_heard_all_the_same() {
    let mut client = with_heartbeat(&Broker::new());
    for _ in 0..10 {
        client.session.heard(client.now);
        assert_eq!(client.after(5_000).lines(), ["0 heartbeat"]);
    }
    assert_eq!(client.flow, Flow::Continue);
}

#[test]
fn amqp_4_2_7_heartbeats_go_out_and_are_missed() {
    let mut client = with_heartbeat(&Broker::new());
    assert_eq!(client.after(5_000).lines(), ["0 heartbeat"]);
    client.bytes(b"\x08\0\0\0\0\0\0\xce");
    assert_eq!(client.after(5_000).lines(), ["0 heartbeat"]);
    assert_eq!(client.after(5_000).lines(), ["0 heartbeat"]);
    assert_eq!(client.after(5_000).lines(), ["0 heartbeat"]);
    client.after(5_000);
    assert_eq!(client.flow, Flow::Close, "20 s after the last frame");
}

#[test]
fn a_shutdown_is_told_and_does_not_wait_for_a_client_that_sleeps() {
    let mut client = Broker::new().connect();
    client.session.on_shutdown(client.now, &mut client.out);
    let text = "0 connection.close 0.0 CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
    assert_eq!(client.lines(), [text]);
    client.after(500);
    assert_eq!(client.flow, Flow::Close);
}
