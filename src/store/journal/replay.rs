//! A start: what the checkpoint holds, the records after it, and then every entry that lives, told in order.
//!
//! The first pass follows the records that the checkpoint has not absorbed. The second meets every record that lives,
//! wherever it stands, and tells its entries; so nothing is told that has to be taken back.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::core::log::record::EntryFields;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Move;
use crate::core::log::record::Record;
use crate::core::log::store::Dead;
use crate::core::log::store::Hole;
use crate::core::log::store::LiveEntry;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;

use crate::store::format::DecodeError;
use crate::store::format::Fact;
use crate::store::format::MessageFact;
use crate::store::format::Version;

use super::At;
use super::Delta;
use super::Journal;
use super::SegmentRow;
use super::references::own_references;

/// What a checkpoint has absorbed, and so what the first pass leaves out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Absorbed {
    /// Everything up to this number but the catalog.
    pub(crate) log: u64,
    /// The catalog up to this number.
    pub(crate) catalog: u64,
}

impl Journal {
    /// Takes over what a checkpoint holds. The journal is empty.
    pub(crate) fn load(&mut self, at: At, saved: Delta) {
        self.open.restart(u64::MAX, self.limits.prefix);
        self.live.load(saved.live);
        for (key, lease) in saved.leases {
            if let Some(lease) = lease {
                self.leases.load(key, lease);
            }
        }
        self.cold.load(saved.cold);
        self.purges = saved.purges;
        self.chunked.extend(saved.chunked);
        self.holes = saved.holes;
        self.latest = at.latest;
        self.last_catalog = at.last_catalog;
        self.last_stop = if at.is_clean_stop { at.log } else { 0 };
        self.snapshot_upto = at.log;
    }

    /// The next records are in `segment`, which is the newest or a new one.
    pub(crate) fn replay_frame(&mut self, segment: u64, first: u64, last: u64) {
        self.ledger.replayed(&mut self.open);
        self.ledger.extend(segment, first, last);
        self.ledger.needs_absorbing(last);
    }

    /// The checkpoint knows which queues the records of the newest segment name.
    pub(crate) fn know_queues(&mut self, queues: &Arc<RoaringTreemap>) {
        self.ledger.load(queues);
    }

    /// Follows record `this`, and tells a catalog change that is new.
    ///
    /// # Errors
    /// [`DecodeError`]: the record cannot be what was written; what it says may have been followed in part.
    pub(crate) fn replay(
        &mut self,
        absorbed: Absorbed,
        this: u64,
        fact: Fact<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        if let Fact::Other(Record::Catalog { key, value }) = &fact {
            self.open.last_catalog = this;
            if let Some(lsn) = Lsn::new(self.shard, this).filter(|_| this > absorbed.catalog) {
                visitor.catalog(lsn, key, *value);
            }
        }
        if this <= absorbed.log {
            return Ok(());
        }
        match fact {
            Fact::Publish(message, entries) => {
                let references = u64::try_from(entries.left()).unwrap_or(u64::MAX);
                for entry in entries {
                    self.open.named.note(entry?.queue);
                }
                if self.has_chunks(this, message.chunks) {
                    self.live.insert(this, references);
                    if references > 0 {
                        self.met(this, message);
                    }
                }
            }
            Fact::Chunk => self.live.insert(this, 1),
            Fact::Settle(queue, refs) => {
                self.open.named.note(queue);
                self.open.last_absorbable = this;
                for entry in refs {
                    self.release(queue, entry?, this);
                }
            }
            Fact::Tombstone => {}
            Fact::Other(Record::Move(moved)) => {
                if self.has_message(&moved) {
                    self.live.insert(this, own(&moved));
                }
                self.moved(&moved, this);
            }
            Fact::Other(record) => {
                self.live.insert(this, u64::from(own_references(&record)));
                self.changed(&record, this);
            }
        }
        Ok(())
    }

    /// A part of the log could not be read: it is told with every start until somebody accepts the loss.
    pub(crate) fn add_hole(&mut self, hole: Hole) {
        if !self.holes.contains(&hole) {
            self.holes.push(hole);
        }
    }

    /// Parts of the log that could not be read.
    pub(crate) fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Something that was written cannot be read: until somebody accepts the loss, every segment that a start found
    /// stays. What else is in it may be all that is left to save something from.
    pub(crate) fn hold(&mut self) {
        self.ledger.hold();
    }

    /// Whether that is so.
    pub(crate) fn is_held(&self) -> bool {
        self.ledger.is_held()
    }

    /// What is known of a segment of the main chain.
    pub(crate) fn row(&self, id: u64) -> Option<SegmentRow> {
        self.ledger.row(id)
    }

    /// The checkpoint knows a segment that is gone, and from now on it does not.
    pub(crate) fn forget_row(&mut self, id: u64) {
        self.ledger.forget_row(id);
    }

    /// The first pass is over: the log ends with record `last`, at this time.
    pub(crate) fn end_replay(&mut self, last: u64, latest: CoreTime) {
        self.ledger.replayed(&mut self.open);
        self.ledger.count(&self.live);
        self.purges.sort_unstable();
        self.latest = self.latest.max(latest);
        self.continue_after(last);
    }

    /// Records of a range that live.
    pub(crate) fn live_in(&self, first: u64, last: u64, found: &mut Vec<u64>) {
        found.clear();
        if first <= last {
            found.extend(self.live.iter(first..=last));
        }
    }

    /// Which of the queues that a publish names its message is in; none if it is in others, too: it was moved.
    pub(crate) fn queues_left(
        &self,
        number: u64,
        named: &RoaringTreemap,
    ) -> Option<RoaringTreemap> {
        let is_in = |queue: &u64| !self.live.has_left(number, QueueId(*queue));
        let left: RoaringTreemap = named.iter().filter(is_in).collect();
        match self.live.count(number) {
            0 => Some(RoaringTreemap::new()),
            references => (references == left.len()).then_some(left),
        }
    }

    /// How many records of a range live.
    pub(crate) fn count_live(&self, first: u64, last: u64) -> u64 {
        self.live.count_in(first..=last)
    }

    /// A publish that lives.
    fn met(&mut self, number: u64, message: MessageFact) {
        if message.chunks > 0 {
            self.chunked.insert(number, message.chunks);
        }
        if let Some(body) = message.file {
            self.files.add(number, body);
        }
    }

    /// Whether the chunks are there that a publish needs. They end together, so without them each of its entries
    /// ended, with or without a record that says so, unless something could not be read.
    fn has_chunks(&self, this: u64, chunks: u32) -> bool {
        let first = this.saturating_sub(u64::from(chunks));
        !self.holes.is_empty() || (first..this).all(|chunk| self.live.is_live(chunk))
    }

    /// The same of a move and its message.
    fn has_message(&self, moved: &Move<'_>) -> bool {
        !self.holes.is_empty() || self.live.is_live(self.number(moved.entry.message))
    }
}

fn own(moved: &Move<'_>) -> u64 {
    u64::try_from(moved.targets.len()).unwrap_or(u64::MAX)
}

/// The second pass.
#[derive(Default)]
pub(crate) struct Telling {
    /// Living chunk records whose publish has not come yet.
    orphans: Vec<u64>,
    /// Messages of format 1 that were moved: their moves do not say what they are like.
    moved: HashMap<u64, MessageFact>,
}

impl Telling {
    /// Tells the entries of a record that lives. The records come in order.
    ///
    /// # Errors
    /// [`DecodeError`]: the record cannot be what was written.
    pub(crate) fn record(
        &mut self,
        journal: &mut Journal,
        version: Version,
        number: u64,
        fact: Fact<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), DecodeError> {
        if let Fact::Chunk = fact {
            self.orphans.push(number);
            return Ok(());
        }
        let chunks = match &fact {
            Fact::Publish(message, _) => message.chunks,
            Fact::Chunk | Fact::Settle(..) | Fact::Tombstone | Fact::Other(_) => 0,
        };
        self.end_orphans(journal, number.saturating_sub(u64::from(chunks)));
        match fact {
            Fact::Publish(message, entries) => {
                if !journal.has_chunks(number, chunks) {
                    for void in number.saturating_sub(u64::from(chunks))..=number {
                        journal.end(void, journal.last());
                    }
                    return Ok(());
                }
                journal.met(number, message);
                let left = u64::try_from(entries.left()).unwrap_or(u64::MAX);
                if version == Version::One && journal.is_moved(number, left) {
                    self.moved.insert(number, message);
                }
                let place = Place {
                    number,
                    message: number,
                    fact: message,
                };
                for entry in entries {
                    journal.tell(place, &entry?, visitor);
                }
            }
            Fact::Other(Record::Move(moved)) => {
                let place = self.place_of(journal, number, &moved);
                for entry in moved.targets.iter() {
                    journal.tell(place, entry, visitor);
                }
            }
            // A publish that was settled before it was written, or the end of a log that was torn.
            Fact::Tombstone => journal.end(number, journal.last()),
            Fact::Chunk | Fact::Settle(..) | Fact::Other(_) => {}
        }
        Ok(())
    }

    /// Every record that lives was met.
    pub(crate) fn finish(mut self, journal: &mut Journal) {
        self.end_orphans(journal, u64::MAX);
        journal.purges.clear();
        let live = &journal.live;
        journal
            .leases
            .keep(|(queue, entry)| live.is_live(entry) && !live.has_left(entry, queue));
    }

    /// Ends chunks below `first`: their publish was settled, torn off, or elided after they were written.
    fn end_orphans(&mut self, journal: &mut Journal, first: u64) {
        for chunk in self.orphans.drain(..).filter(|chunk| *chunk < first) {
            journal.end(chunk, journal.last());
        }
    }

    fn place_of(&self, journal: &Journal, number: u64, moved: &Move<'_>) -> Place {
        let message = journal.number(moved.entry.message);
        let said = MessageFact {
            enqueued_at: moved.enqueued_at,
            chunks: journal.chunked.get(&message).copied().unwrap_or(0),
            body_bytes: moved.body_bytes,
            file: None,
        };
        Place {
            number,
            message,
            fact: self.moved.get(&message).copied().unwrap_or(said),
        }
    }
}

/// Where an entry comes from.
#[derive(Clone, Copy)]
struct Place {
    /// Number of the record that made it.
    number: u64,
    /// Number of its message.
    message: u64,
    fact: MessageFact,
}

impl Journal {
    /// Whether something beside its own entries refers to a publish.
    fn is_moved(&self, number: u64, entries: u64) -> bool {
        entries < self.live.count(number) || self.live.has_been_left(number)
    }

    fn is_purged(&self, queue: QueueId, entry: u64) -> bool {
        let first = self
            .purges
            .partition_point(|purge| (purge.queue, purge.upto) < (queue, entry));
        let later = self.purges.iter().skip(first);
        later
            .take_while(|purge| purge.queue == queue)
            .any(|purge| purge.from <= entry)
    }

    /// Tells an entry, if it is still there.
    fn tell(&mut self, place: Place, fields: &EntryFields, visitor: &mut dyn Visitor) {
        let queue = fields.queue;
        if self.live.has_left(place.number, queue) {
            return;
        }
        let lsn = |number| Lsn::new(self.shard, number);
        let (Some(entry), Some(message)) = (lsn(place.number), lsn(place.message)) else {
            return;
        };
        let is_purged = self.is_purged(queue, place.number);
        let has_place = !is_purged && {
            let more = fields.more.as_deref();
            let lease = self.leases.get((queue, place.number));
            let written = more.map_or((0, 0), |more| (more.acquired, more.failed));
            let (acquired, failed) = lease.map_or(written, |lease| (lease.acquired, lease.failed));
            visitor.entry(LiveEntry {
                entry,
                message,
                chunks: place.fact.chunks,
                body_bytes: place.fact.body_bytes,
                enqueued_at: place.fact.enqueued_at,
                fields,
                acquired,
                failed,
                until: lease.and_then(|lease| lease.until),
                is_counted: lease.is_some(),
            })
        };
        if !has_place {
            let entry = EntryRef { entry, message };
            self.dead(&Dead { queue, entry });
        }
    }
}
