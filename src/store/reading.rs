//! From records to what a [`Reader`] is told: the same in every store.

use bytes::Bytes;

use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::record::BodyFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::model::ids::Lsn;

use crate::store::format;
use crate::store::format::Version;

/// The records of a message, without their lengths.
#[derive(Debug)]
pub(crate) struct Found {
    /// The publish.
    pub(crate) publish: Bytes,
    /// The chunks of its body, in order.
    pub(crate) chunks: Vec<Bytes>,
}

/// Number of chunk records that stand before a publish and hold its body.
///
/// # Errors
/// [`ReadError::NotThere`] if the record is no publish, [`ReadError::Damaged`] if it is no record.
pub(crate) fn chunks_of(version: Version, record: &[u8]) -> Result<u32, ReadError> {
    match format::decode_as(version, record) {
        Ok(Record::Publish(Publish { message, .. })) => match message.body {
            BodyFields::Chunks { chunks, .. } => Ok(chunks),
            BodyFields::Inline(_) | BodyFields::File { .. } => Ok(0),
        },
        Ok(_) => Err(ReadError::NotThere),
        Err(_) => Err(ReadError::Damaged),
    }
}

/// The part of a body in a chunk record.
///
/// # Errors
/// [`ReadError::NotThere`] if the record is none, [`ReadError::Damaged`] if it is no record.
pub(crate) fn chunk_of(version: Version, record: &Bytes) -> Result<Bytes, ReadError> {
    match format::decode_as(version, record) {
        Ok(Record::Chunk { bytes, .. }) => Ok(record.slice_ref(bytes)),
        Ok(_) => Err(ReadError::NotThere),
        Err(_) => Err(ReadError::Damaged),
    }
}

/// Tells `reader` what was found, and returns what was not.
pub(crate) fn tell(
    found: impl IntoIterator<Item = (Lsn, Result<Found, ReadError>)>,
    reader: &mut dyn Reader,
) -> Vec<(Lsn, ReadError)> {
    let mut unread = Vec::new();
    for (lsn, found) in found {
        let told = found.and_then(|Found { publish, chunks }| {
            tell_one(lsn, Version::NEWEST, &publish, |_| Ok(chunks), reader)
        });
        if let Err(error) = told {
            unread.push((lsn, error));
        }
    }
    unread
}

/// Tells `reader` of the message in a record; `chunks` fetches so many chunk records before it.
///
/// # Errors
/// [`ReadError::NotThere`] if the record is no publish, [`ReadError::Damaged`] if it is no record.
pub(crate) fn tell_one(
    lsn: Lsn,
    version: Version,
    record: &[u8],
    chunks: impl FnOnce(u32) -> Result<Vec<Bytes>, ReadError>,
    reader: &mut dyn Reader,
) -> Result<(), ReadError> {
    let message = match format::message_of(version, record) {
        Ok(Some(message)) => message,
        Ok(None) => return Err(ReadError::NotThere),
        Err(_) => return Err(ReadError::Damaged),
    };
    let chunks = match message.body {
        BodyFields::Chunks { chunks: count, .. } => chunks(count)?,
        BodyFields::Inline(_) | BodyFields::File { .. } => Vec::new(),
    };
    reader.message(lsn, &message, chunks);
    Ok(())
}
