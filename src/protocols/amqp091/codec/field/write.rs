//! Owned tables back to bytes. The bounds of reading hold here, too: what is written can be read.

use bytes::BufMut;

use super::MAX_DEPTH;
use super::value::FieldTable;
use super::value::FieldValue;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::text::MAX_LONG_BYTES;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::put_short;
use crate::protocols::amqp091::codec::wire::to_u32;

impl FieldTable {
    /// Appends the entries, without the length word that a method or header puts before them.
    ///
    /// # Errors
    /// A name above 255 bytes, too many levels, or too many bytes; `out` then holds a part of it.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write_entries(self, out, MAX_DEPTH)
    }

    /// The entries in a buffer of their own, ready for
    /// [`RawTable::parse`](super::RawTable::parse).
    ///
    /// # Errors
    /// As [`encode`](Self::encode).
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let mut out = Vec::new();
        self.encode(&mut out)?;
        Ok(out)
    }
}

/// Appends one entry of a table whose own level has been counted.
pub(in crate::protocols::amqp091::codec) fn write_entry(
    name: &[u8],
    value: &FieldValue,
    out: &mut Vec<u8>,
    depth: usize,
) -> Result<(), CodecError> {
    put_short(out, ShortStr::new(name)?);
    write_value(value, out, depth)
}

fn write_entries(table: &FieldTable, out: &mut Vec<u8>, depth: usize) -> Result<(), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
    for (name, value) in &table.0 {
        write_entry(name, value, out, depth)?;
    }
    Ok(())
}

fn write_value(value: &FieldValue, out: &mut Vec<u8>, depth: usize) -> Result<(), CodecError> {
    match value {
        FieldValue::Bool(value) => tagged(out, b't', &[u8::from(*value)]),
        FieldValue::I8(value) => tagged(out, b'b', &value.to_be_bytes()),
        FieldValue::U8(value) => tagged(out, b'B', &value.to_be_bytes()),
        FieldValue::I16(value) => tagged(out, b's', &value.to_be_bytes()),
        FieldValue::I16Spec(value) => tagged(out, b'U', &value.to_be_bytes()),
        FieldValue::U16(value) => tagged(out, b'u', &value.to_be_bytes()),
        FieldValue::I32(value) => tagged(out, b'I', &value.to_be_bytes()),
        FieldValue::U32(value) => tagged(out, b'i', &value.to_be_bytes()),
        FieldValue::I64(value) => tagged(out, b'l', &value.to_be_bytes()),
        FieldValue::I64Spec(value) => tagged(out, b'L', &value.to_be_bytes()),
        FieldValue::F32(value) => tagged(out, b'f', &value.to_bits().to_be_bytes()),
        FieldValue::F64(value) => tagged(out, b'd', &value.to_bits().to_be_bytes()),
        FieldValue::Decimal { scale, value } => {
            tagged(out, b'D', &[*scale]);
            out.put_u32(*value);
        }
        FieldValue::LongString(bytes) => sized(out, b'S', |out| {
            out.put_slice(bytes);
            Ok(())
        })?,
        FieldValue::Bytes(bytes) => sized(out, b'x', |out| {
            out.put_slice(bytes);
            Ok(())
        })?,
        FieldValue::Timestamp(seconds) => tagged(out, b'T', &seconds.to_be_bytes()),
        FieldValue::Array(values) => sized(out, b'A', |out| write_array(values, out, depth))?,
        FieldValue::Table(table) => sized(out, b'F', |out| write_entries(table, out, depth))?,
        FieldValue::Void => out.put_u8(b'V'),
    }
    Ok(())
}

fn write_array(values: &[FieldValue], out: &mut Vec<u8>, depth: usize) -> Result<(), CodecError> {
    let depth = depth.checked_sub(1).ok_or(CodecError::TooDeep)?;
    for value in values {
        write_value(value, out, depth)?;
    }
    Ok(())
}

fn tagged(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    out.put_u8(tag);
    out.put_slice(value);
}

/// Appends a tag, a length word and what `write` appends, and then fills the length in.
fn sized(
    out: &mut Vec<u8>,
    tag: u8,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<(), CodecError> {
    out.put_slice(&[tag, 0, 0, 0, 0]);
    let start = out.len();
    write(out)?;
    let len = out.len() - start;
    if len > MAX_LONG_BYTES {
        return Err(CodecError::LongStringTooLong(len));
    }
    if let Some(word) = out.get_mut(start - 4..start) {
        word.copy_from_slice(&to_u32(len).to_be_bytes());
    }
    Ok(())
}
