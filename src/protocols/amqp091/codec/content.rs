//! Content: a header frame, then the body in as many frames as it takes (0-9-1 §4.2.6).
//!
//! ```text
//! 0          2        4                    12
//! +----------+--------+--------------------+-----------------------+
//! | class 60 | weight | body size           | flags, property list  |
//! +----------+--------+--------------------+-----------------------+
//!   short      short 0  longlong              see `properties`
//! ```

use bytes::BufMut;

use super::error::CodecError;
use super::frame::FRAME_END;
use super::frame::FrameKind;
use super::frame::frame_head;
use super::frame::max_payload;
use super::frame::write_frame;
use super::properties::Properties;
use super::wire::Reader;
use super::wire::to_usize;

/// The only class that carries content.
const CLASS_BASIC: u16 = 60;

/// Octets of a content header before the property flags.
pub const CONTENT_HEAD_BYTES: usize = 12;

/// The payload of a header frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentHeader<'a> {
    /// Octets that the body frames will carry together.
    pub body_size: u64,
    /// Flags and property list, as sent.
    pub properties: Properties<'a>,
}

impl<'a> ContentHeader<'a> {
    /// Reads the payload of a header frame and validates its properties.
    ///
    /// # Errors
    /// 505 for a class or weight that cannot be, 502 for malformed properties.
    pub fn decode(payload: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(payload);
        let class = reader.u16("class")?;
        if class != CLASS_BASIC {
            return Err(CodecError::ContentClass(class));
        }
        let weight = reader.u16("weight")?;
        if weight != 0 {
            return Err(CodecError::ContentWeight(weight));
        }
        Ok(Self {
            body_size: reader.u64("body-size")?,
            properties: Properties::parse(reader.rest())?,
        })
    }
}

/// Appends a header frame for a body of `body_size` octets; `properties` are flags and list.
pub fn write_content_header(
    out: &mut impl BufMut,
    channel: u16,
    body_size: u64,
    properties: &[u8],
) {
    let len = CONTENT_HEAD_BYTES + properties.len();
    out.put_slice(&frame_head(FrameKind::Header, channel, len));
    out.put_u16(CLASS_BASIC);
    out.put_u16(0);
    out.put_u64(body_size);
    out.put_slice(properties);
    out.put_u8(FRAME_END);
}

/// Appends a body, given in pieces, in frames of at most `frame_max` octets.
///
/// A frame never spans two pieces (they come from different reads or chunk records, and joining
/// them would need their sum first); an empty piece makes no frame, so an empty body has none.
pub fn write_body_frames<'a>(
    out: &mut impl BufMut,
    channel: u16,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    frame_max: u32,
) {
    for piece in pieces {
        for payload in body_payloads(piece, frame_max) {
            write_frame(out, FrameKind::Body, channel, payload);
        }
    }
}

/// Cuts a piece of a body into the payloads of its frames: for vectored writers, together with
/// [`frame_head`] and [`FRAME_END`].
pub fn body_payloads(piece: &[u8], frame_max: u32) -> impl Iterator<Item = &[u8]> {
    piece.chunks(to_usize(max_payload(frame_max)))
}

#[cfg(test)]
mod tests {
    use super::super::frame::Frames;
    use super::*;

    #[test]
    fn amqp_4_2_6_1_class_and_weight_are_checked() {
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0];
        let decoded = ContentHeader::decode(&header).unwrap();
        assert_eq!(decoded.body_size, 5);
        header[1] = 50;
        let error = ContentHeader::decode(&header).unwrap_err();
        assert_eq!(error, CodecError::ContentClass(50));
        header[1] = 60;
        header[3] = 1;
        let error = ContentHeader::decode(&header).unwrap_err();
        assert_eq!(error, CodecError::ContentWeight(1));
        assert_eq!(error.reply_code().code(), 505);
    }

    #[test]
    fn a_body_is_cut_at_the_frame_size_and_at_its_pieces() {
        let big = vec![7; 4088 + 1];
        let mut out = Vec::new();
        write_body_frames(&mut out, 3, [&big[..], b"", b"tail"], 4096);
        let sizes: Vec<usize> = Frames::new(&out, 4096)
            .map(|frame| frame.unwrap().payload.len())
            .collect();
        assert_eq!(sizes, [4088, 1, 4]);
    }

    #[test]
    fn an_empty_body_has_no_frame() {
        let mut out = Vec::new();
        write_body_frames(&mut out, 1, [&b""[..]], 4096);
        assert!(out.is_empty());
    }
}
