//! The store without a disk: records are kept encoded in memory, and a restart is a new store with what
//! the old one had made durable.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

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

mod shard;

use shard::ShardLog;

/// The watermark of a failed shard.
const FAILED: u64 = u64::MAX;

/// A log of 1 to 255 shards in memory.
pub struct MemoryStore {
    identity: Identity,
    shards: Vec<MemoryShard>,
}

struct MemoryShard {
    shard: Shard,
    watermark: AtomicU64,
    log: Mutex<ShardLog>,
}

impl MemoryStore {
    /// An empty store; 0 shards are taken as 1. Every append is durable at once until [`Self::hold`].
    pub fn new(shards: u8) -> Arc<Self> {
        let mut uuid = [0; 16];
        // Without randomness two memory stores look alike, which harms nobody: neither survives.
        let _ = getrandom::fill(&mut uuid);
        let identity = Identity {
            uuid: u128::from_le_bytes(uuid),
            incarnation: 1,
        };
        let shards = (0..shards.max(1))
            .map(|shard| MemoryShard::new(Shard(shard), ShardLog::default()))
            .collect();
        Arc::new(Self { identity, shards })
    }

    /// What a restart finds: the same store, one incarnation later, with what was durable and no more.
    pub fn reopened(&self) -> Arc<Self> {
        let identity = Identity {
            incarnation: self.identity.incarnation + 1,
            ..self.identity
        };
        let shards = self
            .shards
            .iter()
            .map(|shard| {
                let upto = shard.watermark.load(Ordering::Acquire);
                MemoryShard::new(shard.shard, shard.log.lock().durable(upto))
            })
            .collect();
        Arc::new(Self { identity, shards })
    }

    /// From now on nothing becomes durable until it is released.
    pub fn hold(&self) {
        for shard in &self.shards {
            shard.log.lock().held = true;
        }
    }

    /// Makes durable what a held shard has up to record `number`.
    pub fn release_upto(&self, shard: Shard, number: u64) {
        if let Some(shard) = self.shard(shard) {
            shard.make_durable(number);
        }
    }

    /// Makes everything durable, and ends [`Self::hold`].
    pub fn release(&self) {
        for shard in &self.shards {
            shard.log.lock().held = false;
            shard.make_durable(FAILED - 1);
        }
    }

    /// Fails a shard, as a failed sync does.
    pub fn fail(&self, shard: Shard) {
        if let Some(shard) = self.shard(shard) {
            shard.fail();
        }
    }

    fn shard(&self, shard: Shard) -> Option<&MemoryShard> {
        self.shards.get(usize::from(shard.0))
    }
}

impl MemoryShard {
    fn new(shard: Shard, log: ShardLog) -> Self {
        Self {
            shard,
            watermark: AtomicU64::new(log.last),
            log: Mutex::new(log),
        }
    }

    fn make_durable(&self, upto: u64) {
        let woken = {
            let mut log = self.log.lock();
            let before = self.watermark.load(Ordering::Acquire);
            if before == FAILED {
                return;
            }
            let upto = upto.min(log.last).max(before);
            self.watermark.store(upto, Ordering::Release);
            log.take_waiters(upto)
        };
        self.wake(woken);
    }

    fn fail(&self) {
        let woken = {
            let mut log = self.log.lock();
            self.watermark.store(FAILED, Ordering::Release);
            log.take_waiters(u64::MAX)
        };
        self.wake(woken);
    }

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
            frame_max_bytes: usize::MAX,
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
        match self.shard(shard) {
            Some(state) => state.log.lock().scan(shard, visit),
            None => Ok(Scanned::default()),
        }
    }

    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError> {
        let state = self.shard(shard).ok_or(AppendError::Failed)?;
        let (first, held) = {
            let mut log = state.log.lock();
            if state.watermark.load(Ordering::Acquire) == FAILED {
                return Err(AppendError::Failed);
            }
            (log.append(shard, now, urgent, records)?, log.held)
        };
        if !held {
            state.make_durable(FAILED - 1);
        }
        Ok(first)
    }

    fn watermark(&self, shard: Shard) -> Watermark {
        match self
            .shard(shard)
            .map(|s| s.watermark.load(Ordering::Acquire))
        {
            None | Some(FAILED) => Watermark::Failed,
            Some(upto) => Watermark::Durable(upto),
        }
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        let Some(state) = self.shard(lsn.shard()) else {
            return;
        };
        {
            let mut log = state.log.lock();
            // FAILED is above every number, so a failed shard answers at once as well.
            if state.watermark.load(Ordering::Acquire) < lsn.number() {
                log.waiters.push((lsn.number(), waiter));
                return;
            }
        }
        waiter.watermark_moved(state.shard);
    }

    fn dead(&self, _dead: &[Dead]) {}

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

    fn space(&self) -> Space {
        Space::default()
    }

    fn close(&self, now: CoreTime) -> Result<(), StoreError> {
        for state in &self.shards {
            state.log.lock().close(state.shard, now, self.identity);
            state.make_durable(FAILED - 1);
        }
        Ok(())
    }
}
