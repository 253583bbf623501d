//! Who refers to what: the part of the journal that makes SEMANTICS §14's references and elision true.

use std::borrow::Cow;

use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Move;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Dead;

use super::Chunked;
use super::Journal;
use super::batch::Slot;
use super::batch::SlotState;

impl Journal {
    /// Appends one record.
    pub(super) fn push(&mut self, record: &Record<'_>) -> Result<(), AppendError> {
        if let Record::Settle { entries, .. } = record {
            return self.push_settle(record, entries);
        }
        self.note_about(record);
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
            self.add_chunked(this, publish);
        }
        if let Record::Move(moved) = record {
            self.apply_move(moved, this);
        }
        if let Record::Catalog { .. } = record {
            self.open.last_catalog = this;
        }
        Ok(())
    }

    /// Counts a record that was read from `segment`, which is the newest or a new one. False: what it
    /// needs is gone, so everything that it made has ended, and nobody must see it.
    #[must_use]
    pub(crate) fn replay(&mut self, segment: u64, this: u64, record: &Record<'_>) -> bool {
        self.next = this + 1;
        self.open.restart(self.next, self.limits.prefix);
        self.ledger.replay(segment, this);
        if let Record::Chunk { references, .. } = record {
            self.ledger.retain(this, u64::from(*references));
            self.orphans.push((this, *references));
            return true;
        }
        let is_whole = self.is_whole(this, record);
        if is_whole {
            self.count(this, record);
        } else {
            self.void.insert(this);
        }
        self.drop_orphans();
        self.note_about(record);
        self.ledger.about_replayed(&mut self.open.about);
        is_whole
    }

    /// Whether the records are there that a replayed one needs. They are as long as it has a reference, so
    /// without them each of its entries ended, with or without a record that says so.
    fn is_whole(&mut self, this: u64, record: &Record<'_>) -> bool {
        if let Record::Publish(publish) = record {
            let chunks = u64::from(chunks_of(publish));
            return (this.saturating_sub(chunks)..this).all(|chunk| self.ledger.has(chunk));
        }
        if let Record::Move(moved) = record {
            return self.is_there(self.number(moved.entry.message));
        }
        true
    }

    fn count(&mut self, this: u64, record: &Record<'_>) {
        self.ledger.retain(this, u64::from(own_references(record)));
        if let Record::Publish(publish) = record {
            self.add_chunked(this, publish);
            let chunks = usize::try_from(chunks_of(publish)).unwrap_or(usize::MAX);
            self.orphans
                .truncate(self.orphans.len().saturating_sub(chunks));
        }
        if let Record::Settle { entries, .. } = record {
            for entry in entries.iter() {
                self.release(*entry, this);
            }
        }
        if let Record::Move(moved) = record {
            self.apply_move(moved, this);
        }
        if let Record::Catalog { .. } = record {
            self.ledger.catalog(this);
        }
    }

    /// Releases chunks whose publish was torn off, or elided after they were written.
    pub(super) fn drop_orphans(&mut self) {
        for (number, references) in self.orphans.drain(..) {
            self.ledger.release(number, u64::from(references), number);
        }
    }

    /// References that ended without a record.
    pub(crate) fn dead(&mut self, dead: &Dead) {
        self.release(dead.entry, self.last());
    }

    /// Remembers a publish whose body is in chunk records.
    fn add_chunked(&mut self, this: u64, publish: &Publish<'_>) {
        self.files.add(this, publish);
        let chunks = chunks_of(publish);
        if chunks > 0 {
            let references = u64::try_from(publish.entries.len()).unwrap_or(u64::MAX);
            self.chunked.insert(this, Chunked { chunks, references });
        }
    }

    fn push_settle(
        &mut self,
        record: &Record<'_>,
        entries: &[EntryRef],
    ) -> Result<(), AppendError> {
        let this = self.next;
        for entry in entries {
            self.release(*entry, this);
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
        for entry in kept {
            self.about(self.number(entry.entry));
            self.about(self.number(entry.message));
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

    /// Whether a record is pending, or in a segment with what it needs.
    fn is_there(&mut self, number: u64) -> bool {
        let is_void = !self.void.is_empty() && self.void.contains(&number);
        !is_void && (self.ledger.has(number) || self.pending(number).is_some())
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

    fn apply_move(&mut self, moved: &Move<'_>, by: u64) {
        let targets = u32::try_from(moved.targets.len()).unwrap_or(u32::MAX);
        self.retain_message(self.number(moved.entry.message), targets);
        self.release(moved.entry, by);
    }

    /// Adds references to a message and its chunks.
    fn retain_message(&mut self, message: u64, references: u32) {
        self.files.retain(message, references);
        let chunks = match self.chunked.get_mut(&message) {
            Some(chunked) => {
                chunked.references += u64::from(references);
                chunked.chunks
            }
            None => 0,
        };
        for number in message.saturating_sub(u64::from(chunks))..=message {
            match self.pending(number) {
                Some((batch, slot)) => {
                    if let Some(slot) = batch.slot(slot) {
                        slot.references = slot.references.saturating_add(references);
                    }
                }
                None => self.ledger.retain(number, u64::from(references)),
            }
        }
    }

    /// Takes one reference from an entry's record and, if it was moved, from its message, because of
    /// record `by`. Void if the message is gone: see [`Self::is_whole`].
    fn release(&mut self, entry: EntryRef, by: u64) {
        if !self.is_there(self.number(entry.message)) {
            return;
        }
        if entry.entry != entry.message {
            self.release_record(self.number(entry.entry), by);
        }
        self.release_message(self.number(entry.message), by);
    }

    fn release_message(&mut self, message: u64, by: u64) {
        self.files.release(message, by);
        let chunks = self.release_chunks(message, by);
        if self.release_record(message, by) {
            self.elide(message, chunks);
        }
    }

    /// Returns how many chunks the message has.
    fn release_chunks(&mut self, message: u64, by: u64) -> u64 {
        let Some(chunked) = self.chunked.get_mut(&message) else {
            return 0;
        };
        let chunks = u64::from(chunked.chunks);
        chunked.references = chunked.references.saturating_sub(1);
        if chunked.references == 0 {
            self.chunked.remove(&message);
        }
        for chunk in message.saturating_sub(chunks)..message {
            self.release_record(chunk, by);
        }
        chunks
    }

    /// Takes one reference from a record. True: it was the last one, and the record may be elided.
    fn release_record(&mut self, number: u64, by: u64) -> bool {
        if let Some((batch, slot)) = self.pending(number) {
            let Some(slot) = batch.slot(slot) else {
                return false;
            };
            slot.references = slot.references.saturating_sub(1);
            return slot.references == 0 && slot.state == SlotState::Elidable;
        }
        self.ledger.release(number, 1, by);
        false
    }

    /// Makes a pending publish, its chunks and what settles say about it void.
    fn elide(&mut self, message: u64, chunks: u64) {
        for number in message.saturating_sub(chunks)..=message {
            // A chunk may have been taken by the writer already: it then is an orphan.
            if let Some((batch, slot)) = self.pending(number) {
                batch.elide(slot);
            }
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

    /// Notes the segments that a record other than a settle is about.
    fn note_about(&mut self, record: &Record<'_>) {
        if let Record::Settle { entries, .. } = record {
            for entry in entries.iter() {
                self.about(self.number(entry.entry));
                self.about(self.number(entry.message));
            }
        }
        if let Record::Grant { entries, .. } = record {
            for entry in entries.iter() {
                self.about(self.number(entry.entry));
            }
        }
        if let Record::Counters { entry, .. } = record {
            self.about(self.number(*entry));
        }
        if let Record::Move(moved) = record {
            self.about(self.number(moved.entry.entry));
            self.about(self.number(moved.entry.message));
        }
        if let Record::PurgeRange { upto, .. } = record {
            let upto = self.number(*upto);
            self.ledger.all_upto(upto, &mut self.open.about);
            self.open.about_pending = self.open.about_pending.min(self.pending_from());
        }
    }

    /// The next record is about record `number`, and must not be recycled before it.
    fn about(&mut self, number: u64) {
        if number >= self.pending_from() {
            self.open.about_pending = self.open.about_pending.min(number);
        } else {
            self.ledger.add_segment_of(number, &mut self.open.about);
        }
    }

    fn pending_from(&self) -> u64 {
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

/// References that a record brings with it.
///
/// Kinds that nothing writes yet hold their segment until the feature that writes them says when not.
fn own_references(record: &Record<'_>) -> u32 {
    let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
    match record {
        Record::Publish(publish) => count(publish.entries.len()),
        Record::Chunk { references, .. } => *references,
        Record::Move(moved) => count(moved.targets.len()),
        Record::Schedule { .. }
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
