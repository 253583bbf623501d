//! The properties of a content (0-9-1 §4.2.6.1), kept as the bytes that were sent.
//!
//! ```text
//! 0           2
//! +-----------+----------------------------------------------------------+
//! | flags     | the values whose flag is set, highest flag first, packed |
//! +-----------+----------------------------------------------------------+
//!   bit 15 content-type   short     bit 8 expiration  short
//!   bit 14 -encoding      short     bit 7 message-id  short
//!   bit 13 headers        table     bit 6 timestamp   longlong
//!   bit 12 delivery-mode  octet     bit 5 type        short
//!   bit 11 priority       octet     bit 4 user-id     short
//!   bit 10 correlation-id short     bit 3 app-id      short
//!   bit 9  reply-to       short     bit 2 cluster-id  short
//!   bit 1  unused                   bit 0 another flag word follows
//! ```
//!
//! A consumer gets the publisher's bytes, so nothing is decoded for it. What the broker wants to
//! know is found by skipping what stands before it: no allocation, at most thirteen length octets.

mod fields;
mod rewrite;

pub use fields::PropertyFields;
pub use rewrite::Rewrite;
pub use rewrite::with_headers;
pub use rewrite::without_expiration;

use super::error::CodecError;
use super::field::RawTable;
use super::text::ShortStr;
use super::wire::Reader;

/// Flags of the properties, by name.
mod flag {
    pub(super) const CONTENT_TYPE: u16 = 1 << 15;
    pub(super) const CONTENT_ENCODING: u16 = 1 << 14;
    pub(super) const HEADERS: u16 = 1 << 13;
    pub(super) const DELIVERY_MODE: u16 = 1 << 12;
    pub(super) const PRIORITY: u16 = 1 << 11;
    pub(super) const CORRELATION_ID: u16 = 1 << 10;
    pub(super) const REPLY_TO: u16 = 1 << 9;
    pub(super) const EXPIRATION: u16 = 1 << 8;
    pub(super) const MESSAGE_ID: u16 = 1 << 7;
    pub(super) const TIMESTAMP: u16 = 1 << 6;
    pub(super) const TYPE: u16 = 1 << 5;
    pub(super) const USER_ID: u16 = 1 << 4;
    pub(super) const APP_ID: u16 = 1 << 3;
    pub(super) const CLUSTER_ID: u16 = 1 << 2;
    /// Class basic has fourteen properties, so neither the fifteenth flag nor a second word of
    /// flags can mean anything.
    pub(super) const UNKNOWN: u16 = 0b11;
    /// All properties in the order of the wire.
    pub(super) const ALL: [u16; 14] = [
        CONTENT_TYPE,
        CONTENT_ENCODING,
        HEADERS,
        DELIVERY_MODE,
        PRIORITY,
        CORRELATION_ID,
        REPLY_TO,
        EXPIRATION,
        MESSAGE_ID,
        TIMESTAMP,
        TYPE,
        USER_ID,
        APP_ID,
        CLUSTER_ID,
    ];
}

/// Flags and property list of one content, borrowed.
///
/// INVARIANT: the list is what the flags say and nothing else, and the header table is
/// well-formed, if [`parse`](Self::parse) made it. On other bytes every answer is `None`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Properties<'a> {
    flags: u16,
    list: &'a [u8],
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// No properties at all, as bytes.
    pub const NONE: &'static [u8] = &[0, 0];

    /// Validates the bytes of a header frame from the flags on.
    ///
    /// # Errors
    /// 502 when flags and list do not match, or the header table is malformed.
    pub fn parse(raw: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = Reader::new(raw);
        let flags = reader.u16("property flags")?;
        if flags & flag::UNKNOWN != 0 {
            return Err(CodecError::UnknownProperties(flags));
        }
        let list = reader.rest();
        for property in set_flags(flags) {
            if property == flag::HEADERS {
                RawTable::parse(reader.long("headers")?)?;
            } else {
                skip(&mut reader, property)?;
            }
        }
        reader.finish()?;
        Ok(Self { flags, list, raw })
    }

    /// Wraps bytes that [`parse`](Self::parse) accepted earlier, such as a stored head, without
    /// walking over them again.
    pub fn of_validated(raw: &'a [u8]) -> Self {
        match raw.split_first_chunk::<2>() {
            Some((flags, list)) => Self {
                flags: u16::from_be_bytes(*flags),
                list,
                raw,
            },
            None => Self {
                flags: 0,
                list: &[],
                raw,
            },
        }
    }

    /// Flags and list, as sent.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.raw
    }

    /// MIME type of the body.
    pub fn content_type(self) -> Option<ShortStr<'a>> {
        self.short(flag::CONTENT_TYPE)
    }

    /// Encoding of the body, such as `gzip`.
    pub fn content_encoding(self) -> Option<ShortStr<'a>> {
        self.short(flag::CONTENT_ENCODING)
    }

    /// The header table.
    pub fn headers(self) -> Option<RawTable<'a>> {
        let entries = self.locate(flag::HEADERS)?.long("headers").ok()?;
        Some(RawTable::of_validated(entries))
    }

    /// 2 for a persistent message; 1, anything else or nothing for a transient one.
    pub fn delivery_mode(self) -> Option<u8> {
        self.locate(flag::DELIVERY_MODE)?.u8("delivery-mode").ok()
    }

    /// Whether the publisher asked for persistence.
    pub fn is_persistent(self) -> bool {
        self.delivery_mode() == Some(2)
    }

    /// Priority; the queue decides how many levels it knows.
    pub fn priority(self) -> Option<u8> {
        self.locate(flag::PRIORITY)?.u8("priority").ok()
    }

    /// What ties a reply to its request.
    pub fn correlation_id(self) -> Option<ShortStr<'a>> {
        self.short(flag::CORRELATION_ID)
    }

    /// The queue for replies.
    pub fn reply_to(self) -> Option<ShortStr<'a>> {
        self.short(flag::REPLY_TO)
    }

    /// Milliseconds to live, in decimal digits.
    pub fn expiration(self) -> Option<ShortStr<'a>> {
        self.short(flag::EXPIRATION)
    }

    /// The application's name for the message.
    pub fn message_id(self) -> Option<ShortStr<'a>> {
        self.short(flag::MESSAGE_ID)
    }

    /// The application's time, in seconds since 1970.
    pub fn timestamp(self) -> Option<u64> {
        self.locate(flag::TIMESTAMP)?.u64("timestamp").ok()
    }

    /// The application's name for the kind of message.
    pub fn kind(self) -> Option<ShortStr<'a>> {
        self.short(flag::TYPE)
    }

    /// The user that published, which the broker vouches for.
    pub fn user_id(self) -> Option<ShortStr<'a>> {
        self.short(flag::USER_ID)
    }

    /// The application that published.
    pub fn app_id(self) -> Option<ShortStr<'a>> {
        self.short(flag::APP_ID)
    }

    /// Reserved by 0-9-1, used by nobody, handed on.
    pub fn cluster_id(self) -> Option<ShortStr<'a>> {
        self.short(flag::CLUSTER_ID)
    }

    /// Whether there is an expiration, without looking for it.
    pub const fn has_expiration(self) -> bool {
        self.flags & flag::EXPIRATION != 0
    }

    /// All fourteen, for a mapping that wants most of them.
    pub fn fields(self) -> PropertyFields<'a> {
        PropertyFields {
            content_type: self.content_type(),
            content_encoding: self.content_encoding(),
            headers: self.headers(),
            delivery_mode: self.delivery_mode(),
            priority: self.priority(),
            correlation_id: self.correlation_id(),
            reply_to: self.reply_to(),
            expiration: self.expiration(),
            message_id: self.message_id(),
            timestamp: self.timestamp(),
            kind: self.kind(),
            user_id: self.user_id(),
            app_id: self.app_id(),
            cluster_id: self.cluster_id(),
        }
    }

    /// A reader at the value of a property; `None` when its flag is not set.
    fn locate(self, wanted: u16) -> Option<Reader<'a>> {
        if self.flags & wanted == 0 {
            return None;
        }
        let mut reader = Reader::new(self.list);
        for property in set_flags(self.flags).take_while(|flag| *flag != wanted) {
            skip(&mut reader, property).ok()?;
        }
        Some(reader)
    }

    fn short(self, wanted: u16) -> Option<ShortStr<'a>> {
        let bytes = self.locate(wanted)?.short("property").ok()?;
        ShortStr::new(bytes).ok()
    }
}

impl std::fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.fields().fmt(f)
    }
}

/// The flags that are set, in the order of the wire. Most contents have one or two of the fourteen.
fn set_flags(mut flags: u16) -> impl Iterator<Item = u16> {
    std::iter::from_fn(move || {
        let highest = flag::CONTENT_TYPE.checked_shr(flags.leading_zeros())?;
        flags ^= highest;
        Some(highest)
    })
}

/// Moves over the value of a property.
fn skip(reader: &mut Reader<'_>, property: u16) -> Result<(), CodecError> {
    match property {
        flag::HEADERS => reader.long("headers").map(drop),
        flag::DELIVERY_MODE => reader.u8("delivery-mode").map(drop),
        flag::PRIORITY => reader.u8("priority").map(drop),
        flag::TIMESTAMP => reader.u64("timestamp").map(drop),
        _ => reader.short("property").map(drop),
    }
}

#[cfg(test)]
mod tests;
