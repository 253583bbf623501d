//! Neutral values and properties: what a message says, in no protocol's words.

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;

/// A value of a property, with the types that at least one door tells apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Bool(bool),
    /// Signed, 8 bits.
    I8(i8),
    /// Signed, 16 bits.
    I16(i16),
    /// Signed, 32 bits.
    I32(i32),
    /// Signed, 64 bits.
    I64(i64),
    /// Unsigned, 8 bits.
    U8(u8),
    /// Unsigned, 16 bits.
    U16(u16),
    /// Unsigned, 32 bits.
    U32(u32),
    /// Unsigned, 64 bits.
    U64(u64),
    /// IEEE 754, 32 bits.
    F32(#[serde(with = "as_text")] f32),
    /// IEEE 754, 64 bits.
    F64(#[serde(with = "as_text")] f64),
    /// `unscaled` / 10^`scale`.
    Decimal {
        /// Decimal places.
        scale: u8,
        /// All digits.
        unscaled: i32,
    },
    /// A number whose text is all that is known of its type (SQS `Number`).
    Number(Box<str>),
    /// UTF-8 text.
    Text(Box<str>),
    /// Any bytes.
    Bytes(Bytes),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// Values in order.
    List(Vec<Value>),
    /// Names and values in order; names may repeat.
    Map(Vec<(Box<str>, Value)>),
}

/// Floats as text: JSON has no infinity and no NaN, and its numbers come back a digit off.
mod as_text {
    use std::borrow::Cow;
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::Deserialize;
    use serde::Deserializer;
    use serde::Serializer;
    use serde::de::Error;

    pub(super) fn serialize<F: Display, S: Serializer>(
        float: &F,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(float)
    }

    pub(super) fn deserialize<'de, F: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<F, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// The neutral view of a message's head: decoded from its origin at most once, when somebody needs it.
///
/// Priority, expiry, delay and durability are not here: they rule the broker and stand on the
/// [`crate::core::model::message::Message`] itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Properties {
    /// Identifies the message for its sender.
    pub message_id: Option<Box<str>>,
    /// What this message answers.
    pub correlation_id: Option<Box<str>>,
    /// Where to answer, as the sender's door printed it.
    pub reply_to: Option<Box<str>>,
    /// MIME type of the body.
    pub content_type: Option<Box<str>>,
    /// MIME content encoding of the body.
    pub content_encoding: Option<Box<str>>,
    /// Subject, label or type.
    pub subject: Option<Box<str>>,
    /// User who says to have sent it.
    pub user_id: Option<Box<str>>,
    /// Application that says to have sent it.
    pub app_id: Option<Box<str>>,
    /// When the sender says that it sent it, in milliseconds since the Unix epoch.
    pub timestamp_ms: Option<u64>,
    /// Group that the message belongs to.
    pub group_id: Option<Box<str>>,
    /// Place in the group.
    pub group_sequence: Option<u64>,
    /// Everything else, in order; names may repeat.
    pub application: Vec<(Box<str>, Value)>,
}

impl Properties {
    /// The first application property of that name.
    pub fn application(&self, name: &str) -> Option<&Value> {
        self.application
            .iter()
            .find(|(n, _)| &**n == name)
            .map(|(_, value)| value)
    }
}

/// Turns an origin's head into the neutral view. Each door implements it in its `mapping.rs`, and
/// registers it under its [`crate::core::model::message::FormatId`].
pub trait Decode: Send + Sync {
    /// Decodes a head that this door wrote. What cannot be decoded is left out: a message that was
    /// accepted once is never refused later.
    fn neutral(&self, head: &[u8]) -> Properties;
}
