//! Frames: where one ends and the next begins (0-9-1 §2.3.5, §4.2.3).
//!
//! ```text
//! 0      1         3             7                  size+7
//! +------+---------+-------------+------------------+------+
//! | type | channel | size         | payload ...      | 0xCE |
//! +------+---------+-------------+------------------+------+
//!   octet  short     long          size octets        octet
//! ```

use bytes::BufMut;

use super::error::CodecError;
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
    let Some(head) = next_head(input, frame_max)? else {
        return Ok(None);
    };
    let rest = input.get(FRAME_HEAD_BYTES..).unwrap_or_default();
    let Some((payload, tail)) = rest.split_at_checked(head.size) else {
        return Ok(None);
    };
    match tail.first() {
        None => Ok(None),
        Some(&octet) => check_end(octet).map(|()| {
            Some(RawFrame {
                kind: head.kind,
                channel: head.channel,
                payload,
            })
        }),
    }
}

/// The first seven octets of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// What the payload is.
    pub kind: FrameKind,
    /// Channel number.
    pub channel: u16,
    /// Octets of the payload.
    pub size: usize,
}

/// Reads the head of the first frame of `input`, for whoever takes its payload as it comes.
///
/// # Errors
/// As [`next_frame`].
pub fn next_head(input: &[u8], frame_max: u32) -> Result<Option<FrameHead>, CodecError> {
    let Some(&octet) = input.first() else {
        return Ok(None);
    };
    let kind = FrameKind::from_octet(octet)?;
    let Some((head, _)) = input.split_first_chunk::<FRAME_HEAD_BYTES>() else {
        return Ok(None);
    };
    let [_, c1, c0, s3, s2, s1, s0] = *head;
    let channel = u16::from_be_bytes([c1, c0]);
    let size = u32::from_be_bytes([s3, s2, s1, s0]);
    check_head(kind, channel, size, frame_max)?;
    Ok(Some(FrameHead {
        kind,
        channel,
        size: to_usize(size),
    }))
}

/// Judges the octet behind a payload.
///
/// # Errors
/// [`CodecError::BadFrameEnd`].
pub const fn check_end(octet: u8) -> Result<(), CodecError> {
    match octet {
        FRAME_END => Ok(()),
        other => Err(CodecError::BadFrameEnd(other)),
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
    fn a_payload_always_has_room() {
        assert_eq!(max_payload(131_072), 131_064);
        assert_eq!(max_payload(4096), 4088);
        assert_eq!(max_payload(0), 131_064);
        assert_eq!(max_payload(7), 4088);
    }
}
