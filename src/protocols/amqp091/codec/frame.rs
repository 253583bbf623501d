//! Frames: where one ends and the next begins (0-9-1 §2.3.5, §4.2.3).
//!
//! ```text
//! 0      1         3             7                  size+7
//! +------+---------+-------------+------------------+------+
//! | type | channel | size         | payload ...      | 0xCE |
//! +------+---------+-------------+------------------+------+
//!   octet  short     long          size octets        octet
//! ```
//!
//! A connection opens with eight octets of another shape, the protocol header: `AMQP 0 0 9 1`.

use bytes::BufMut;

use super::error::CodecError;
use super::wire::Reader;
use super::wire::to_u32;
use super::wire::to_usize;

/// Octets before the payload.
pub const FRAME_HEAD_BYTES: usize = 7;

/// Octets around the payload: [`FRAME_HEAD_BYTES`] and the end octet.
pub const FRAME_OVERHEAD_BYTES: u32 = 8;

/// The octet that ends every frame.
pub const FRAME_END: u8 = 0xCE;

/// The smallest frame size that may be negotiated, and the limit before tuning (0-9-1 §4.9).
pub const FRAME_MIN_BYTES: u32 = 4096;

/// What a client sends first, and what a server sends to a client of another version (§4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// Type 1.
    Method,
    /// Type 2: a content header.
    Header,
    /// Type 3: a piece of a body.
    Body,
    /// Type 8; always empty and on channel 0.
    Heartbeat,
}

impl FrameKind {
    /// The type octet.
    pub const fn octet(self) -> u8 {
        match self {
            Self::Method => 1,
            Self::Header => 2,
            Self::Body => 3,
            Self::Heartbeat => 8,
        }
    }

    /// Reads a type octet.
    ///
    /// # Errors
    /// [`CodecError::UnknownFrameType`].
    pub const fn from_octet(octet: u8) -> Result<Self, CodecError> {
        match octet {
            1 => Ok(Self::Method),
            2 => Ok(Self::Header),
            3 => Ok(Self::Body),
            8 => Ok(Self::Heartbeat),
            other => Err(CodecError::UnknownFrameType(other)),
        }
    }
}

/// One whole frame, borrowed from the read buffer.
///
/// The payload starts [`FRAME_HEAD_BYTES`] behind the frame's first octet; a session that owns the
/// buffer as `Bytes` makes a counted slice of it with `Bytes::slice_ref`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFrame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// Channel number; 0 is the connection itself.
    pub channel: u16,
    /// What stands between the size word and the end octet.
    pub payload: &'a [u8],
}

impl RawFrame<'_> {
    /// Octets that the frame takes in the read buffer.
    pub const fn wire_len(&self) -> usize {
        FRAME_HEAD_BYTES + self.payload.len() + 1
    }
}

/// Reads the first frame of `input`: `None` when more bytes must come first.
///
/// The caller advances by [`RawFrame::wire_len`]. `frame_max` is the negotiated size of a whole
/// frame; the type and the size word are judged as soon as they are there, so an oversized frame is
/// refused before a byte of it is waited for.
///
/// # Errors
/// Faults of the frame itself; after one the connection cannot be read any further.
pub fn next_frame(input: &[u8], frame_max: u32) -> Result<Option<RawFrame<'_>>, CodecError> {
    let Some(&octet) = input.first() else {
        return Ok(None);
    };
    let kind = FrameKind::from_octet(octet)?;
    let Some((head, rest)) = input.split_first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(None);
    };
    let [_, c1, c0, s3, s2, s1, s0] = *head;
    let channel = u16::from_be_bytes([c1, c0]);
    let size = u32::from_be_bytes([s3, s2, s1, s0]);
    check_head(kind, channel, size, frame_max)?;
    let Some((payload, tail)) = rest.split_at_checked(to_usize(size)) else {
        return Ok(None);
    };
    match tail.first() {
        None => Ok(None),
        Some(&FRAME_END) => Ok(Some(RawFrame {
            kind,
            channel,
            payload,
        })),
        Some(&other) => Err(CodecError::BadFrameEnd(other)),
    }
}

/// Judges a frame by its first seven octets.
fn check_head(kind: FrameKind, channel: u16, size: u32, frame_max: u32) -> Result<(), CodecError> {
    // By the specification the payload may take frame_max - 8 (§4.2.3). Clients exist that count
    // the payload only, and RabbitMQ lets them: eight octets of slack.
    if size > frame_max {
        return Err(CodecError::FrameTooLarge { size, frame_max });
    }
    if kind == FrameKind::Heartbeat {
        if channel != 0 {
            return Err(CodecError::HeartbeatChannel(channel));
        }
        if size != 0 {
            return Err(CodecError::HeartbeatPayload(size));
        }
    }
    Ok(())
}

/// Walks over all whole frames of a buffer and knows how much of it they took.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    input: &'a [u8],
    consumed: usize,
    frame_max: u32,
    failed: bool,
}

impl<'a> Frames<'a> {
    /// Starts at the first byte of `input`.
    pub const fn new(input: &'a [u8], frame_max: u32) -> Self {
        Self {
            input,
            consumed: 0,
            frame_max,
            failed: false,
        }
    }

    /// Octets of the frames handed out so far; what is behind them is not whole yet.
    pub const fn consumed(&self) -> usize {
        self.consumed
    }

    /// Changes the limit from the next frame on: tune-ok arrives in the middle of a buffer.
    pub const fn set_frame_max(&mut self, frame_max: u32) {
        self.frame_max = frame_max;
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<RawFrame<'a>, CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let rest = self.input.get(self.consumed..)?;
        match next_frame(rest, self.frame_max) {
            Ok(None) => None,
            Ok(Some(frame)) => {
                self.consumed += frame.wire_len();
                Some(Ok(frame))
            }
            Err(error) => {
                self.failed = true;
                Some(Err(error))
            }
        }
    }
}

/// The seven octets before a payload: for writers that send the payload from elsewhere.
pub fn frame_head(kind: FrameKind, channel: u16, payload_len: usize) -> [u8; FRAME_HEAD_BYTES] {
    let [c1, c0] = channel.to_be_bytes();
    let [s3, s2, s1, s0] = to_u32(payload_len).to_be_bytes();
    [kind.octet(), c1, c0, s3, s2, s1, s0]
}

/// Appends a whole frame.
pub fn write_frame(out: &mut impl BufMut, kind: FrameKind, channel: u16, payload: &[u8]) {
    out.put_slice(&frame_head(kind, channel, payload.len()));
    out.put_slice(payload);
    out.put_u8(FRAME_END);
}

/// Appends a heartbeat.
pub fn write_heartbeat(out: &mut impl BufMut) {
    write_frame(out, FrameKind::Heartbeat, 0, &[]);
}

/// Most payload that one frame may carry to the peer; 0, "no limit" on the wire, is 128 KiB.
pub const fn max_payload(frame_max: u32) -> u32 {
    const UNLIMITED: u32 = 131_072;
    let frame_max = match frame_max {
        0 => UNLIMITED,
        // Tuning refuses less than the minimum; a body must get on whatever happened there.
        less if less < FRAME_MIN_BYTES => FRAME_MIN_BYTES,
        agreed => agreed,
    };
    frame_max - FRAME_OVERHEAD_BYTES
}

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

/// Reads the class and method ids of a method frame's payload: for the close that answers it.
pub fn method_ids(payload: &[u8]) -> Option<(u16, u16)> {
    let mut reader = Reader::new(payload);
    Some((reader.u16("class").ok()?, reader.u16("method").ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 131_072;

    #[test]
    fn amqp_4_2_3_oversized_frame_is_refused_by_its_head() {
        let head = frame_head(FrameKind::Body, 1, 131_073);
        assert_eq!(
            next_frame(&head, LIMIT),
            Err(CodecError::FrameTooLarge {
                size: 131_073,
                frame_max: LIMIT
            })
        );
        // Eight octets of slack, as in RabbitMQ.
        let head = frame_head(FrameKind::Body, 1, 131_072);
        assert_eq!(next_frame(&head, LIMIT), Ok(None));
    }

    #[test]
    fn amqp_4_2_3_wrong_end_octet_is_a_frame_error() {
        let bytes = [1, 0, 0, 0, 0, 0, 1, 0xAA, 0xCD];
        let error = next_frame(&bytes, LIMIT).unwrap_err();
        assert_eq!(error, CodecError::BadFrameEnd(0xCD));
        assert_eq!(error.reply_code().code(), 501);
    }

    #[test]
    fn unknown_type_is_refused_at_the_first_octet() {
        assert_eq!(
            next_frame(b"A", LIMIT),
            Err(CodecError::UnknownFrameType(b'A'))
        );
    }

    #[test]
    fn amqp_4_2_7_heartbeat_is_empty_and_on_channel_zero() {
        let mut out = Vec::new();
        write_heartbeat(&mut out);
        assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, 0xCE]);
        let on_channel = [8, 0, 5, 0, 0, 0, 0, 0xCE];
        let error = next_frame(&on_channel, LIMIT).unwrap_err();
        assert_eq!(error.reply_code().code(), 505);
        let with_payload = [8, 0, 0, 0, 0, 0, 1];
        let error = next_frame(&with_payload, LIMIT).unwrap_err();
        assert_eq!(error.reply_code().code(), 501);
    }

    #[test]
    fn frames_stop_at_the_first_incomplete_one() {
        let mut out = Vec::new();
        write_frame(&mut out, FrameKind::Method, 1, b"abcd");
        write_frame(&mut out, FrameKind::Body, 2, b"");
        let whole = out.len();
        out.extend_from_slice(&[3, 0, 1]);
        let mut frames = Frames::new(&out, LIMIT);
        let kinds: Vec<_> = frames.by_ref().map(|frame| frame.unwrap().kind).collect();
        assert_eq!(kinds, [FrameKind::Method, FrameKind::Body]);
        assert_eq!(frames.consumed(), whole);
    }

    #[test]
    fn frames_give_an_error_once() {
        let mut frames = Frames::new(&[9], LIMIT);
        assert!(frames.next().unwrap().is_err());
        assert!(frames.next().is_none());
    }

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

    #[test]
    fn a_payload_always_has_room() {
        assert_eq!(max_payload(131_072), 131_064);
        assert_eq!(max_payload(4096), 4088);
        assert_eq!(max_payload(0), 131_064);
        assert_eq!(max_payload(7), 4088);
    }
}
