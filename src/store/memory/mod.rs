//! The store without a disk: records are kept encoded in memory, and a restart is a new store with what
//! the old one had made durable.
//!
//! Appends are durable at once, so nothing is ever elided, until a test holds them back.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::log::bodies::Bodies;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Capabilities;
use crate::core::log::store::Dead;
use crate::core::log::store::Scanned;
use crate::core::log::store::Space;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::log::store::Waiter;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::watermark::AtomicWatermark;

mod bodies;
mod shard;

use bodies::MemoryBodies;
use shard::ShardLog;

/// Records that are dropped together: small, since nothing is gained by keeping more.
const SEGMENT_BYTES: usize = 256 * 1024;

/// A log of 1 to 255 shards in memory.
pub struct MemoryStore {
    identity: Identity,
    shards: Vec<MemoryShard>,
    files: Arc<MemoryBodies>,
    /// The same, as core knows them.
    bodies: Arc<dyn Bodies>,
}

struct MemoryShard {
    shard: Shard,
    watermark: AtomicWatermark,
    log: Mutex<ShardLog>,
}

impl MemoryStore {
    /// An empty store; 0 shards are taken as 1. Every append is durable at once until [`Self::hold`].
    pub fn new(shards: u8) -> Arc<Self> {
        Self::with_segments(shards, SEGMENT_BYTES)
    }

    /// An empty store with segments of about `segment_bytes`.
    pub fn with_segments(shards: u8, segment_bytes: usize) -> Arc<Self> {
        let mut uuid = [0; 16];
        // Without randomness two memory stores look alike, which harms nobody: neither survives.
        let _ = getrandom::fill(&mut uuid);
        let identity = Identity {
            uuid: u128::from_le_bytes(uuid),
            incarnation: 1,
        };
        let shards = (0..shards.max(1))
            .map(|shard| MemoryShard::new(Shard(shard), ShardLog::new(Shard(shard), segment_bytes)))
            .collect();
        Arc::new(Self::of(identity, shards, MemoryBodies::default()))
    }

    /// What a restart finds: the same store, one incarnation later, with what was durable and no more.
    /// It is not held, and must be scanned before the first append.
    pub fn reopened(&self) -> Arc<Self> {
        let identity = Identity {
            incarnation: self.identity.incarnation + 1,
            ..self.identity
        };
        let shards = self
            .shards
            .iter()
            .map(|shard| MemoryShard::new(shard.shard, shard.log.lock().reopened()))
            .collect();
        Arc::new(Self::of(identity, shards, self.files.reopened()))
    }

    fn of(identity: Identity, shards: Vec<MemoryShard>, files: MemoryBodies) -> Self {
        let files = Arc::new(files);
        Self {
            identity,
            shards,
            bodies: Arc::clone(&files) as Arc<dyn Bodies>,
            files,
        }
    }

    /// Number of large bodies.
    pub fn large_bodies(&self) -> usize {
        self.files.len()
    }

    /// From now on nothing becomes durable until it is released.
    pub fn hold(&self) {
        for shard in &self.shards {
            shard.log.lock().held = true;
        }
    }

    /// Makes durable what a held shard has up to record `number`; whole appends only.
    pub fn release_upto(&self, shard: Shard, number: u64) {
        if let Some(shard) = self.shard(shard) {
            shard.write_upto(number, &self.files);
        }
    }

    /// Makes everything durable, and ends [`Self::hold`].
    pub fn release(&self) {
        for shard in &self.shards {
            shard.log.lock().held = false;
            shard.write_upto(u64::MAX, &self.files);
        }
    }

    /// Fails a shard, as a failed sync does.
    pub fn fail(&self, shard: Shard) {
        if let Some(shard) = self.shard(shard) {
            shard.fail();
        }
    }

    /// Forgets the bodies that no shard's records name.
    fn keep_named(&self) {
        let shards = self.shards.iter();
        let named = shards.flat_map(|shard| shard.log.lock().named_bodies());
        self.files.keep(&named.collect());
    }

    fn shard(&self, shard: Shard) -> Option<&MemoryShard> {
        self.shards.get(usize::from(shard.0))
    }
}

impl MemoryShard {
    fn new(shard: Shard, log: ShardLog) -> Self {
        Self {
            shard,
            watermark: AtomicWatermark::default(),
            log: Mutex::new(log),
        }
    }

    fn write_upto(&self, upto: u64, files: &MemoryBodies) {
        let woken = {
            let mut log = self.log.lock();
            let woken = log.write_upto(upto, &self.watermark);
            log.end_bodies(files);
            woken
        };
        self.wake(woken);
    }

    fn fail(&self) {
        let woken = {
            let mut log = self.log.lock();
            self.watermark.fail();
            log.fail()
        };
        self.wake(woken);
    }

    /// Calls waiters, without the lock.
    fn wake(&self, woken: Vec<Arc<dyn Waiter>>) {
        for waiter in woken {
            waiter.watermark_moved(self.shard);
        }
    }
}

impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shards: u8::try_from(self.shards.len()).unwrap_or(u8::MAX),
            frame_max_bytes: shard::LIMITS.batch_bytes,
        }
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError> {
        Ok(self
            .shard(shard)
            .and_then(|shard| shard.log.lock().load(visit)))
    }

    fn scan(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(Lsn, Record<'_>),
    ) -> Result<Scanned, StoreError> {
        let Some(shard) = self.shard(shard) else {
            return Ok(Scanned::default());
        };
        let mut log = shard.log.lock();
        let scanned = log.scan(visit)?;
        if let Some(last) = scanned.last {
            shard.watermark.reach(last.number());
        }
        log.end_bodies(&self.files);
        drop(log);
        if usize::from(shard.shard.0) + 1 == self.shards.len() {
            self.keep_named();
        }
        Ok(scanned)
    }

    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError> {
        let shard = self.shard(shard).ok_or(AppendError::Failed)?;
        let (first, woken) = {
            let mut log = shard.log.lock();
            if shard.watermark.has_failed() {
                return Err(AppendError::Failed);
            }
            let first = log.append(now, urgent, records)?;
            log.name_bodies(&self.files);
            let upto = if log.held { 0 } else { u64::MAX };
            let woken = log.write_upto(upto, &shard.watermark);
            log.end_bodies(&self.files);
            (first, woken)
        };
        shard.wake(woken);
        Ok(first)
    }

    fn watermark(&self, shard: Shard) -> Watermark {
        self.shard(shard)
            .map_or(Watermark::Failed, |shard| shard.watermark.get())
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        let Some(shard) = self.shard(lsn.shard()) else {
            waiter.watermark_moved(lsn.shard());
            return;
        };
        {
            let mut log = shard.log.lock();
            if !shard.watermark.answers(lsn.number()) {
                log.wait(lsn.number(), waiter);
                return;
            }
        }
        waiter.watermark_moved(shard.shard);
    }

    fn dead(&self, dead: &[Dead]) {
        for dead in dead {
            if let Some(shard) = self.shard(dead.entry.message.shard()) {
                let mut log = shard.log.lock();
                log.dead(dead);
                log.end_bodies(&self.files);
            }
        }
    }

    fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) -> Result<(), StoreError> {
        if let Some(shard) = self.shard(shard) {
            shard.log.lock().checkpoint(upto, changes);
        }
        Ok(())
    }

    fn bodies(&self) -> &Arc<dyn Bodies> {
        &self.bodies
    }

    fn space(&self) -> Space {
        let mut all = Space::default();
        for shard in &self.shards {
            let space = shard.log.lock().space();
            all.log_bytes += space.log_bytes;
            all.segments += space.segments;
            all.references += space.references;
            all.pending_bytes += space.pending_bytes;
        }
        all
    }

    fn close(&self, now: CoreTime) -> Result<(), StoreError> {
        for shard in &self.shards {
            if !shard.watermark.has_failed() {
                shard.log.lock().close(now, self.identity.incarnation);
                shard.write_upto(u64::MAX, &self.files);
            }
        }
        Ok(())
    }
}
