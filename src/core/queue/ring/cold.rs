//! What a chunk knows of its entries whose messages are not in memory.

use std::collections::BTreeMap;

use crate::core::log::read::SpillId;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::queue::entry::Entry;

/// Messages that the log does not hold, put aside together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::core) struct Blob {
    pub(in crate::core) id: SpillId,
    /// Whose they are, in the order in which they stand in it.
    pub(in crate::core) offsets: Vec<u16>,
}

/// The side table of a chunk with cold entries; offsets count from the chunk's first sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::core) struct Cold {
    /// Lengths of bodies by offset: as long as the last cold entry asks for.
    lens: Vec<u32>,
    /// Where the messages of moved entries stand.
    pub(in crate::core) moved: BTreeMap<u16, Lsn>,
    pub(in crate::core) blobs: Vec<Blob>,
    /// Number of cold entries.
    pub(in crate::core) count: u32,
}

/// Where a cold entry's message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Source {
    /// In the log, under this LSN.
    Log(Lsn),
    /// Put aside, with others.
    Blob(SpillId),
}

impl Cold {
    /// Length of the body at `offset`, which is cold.
    pub(in crate::core) fn body_len(&self, offset: u16) -> u32 {
        self.lens.get(usize::from(offset)).copied().unwrap_or(0)
    }

    /// Says that the entry at `offset` is cold, and how long its body is.
    pub(in crate::core) fn add(&mut self, offset: u16, body_len: u32) {
        let at = usize::from(offset);
        if self.lens.len() <= at {
            self.lens.resize(at + 1, 0);
        }
        if let Some(len) = self.lens.get_mut(at) {
            *len = body_len;
        }
        self.count += 1;
    }

    /// The entry at `offset` is cold no longer: it has its message, or is gone.
    pub(in crate::core) fn remove(&mut self, offset: u16) {
        self.count = self.count.saturating_sub(1);
        self.moved.remove(&offset);
    }

    /// LSN of the message of a cold entry; none if the log does not hold it.
    pub(in crate::core) fn message_lsn(&self, offset: u16, entry: &Entry) -> Option<Lsn> {
        match entry.is_moved() {
            true => self.moved.get(&offset).copied(),
            false => entry.lsn,
        }
    }

    /// Where the message of a cold entry is; none if nobody has it.
    pub(in crate::core) fn source(&self, offset: u16, entry: &Entry) -> Option<Source> {
        if entry.lsn.is_some() {
            return self.message_lsn(offset, entry).map(Source::Log);
        }
        let mut blobs = self.blobs.iter();
        let blob = blobs.find(|blob| blob.offsets.binary_search(&offset).is_ok());
        blob.map(|blob| Source::Blob(blob.id))
    }

    /// Takes the message of a warm entry out, if it can be found again without it. Gives back one that
    /// has to be put aside.
    pub(in crate::core) fn chill(&mut self, offset: u16, entry: &mut Entry) -> Option<Message> {
        let body_len = u32::try_from(entry.body_len()).ok()?;
        let message = entry.message()?;
        let lsn = message.lsn();
        if entry.lsn.is_some() && lsn.is_none() {
            return None;
        }
        entry.chill();
        self.add(offset, body_len);
        if entry.lsn.is_none() {
            return Some(message);
        }
        if let (true, Some(lsn)) = (entry.is_moved(), lsn) {
            self.moved.insert(offset, lsn);
        }
        None
    }
}
