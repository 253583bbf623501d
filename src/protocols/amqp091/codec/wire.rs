//! The cursor that every decoder reads with, and how each elementary type lies on the wire.

use bytes::BufMut;

use super::error::CodecError;
use super::field::RawTable;
use super::text::LongStr;
use super::text::ShortStr;

/// Reads network-order fields from a slice and never beyond it.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes the next `count` bytes; `field` names them in the error.
    pub fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(CodecError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], CodecError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(CodecError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    /// Takes an octet.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, CodecError> {
        self.array(field).map(u8::from_be_bytes)
    }

    /// Takes a short.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, CodecError> {
        self.array(field).map(u16::from_be_bytes)
    }

    /// Takes a long.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, CodecError> {
        self.array(field).map(u32::from_be_bytes)
    }

    /// Takes a longlong.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, CodecError> {
        self.array(field).map(u64::from_be_bytes)
    }

    /// Takes the bytes of a short string: one octet of length, then as many bytes.
    pub fn short(&mut self, field: &'static str) -> Result<&'a [u8], CodecError> {
        let len = self.u8(field)?;
        self.take(usize::from(len), field)
    }

    /// Takes the bytes of a long string or table: a long of length, then as many bytes.
    pub fn long(&mut self, field: &'static str) -> Result<&'a [u8], CodecError> {
        let len = self.u32(field)?;
        self.take(to_usize(len), field)
    }

    /// Ends the reading: nothing may be left.
    pub fn finish(self) -> Result<(), CodecError> {
        match self.rest.len() {
            0 => Ok(()),
            count => Err(CodecError::TrailingBytes { count }),
        }
    }
}

/// Widens a wire length; a machine whose `usize` is too small finds every such field truncated.
pub(super) fn to_usize(len: u32) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

/// Narrows a length to the wire's. Every caller's length is bounded by
/// [`MAX_LONG_BYTES`](super::text::MAX_LONG_BYTES), so it never saturates.
pub(super) fn to_u32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Writes a length octet and the bytes. [`ShortStr`] bounds the length, so it never clips.
pub(super) fn put_short(out: &mut impl BufMut, text: ShortStr<'_>) {
    out.put_u8(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.put_slice(text.as_bytes());
}

/// Writes a length long and the bytes.
pub(super) fn put_long(out: &mut impl BufMut, bytes: &[u8]) {
    out.put_u32(to_u32(bytes.len()));
    out.put_slice(bytes);
}

/// A type that can be a method's argument.
pub(super) trait Argument<'a>: Sized {
    /// Reads one; `field` names it in the error.
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, CodecError>;
    /// Bytes that [`write`](Self::write) will append.
    fn wire_len(&self) -> usize;
    /// Appends it.
    fn write(&self, out: &mut impl BufMut);
}

macro_rules! integer_argument {
    ($type:ident, $put:ident) => {
        impl<'a> Argument<'a> for $type {
            fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, CodecError> {
                reader.$type(field)
            }
            fn wire_len(&self) -> usize {
                size_of::<Self>()
            }
            fn write(&self, out: &mut impl BufMut) {
                out.$put(*self);
            }
        }
    };
}

integer_argument!(u8, put_u8);
integer_argument!(u16, put_u16);
integer_argument!(u32, put_u32);
integer_argument!(u64, put_u64);

impl<'a> Argument<'a> for ShortStr<'a> {
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, CodecError> {
        ShortStr::new(reader.short(field)?)
    }
    fn wire_len(&self) -> usize {
        1 + self.len()
    }
    fn write(&self, out: &mut impl BufMut) {
        put_short(out, *self);
    }
}

impl<'a> Argument<'a> for LongStr<'a> {
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, CodecError> {
        LongStr::new(reader.long(field)?)
    }
    fn wire_len(&self) -> usize {
        4 + self.as_bytes().len()
    }
    fn write(&self, out: &mut impl BufMut) {
        put_long(out, self.as_bytes());
    }
}

impl<'a> Argument<'a> for RawTable<'a> {
    fn read(reader: &mut Reader<'a>, field: &'static str) -> Result<Self, CodecError> {
        RawTable::parse(reader.long(field)?)
    }
    fn wire_len(&self) -> usize {
        4 + self.as_bytes().len()
    }
    fn write(&self, out: &mut impl BufMut) {
        put_long(out, self.as_bytes());
    }
}

/// Up to eight bits that share an octet, the first in the lowest place (0-9-1 §4.2.5.2).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bits {
    octet: u8,
    place: u8,
}

impl Bits {
    /// Starts taking bits from an octet.
    pub(super) fn of(octet: u8) -> Self {
        Self { octet, place: 0 }
    }

    /// Takes the next bit.
    pub(super) fn take(&mut self) -> bool {
        let bit = self.octet & 1 == 1;
        self.octet >>= 1;
        bit
    }

    /// Adds the next bit.
    pub(super) fn push(&mut self, bit: bool) {
        self.octet |= u8::from(bit).checked_shl(self.place.into()).unwrap_or(0);
        self.place += 1;
    }

    /// The packed octet.
    pub(super) fn octet(self) -> u8 {
        self.octet
    }
}
