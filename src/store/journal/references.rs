//! Who refers to what: the part of the journal that makes SEMANTICS §14's references and elision true.

use std::borrow::Cow;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Dead;
use crate::core::model::ids::QueueId;

use crate::store::format::BodyFact;

use super::Journal;
use super::Lease;
use super::Purge;
use super::batch::Slot;
use super::batch::SlotState;
use super::live::Released;

impl Journal {
    /// Appends one record.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), AppendError> {
        if let Record::Settle { queue, entries, .. } = record {
            return self.push_settle(record, *queue, entries);
        }
        if let Record::Move(moved) = record {
            self.pin(self.number(moved.entry.message));
            self.pin(self.number(moved.entry.entry));
        }
        let is_elidable = matches!(record, Record::Publish(publish) if publish.elidable);
        let state = if is_elidable {
            SlotState::Elidable
        } else {
            SlotState::Written
        };
        let this = self.next;
        self.encode(record, Slot::new(own_references(record), state))?;
        if let Record::Publish(publish) = record {
            self.published(publish, this);
        } else if let Record::Move(moved) = record {
            self.moved(moved, this);
        } else if !matches!(record, Record::Chunk { .. }) {
            self.changed(record, this);
        }
        Ok(())
    }

    fn published(&mut self, publish: &Publish<'_>, this: u64) {
        for entry in publish.entries.iter() {
            self.open.named.note(entry.queue);
        }
        let chunks = chunks_of(publish);
        if chunks > 0 {
            self.chunked.insert(this, chunks);
        }
        if let BodyFields::File { id: file, bytes } = publish.message.body {
            self.files.add(this, BodyFact { file, bytes });
        }
    }

    /// Follows a move, which has its references already.
    pub(super) fn moved(&mut self, moved: &Move<'_>, this: u64) {
        self.open.last_absorbable = this;
        self.open.named.note(moved.source);
        for entry in moved.targets.iter() {
            self.open.named.note(entry.queue);
        }
        let targets = u32::try_from(moved.targets.len()).unwrap_or(u32::MAX);
        self.retain(self.number(moved.entry.message), targets);
        self.release(moved.source, moved.entry, this);
    }

    /// Follows a record that has no references, and says something that a checkpoint must know.
    pub(super) fn changed(&mut self, record: &Record<'_>, this: u64) {
        match record {
            Record::Grant {
                queue,
                until,
                entries,
                ..
            } => {
                self.open.named.note(*queue);
                for granted in entries.iter() {
                    let lease = Lease {
                        acquired: granted.acquired,
                        failed: granted.failed,
                        until: Some(*until),
                    };
                    let entry = self.number(granted.entry);
                    self.leases.set((*queue, entry), lease);
                }
            }
            Record::Counters {
                queue,
                entry,
                acquired,
                failed,
            } => {
                self.open.named.note(*queue);
                let lease = Lease {
                    acquired: *acquired,
                    failed: *failed,
                    until: None,
                };
                let entry = self.number(*entry);
                self.leases.set((*queue, entry), lease);
            }
            Record::PurgeRange { queue, from, upto } => {
                self.open.named.note(*queue);
                let purge = Purge {
                    queue: *queue,
                    upto: self.number(*upto),
                    from: from.map_or(1, |from| self.number(from)),
                };
                self.purges.push(purge);
            }
            Record::Catalog { .. } => {
                self.open.last_catalog = this;
                self.last_catalog = this;
                return;
            }
            Record::Epoch {
                clean_stop: true, ..
            } => self.last_stop = this,
            // They say nothing that would have to be remembered, or nothing writes them yet.
            Record::Tombstone => return,
            Record::Publish(_)
            | Record::Chunk { .. }
            | Record::Settle { .. }
            | Record::Move(_)
            | Record::Schedule { .. }
            | Record::Retained { .. }
            | Record::Mark { .. }
            | Record::Prepared { .. }
            | Record::Decision { .. }
            | Record::Forget { .. }
            | Record::Cursor { .. }
            | Record::PartitionAppend { .. }
            | Record::Reservation { .. }
            | Record::Epoch { .. }
            | Record::Copy { .. } => {}
        }
        self.open.last_absorbable = this;
    }

    /// References that ended without a record.
    pub(crate) fn dead(&mut self, dead: &Dead) {
        // Only the next snapshot knows.
        let snapshot = self.snapshots + 1;
        for lsn in [dead.entry.entry, dead.entry.message] {
            let number = self.number(lsn);
            match self.pending(number) {
                Some((batch, _)) => batch.ended_before = snapshot,
                None => self.ledger.ended(number, snapshot),
            }
        }
        self.release(dead.queue, dead.entry, self.last());
    }

    fn push_settle(
        &mut self,
        record: &Record<'_>,
        queue: QueueId,
        entries: &[EntryRef],
    ) -> Result<(), AppendError> {
        let this = self.next;
        self.open.named.note(queue);
        for entry in entries {
            self.release(queue, *entry, this);
        }
        let mut kept = std::mem::take(&mut self.kept);
        kept.clear();
        for entry in entries {
            if !self.is_elided(self.number(entry.message)) {
                kept.push(*entry);
                self.note_settle(self.number(entry.message));
            }
        }
        let result = self.encode_settle(record, &kept, entries.len());
        self.kept = kept;
        self.open.last_absorbable = this;
        result
    }

    fn encode_settle(
        &mut self,
        record: &Record<'_>,
        kept: &[EntryRef],
        named: usize,
    ) -> Result<(), AppendError> {
        let slot = Slot::new(0, SlotState::Written);
        let Record::Settle { queue, outcome, .. } = record else {
            return self.encode(record, slot);
        };
        if kept.is_empty() && named > 0 {
            return self.encode(&Record::Tombstone, slot);
        }
        let settle = Record::Settle {
            queue: *queue,
            outcome: *outcome,
            entries: Cow::Borrowed(kept),
        };
        self.encode(&settle, slot)
    }

    /// Remembers that the next record names a pending publish, which may be elided later.
    fn note_settle(&mut self, message: u64) {
        let this = self.next;
        if let Some((batch, slot)) = self.pending(message)
            && batch.slot(slot).map(|slot| slot.state) == Some(SlotState::Elidable)
        {
            batch.add_settle(slot, this);
        }
    }

    fn is_elided(&mut self, message: u64) -> bool {
        self.pending(message).is_some_and(|(batch, slot)| {
            batch.slot(slot).map(|slot| slot.state) == Some(SlotState::Elided)
        })
    }

    /// Makes sure that a pending record is written.
    fn pin(&mut self, number: u64) {
        if let Some((batch, slot)) = self.pending(number)
            && let Some(slot) = batch.slot(slot)
            && slot.state == SlotState::Elidable
        {
            slot.state = SlotState::Written;
        }
    }

    /// Adds references to a record.
    fn retain(&mut self, number: u64, references: u32) {
        match self.pending(number) {
            Some((batch, slot)) => {
                if let Some(slot) = batch.slot(slot) {
                    slot.references = slot.references.saturating_add(references);
                }
            }
            None => {
                self.live.retain(number, u64::from(references));
            }
        }
    }

    /// Takes an entry's reference from its record and, if it was moved, one from its message, because of record `by`.
    /// An entry that left before has none.
    pub(super) fn release(&mut self, queue: QueueId, entry: EntryRef, by: u64) {
        let (number, message) = (self.number(entry.entry), self.number(entry.message));
        self.leases.forget((queue, number));
        if number != message {
            if self.release_record(number, Some(queue), by) != Released::Void {
                self.release_message(message, None, by);
            }
        } else {
            self.release_message(message, Some(queue), by);
        }
    }

    fn release_message(&mut self, message: u64, queue: Option<QueueId>, by: u64) {
        if self.release_record(message, queue, by) != Released::Last {
            return;
        }
        self.files.end(message, by);
        let chunks = match self.chunked.is_empty() {
            true => 0,
            false => self.chunked.remove(&message).unwrap_or(0),
        };
        let is_elidable = self.pending(message).is_some_and(|(batch, slot)| {
            batch.slot(slot).map(|slot| slot.state) == Some(SlotState::Elidable)
        });
        for chunk in message.saturating_sub(u64::from(chunks))..message {
            self.end_chunk(chunk, is_elidable, by);
        }
        if is_elidable {
            self.elide(message);
        }
    }

    /// A chunk lives as long as its publish.
    fn end_chunk(&mut self, chunk: u64, is_elidable: bool, by: u64) {
        match self.pending(chunk) {
            Some((batch, slot)) if is_elidable => batch.elide(slot),
            Some((batch, slot)) => {
                if let Some(slot) = batch.slot(slot) {
                    slot.references = 0;
                }
            }
            None => self.end(chunk, by),
        }
    }

    /// Ends every reference to a placed record.
    pub(super) fn end(&mut self, number: u64, by: u64) {
        if self.live.clear(number) > 0 {
            self.files.end(number, by);
            self.ledger.died(number, by);
        }
    }

    /// Takes one reference from a record.
    fn release_record(&mut self, number: u64, queue: Option<QueueId>, by: u64) -> Released {
        if number < self.pending_from() {
            let released = self.live.release(number, queue);
            if released == Released::Last {
                self.ledger.died(number, by);
            }
            return released;
        }
        if queue.is_some_and(|queue| self.live.has_left(number, queue)) {
            return Released::Void;
        }
        let Some((batch, slot)) = self.pending(number) else {
            return Released::Void;
        };
        let Some(slot) = batch.slot(slot).filter(|slot| slot.references > 0) else {
            return Released::Void;
        };
        slot.references -= 1;
        if slot.references == 0 {
            batch.released_by = batch.released_by.max(by);
            return Released::Last;
        }
        if let Some(queue) = queue {
            self.live.leave(number, queue);
        }
        Released::Kept
    }

    /// Makes a pending publish and what settles say about it void.
    fn elide(&mut self, message: u64) {
        if let Some((batch, slot)) = self.pending(message) {
            batch.elide(slot);
        }
        while let Some(settle) = self
            .pending(message)
            .and_then(|(batch, slot)| batch.pop_settle(slot))
        {
            if let Some((batch, slot)) = self.pending(settle) {
                batch.leave_out(slot, message);
            }
        }
    }

    /// The first number that is not placed in a segment.
    pub(super) fn pending_from(&self) -> u64 {
        self.sealed.front().unwrap_or(&self.open).first()
    }
}

/// Chunk records right before a publish that its body is in.
fn chunks_of(publish: &Publish<'_>) -> u32 {
    match publish.message.body {
        BodyFields::Chunks { chunks, .. } => chunks,
        BodyFields::Inline(_) | BodyFields::File { .. } => 0,
    }
}

/// References that a record brings with it. A chunk has one: it ends with its publish's last.
///
/// Kinds that nothing writes yet hold their segment until the feature that writes them says when not.
pub(super) fn own_references(record: &Record<'_>) -> u32 {
    let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
    match record {
        Record::Publish(publish) => count(publish.entries.len()),
        Record::Move(moved) => count(moved.targets.len()),
        Record::Chunk { .. }
        | Record::Schedule { .. }
        | Record::Retained { .. }
        | Record::Mark { .. }
        | Record::Prepared { .. }
        | Record::Decision { .. }
        | Record::Cursor { .. }
        | Record::PartitionAppend { .. }
        | Record::Reservation { .. }
        | Record::Copy { .. } => 1,
        Record::Grant { .. }
        | Record::Settle { .. }
        | Record::PurgeRange { .. }
        | Record::Counters { .. }
        | Record::Forget { .. }
        | Record::Catalog { .. }
        | Record::Epoch { .. }
        | Record::Tombstone => 0,
    }
}
