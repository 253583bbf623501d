//! What a store hands back: messages that memory had no room for, and what was put aside.

use bytes::Bytes;

use crate::core::log::record::MessageFields;
use crate::core::model::ids::Lsn;

/// Why something cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Nothing stands there (any more): it was settled, elided or dropped, or is no message.
    #[error("there is no such message in the log")]
    NotThere,
    /// What is on disk is not what was written. The store has logged file and offset.
    #[error("what is on disk is damaged")]
    Damaged,
    /// The system refused to read. Another try may do better.
    #[error("the disk cannot be read")]
    Io,
    /// The store was closed or has failed: nothing is known of the message, least of all that it is gone.
    #[error("the log is closed or has failed")]
    Closed,
}

/// Whoever asked for messages.
///
/// Called from a thread of the store that holds none of its locks, so it may take queue locks and call the
/// store. What it does delays every other reader, so it must not wait for anything.
pub trait Reader: Send {
    /// A message that was asked for, in ascending order of LSNs. `chunks` are the parts of a body that
    /// [`BodyFields::Chunks`](crate::core::log::record::BodyFields::Chunks) speaks of, in order; none otherwise.
    fn message(&mut self, lsn: Lsn, fields: &MessageFields<'_>, chunks: Vec<Bytes>);

    /// Called once, last, whatever happened. `unread` are the LSNs that [`Self::message`] was not called for,
    /// ascending.
    fn done(self: Box<Self>, unread: Vec<(Lsn, ReadError)>);
}

/// Whoever asked for something that was put aside. Called once, as a [`Reader`] is.
pub trait SpillReader: Send {
    /// The bytes as they were put aside.
    fn spilled(self: Box<Self>, bytes: Result<Bytes, ReadError>);
}

/// Names what was put aside, in one shard and one start of a store; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpillId(pub u64);
