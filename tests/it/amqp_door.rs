//! The AMQP door as a stranger or a clumsy client finds it: bytes on a socket, and what the log says.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::Broker;

/// What a client of 0-9-1 sends first, and what the broker answers to one that doesn't.
const HEADER: &[u8] = b"AMQP\0\0\x09\x01";

fn connect(broker: &Broker) -> TcpStream {
    let stream = TcpStream::connect(broker.address("amqp")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    stream
}

/// A method frame (0-9-1 §4.2.3) on channel 0.
fn method(class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[1, 0, 0][..], &length, &payload, &[0xce]].concat()
}

/// The next frame's class, method and arguments; `None` at the end of the connection.
fn next_method(stream: &mut TcpStream) -> Option<(u16, u16, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let length = u32::from_be_bytes(head[3..7].try_into().unwrap());
    let mut payload = vec![0; usize::try_from(length).unwrap() + 1];
    stream.read_exact(&mut payload).ok()?;
    let number = |at: usize| u16::from_be_bytes(payload[at..at + 2].try_into().unwrap());
    Some((number(0), number(2), payload[4..payload.len() - 1].to_vec()))
}

/// connection.start-ok with PLAIN, and with the client capability that asks for a reason.
fn start_ok(user: &str, password: &str, wants_reason: bool) -> Vec<u8> {
    let capability = b"\x1cauthentication_failure_closet\x01";
    let inner = u32::try_from(capability.len()).unwrap().to_be_bytes();
    let properties = match wants_reason {
        true => [&b"\x0ccapabilitiesF"[..], &inner, capability].concat(),
        false => Vec::new(),
    };
    let response = format!("\0{user}\0{password}");
    let counted = |bytes: &[u8]| {
        [
            &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..],
            bytes,
        ]
        .concat()
    };
    let arguments = [
        counted(&properties),
        b"\x05PLAIN".to_vec(),
        counted(response.as_bytes()),
        b"\x05en_US".to_vec(),
    ];
    method(10, 11, &arguments.concat())
}

/// Logs in; what the broker says next.
pub fn login(
    broker: &Broker,
    user: &str,
    password: &str,
    wants_reason: bool,
) -> (TcpStream, Option<(u16, u16, Vec<u8>)>) {
    let mut stream = connect(broker);
    stream.write_all(HEADER).unwrap();
    let (class, start, _) = next_method(&mut stream).unwrap();
    assert_eq!((class, start), (10, 10));
    stream
        .write_all(&start_ok(user, password, wants_reason))
        .unwrap();
    let next = next_method(&mut stream);
    (stream, next)
}

#[test]
fn a_stranger_gets_the_header_that_would_do_and_its_name_in_the_log() {
    let broker = Broker::start(&[]);
    for (bytes, name, hint) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
            "TLS",
            "TLS is not served yet",
        ),
        (
            b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "HTTP",
            "HTTP: the AWS gateway is on listeners.aws",
        ),
        (
            b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test",
            "MQTT",
            "MQTT: no such door yet",
        ),
        (
            b"CONNECT\naccept-version:1.2\n\n\0",
            "STOMP",
            "STOMP: no such door yet",
        ),
        (
            b"AMQP\x03\x01\0\0",
            "AMQP 1.0",
            "0-9-1 is on listeners.amqp",
        ),
        (
            b"\0\0\0\xf0\x01ActiveMQ\0\0\0\x0c",
            "OpenWire",
            "OpenWire: no such door yet",
        ),
    ] {
        let mut stream = connect(&broker);
        stream.write_all(bytes).unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, HEADER, "{name}");
        // Unread bytes make the close a reset; either way the connection is over.
        assert_eq!(stream.read(&mut answer).unwrap_or(0), 0, "{name}");
        let line = broker.logged(&format!("looks_like={name}"));
        for part in [
            "not the protocol of this listener (listeners.amqp)",
            "peer=",
            hint,
        ] {
            assert!(line.contains(part), "{part} is missing: {line}");
        }
    }
}

#[test]
fn a_wrong_password_is_logged_with_everything_but_itself() {
    let broker = Broker::start(&["--set", "log.level=trace"]);
    let (_stream, refused) = login(&broker, "guest", "hunter2", true);
    let (class, close, arguments) = refused.unwrap();
    assert_eq!((class, close), (10, 50));
    assert_eq!(arguments[..2], 403_u16.to_be_bytes());
    let text = String::from_utf8_lossy(&arguments).into_owned();
    assert!(
        text.contains("ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN."),
        "{text}"
    );

    let line = broker.logged("login refused");
    for part in [
        "user=\"guest\"",
        "mechanism=\"PLAIN\"",
        "reason=\"wrong password\"",
        "peer=127.0.0.1:",
    ] {
        assert!(line.contains(part), "{part} is missing: {line}");
    }
    // RabbitMQ's habit: a client that doesn't say it understands gets the end of the connection.
    assert_eq!(login(&broker, "nobody", "hunter2", false).1, None);
    assert!(
        broker
            .logged("user=\"nobody\"")
            .contains("reason=\"unknown user\"")
    );
    assert!(!broker.log().contains("hunter2"));
}

#[test]
fn a_client_that_says_nothing_is_cut_off_after_the_login_timeout() {
    let broker = Broker::start(&["--set", "limits.login_timeout=100ms"]);
    let mut silent = connect(&broker);
    assert_eq!(silent.read(&mut [0; 1]).unwrap_or(0), 0);
    let mut half = connect(&broker);
    half.write_all(HEADER).unwrap();
    let mut rest = Vec::new();
    let _ = half.read_to_end(&mut rest);
    assert!(!rest.is_empty());
}

#[test]
fn a_stop_tells_clients_in_their_protocol_and_stays_short() {
    let mut broker = Broker::start(&[]);
    let (mut stream, tune) = login(&broker, "guest", "guest", true);
    let (_, _, tuned) = tune.unwrap();
    stream.write_all(&method(10, 31, &tuned)).unwrap();
    stream.write_all(&method(10, 40, b"\x01/\0\0")).unwrap();
    assert_eq!(
        next_method(&mut stream).map(|(class, open_ok, _)| (class, open_ok)),
        Some((10, 41))
    );

    let client = std::thread::spawn(move || {
        let (class, close, arguments) = next_method(&mut stream).unwrap();
        assert_eq!((class, close), (10, 50));
        assert_eq!(
            arguments[..2],
            320_u16.to_be_bytes(),
            "CONNECTION_FORCED (0-9-1 §1.2)"
        );
        stream.write_all(&method(10, 51, b"")).unwrap();
    });
    let (status, took) = broker.stop(Signal::TERM);
    client.join().unwrap();
    assert_eq!(status.code(), Some(0), "{}", broker.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(
        broker.log().contains("told=1 cut_off=0"),
        "{}",
        broker.log()
    );
}
