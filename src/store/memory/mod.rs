//! The store without a disk: records are kept encoded in memory, and a restart is a new store with what
//! the old one had made durable.
//!
//! Appends are durable at once, so nothing is ever elided, until a test holds them back.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::core::log::bodies::Bodies;
use crate::core::log::read::ReadError;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Capabilities;
use crate::core::log::store::DamageObserver;
use crate::core::log::store::Dead;
use crate::core::log::store::Hole;
use crate::core::log::store::Scanned;
use crate::core::log::store::Space;
use crate::core::log::store::Store;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::log::store::Waiter;
use crate::core::log::store::Watermark;
use crate::core::model::ids::Identity;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;
use crate::core::model::time::CoreTime;

use crate::store::reading::Found;
use crate::store::watermark::AtomicWatermark;

mod answers;
mod bodies;
mod shard;

use answers::Answers;
use bodies::MemoryBodies;
use shard::ShardLog;

/// Records that are dropped together: small, since nothing is gained by keeping more.
const SEGMENT_BYTES: usize = 256 * 1024;

/// A log of 1 to 255 shards in memory.
pub struct MemoryStore {
    identity: Identity,
    shards: Vec<Arc<MemoryShard>>,
    answers: Answers,
    files: Arc<MemoryBodies>,
    /// The same, as core knows them.
    bodies: Arc<dyn Bodies>,
    damage: Mutex<Damage>,
}

/// What is said to be damaged.
#[derive(Default)]
struct Damage {
    holes: Vec<Hole>,
    observer: Option<Arc<dyn DamageObserver>>,
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
        let answers = Answers::new(false);
        Arc::new(Self::of(identity, shards, answers, MemoryBodies::default()))
    }

    /// What a restart finds: the same store, one incarnation later, with what was durable and no more.
    /// It is not held, and must be recovered before the first append.
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
        let answers = Answers::new(self.answers.is_by_hand());
        let reopened = Self::of(identity, shards, answers, self.files.reopened());
        reopened.damage.lock().holes = self.damage.lock().holes.clone();
        Arc::new(reopened)
    }

    fn of(
        identity: Identity,
        shards: Vec<Arc<MemoryShard>>,
        answers: Answers,
        files: MemoryBodies,
    ) -> Self {
        let files = Arc::new(files);
        Self {
            identity,
            shards,
            answers,
            bodies: Arc::clone(&files) as Arc<dyn Bodies>,
            files,
            damage: Mutex::default(),
        }
    }

    /// Says that records are lost: to whoever observes, and with every start until [`Self::repair`].
    pub fn lose(&self, hole: &Hole) {
        let observer = {
            let mut damage = self.damage.lock();
            damage.holes.push(hole.clone());
            damage.observer.clone()
        };
        if let Some(observer) = observer {
            observer.damaged(hole);
        }
    }

    /// From the next start on no record is said to be lost.
    pub fn repair(&self) {
        self.damage.lock().holes.clear();
    }

    /// Holds back what is written and read of large bodies, or lets it go on.
    pub fn hold_bodies(&self, holds: bool) {
        self.files.hold(holds);
    }

    /// Leaves no room for large bodies, or some again.
    pub fn fill_bodies(&self, is_full: bool) {
        self.files.fill(is_full);
    }

    /// Makes every large body unreadable from its block `from` on.
    pub fn damage_bodies(&self, from: usize) {
        self.files.damage(from);
    }

    /// Number of large bodies.
    pub fn large_bodies(&self) -> usize {
        self.files.len()
    }

    /// From now on, and after a restart, reads and what was put aside are answered by [`Self::answer_reads`]
    /// only, and no longer by a thread: a test decides when a load arrives.
    pub fn answer_by_hand(&self) {
        self.answers.by_hand();
    }

    /// Answers what was asked for so far, on this thread, which must hold no lock of core. Returns how many
    /// requests that were; what they ask for in turn waits for the next call.
    pub fn answer_reads(&self) -> usize {
        self.answers.answer()
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

    /// Shows every durable record of a shard that there still is.
    #[cfg(test)]
    pub(crate) fn show(&self, shard: Shard, visit: &mut dyn FnMut(Lsn, Record<'_>)) {
        let shard = self.shard(shard).expect("a shard of this store");
        shard.log.lock().show(visit);
    }

    /// Forgets the bodies that no shard's records name.
    fn keep_named(&self) {
        let shards = self.shards.iter();
        let named = shards.flat_map(|shard| shard.log.lock().named_bodies());
        self.files.keep(&named.collect());
    }

    fn shard(&self, shard: Shard) -> Option<&Arc<MemoryShard>> {
        self.shards.get(usize::from(shard.0))
    }
}

impl MemoryShard {
    fn new(shard: Shard, log: ShardLog) -> Arc<Self> {
        Arc::new(Self {
            shard,
            watermark: AtomicWatermark::default(),
            log: Mutex::new(log),
        })
    }

    /// Calls `waiter` when record `number` is durable.
    fn wait(&self, number: u64, waiter: Arc<dyn Waiter>) {
        let answered = self.log.lock().wait(&self.watermark, number, waiter);
        if let Some(waiter) = answered {
            waiter.watermark_moved(self.shard);
        }
    }

    /// Durable messages, each or why not.
    fn find(&self, lsns: &[Lsn]) -> Vec<Result<Found, ReadError>> {
        let log = self.log.lock();
        let is_closed = self.watermark.has_failed();
        let find = |lsn: &Lsn| {
            if is_closed {
                return Err(ReadError::Closed);
            }
            log.find(*lsn)
        };
        lsns.iter().map(find).collect()
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
        let woken = self.log.lock().fail(&self.watermark);
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

    fn recover(&self, shard: Shard, visitor: &mut dyn Visitor) -> Result<Scanned, StoreError> {
        let Some(shard) = self.shard(shard) else {
            visitor.entries(&Scanned::default());
            return Ok(Scanned::default());
        };
        let mut log = shard.log.lock();
        let holes = self.damage.lock().holes.clone().into_iter();
        let holes = holes.filter(|hole| hole.first.shard() == shard.shard);
        let scanned = log.recover(holes.collect(), visitor)?;
        if let Some(last) = scanned.last {
            shard.watermark.reach(last.number());
        }
        log.name_bodies(&self.files);
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
        shard.wait(lsn.number(), waiter);
    }

    fn read(&self, shard: Shard, lsns: Vec<Lsn>, reader: Box<dyn Reader>) {
        // One of another shard is not there; who asks for none gets that from any.
        if let Some(shard) = self.shard(shard).or_else(|| self.shards.first()) {
            self.answers.read(shard, lsns, reader);
        }
    }

    fn spill_put(&self, _shard: Shard, bytes: Vec<u8>) -> SpillId {
        self.answers.put(bytes)
    }

    fn spill_get(&self, _shard: Shard, id: SpillId, reader: Box<dyn SpillReader>) {
        self.answers.get(id, reader);
    }

    fn spill_drop(&self, _shard: Shard, id: SpillId) {
        self.answers.forget(id);
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

    fn watch_damage(&self, observer: Arc<dyn DamageObserver>) {
        self.damage.lock().observer = Some(observer);
    }

    fn place(&self, _lsn: Lsn) -> String {
        "memory".to_owned()
    }

    fn bodies(&self) -> &Arc<dyn Bodies> {
        &self.bodies
    }

    fn space(&self) -> Space {
        let mut all = Space {
            spill_bytes: self.answers.spill_bytes(),
            ..Space::default()
        };
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
