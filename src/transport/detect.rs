//! What the first bytes of a connection look like.
//!
//! For the log line that saves somebody an evening ("this looks like TLS on a plain listener"),
//! and later for listeners that serve several protocols.

use std::fmt;

/// Methods that start an HTTP/1 request.
const HTTP_METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"CONNECT ",
    b"TRACE ",
];

/// Commands that open a STOMP conversation.
const STOMP_COMMANDS: [&[u8]; 4] = [b"CONNECT\n", b"CONNECT\r\n", b"STOMP\n", b"STOMP\r\n"];

/// A guess at the protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBytes {
    /// A TLS record with a client hello.
    Tls,
    /// An HTTP/1 request line.
    Http1,
    /// The preface of HTTP/2 with prior knowledge.
    Http2,
    /// `AMQP 0 0 9 1`.
    Amqp091,
    /// `AMQP 0 1 0 0`, or 3 for SASL first.
    Amqp10,
    /// A protocol header of AMQP that is neither.
    AmqpOther,
    /// An MQTT CONNECT packet.
    Mqtt,
    /// A STOMP CONNECT frame.
    Stomp,
    /// An OpenWire WIREFORMAT_INFO command.
    OpenWire,
    /// The PROXY protocol of a load balancer.
    Proxy,
    /// None of these.
    Unknown,
}

impl FirstBytes {
    /// Most bytes that a guess needs: the HTTP/2 preface has 24.
    pub const NEEDED_BYTES: usize = 24;

    /// Whether these are bytes of HTTP, or could still become so.
    pub fn may_be_http(self) -> bool {
        matches!(self, Self::Http1 | Self::Http2 | Self::Unknown)
    }

    /// Looks at what a client sent first. `None`: these bytes could still become several things.
    pub fn look(bytes: &[u8]) -> Option<Self> {
        let guess = Self::guess(bytes);
        (guess != Self::Unknown || bytes.len() >= Self::NEEDED_BYTES).then_some(guess)
    }

    /// The best guess at what will not grow any more.
    pub fn guess(bytes: &[u8]) -> Self {
        let starts = |prefixes: &[&[u8]]| prefixes.iter().any(|prefix| bytes.starts_with(prefix));
        match bytes {
            // RFC 8446 §5.1: handshake record, version 3.x; §4: client hello.
            [0x16, 0x03, _, _, _, 0x01, ..] => Self::Tls,
            [b'A', b'M', b'Q', b'P', 0, 0, 9, 1, ..] => Self::Amqp091,
            [b'A', b'M', b'Q', b'P', 0 | 3, 1, 0, 0, ..] => Self::Amqp10,
            [b'A', b'M', b'Q', b'P', _, _, _, _, ..] => Self::AmqpOther,
            _ if bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") => Self::Http2,
            // HTTP CONNECT has a target where STOMP has a line end.
            _ if starts(&STOMP_COMMANDS) => Self::Stomp,
            _ if starts(&HTTP_METHODS) => Self::Http1,
            _ if starts(&[b"PROXY TCP", b"PROXY UNKNOWN", b"\r\n\r\n\0\r\nQUIT\n"]) => Self::Proxy,
            [0x10, rest @ ..] if mqtt_name(rest).is_some() => Self::Mqtt,
            // Length, type 1 (WIREFORMAT_INFO), magic.
            [_, _, _, _, 1, magic @ ..] if magic.starts_with(b"ActiveMQ") => Self::OpenWire,
            _ => Self::Unknown,
        }
    }
}

impl FirstBytes {
    /// What somebody can do whose client came to the wrong listener.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Tls => "TLS is not served yet: connect without it",
            Self::Http1 | Self::Http2 => "HTTP: the AWS gateway is on listeners.aws",
            Self::Amqp091 => "AMQP 0-9-1 is on listeners.amqp",
            Self::Amqp10 | Self::AmqpOther => {
                "this version of AMQP: no such door yet, 0-9-1 is on listeners.amqp"
            }
            Self::Mqtt => "MQTT: no such door yet",
            Self::Stomp => "STOMP: no such door yet",
            Self::OpenWire => "OpenWire: no such door yet",
            Self::Proxy => "the PROXY protocol is not read: let the load balancer send none",
            Self::Unknown => "look at the address that the client is given",
        }
    }
}

/// The protocol name of an MQTT CONNECT, behind a remaining length of one to four bytes.
fn mqtt_name(bytes: &[u8]) -> Option<()> {
    let length_bytes = bytes.iter().take(4).position(|byte| byte & 0x80 == 0)? + 1;
    let name = bytes.get(length_bytes..)?;
    (name.starts_with(b"\0\x04MQTT") || name.starts_with(b"\0\x06MQIsdp")).then_some(())
}

impl fmt::Display for FirstBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls => "TLS",
            Self::Http1 => "HTTP",
            Self::Http2 => "HTTP/2",
            Self::Amqp091 => "AMQP 0-9-1",
            Self::Amqp10 => "AMQP 1.0",
            Self::AmqpOther => "an AMQP version other than 0-9-1 and 1.0",
            Self::Mqtt => "MQTT",
            Self::Stomp => "STOMP",
            Self::OpenWire => "OpenWire",
            Self::Proxy => "the PROXY protocol of a load balancer",
            Self::Unknown => "no protocol that the broker knows",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// First bytes as real clients send them.
    const CLIENTS: [(&[u8], FirstBytes); 14] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", FirstBytes::Tls),
        (b"GET / HTTP/1.1\r\n", FirstBytes::Http1),
        (b"POST / HTTP/1.1\r\n", FirstBytes::Http1),
        (b"CONNECT example.com:443 HTTP/1.1\r\n", FirstBytes::Http1),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", FirstBytes::Http2),
        (b"AMQP\0\0\x09\x01", FirstBytes::Amqp091),
        (b"AMQP\x03\x01\0\0", FirstBytes::Amqp10),
        (b"AMQP\0\x01\0\0", FirstBytes::Amqp10),
        (b"AMQP\x01\x01\x08\0", FirstBytes::AmqpOther),
        (b"\x10\x10\0\x04MQTT\x04\x02", FirstBytes::Mqtt),
        (b"\x10\xff\x01\0\x06MQIsdp\x03", FirstBytes::Mqtt),
        (b"CONNECT\naccept-version:1.2\n", FirstBytes::Stomp),
        (b"\0\0\0\xf0\x01ActiveMQ\0\0\0\x0c", FirstBytes::OpenWire),
        (b"PROXY TCP4 192.0.2.1", FirstBytes::Proxy),
    ];

    #[test]
    fn clients_are_told_apart() {
        for (bytes, expected) in CLIENTS {
            assert_eq!(FirstBytes::look(bytes), Some(expected), "{bytes:?}");
        }
        assert_eq!(
            FirstBytes::look(b"SSH-2.0-OpenSSH_9.2p1 Debian-2"),
            Some(FirstBytes::Unknown)
        );
    }

    #[test]
    fn a_prefix_is_not_taken_for_something_else() {
        for (bytes, expected) in CLIENTS {
            for end in 0..bytes.len() {
                let look = FirstBytes::look(&bytes[..end]);
                assert!(
                    look.is_none() || look == Some(expected),
                    "{:?}",
                    &bytes[..end]
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_guess(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = FirstBytes::look(&bytes);
        }
    }
}
