//! Short and long strings: bytes with a bound. UTF-8 is asked for only where text is needed.

use std::borrow::Cow;
use std::fmt;

use super::error::CodecError;

/// Longest long string or table that is encoded or accepted, in bytes (256 MiB).
///
/// Three of them fit in one frame's 32-bit size, which is what makes encoding infallible.
pub const MAX_LONG_BYTES: usize = 1 << 28;

/// A short string (0-9-1 §4.2.5.3), borrowed.
///
/// The specification says UTF-8, but routing keys of other encodings are in use and RabbitMQ
/// passes them, so the bytes are kept and [`as_str`](Self::as_str) is asked where text is needed.
///
/// INVARIANT: at most 255 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ShortStr<'a>(&'a [u8]);

impl<'a> ShortStr<'a> {
    /// Most bytes that the length octet can count.
    pub const MAX_BYTES: usize = 255;

    /// Wraps bytes that fit.
    ///
    /// # Errors
    /// [`CodecError::ShortStringTooLong`] beyond 255 bytes.
    pub fn new(bytes: &'a [u8]) -> Result<Self, CodecError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(CodecError::ShortStringTooLong(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// Wraps as much of a text as fits, cut between characters: for reply texts and reasons.
    pub fn clipped(text: &'a str) -> Self {
        let end = text.floor_char_boundary(Self::MAX_BYTES);
        Self(text.as_bytes().get(..end).unwrap_or_default())
    }

    /// The bytes as sent.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text; `field` names it in the error.
    ///
    /// # Errors
    /// [`CodecError::NotUtf8`].
    pub fn as_str(self, field: &'static str) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.0).map_err(|_| CodecError::NotUtf8 { field })
    }

    /// The text with a replacement for what is not UTF-8: for logs and error texts.
    pub fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// Length in bytes.
    pub const fn len(self) -> usize {
        self.0.len()
    }

    /// Whether there is no byte.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> TryFrom<&'a str> for ShortStr<'a> {
    type Error = CodecError;

    fn try_from(text: &'a str) -> Result<Self, CodecError> {
        Self::new(text.as_bytes())
    }
}

impl fmt::Debug for ShortStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A long string (0-9-1 §4.2.5.3), borrowed: any bytes.
///
/// It prints its length only: SASL responses and secrets are long strings.
///
/// INVARIANT: at most [`MAX_LONG_BYTES`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LongStr<'a>(&'a [u8]);

impl<'a> LongStr<'a> {
    /// Wraps bytes that fit.
    ///
    /// # Errors
    /// [`CodecError::LongStringTooLong`] beyond [`MAX_LONG_BYTES`].
    pub fn new(bytes: &'a [u8]) -> Result<Self, CodecError> {
        if bytes.len() > MAX_LONG_BYTES {
            return Err(CodecError::LongStringTooLong(bytes.len()));
        }
        Ok(Self(bytes))
    }

    /// The bytes as sent.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for LongStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LongStr({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_string_holds_255_bytes_and_no_more() {
        assert!(ShortStr::new(&[b'a'; 255]).is_ok());
        assert_eq!(
            ShortStr::new(&[b'a'; 256]),
            Err(CodecError::ShortStringTooLong(256))
        );
    }

    #[test]
    fn clipping_never_cuts_a_character() {
        let text = "é".repeat(200);
        let clipped = ShortStr::clipped(&text);
        assert_eq!(clipped.len(), 254);
        assert!(clipped.as_str("text").is_ok());
        assert_eq!(ShortStr::clipped("short").as_bytes(), b"short");
    }

    #[test]
    fn a_long_string_does_not_print_what_it_holds() {
        let secret = LongStr::new(b"\0guest\0guest").unwrap();
        assert_eq!(format!("{secret:?}"), "LongStr(12 bytes)");
    }
}
