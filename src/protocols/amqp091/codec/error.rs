//! What can be wrong with bytes, and the reply code that each fault deserves.

use super::reply::ReplyCode;

/// A fault in what a peer sent, or in what this side was asked to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The size word announces more than the negotiated frame size.
    #[error("frame of {size} bytes is larger than the maximum of {frame_max}")]
    FrameTooLarge {
        /// Payload bytes announced by the frame.
        size: u32,
        /// Negotiated limit, in bytes.
        frame_max: u32,
    },
    /// The first octet of a frame is none of 1, 2, 3 and 8.
    #[error("unknown frame type {0}")]
    UnknownFrameType(u8),
    /// The octet behind the payload is not 0xCE.
    #[error("frame ends with octet {0:#04x} instead of 0xce")]
    BadFrameEnd(u8),
    /// A heartbeat carries a payload (0-9-1 §4.2.7).
    #[error("heartbeat frame with a payload of {0} bytes")]
    HeartbeatPayload(u32),
    /// A heartbeat came on a channel other than 0 (0-9-1 §4.2.7).
    #[error("heartbeat frame on channel {0}")]
    HeartbeatChannel(u16),
    /// The bytes end inside a field.
    #[error("'{field}' is cut short")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
    },
    /// Bytes are left behind the last field.
    #[error("{count} bytes too many after the last field")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A field value has a type octet that nobody defined.
    #[error("unknown field type {0:#04x}")]
    UnknownFieldType(u8),
    /// A table or array is nested more than [`MAX_DEPTH`](super::field::MAX_DEPTH) levels deep.
    #[error(
        "field table is nested more than {} levels deep",
        super::field::MAX_DEPTH
    )]
    TooDeep,
    /// A table holds more than [`MAX_VALUES`](super::field::MAX_VALUES) values, all levels counted.
    #[error("field table holds more than {} values", super::field::MAX_VALUES)]
    TooManyValues,
    /// A string that must be text is not UTF-8.
    #[error("'{field}' is not UTF-8")]
    NotUtf8 {
        /// The field that was being read.
        field: &'static str,
    },
    /// The property flags name properties that class basic does not have, or a second flag word.
    #[error("property flags {0:#06x} name unknown properties")]
    UnknownProperties(u16),
    /// No such method.
    #[error("unknown method {class}.{method}")]
    UnknownMethod {
        /// Class id.
        class: u16,
        /// Method id.
        method: u16,
    },
    /// A method that only a server sends came from a client, or the reverse.
    #[error("'{0}' is not a method for this peer to send")]
    WrongDirection(&'static str),
    /// A content header is not for class basic.
    #[error("expected content header for class 60, got one for class {0} instead")]
    ContentClass(u16),
    /// The weight of a content header is not zero (0-9-1 §4.2.6.1).
    #[error("content header has weight {0} instead of 0")]
    ContentWeight(u16),
    /// A short string of more than 255 bytes was to be encoded.
    #[error("short string of {0} bytes is longer than 255")]
    ShortStringTooLong(usize),
    /// A long string or table beyond [`MAX_LONG_BYTES`](super::text::MAX_LONG_BYTES).
    #[error("string or table of {0} bytes is too long")]
    LongStringTooLong(usize),
}

impl CodecError {
    /// The code for the close method that answers this fault; always a hard one.
    pub const fn reply_code(self) -> ReplyCode {
        match self {
            Self::FrameTooLarge { .. }
            | Self::UnknownFrameType(_)
            | Self::BadFrameEnd(_)
            | Self::HeartbeatPayload(_) => ReplyCode::FrameError,
            Self::Truncated { .. }
            | Self::TrailingBytes { .. }
            | Self::UnknownFieldType(_)
            | Self::TooDeep
            | Self::TooManyValues
            | Self::NotUtf8 { .. }
            | Self::UnknownProperties(_) => ReplyCode::SyntaxError,
            Self::UnknownMethod { .. } | Self::WrongDirection(_) => ReplyCode::CommandInvalid,
            // RabbitMQ answers a wrong class or weight with 505, the specification says 501
            // (0-9-1 §4.2.6.1); clients only ever saw RabbitMQ's.
            Self::HeartbeatChannel(_) | Self::ContentClass(_) | Self::ContentWeight(_) => {
                ReplyCode::UnexpectedFrame
            }
            // Nobody sent these: they are made here.
            Self::ShortStringTooLong(_) | Self::LongStringTooLong(_) => ReplyCode::InternalError,
        }
    }
}
