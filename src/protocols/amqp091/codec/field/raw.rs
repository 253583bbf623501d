//! Tables as they lie in the frame: validated once, then walked without allocation.

use super::MAX_DEPTH;
use super::MAX_VALUES;
use super::value::FieldTable;
use super::value::FieldValue;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::text::MAX_LONG_BYTES;
use crate::protocols::amqp091::codec::wire::Reader;

/// One value, borrowed; the variant says which tag it has on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
    /// `t`
    Bool(bool),
    /// `b`
    I8(i8),
    /// `B`
    U8(u8),
    /// `s`
    I16(i16),
    /// `U`: the specification's tag for the same 16 bits.
    I16Spec(i16),
    /// `u`
    U16(u16),
    /// `I`
    I32(i32),
    /// `i`
    U32(u32),
    /// `l`
    I64(i64),
    /// `L`: the specification's tag for the same 64 bits.
    I64Spec(i64),
    /// `f`
    F32(f32),
    /// `d`
    F64(f64),
    /// `D`: `value` divided by ten to the power of `scale`.
    Decimal {
        /// Digits behind the point.
        scale: u8,
        /// All digits.
        value: u32,
    },
    /// `S`
    LongString(&'a [u8]),
    /// `x`
    Bytes(&'a [u8]),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `A`
    Array(RawArray<'a>),
    /// `F`
    Table(RawTable<'a>),
    /// `V`
    Void,
}

impl<'a> RawValue<'a> {
    /// Any of the integer types, widened; `None` for everything else.
    pub fn as_i64(self) -> Option<i64> {
        match self {
            Self::I8(value) => Some(value.into()),
            Self::U8(value) => Some(value.into()),
            Self::I16(value) | Self::I16Spec(value) => Some(value.into()),
            Self::U16(value) => Some(value.into()),
            Self::I32(value) => Some(value.into()),
            Self::U32(value) => Some(value.into()),
            Self::I64(value) | Self::I64Spec(value) => Some(value),
            Self::Bool(_)
            | Self::F32(_)
            | Self::F64(_)
            | Self::Decimal { .. }
            | Self::LongString(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Array(_)
            | Self::Table(_)
            | Self::Void => None,
        }
    }

    /// A long string that is text.
    pub fn as_str(self) -> Option<&'a str> {
        if let Self::LongString(bytes) = self {
            return std::str::from_utf8(bytes).ok();
        }
        None
    }

    /// A boolean.
    pub const fn as_bool(self) -> Option<bool> {
        if let Self::Bool(value) = self {
            return Some(value);
        }
        None
    }

    /// Reads a value whose nested tables and arrays are not looked into.
    fn read(reader: &mut Reader<'a>) -> Result<Self, CodecError> {
        const FIELD: &str = "field value";
        Ok(match reader.u8("field type")? {
            b't' => Self::Bool(reader.u8(FIELD)? != 0),
            b'b' => Self::I8(reader.u8(FIELD)?.cast_signed()),
            b'B' => Self::U8(reader.u8(FIELD)?),
            b's' => Self::I16(reader.u16(FIELD)?.cast_signed()),
            b'U' => Self::I16Spec(reader.u16(FIELD)?.cast_signed()),
            b'u' => Self::U16(reader.u16(FIELD)?),
            b'I' => Self::I32(reader.u32(FIELD)?.cast_signed()),
            b'i' => Self::U32(reader.u32(FIELD)?),
            b'l' => Self::I64(reader.u64(FIELD)?.cast_signed()),
            b'L' => Self::I64Spec(reader.u64(FIELD)?.cast_signed()),
            b'f' => Self::F32(f32::from_bits(reader.u32(FIELD)?)),
            b'd' => Self::F64(f64::from_bits(reader.u64(FIELD)?)),
            b'D' => Self::Decimal {
                scale: reader.u8(FIELD)?,
                value: reader.u32(FIELD)?,
            },
            b'S' => Self::LongString(reader.long(FIELD)?),
            b'x' => Self::Bytes(reader.long(FIELD)?),
            b'T' => Self::Timestamp(reader.u64(FIELD)?),
            b'A' => Self::Array(RawArray(reader.long(FIELD)?)),
            b'F' => Self::Table(RawTable(reader.long(FIELD)?)),
            b'V' => Self::Void,
            other => return Err(CodecError::UnknownFieldType(other)),
        })
    }
}

/// A table's entries without its length word, borrowed.
///
/// INVARIANT: well-formed to the innermost level, at most [`MAX_DEPTH`] levels and [`MAX_VALUES`]
/// values, at most [`MAX_LONG_BYTES`] long; [`parse`](Self::parse) is the only door. (A nested
/// one is part of a validated outer one, but may be over no bound of its own.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawTable<'a>(&'a [u8]);

impl<'a> RawTable<'a> {
    /// Validates the bytes between a table's length word and its end, without allocation.
    ///
    /// # Errors
    /// 502: truncated, of an unknown type, too deep or too many.
    pub fn parse(entries: &'a [u8]) -> Result<Self, CodecError> {
        if entries.len() > MAX_LONG_BYTES {
            return Err(CodecError::LongStringTooLong(entries.len()));
        }
        let table = Self(entries);
        let mut budget = MAX_VALUES;
        table.validate(MAX_DEPTH, &mut budget)?;
        Ok(table)
    }

    /// Wraps bytes that [`parse`](Self::parse) accepted earlier; on others the walk ends early.
    pub(in crate::protocols::amqp091::codec) const fn of_validated(entries: &'a [u8]) -> Self {
        Self(entries)
    }

    /// The entries as sent.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether there is no entry.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Walks over the entries in order, repeated names included.
    pub fn iter(self) -> TableIter<'a> {
        TableIter(Reader::new(self.0))
    }

    /// Walks over the entries as names and whole entries in bytes: for copying them.
    pub(in crate::protocols::amqp091::codec) fn entries(
        self,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut walk = self.iter();
        std::iter::from_fn(move || {
            let mut before = walk.0;
            let (name, _) = walk.next()?;
            let len = before.rest().len() - walk.0.rest().len();
            Some((name, before.take(len, "field").ok()?))
        })
    }

    /// The first entry of a name: which is the one that counts in RabbitMQ, too.
    pub fn get(self, name: &[u8]) -> Option<RawValue<'a>> {
        self.iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    /// Copies the table out of the frame.
    pub fn to_owned(self) -> FieldTable {
        FieldTable(
            self.iter()
                .map(|(name, value)| (name.into(), FieldValue::from(value)))
                .collect(),
        )
    }

    /// Recursion is bounded by `depth`, which also bounds that of everything done to it later.
    fn validate(self, depth: usize, budget: &mut usize) -> Result<(), CodecError> {
        let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            reader.short("field name")?;
            validate_value(&mut reader, depth, budget)?;
        }
        Ok(())
    }
}

fn validate_value(
    reader: &mut Reader<'_>,
    depth: usize,
    budget: &mut usize,
) -> Result<(), CodecError> {
    *budget = budget.checked_sub(1).ok_or(CodecError::TooManyValues)?;
    let value = RawValue::read(reader)?;
    if let RawValue::Table(table) = value {
        return table.validate(depth, budget);
    }
    if let RawValue::Array(array) = value {
        return array.validate(depth, budget);
    }
    Ok(())
}

impl<'a> IntoIterator for RawTable<'a> {
    type Item = (&'a [u8], RawValue<'a>);
    type IntoIter = TableIter<'a>;

    fn into_iter(self) -> TableIter<'a> {
        self.iter()
    }
}

/// Walks over a table.
#[derive(Clone, Debug)]
pub struct TableIter<'a>(Reader<'a>);

impl<'a> Iterator for TableIter<'a> {
    type Item = (&'a [u8], RawValue<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let name = self.0.short("field name").ok()?;
        let value = RawValue::read(&mut self.0).ok()?;
        Some((name, value))
    }
}

/// An array's values without its length word, borrowed; validated with the table around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawArray<'a>(&'a [u8]);

impl<'a> RawArray<'a> {
    /// The values as sent.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Walks over the values.
    pub fn iter(self) -> ArrayIter<'a> {
        ArrayIter(Reader::new(self.0))
    }

    fn validate(self, depth: usize, budget: &mut usize) -> Result<(), CodecError> {
        let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            validate_value(&mut reader, depth, budget)?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for RawArray<'a> {
    type Item = RawValue<'a>;
    type IntoIter = ArrayIter<'a>;

    fn into_iter(self) -> ArrayIter<'a> {
        self.iter()
    }
}

/// Walks over an array.
#[derive(Clone, Debug)]
pub struct ArrayIter<'a>(Reader<'a>);

impl<'a> Iterator for ArrayIter<'a> {
    type Item = RawValue<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        RawValue::read(&mut self.0).ok()
    }
}
