//! One shard in memory.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;

use crate::core::log::bodies::BodyId;
use crate::core::log::read::ReadError;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Dead;
use crate::core::log::store::Hole;
use crate::core::log::store::Scanned;
use crate::core::log::store::Space;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::log::store::Waiter;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::format;
use crate::store::format::DecodeError;
use crate::store::format::Fact;
use crate::store::format::Version;
use crate::store::journal::Absorbed;
use crate::store::journal::At;
use crate::store::journal::Coverage;
use crate::store::journal::Delta;
use crate::store::journal::Journal;
use crate::store::journal::Limits;
use crate::store::journal::Telling;
use crate::store::journal::Waiters;
use crate::store::reading;
use crate::store::reading::Found;
use crate::store::watermark::AtomicWatermark;

use super::bodies::MemoryBodies;

/// Appends keep batches of their own, so that a test can release one of them.
pub(super) const LIMITS: Limits = Limits {
    batch_bytes: 4 * 1024 * 1024,
    busy_bytes: 8 * 1024 * 1024,
    merge: false,
    prefix: 0,
};

/// Records of one shard, and who waits for them.
pub(super) struct ShardLog {
    shard: Shard,
    segment_bytes: usize,
    journal: Journal,
    waiters: Waiters,
    /// Whether appends wait for a release.
    pub(super) held: bool,
    closed: bool,
    latest: CoreTime,
    segments: Vec<Segment>,
    next_segment: u64,
    /// The checkpoint: where it stands, and everything in it.
    saved: (At, Delta),
    catalog: BTreeMap<String, Vec<u8>>,
    absorbed: Option<Lsn>,
    /// Whether records can be appended.
    is_open: bool,
}

/// Durable records that are dropped together.
#[derive(Clone)]
struct Segment {
    id: u64,
    bytes: usize,
    batches: Vec<Written>,
}

/// A durable batch.
#[derive(Clone)]
struct Written {
    first: u64,
    count: u64,
    bytes: Bytes,
}

impl ShardLog {
    /// An empty log.
    pub(super) fn new(shard: Shard, segment_bytes: usize) -> Self {
        Self {
            shard,
            segment_bytes,
            journal: Journal::new(shard, LIMITS),
            waiters: Waiters::default(),
            held: false,
            closed: false,
            latest: CoreTime::default(),
            segments: Vec::new(),
            next_segment: 1,
            catalog: BTreeMap::new(),
            absorbed: None,
            saved: (At::default(), Delta::default()),
            is_open: true,
        }
    }

    /// A log with what is durable in this one, not recovered yet.
    pub(super) fn reopened(&self) -> Self {
        let mut log = Self::new(self.shard, self.segment_bytes);
        log.latest = self.latest;
        log.segments.clone_from(&self.segments);
        log.next_segment = self.next_segment;
        log.catalog.clone_from(&self.catalog);
        log.absorbed = self.absorbed;
        log.saved.clone_from(&self.saved);
        log.is_open = false;
        log
    }

    pub(super) fn append(
        &mut self,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'_>>,
    ) -> Result<Lsn, AppendError> {
        if self.closed || !self.is_open {
            return Err(AppendError::Failed);
        }
        let number = self.journal.append(now, urgent, records)?;
        Lsn::new(self.shard, number).ok_or(AppendError::Failed)
    }

    /// Lets `waiter` wait for record `number`, or gives it back: there is nothing to wait for.
    pub(super) fn wait(
        &mut self,
        watermark: &AtomicWatermark,
        number: u64,
        waiter: Arc<dyn Waiter>,
    ) -> Option<Arc<dyn Waiter>> {
        self.waiters.wait(watermark, number, waiter)
    }

    /// Makes whole appends up to record `upto` durable and returns whom to wake.
    pub(super) fn write_upto(
        &mut self,
        upto: u64,
        watermark: &AtomicWatermark,
    ) -> Vec<Arc<dyn Waiter>> {
        let mut woken = Vec::new();
        if watermark.has_failed() {
            return woken;
        }
        while self
            .journal
            .next_batch_last()
            .is_some_and(|last| last <= upto)
        {
            self.write_next();
        }
        let durable = self.journal.durable();
        self.waiters.reach(watermark, durable, &mut woken);
        self.recycle();
        woken
    }

    /// The shard fails; returns whom to wake.
    pub(super) fn fail(&mut self, watermark: &AtomicWatermark) -> Vec<Arc<dyn Waiter>> {
        let mut woken = Vec::new();
        self.waiters.fail(watermark, &mut woken);
        woken
    }

    fn write_next(&mut self) {
        let segment_bytes = self.segment_bytes;
        let is_full = self
            .segments
            .last()
            .is_none_or(|s| s.bytes >= segment_bytes);
        if is_full {
            self.segments.push(Segment {
                id: self.next_segment,
                bytes: 0,
                batches: Vec::new(),
            });
            self.next_segment += 1;
        }
        let Some(segment) = self.segments.last_mut() else {
            return;
        };
        if let Some(mut batch) = self.journal.take(segment.id) {
            let written = Written {
                first: batch.first(),
                count: batch.last() + 1 - batch.first(),
                bytes: Bytes::copy_from_slice(batch.finish()),
            };
            segment.bytes += written.bytes.len();
            segment.batches.push(written);
            self.latest = self.latest.max(batch.latest());
            self.journal.written(batch);
        }
    }

    fn recycle(&mut self) {
        if self.journal.wants_checkpoint() {
            self.checkpoint_log();
        }
        while let Some(id) = self.journal.recyclable() {
            self.segments.retain(|segment| segment.id != id);
        }
    }

    pub(super) fn dead(&mut self, dead: &Dead) {
        self.journal.dead(dead);
        self.recycle();
    }

    /// Tells what is durable: what the checkpoint has, and the records behind it.
    pub(super) fn recover(
        &mut self,
        holes: Vec<Hole>,
        visitor: &mut dyn Visitor,
    ) -> Result<Scanned, StoreError> {
        if self.journal.last() > 0 {
            let source = io::Error::new(io::ErrorKind::ResourceBusy, "records were appended");
            return Err(StoreError::Io {
                action: "recover",
                path: "memory".to_owned(),
                source,
            });
        }
        let (at, delta) = self.saved.clone();
        let absorbed = Absorbed {
            log: at.log,
            catalog: self.absorbed.map_or(0, Lsn::number),
        };
        self.journal.load(at, delta);
        let mut scanned = self.replay(absorbed, visitor)?;
        scanned.holes = holes;
        visitor.entries(&scanned);
        self.tell(visitor)?;
        self.journal.absorbed(Coverage {
            log: absorbed.log,
            catalog: absorbed.catalog,
            snapshot: 0,
        });
        self.is_open = true;
        Ok(scanned)
    }

    fn replay(
        &mut self,
        absorbed: Absorbed,
        visitor: &mut dyn Visitor,
    ) -> Result<Scanned, StoreError> {
        let mut scanned = Scanned {
            latest: self.latest,
            ..Scanned::default()
        };
        let mut number = 0;
        for segment in &self.segments {
            for batch in &segment.batches {
                let last = batch.first + batch.count - 1;
                self.journal.replay_frame(segment.id, batch.first, last);
                number = batch.first - 1;
                let mut bytes = &*batch.bytes;
                while let Some(fact) = next(&mut bytes)? {
                    number += 1;
                    scanned.clean_stop = is_clean_stop(&fact);
                    let followed = self.journal.replay(absorbed, number, fact, visitor);
                    followed.map_err(|error| damaged(&error))?;
                }
            }
        }
        self.journal.end_replay(number, self.latest);
        scanned.last = Lsn::new(self.shard, number);
        Ok(scanned)
    }

    fn tell(&mut self, visitor: &mut dyn Visitor) -> Result<(), StoreError> {
        let mut telling = Telling::default();
        for segment in &self.segments {
            for batch in &segment.batches {
                let mut bytes = &*batch.bytes;
                for number in batch.first.. {
                    let Some(fact) = next(&mut bytes)? else {
                        break;
                    };
                    if self.journal.count_live(number, number) > 0 {
                        let journal = &mut self.journal;
                        let told = telling.record(journal, Version::NEWEST, number, fact, visitor);
                        told.map_err(|error| damaged(&error))?;
                    }
                }
            }
        }
        telling.finish(&mut self.journal);
        Ok(())
    }

    /// Shows every durable record that there still is.
    #[cfg(test)]
    pub(super) fn show(&self, visit: &mut dyn FnMut(Lsn, Record<'_>)) {
        for batch in self.segments.iter().flat_map(|s| &s.batches) {
            let mut bytes = &*batch.bytes;
            for number in batch.first.. {
                let Some(record) = format::split(&mut bytes).expect("what was written") else {
                    break;
                };
                let record = format::decode(record).expect("what was written");
                visit(Lsn::new(self.shard, number).expect("a number"), record);
            }
        }
    }

    /// Tells that records name bodies.
    pub(super) fn name_bodies(&mut self, files: &MemoryBodies) {
        let mut named = Vec::new();
        if self.journal.take_named(&mut named) {
            files.named(&named);
        }
    }

    /// Tells which bodies no record names any more.
    pub(super) fn end_bodies(&mut self, files: &MemoryBodies) {
        while let Some(body) = self.journal.take_ended_file() {
            files.ended(body);
        }
    }

    /// Bodies that records name.
    pub(super) fn named_bodies(&self) -> HashMap<BodyId, u64> {
        self.journal.named_files()
    }

    /// A durable message.
    pub(super) fn find(&self, lsn: Lsn) -> Result<Found, ReadError> {
        if lsn.shard() != self.shard {
            return Err(ReadError::NotThere);
        }
        let publish = self.record(lsn.number())?;
        let first = lsn.number()
            - u64::from(reading::chunks_of(Version::NEWEST, &publish)?).min(lsn.number());
        let chunk = |number| reading::chunk_of(Version::NEWEST, &self.record(number)?);
        let chunks = (first..lsn.number()).map(chunk).collect::<Result<_, _>>()?;
        Ok(Found { publish, chunks })
    }

    /// The durable record `number`.
    fn record(&self, number: u64) -> Result<Bytes, ReadError> {
        let starts_by = |batch: &Written| batch.first <= number;
        let begins_by = |segment: &Segment| segment.batches.first().is_some_and(starts_by);
        let segment = self.segments.partition_point(begins_by).checked_sub(1);
        let segment = segment.and_then(|at| self.segments.get(at));
        let batches = segment.map_or(&[][..], |segment| &segment.batches);
        let batch = batches.partition_point(starts_by).checked_sub(1);
        let batch = batch.and_then(|at| batches.get(at));
        let batch = batch.ok_or(ReadError::NotThere)?;
        let mut bytes = &*batch.bytes;
        for _ in batch.first..number {
            split(&mut bytes)?;
        }
        Ok(batch.bytes.slice_ref(split(&mut bytes)?))
    }

    pub(super) fn load(&self, visit: &mut dyn FnMut(&str, &[u8])) -> Option<Lsn> {
        self.absorbed?;
        for (key, value) in &self.catalog {
            visit(key, value);
        }
        self.absorbed
    }

    pub(super) fn checkpoint(
        &mut self,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) {
        for (key, value) in changes {
            match value {
                Some(value) => self.catalog.insert(key.to_owned(), value.to_vec()),
                None => self.catalog.remove(key),
            };
        }
        self.absorbed = Some(upto);
        self.checkpoint_log();
        self.recycle();
    }

    /// Absorbs what is durable, if that is everything. There is one generation: memory does not rot.
    fn checkpoint_log(&mut self) {
        let absorbed = match self.journal.next_batch_last() {
            Some(_) => self.journal.absorbed_so_far(),
            None => {
                let snapshot = self.journal.snapshot();
                self.saved.0 = snapshot.at;
                self.saved.1.merge(snapshot.delta);
                Coverage {
                    log: snapshot.at.log,
                    snapshot: snapshot.serial,
                    ..Coverage::default()
                }
            }
        };
        self.journal.absorbed(Coverage {
            catalog: self.absorbed.map_or(0, Lsn::number),
            ..absorbed
        });
    }

    pub(super) fn space(&self) -> Space {
        let bytes: usize = self.segments.iter().map(|segment| segment.bytes).sum();
        Space {
            log_bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            ..self.journal.space()
        }
    }

    /// Appends the mark of a clean stop; nothing can be appended after it.
    pub(super) fn close(&mut self, now: CoreTime, incarnation: u64) {
        if !self.closed {
            let stop = Record::Epoch {
                epoch: incarnation,
                clean_stop: true,
            };
            // Only what is too large or can wait is refused: a mark is neither.
            let _ = self.append(now, true, &mut std::iter::once(stop));
            self.closed = true;
        }
    }
}

/// Takes a record from the front of a batch.
fn next<'a>(bytes: &mut &'a [u8]) -> Result<Option<Fact<'a>>, StoreError> {
    format::split(bytes)
        .and_then(|record| {
            record
                .map(|record| format::fact_of(Version::NEWEST, record))
                .transpose()
        })
        .map_err(|error| damaged(&error))
}

/// Takes an encoded record from the front of a batch that must go on.
fn split<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], ReadError> {
    match format::split(bytes) {
        Ok(Some(record)) => Ok(record),
        Ok(None) => Err(ReadError::NotThere),
        Err(_) => Err(ReadError::Damaged),
    }
}

fn damaged(error: &DecodeError) -> StoreError {
    StoreError::Damaged {
        path: "memory".to_owned(),
        what: error.to_string(),
    }
}

fn is_clean_stop(fact: &Fact<'_>) -> bool {
    matches!(
        fact,
        Fact::Other(Record::Epoch {
            clean_stop: true,
            ..
        })
    )
}
