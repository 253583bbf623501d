//! All properties side by side: what a mapping reads, and what it fills in for a message that came
//! through another door.

use bytes::BufMut;

use super::flag;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::Argument;

/// The fourteen properties of class basic, borrowed; `kind` is the property called type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PropertyFields<'a> {
    /// MIME type of the body.
    pub content_type: Option<ShortStr<'a>>,
    /// Encoding of the body.
    pub content_encoding: Option<ShortStr<'a>>,
    /// The header table.
    pub headers: Option<RawTable<'a>>,
    /// 2 for persistent.
    pub delivery_mode: Option<u8>,
    /// Priority.
    pub priority: Option<u8>,
    /// What ties a reply to its request.
    pub correlation_id: Option<ShortStr<'a>>,
    /// The queue for replies.
    pub reply_to: Option<ShortStr<'a>>,
    /// Milliseconds to live, in decimal digits.
    pub expiration: Option<ShortStr<'a>>,
    /// The application's name for the message.
    pub message_id: Option<ShortStr<'a>>,
    /// The application's time, in seconds since 1970.
    pub timestamp: Option<u64>,
    /// The application's name for the kind of message.
    pub kind: Option<ShortStr<'a>>,
    /// The user that published.
    pub user_id: Option<ShortStr<'a>>,
    /// The application that published.
    pub app_id: Option<ShortStr<'a>>,
    /// Reserved.
    pub cluster_id: Option<ShortStr<'a>>,
}

impl PropertyFields<'_> {
    /// Appends flags and property list: what [`Properties::parse`](super::Properties::parse) reads.
    pub fn write(&self, out: &mut impl BufMut) {
        out.put_u16(self.flags());
        put(out, self.content_type);
        put(out, self.content_encoding);
        put(out, self.headers);
        put(out, self.delivery_mode);
        put(out, self.priority);
        put(out, self.correlation_id);
        put(out, self.reply_to);
        put(out, self.expiration);
        put(out, self.message_id);
        put(out, self.timestamp);
        put(out, self.kind);
        put(out, self.user_id);
        put(out, self.app_id);
        put(out, self.cluster_id);
    }

    /// Flags and property list in a buffer of their own.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn flags(&self) -> u16 {
        let present = [
            (self.content_type.is_some(), flag::CONTENT_TYPE),
            (self.content_encoding.is_some(), flag::CONTENT_ENCODING),
            (self.headers.is_some(), flag::HEADERS),
            (self.delivery_mode.is_some(), flag::DELIVERY_MODE),
            (self.priority.is_some(), flag::PRIORITY),
            (self.correlation_id.is_some(), flag::CORRELATION_ID),
            (self.reply_to.is_some(), flag::REPLY_TO),
            (self.expiration.is_some(), flag::EXPIRATION),
            (self.message_id.is_some(), flag::MESSAGE_ID),
            (self.timestamp.is_some(), flag::TIMESTAMP),
            (self.kind.is_some(), flag::TYPE),
            (self.user_id.is_some(), flag::USER_ID),
            (self.app_id.is_some(), flag::APP_ID),
            (self.cluster_id.is_some(), flag::CLUSTER_ID),
        ];
        present
            .into_iter()
            .filter(|(is_there, _)| *is_there)
            .fold(0, |flags, (_, flag)| flags | flag)
    }
}

fn put<'a>(out: &mut impl BufMut, value: Option<impl Argument<'a>>) {
    if let Some(value) = value {
        value.write(out);
    }
}
