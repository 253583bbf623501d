//! What every store shares: records that wait to be written, who refers to what, and who waits.
//!
//! A [`Journal`] stands under the log's lock and does no IO. A writer takes one [`Batch`] after the other,
//! makes it durable, and says so.
//!
//! INVARIANT: records are numbered without a gap; a batch holds consecutive numbers; a number is pending
//! (in `sealed` or `open`), or placed in a segment of the ledger, or gone with its segment. What lives of the placed
//! ones is in `live`; references to pending ones are in their batch.

mod batch;
mod cold;
mod files;
#[cfg(test)]
mod fold;
mod forward;
mod leases;
mod ledger;
mod live;
mod named;
mod references;
mod replay;
mod snapshot;
mod waiters;

use std::collections::HashMap;
use std::collections::VecDeque;

use crate::core::log::bodies::BodyId;
use crate::core::log::record::EntryRef;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Hole;
use crate::core::log::store::Space;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::format;
use crate::store::format::BodyFact;

pub(crate) use batch::Batch;
#[cfg(test)]
pub(crate) use fold::Fold;
pub(crate) use forward::Moment;
pub(crate) use forward::Span;
pub(crate) use leases::Lease;
pub(crate) use leases::LeaseKey;
pub(crate) use ledger::Coverage;
pub(crate) use ledger::SegmentRow;
pub(crate) use live::Bits;
pub(crate) use live::Block;
pub(crate) use live::LiveChanges;
pub(crate) use replay::Absorbed;
pub(crate) use replay::Telling;
pub(crate) use snapshot::At;
pub(crate) use snapshot::Delta;
pub(crate) use snapshot::Snapshot;
pub(crate) use waiters::Waiters;

use cold::ColdRows;
use files::Files;
use leases::Leases;
use ledger::Ledger;
use live::LiveSet;

/// Buffers that are kept for the next batch.
const SPARE_BATCHES: usize = 2;

/// How a journal cuts batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// An append of up to this many bytes is never cut in two.
    pub(crate) batch_bytes: usize,
    /// Above this many pending bytes, appends that can wait are refused.
    pub(crate) busy_bytes: usize,
    /// Whether several appends share a batch.
    pub(crate) merge: bool,
    /// Bytes that the writer needs before the records.
    pub(crate) prefix: usize,
}

/// Pending records and the references of all records.
pub(crate) struct Journal {
    shard: Shard,
    limits: Limits,
    /// Number of the next record.
    next: u64,
    /// Batches that get no more records, oldest first.
    sealed: VecDeque<Batch>,
    /// The batch that the next append goes to.
    open: Batch,
    sealed_bytes: usize,
    in_flight_bytes: usize,
    /// The last number known to be durable.
    durable: u64,
    /// Number of the last record that is no matter of leases, 0 = none; see [`Self::is_pressing`].
    pressing: u64,
    spare: Vec<Batch>,
    ledger: Ledger,
    cold: ColdRows,
    /// Bodies in files of their own.
    files: Files,
    /// Records that are placed and have references.
    live: LiveSet,
    leases: Leases,
    /// Purged ranges whose entries may not all have ended yet.
    purges: Vec<Purge>,
    /// Parts of the log that could not be read: until somebody accepts the loss.
    holes: Vec<Hole>,
    /// Number of chunks of living publishes whose body is in chunk records.
    chunked: HashMap<u64, u32>,
    /// Latest time of an append.
    latest: CoreTime,
    /// Number of the last catalog record, 0 = none.
    last_catalog: u64,
    /// Number of the last mark of a clean stop, 0 = none.
    last_stop: u64,
    /// Snapshots that were made.
    snapshots: u64,
    /// Number of the last record of the newest snapshot.
    snapshot_upto: u64,
    /// Entries of the current settle that must be written.
    kept: Vec<EntryRef>,
}

/// A purge: entries of a queue between two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Purge {
    /// The queue.
    pub(crate) queue: QueueId,
    /// The last number that it covers.
    pub(crate) upto: u64,
    /// The first one.
    pub(crate) from: u64,
}

impl Journal {
    /// The empty journal of a shard.
    pub(crate) fn new(shard: Shard, limits: Limits) -> Self {
        Self {
            shard,
            limits,
            next: 1,
            sealed: VecDeque::new(),
            open: Batch::new(1, limits.prefix),
            sealed_bytes: 0,
            in_flight_bytes: 0,
            durable: 0,
            pressing: 0,
            spare: Vec::new(),
            ledger: Ledger::default(),
            cold: ColdRows::default(),
            live: LiveSet::default(),
            leases: Leases::default(),
            purges: Vec::new(),
            holes: Vec::new(),
            chunked: HashMap::new(),
            files: Files::default(),
            latest: CoreTime::default(),
            last_catalog: 0,
            last_stop: 0,
            snapshots: 0,
            snapshot_upto: 0,
            kept: Vec::new(),
        }
    }

    /// Number of the last record, 0 if there was none.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Number of the last durable record, 0 if there is none.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Continues after record `last`, which is durable as everything before it. Nothing may be pending.
    pub(crate) fn continue_after(&mut self, last: u64) {
        self.next = last + 1;
        self.durable = last;
        self.open.restart(self.next, self.limits.prefix);
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.sealed_bytes + self.open.pending_bytes() + self.in_flight_bytes
    }

    /// Appends records and returns the number of the first.
    ///
    /// # Errors
    /// [`AppendError::Busy`] as the limits say. [`AppendError::Failed`] for a record of 4 GiB or more, which
    /// nobody builds: some records before it may have been taken, so the log must then be given up.
    pub(crate) fn append(
        &mut self,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'_>>,
    ) -> Result<u64, AppendError> {
        if !urgent && self.pending_bytes() > self.limits.busy_bytes {
            return Err(AppendError::Busy);
        }
        let first = self.next;
        if !self.limits.merge {
            self.seal();
        }
        let mut start = self.open.len();
        self.open.saw(now);
        self.latest = self.latest.max(now);
        for record in records {
            self.push(&record)?;
            if self.open.bytes() > self.limits.batch_bytes && self.open.len() > 1 {
                start = self.cut(start);
            }
        }
        Ok(first)
    }

    /// Cuts the open batch, which has become too long, before the current append if it can, else before
    /// its last record. Returns where the append starts now.
    fn cut(&mut self, start: usize) -> usize {
        let at = match start {
            0 => self.open.len() - 1,
            start => start,
        };
        let mut fresh = self.fresh();
        self.open.split_off(at, &mut fresh);
        self.seal_with(fresh);
        if start > 0 && self.open.bytes() > self.limits.batch_bytes && self.open.len() > 1 {
            return self.cut(0);
        }
        0
    }

    fn seal(&mut self) {
        if !self.open.is_empty() {
            let mut fresh = self.fresh();
            fresh.restart(self.next, self.limits.prefix);
            self.seal_with(fresh);
        }
    }

    fn seal_with(&mut self, open: Batch) {
        let sealed = std::mem::replace(&mut self.open, open);
        self.sealed_bytes += sealed.pending_bytes();
        self.sealed.push_back(sealed);
    }

    fn fresh(&mut self) -> Batch {
        self.spare
            .pop()
            .unwrap_or_else(|| Batch::new(self.next, self.limits.prefix))
    }

    /// Bytes that the next batch needs at most, none if nothing waits.
    pub(crate) fn next_batch_bytes(&self) -> Option<usize> {
        match self.sealed.front() {
            Some(batch) => Some(batch.bytes()),
            None if self.open.is_empty() => None,
            None => Some(self.open.bytes()),
        }
    }

    /// Whether something waits to be written whose sender usually waits for it. Grants, settles and counters
    /// alone do not press: losing the last of them costs a redelivery, and what is written next takes them
    /// along. A whole batch of them does.
    pub(crate) fn is_pressing(&self) -> bool {
        !self.sealed.is_empty() || self.pressing >= self.open.first()
    }

    /// Number of the first record of the next batch.
    pub(crate) fn next_batch_first(&self) -> u64 {
        self.sealed.front().unwrap_or(&self.open).first()
    }

    /// Number of the last record of the next batch.
    pub(crate) fn next_batch_last(&self) -> Option<u64> {
        let batch = self.sealed.front().unwrap_or(&self.open);
        (!batch.is_empty()).then(|| batch.last())
    }

    /// Takes the oldest batch to be written to `segment`, which is the newest segment or a new one.
    pub(crate) fn take(&mut self, segment: u64) -> Option<Batch> {
        if self.sealed.is_empty() {
            self.seal();
        }
        let mut batch = self.sealed.pop_front()?;
        self.sealed_bytes -= batch.pending_bytes();
        self.in_flight_bytes += batch.pending_bytes();
        let live = batch.enter(&mut self.live);
        self.ledger.place(segment, &mut batch, live);
        Some(batch)
    }

    /// What was taken last is durable.
    pub(crate) fn written(&mut self, batch: Batch) {
        self.in_flight_bytes = 0;
        self.durable = batch.last();
        if self.spare.len() < SPARE_BATCHES && batch.is_worth_keeping(self.limits.batch_bytes) {
            self.spare.push(batch);
        }
    }

    /// Both generations of the checkpoint have this: it holds nothing any more.
    pub(crate) fn absorbed(&mut self, absorbed: Coverage) {
        self.ledger.absorbed(absorbed);
    }

    /// What both generations had last.
    pub(crate) fn absorbed_so_far(&self) -> Coverage {
        self.ledger.absorbed_so_far()
    }

    /// Whether a checkpoint would free a segment.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.ledger.wants_checkpoint()
    }

    /// Forgets a segment that nothing holds, and names it.
    pub(crate) fn recyclable(&mut self) -> Option<u64> {
        self.ledger.recyclable(self.durable)
    }

    /// Whether a segment may have become free since [`Self::recyclable`] found none.
    pub(crate) fn may_recycle(&self) -> bool {
        self.ledger.may_recycle(self.durable)
    }

    /// Takes the files of bodies that records named since the last call; true if there were any.
    pub(crate) fn take_named(&mut self, into: &mut Vec<BodyId>) -> bool {
        self.files.take_named(into)
    }

    /// Takes a file that no record names any more, and that none names again after a crash.
    pub(crate) fn take_ended_file(&mut self) -> Option<BodyId> {
        self.files.take_ended(self.durable)
    }

    /// Every file that a live record names, and the length of its body.
    pub(crate) fn named_files(&self) -> HashMap<BodyId, u64> {
        self.files.all()
    }

    /// Every living publish whose body is in a file, by number, and that body.
    pub(crate) fn publishes_with_files(&self) -> Vec<(u64, BodyFact)> {
        let mut publishes: Vec<_> = self.files.publishes().collect();
        publishes.sort_unstable_by_key(|(number, _)| *number);
        publishes
    }

    /// Whether publish `number` lives and has its body in this file.
    pub(crate) fn is_file_named_by(&self, number: u64, file: BodyId) -> bool {
        self.files.is_named_by(number, file)
    }

    /// What the journal knows about room; the rest is for others to say.
    pub(crate) fn space(&self) -> Space {
        Space {
            segments: self.ledger.segments(),
            references: self.live.references(),
            pending_bytes: u64::try_from(self.pending_bytes()).unwrap_or(u64::MAX),
            ..Space::default()
        }
    }

    fn encode(&mut self, record: &Record<'_>, slot: batch::Slot) -> Result<(), AppendError> {
        let encode = |out: &mut Vec<u8>| format::encode(record, out);
        if !self.open.push(slot, encode) {
            return Err(AppendError::Failed);
        }
        if !is_of_leases(record) {
            self.pressing = self.next;
        }
        self.next += 1;
        Ok(())
    }

    /// The pending batch that holds record `number`, and the record's place in it.
    fn pending(&mut self, number: u64) -> Option<(&mut Batch, usize)> {
        let batch = if number >= self.open.first() {
            &mut self.open
        } else {
            let at = self.sealed.partition_point(|b| b.last() < number);
            self.sealed.get_mut(at)?
        };
        let slot = batch.slot_of(number)?;
        Some((batch, slot))
    }

    /// Number of a record of this shard, 0, which no record has, for one of another.
    fn number(&self, lsn: Lsn) -> u64 {
        if lsn.shard() == self.shard {
            lsn.number()
        } else {
            0
        }
    }

    /// References to records that are not placed yet.
    #[cfg(test)]
    fn pending_references(&self) -> u64 {
        let batches = self.sealed.iter().chain([&self.open]);
        batches.map(Batch::references).sum()
    }
}

/// Whether a record only says who holds an entry, or that nobody does any more.
fn is_of_leases(record: &Record<'_>) -> bool {
    matches!(
        record,
        Record::Grant { .. } | Record::Settle { .. } | Record::Counters { .. }
    )
}

#[cfg(test)]
mod tests;
