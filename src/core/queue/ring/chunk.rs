//! A chunk: entries with consecutive sequences, in memory or put aside as a whole.

use crate::core::log::read::SpillId;
use crate::core::log::record::EntryRef;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::time::CoreTime;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;
use crate::core::queue::ring::cold::Cold;

/// Some entries of a queue. This much of them always stays in memory, about 100 bytes.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) base: u64,
    /// Sequences that it spans.
    pub(super) len: u32,
    /// Entries that are not gone.
    pub(super) live: u32,
    /// Bytes of all bodies that were pushed into it.
    pub(super) body_bytes: u64,
    /// The earliest expiry of entries that may still be here, 0 = none expires.
    pub(super) earliest_expiry_ms: u64,
    pub(super) body: Body,
}

/// Where a chunk's entries are.
#[derive(Debug)]
pub(super) enum Body {
    Open(Open),
    Spilled(Spilled),
}

/// Entries in memory. Their messages may be cold.
#[derive(Debug, Default)]
pub(super) struct Open {
    pub(super) entries: Vec<Entry>,
    pub(super) cold: Option<Box<Cold>>,
    /// Something of it has to stay in memory: somebody names an entry by its LSN, or only a handle holds a body.
    pub(super) must_stay: bool,
}

/// Entries that were put aside, messages and all: ready ones that were never taken.
#[derive(Clone, Debug)]
pub(in crate::core) struct Spilled {
    pub(in crate::core) id: SpillId,
    /// Bytes of their bodies.
    pub(in crate::core) ready_bytes: u64,
    /// The lowest and the highest LSN of their records; none if the log holds none of them.
    pub(in crate::core) lsns: Option<(Lsn, Lsn)>,
    /// Somebody has asked for them.
    pub(in crate::core) is_loading: bool,
}

impl Chunk {
    /// An empty chunk, in memory.
    pub(super) fn new(base: u64, entries: Vec<Entry>) -> Self {
        Self {
            base,
            len: 0,
            live: 0,
            body_bytes: 0,
            earliest_expiry_ms: 0,
            body: Body::Open(Open {
                entries,
                ..Open::default()
            }),
        }
    }

    /// The sequence after its last one.
    pub(super) fn end(&self) -> u64 {
        self.base + u64::from(self.len)
    }

    pub(super) fn open(&self) -> Option<&Open> {
        match &self.body {
            Body::Open(open) => Some(open),
            Body::Spilled(_) => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.body {
            Body::Open(open) => Some(open),
            Body::Spilled(_) => None,
        }
    }

    pub(super) fn spilled(&self) -> Option<&Spilled> {
        match &self.body {
            Body::Open(_) => None,
            Body::Spilled(spilled) => Some(spilled),
        }
    }

    /// Whether not everything of it is in memory.
    pub(super) fn is_paged(&self) -> bool {
        self.open().is_none_or(|open| open.cold.is_some())
    }

    /// Offset of a sequence in it.
    pub(super) fn offset(&self, seq: u64) -> Option<u16> {
        let offset = seq.checked_sub(self.base)?;
        u16::try_from(offset).ok().filter(|_| seq < self.end())
    }

    pub(super) fn expect_expiry(&mut self, expiry_ms: u64) {
        let earliest = self.earliest_expiry_ms;
        if expiry_ms != 0 && (earliest == 0 || expiry_ms < earliest) {
            self.earliest_expiry_ms = expiry_ms;
        }
    }

    /// Appends an entry, which has its message.
    pub(super) fn push(&mut self, entry: Entry) {
        self.live += 1;
        self.body_bytes += entry.body_len();
        self.expect_expiry(entry.expiry_ms);
        if let Body::Open(open) = &mut self.body {
            open.entries.push(entry);
            self.len += 1;
        }
    }

    /// Whether an entry may expire at `now`.
    pub(super) fn is_due(&self, now: CoreTime) -> bool {
        self.earliest_expiry_ms != 0 && self.earliest_expiry_ms <= now.as_ms()
    }
}

impl Open {
    /// The entry at `offset`, unless it is gone.
    pub(super) fn get(&self, offset: u16) -> Option<&Entry> {
        let entry = self.entries.get(usize::from(offset))?;
        (entry.state != EntryState::Gone).then_some(entry)
    }

    /// The entry at `offset`, unless it is gone.
    pub(super) fn get_mut(&mut self, offset: u16) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(usize::from(offset))?;
        (entry.state != EntryState::Gone).then_some(entry)
    }

    /// Length of a body in bytes.
    pub(super) fn body_len(&self, offset: u16) -> u64 {
        let Some(entry) = self.get(offset) else {
            return 0;
        };
        match &self.cold {
            Some(cold) if entry.is_cold() => u64::from(cold.body_len(offset)),
            _ => entry.body_len(),
        }
    }

    /// How the log names an entry; none if it does not hold it.
    pub(super) fn reference(&self, offset: u16) -> Option<EntryRef> {
        let entry = self.get(offset)?;
        match &self.cold {
            Some(cold) if entry.is_cold() => Some(EntryRef {
                entry: entry.lsn?,
                message: cold.message_lsn(offset, entry)?,
            }),
            _ => entry.reference(),
        }
    }

    /// Takes an entry out, with its message if that is in memory.
    pub(super) fn remove(&mut self, offset: u16) -> Option<Message> {
        let entry = self.get_mut(offset)?;
        let was_cold = entry.is_cold();
        let message = entry.take_message();
        if let (true, Some(cold)) = (was_cold, &mut self.cold) {
            cold.remove(offset);
        }
        message
    }
}
