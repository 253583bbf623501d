//! Records that are written together: their bytes, and what may still change before they are.

use std::borrow::Cow;

use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::model::time::CoreTime;

use crate::store::format;

use super::live::LiveSet;
use super::named::Named;

/// No settle in [`Slot::settles`].
const NONE: u32 = u32::MAX;

/// A pending record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    /// Where its bytes start.
    offset: u32,
    /// References to it.
    pub(super) references: u32,
    /// Last of [`Batch::settles`] that names it.
    settles: u32,
    /// What it may become.
    pub(super) state: SlotState,
}

/// What a pending record may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlotState {
    /// It will be written.
    Written,
    /// It will be written unless its last reference is settled first.
    Elidable,
    /// A tombstone will be written.
    Elided,
}

impl Slot {
    /// A record with so many references.
    pub(super) fn new(references: u32, state: SlotState) -> Self {
        Self {
            offset: 0,
            references,
            settles: NONE,
            state,
        }
    }
}

/// A settle that names a pending publish, which has other entries.
#[derive(Clone, Copy, Debug)]
struct PendingSettle {
    /// Number of the settle record.
    settle: u64,
    /// The one before that names the same publish.
    previous: u32,
}

/// Consecutive pending records.
#[derive(Debug)]
pub(crate) struct Batch {
    first: u64,
    prefix: usize,
    bytes: Vec<u8>,
    /// The other buffer, for [`Batch::finish`].
    compacted: Vec<u8>,
    slots: Vec<Slot>,
    settles: Vec<PendingSettle>,
    /// Entries to leave out of a settle: the settle's slot, the publish's number.
    left_out: Vec<(usize, u64)>,
    has_elided: bool,
    latest: CoreTime,
    /// Number of the last catalog record, 0 = none.
    pub(super) last_catalog: u64,
    /// Number of the last record that a checkpoint has to absorb, 0 = none.
    pub(super) last_absorbable: u64,
    /// The last record that took the last reference from one of these before they were written.
    pub(super) released_by: u64,
    /// The snapshot that has to be absorbed, for references that ended without a record.
    pub(super) ended_before: u64,
    /// Queues that the records name; boxed, for a batch is moved about.
    pub(super) named: Box<Named>,
}

impl Batch {
    /// An empty batch that starts with record `first`.
    pub(super) fn new(first: u64, prefix: usize) -> Self {
        Self {
            first,
            prefix,
            bytes: vec![0; prefix],
            compacted: Vec::new(),
            slots: Vec::new(),
            settles: Vec::new(),
            left_out: Vec::new(),
            has_elided: false,
            latest: CoreTime::default(),
            last_catalog: 0,
            last_absorbable: 0,
            released_by: 0,
            ended_before: 0,
            named: Box::default(),
        }
    }

    /// Empties the batch but keeps its buffers.
    pub(super) fn restart(&mut self, first: u64, prefix: usize) {
        self.first = first;
        self.prefix = prefix;
        self.bytes.clear();
        self.bytes.resize(prefix, 0);
        self.slots.clear();
        self.settles.clear();
        self.left_out.clear();
        self.has_elided = false;
        self.latest = CoreTime::default();
        self.last_catalog = 0;
        self.last_absorbable = 0;
        self.released_by = 0;
        self.ended_before = 0;
        self.named.clear();
    }

    /// Number of the first record.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// Number of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.first + number_of(self.slots.len()) - 1
    }

    /// Number of records.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no record.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Core time of the newest append.
    pub(crate) fn latest(&self) -> CoreTime {
        self.latest
    }

    /// Bytes, the writer's prefix included.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of records.
    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes.len() - self.prefix
    }

    /// Whether the buffers are of a usual size.
    pub(super) fn is_worth_keeping(&self, batch_bytes: usize) -> bool {
        self.bytes.capacity().max(self.compacted.capacity()) <= batch_bytes.saturating_mul(2)
    }

    /// Notes the time of an append.
    pub(super) fn saw(&mut self, now: CoreTime) {
        self.latest = self.latest.max(now);
    }

    /// Adds a record that `encode` writes; false if it could not.
    pub(super) fn push(&mut self, slot: Slot, encode: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let Ok(offset) = u32::try_from(self.bytes.len()) else {
            return false;
        };
        let written = encode(&mut self.bytes);
        if written {
            self.slots.push(Slot { offset, ..slot });
        }
        written
    }

    /// Place of record `number`.
    pub(super) fn slot_of(&self, number: u64) -> Option<usize> {
        let slot = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (slot < self.slots.len()).then_some(slot)
    }

    /// The record at `slot`.
    pub(super) fn slot(&mut self, slot: usize) -> Option<&mut Slot> {
        self.slots.get_mut(slot)
    }

    /// Sum of all references.
    #[cfg(test)]
    pub(super) fn references(&self) -> u64 {
        self.slots
            .iter()
            .map(|slot| u64::from(slot.references))
            .sum()
    }

    /// Makes the records live that have a reference, and says how many they are.
    pub(super) fn enter(&self, set: &mut LiveSet) -> u64 {
        let mut live = 0;
        // Most have one, and stand together.
        let mut run = 0;
        for (number, slot) in (self.first..).zip(&self.slots) {
            if slot.references == 1 {
                run += 1;
                continue;
            }
            if run > 0 {
                set.insert_run(number - run, number - 1);
                live += std::mem::take(&mut run);
            }
            if slot.references > 0 {
                set.insert(number, u64::from(slot.references));
                live += 1;
            }
        }
        if run > 0 {
            set.insert_run(self.last() + 1 - run, self.last());
        }
        live + run
    }

    /// Makes sure that the records are written, and tells which have references, and how many.
    pub(super) fn pin(&mut self, mut tell: impl FnMut(u64, u64)) {
        for (number, slot) in (self.first..).zip(&mut self.slots) {
            if slot.state == SlotState::Elidable {
                slot.state = SlotState::Written;
            }
            if slot.references > 0 {
                tell(number, u64::from(slot.references));
            }
        }
    }

    /// Remembers that record `settle` names the publish at `slot`.
    pub(super) fn add_settle(&mut self, slot: usize, settle: u64) {
        let Ok(at) = u32::try_from(self.settles.len()) else {
            return;
        };
        if let Some(slot) = self.slots.get_mut(slot) {
            let previous = std::mem::replace(&mut slot.settles, at);
            self.settles.push(PendingSettle { settle, previous });
        }
    }

    /// Takes the number of a settle that names the record at `slot`.
    pub(super) fn pop_settle(&mut self, slot: usize) -> Option<u64> {
        let slot = self.slots.get_mut(slot)?;
        let pending = self.settles.get(usize::try_from(slot.settles).ok()?)?;
        slot.settles = pending.previous;
        Some(pending.settle)
    }

    /// Leaves what the settle at `slot` says about `message` out.
    pub(super) fn leave_out(&mut self, slot: usize, message: u64) {
        self.left_out.push((slot, message));
    }

    /// Makes the record at `slot` a tombstone.
    pub(super) fn elide(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.state = SlotState::Elided;
            slot.references = 0;
            self.has_elided = true;
        }
    }

    /// Moves the records from `at` on to `rest`.
    pub(super) fn split_off(&mut self, at: usize, rest: &mut Batch) {
        rest.restart(self.first + number_of(at), self.prefix);
        let Some(offset) = self.slots.get(at).map(|slot| slot.offset) else {
            return;
        };
        let moved = usize::try_from(offset).unwrap_or(self.bytes.len());
        rest.bytes
            .extend_from_slice(self.bytes.get(moved..).unwrap_or_default());
        self.bytes.truncate(moved);
        let prefix = u32::try_from(self.prefix).unwrap_or(0);
        for slot in self.slots.drain(at..) {
            rest.slots.push(Slot {
                offset: slot.offset - offset + prefix,
                // What is cut off is of the current append, whose numbers nobody knew to settle them.
                settles: NONE,
                ..slot
            });
        }
        let moved = self.left_out.extract_if(.., |(slot, _)| *slot >= at);
        rest.left_out
            .extend(moved.map(|(slot, message)| (slot - at, message)));
        rest.has_elided = self.has_elided;
        // These may now name more than they have to, which only holds a segment for longer.
        rest.latest = self.latest;
        rest.last_catalog = self.last_catalog;
        rest.last_absorbable = self.last_absorbable;
        rest.released_by = self.released_by;
        rest.ended_before = self.ended_before;
        rest.named.add(&self.named);
        self.last_catalog = self.last_catalog.min(self.last());
        self.last_absorbable = self.last_absorbable.min(self.last());
    }

    /// Puts tombstones where records were elided, and hands over the bytes: the prefix, then the records.
    pub(crate) fn finish(&mut self) -> &mut Vec<u8> {
        if self.has_elided || !self.left_out.is_empty() {
            self.compact();
        }
        &mut self.bytes
    }

    fn compact(&mut self) {
        self.left_out.sort_unstable();
        let mut left_out = self.left_out.as_slice();
        let mut compacted = std::mem::take(&mut self.compacted);
        compacted.clear();
        compacted.resize(self.prefix, 0);
        for (at, slot) in self.slots.iter().enumerate() {
            let mine = left_out.partition_point(|(slot, _)| *slot <= at);
            let (mine, later) = left_out.split_at(mine);
            left_out = later;
            let record = self.record(at);
            if slot.state == SlotState::Elided {
                compacted.extend_from_slice(&format::TOMBSTONE);
            } else if mine.is_empty() || !settle_without(record, mine, &mut compacted) {
                compacted.extend_from_slice(record);
            }
        }
        self.compacted = std::mem::replace(&mut self.bytes, compacted);
        self.left_out.clear();
        self.has_elided = false;
    }

    /// Bytes of the record at `at`.
    fn record(&self, at: usize) -> &[u8] {
        let offset = |at: usize| {
            let slot = self.slots.get(at)?;
            usize::try_from(slot.offset).ok()
        };
        let start = offset(at).unwrap_or(self.bytes.len());
        let end = offset(at + 1).unwrap_or(self.bytes.len());
        self.bytes.get(start..end).unwrap_or_default()
    }
}

/// Writes the settle in `record` without the entries of some publishes; false if it is no settle.
fn settle_without(mut record: &[u8], left_out: &[(usize, u64)], out: &mut Vec<u8>) -> bool {
    let Ok(Some(fields)) = format::split(&mut record) else {
        return false;
    };
    let Ok(Record::Settle {
        queue,
        outcome,
        entries,
    }) = format::decode(fields)
    else {
        return false;
    };
    let is_kept = |entry: &&EntryRef| {
        let message = entry.message.number();
        !left_out.iter().any(|(_, out)| *out == message)
    };
    let entries: Vec<EntryRef> = entries.iter().filter(is_kept).copied().collect();
    if entries.is_empty() {
        out.extend_from_slice(&format::TOMBSTONE);
        return true;
    }
    let settle = Record::Settle {
        queue,
        outcome,
        entries: Cow::Owned(entries),
    };
    format::encode(&settle, out)
}

/// A number of records.
fn number_of(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
