//! Tables that outlive their frame.

use super::raw::RawTable;
use super::raw::RawValue;
use crate::protocols::amqp091::codec::error::CodecError;

/// One value, owned; the variants are those of [`RawValue`].
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
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
    /// `S`: text by convention, any bytes in truth.
    LongString(Box<[u8]>),
    /// `x`
    Bytes(Box<[u8]>),
    /// `T`: seconds since 1970.
    Timestamp(u64),
    /// `A`
    Array(Vec<FieldValue>),
    /// `F`
    Table(FieldTable),
    /// `V`
    Void,
}

impl FieldValue {
    /// A long string of text.
    pub fn text(text: &str) -> Self {
        Self::LongString(text.as_bytes().into())
    }

    /// The type in RabbitMQ's words: "received the value '1' of type 'signedint'".
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::I8(_) => "byte",
            Self::U8(_) => "unsignedbyte",
            Self::I16(_) | Self::I16Spec(_) => "short",
            Self::U16(_) => "unsignedshort",
            Self::I32(_) => "signedint",
            Self::U32(_) => "unsignedint",
            Self::I64(_) | Self::I64Spec(_) => "long",
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::Decimal { .. } => "decimal",
            Self::LongString(_) => "longstr",
            Self::Bytes(_) => "binary",
            Self::Timestamp(_) => "timestamp",
            Self::Array(_) => "array",
            Self::Table(_) => "table",
            Self::Void => "void",
        }
    }
}

impl From<RawValue<'_>> for FieldValue {
    /// Recurses at most [`MAX_DEPTH`](super::MAX_DEPTH) levels: the raw value was validated.
    fn from(raw: RawValue<'_>) -> Self {
        match raw {
            RawValue::Bool(value) => Self::Bool(value),
            RawValue::I8(value) => Self::I8(value),
            RawValue::U8(value) => Self::U8(value),
            RawValue::I16(value) => Self::I16(value),
            RawValue::I16Spec(value) => Self::I16Spec(value),
            RawValue::U16(value) => Self::U16(value),
            RawValue::I32(value) => Self::I32(value),
            RawValue::U32(value) => Self::U32(value),
            RawValue::I64(value) => Self::I64(value),
            RawValue::I64Spec(value) => Self::I64Spec(value),
            RawValue::F32(value) => Self::F32(value),
            RawValue::F64(value) => Self::F64(value),
            RawValue::Decimal { scale, value } => Self::Decimal { scale, value },
            RawValue::LongString(bytes) => Self::LongString(bytes.into()),
            RawValue::Bytes(bytes) => Self::Bytes(bytes.into()),
            RawValue::Timestamp(seconds) => Self::Timestamp(seconds),
            RawValue::Array(array) => Self::Array(array.iter().map(Self::from).collect()),
            RawValue::Table(table) => Self::Table(table.to_owned()),
            RawValue::Void => Self::Void,
        }
    }
}

/// A table, owned: names in the order in which they were sent, repeated ones included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldTable(pub Vec<(Box<[u8]>, FieldValue)>);

impl FieldTable {
    /// A table without entries.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends an entry: `FieldTable::new().with("product", FieldValue::text("Viaduct"))`.
    #[must_use]
    pub fn with(mut self, name: &str, value: FieldValue) -> Self {
        self.0.push((name.as_bytes().into(), value));
        self
    }

    /// Reads the bytes between a table's length word and its end.
    ///
    /// # Errors
    /// As [`RawTable::parse`].
    pub fn decode(entries: &[u8]) -> Result<Self, CodecError> {
        RawTable::parse(entries).map(RawTable::to_owned)
    }

    /// The first entry of a name.
    pub fn get(&self, name: &[u8]) -> Option<&FieldValue> {
        self.0
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value)
    }
}
