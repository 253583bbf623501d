//! The protocol header: eight octets before the first frame (0-9-1 §4.2.2).
//!
//! ```text
//! 0                        4          5       6       7
//! +-----+-----+-----+-----+----------+-------+-------+----------+
//! | 'A' | 'M' | 'Q' | 'P' | 0        | 0     | 9     | 1        |
//! +-----+-----+-----+-----+----------+-------+-------+----------+
//!                           id         major   minor   revision
//! ```
//!
//! Other versions fill the last four differently, and other protocols send something else: which
//! is told apart here, so that the log can name the mistake.

/// What a client sends first, and what a server sends to a client of another version (§4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// What the first octets of a connection turn out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// `AMQP 0 0 9 1`: go on.
    Amqp091,
    /// `AMQP id 1 0 0`: AMQP 1.0; id 0 is plain, 2 TLS, 3 SASL.
    Amqp10 {
        /// Protocol id of AMQP 1.0 §2.2.
        id: u8,
    },
    /// `AMQP 1 1 8 0`: AMQP 0-8, or `AMQP 1 1 0 9`: AMQP 0-9.
    Amqp08Or09,
    /// `AMQP 1 1 0 10`: AMQP 0-10.
    Amqp010,
    /// Another version of AMQP, by the four octets behind the name.
    OtherAmqp([u8; 4]),
    /// A TLS handshake on a plain port.
    Tls,
    /// An HTTP request on this port.
    Http,
    /// Something else.
    Foreign,
}

impl Greeting {
    /// Octets of a whole protocol header.
    pub const BYTES: usize = PROTOCOL_HEADER.len();

    /// Judges the first octets of a connection: `None` while they may still become a header.
    pub fn recognize(input: &[u8]) -> Option<Self> {
        if let Some(&[b'A', b'M', b'Q', b'P', a, b, c, d]) = input.first_chunk::<{ Self::BYTES }>()
        {
            return Some(Self::of_version([a, b, c, d]));
        }
        if input.starts_with(b"AMQP") || b"AMQP".starts_with(input) {
            return None;
        }
        Self::of_stranger(input)
    }

    fn of_version(version: [u8; 4]) -> Self {
        match version {
            [0, 0, 9, 1] => Self::Amqp091,
            [id, 1, 0, 0] => Self::Amqp10 { id },
            [1, 1, 8, 0] | [1, 1, 0, 9] => Self::Amqp08Or09,
            [1, 1, 0, 10] => Self::Amqp010,
            other => Self::OtherAmqp(other),
        }
    }

    /// Names the usual mistakes, so that the log can.
    fn of_stranger(input: &[u8]) -> Option<Self> {
        const METHODS: [&[u8]; 8] = [
            b"GET ",
            b"POST ",
            b"PUT ",
            b"HEAD ",
            b"DELETE ",
            b"OPTIONS ",
            b"PATCH ",
            b"PRI * ",
        ];
        // A TLS record: handshake, then the major version of SSL 3 and all TLS (RFC 8446 §5.1).
        const HANDSHAKE: &[u8] = &[0x16, 0x03];
        if input.starts_with(HANDSHAKE) {
            return Some(Self::Tls);
        }
        if METHODS.iter().any(|method| input.starts_with(method)) {
            return Some(Self::Http);
        }
        let may_become = |known: &[u8]| known.starts_with(input);
        if may_become(HANDSHAKE) || METHODS.into_iter().any(may_become) {
            return None;
        }
        Some(Self::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greeting_names_what_came_instead() {
        let table: [(&[u8], Option<Greeting>); 16] = [
            (b"", None),
            (b"AMQ", None),
            (b"AMQP\0\0\x09", None),
            (b"AMQP\0\0\x09\x01rest", Some(Greeting::Amqp091)),
            (b"AMQP\0\x01\0\0", Some(Greeting::Amqp10 { id: 0 })),
            (b"AMQP\x03\x01\0\0", Some(Greeting::Amqp10 { id: 3 })),
            (b"AMQP\x01\x01\x08\0", Some(Greeting::Amqp08Or09)),
            (b"AMQP\x01\x01\0\x09", Some(Greeting::Amqp08Or09)),
            (b"AMQP\x01\x01\0\x0a", Some(Greeting::Amqp010)),
            (
                b"AMQP\x09\x09\x09\x09",
                Some(Greeting::OtherAmqp([9, 9, 9, 9])),
            ),
            (b"\x16", None),
            (b"\x16\x03\x01", Some(Greeting::Tls)),
            (b"GE", None),
            (b"GET / HTTP/1.1", Some(Greeting::Http)),
            (b"\x10\x0c\0\x04MQTT", Some(Greeting::Foreign)),
            (b"AMX", Some(Greeting::Foreign)),
        ];
        for (input, expected) in table {
            assert_eq!(
                Greeting::recognize(input),
                expected,
                "{}",
                input.escape_ascii()
            );
        }
    }
}
