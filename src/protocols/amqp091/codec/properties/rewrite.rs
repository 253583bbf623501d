//! Changes to a property block that leave every other byte as it was sent.
//!
//! Dead-lettering adds `x-death` and drops the expiration, a redelivery adds `x-delivery-count`,
//! a publish loses its `BCC`: all of them edits of a block that otherwise belongs to the publisher.

use bytes::BufMut;

use super::Properties;
use super::flag;
use super::skip;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::field::MAX_DEPTH;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::field::write_entry;
use crate::protocols::amqp091::codec::wire::Reader;
use crate::protocols::amqp091::codec::wire::put_long;

/// What to change; the default changes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rewrite<'a> {
    /// Headers to set, each name once. A name that is there keeps its first place and loses its
    /// repetitions; a new one is appended.
    pub set_headers: &'a [(&'a [u8], FieldValue)],
    /// Headers to remove. A table that becomes empty by it goes, too.
    pub remove_headers: &'a [&'a [u8]],
    /// Whether the expiration goes.
    pub remove_expiration: bool,
}

impl Rewrite<'_> {
    /// Makes the changed block.
    ///
    /// # Errors
    /// Header names above 255 bytes, or a table beyond the bounds of [`RawTable::parse`].
    pub fn apply(&self, properties: Properties<'_>) -> Result<Vec<u8>, CodecError> {
        let headers = self.headers(properties.headers())?;
        let flags = self.flags(properties.flags, headers.is_some());
        let mut out = Vec::with_capacity(
            properties.raw.len() + headers.as_ref().map_or(0, |entries| 4 + entries.len()),
        );
        out.put_u16(flags);
        let mut reader = Reader::new(properties.list);
        for property in flag::ALL {
            let old = match properties.flags & property {
                0 => &[],
                _ => value_bytes(&mut reader, property)?,
            };
            match (&headers, flags & property) {
                (_, 0) => {}
                (Some(entries), flag::HEADERS) => put_long(&mut out, entries),
                _ => out.put_slice(old),
            }
        }
        Ok(out)
    }

    fn flags(&self, mut flags: u16, has_headers: bool) -> u16 {
        flags &= !flag::HEADERS;
        if has_headers {
            flags |= flag::HEADERS;
        }
        if self.remove_expiration {
            flags &= !flag::EXPIRATION;
        }
        flags
    }

    /// The changed entries; `None` when there is no table afterwards.
    fn headers(&self, old: Option<RawTable<'_>>) -> Result<Option<Vec<u8>>, CodecError> {
        if self.set_headers.is_empty() && self.remove_headers.is_empty() {
            return Ok(old.map(|table| table.as_bytes().to_vec()));
        }
        let mut out = Vec::new();
        let mut done = vec![false; self.set_headers.len()];
        for (name, raw) in old.unwrap_or_default().entries() {
            if self.remove_headers.contains(&name) {
                continue;
            }
            let changed = self.set_headers.iter().zip(&mut done);
            match changed.into_iter().find(|((key, _), _)| *key == name) {
                None => out.put_slice(raw),
                Some((_, done)) if *done => {}
                Some(((key, value), done)) => {
                    write_entry(key, value, &mut out, MAX_DEPTH - 1)?;
                    *done = true;
                }
            }
        }
        let added = self.set_headers.iter().zip(&done);
        for ((key, value), _) in added.filter(|(_, done)| !**done) {
            write_entry(key, value, &mut out, MAX_DEPTH - 1)?;
        }
        RawTable::parse(&out)?;
        let was_empty = old.is_some_and(RawTable::is_empty);
        Ok((was_empty || !out.is_empty()).then_some(out))
    }
}

/// Takes the bytes of a property's value, length included.
fn value_bytes<'a>(reader: &mut Reader<'a>, property: u16) -> Result<&'a [u8], CodecError> {
    let mut ahead = *reader;
    skip(&mut ahead, property)?;
    let len = reader.rest().len() - ahead.rest().len();
    reader.take(len, "property")
}

/// Sets headers, see [`Rewrite::set_headers`].
///
/// # Errors
/// As [`Rewrite::apply`].
pub fn with_headers(
    properties: Properties<'_>,
    headers: &[(&[u8], FieldValue)],
) -> Result<Vec<u8>, CodecError> {
    Rewrite {
        set_headers: headers,
        ..Rewrite::default()
    }
    .apply(properties)
}

/// Removes the expiration.
///
/// # Errors
/// None for a block that [`Properties::parse`] accepted.
pub fn without_expiration(properties: Properties<'_>) -> Result<Vec<u8>, CodecError> {
    Rewrite {
        remove_expiration: true,
        ..Rewrite::default()
    }
    .apply(properties)
}
