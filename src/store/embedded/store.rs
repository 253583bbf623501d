//! [`Store`] for the embedded log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::core::log::bodies::Bodies;
use crate::core::log::read::Reader;
use crate::core::log::read::SpillId;
use crate::core::log::read::SpillReader;
use crate::core::log::record::Record;
use crate::core::log::store::AppendError;
use crate::core::log::store::Capabilities;
use crate::core::log::store::DamageObserver;
use crate::core::log::store::Dead;
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

use crate::store::journal::Journal;
use crate::store::work::Later;

use super::EmbeddedLog;
use super::active::Active;
use super::active::bytes_of;
use super::checkpoint::Changes;
use super::cold;
use super::meta::io_error;
use super::read::Asked;
use super::recover::Known;
use super::recover::Recovered;
use super::recover::Recovery;
use super::shared::Shared;
use super::shared::limits;

impl EmbeddedLog {
    /// Replays the log, once, and starts it.
    fn replay_and_start(
        &self,
        shard: Shard,
        visitor: &mut dyn Visitor,
    ) -> Result<Scanned, StoreError> {
        let shared = &self.shared;
        let (is_open, last) = {
            let log = shared.log.lock();
            (log.is_open, log.journal.last())
        };
        if shard != shared.shard || (is_open && last == 0) {
            visitor.entries(&Scanned::default());
            return Ok(Scanned::default());
        }
        if is_open {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "records were appended");
            return Err(io_error("recover", shared.dir.path(), error));
        }
        // Not in its place meanwhile: the visitor may ask the store.
        let limits = limits(shared.segment_bytes);
        let mut journal = Journal::new(shard, limits);
        let recovered = shared.recover(&mut journal, visitor)?;
        shared.log.lock().journal = journal;
        let mut scanned = recovered.scanned;
        let active = match recovered.tail {
            Some(tail) => {
                // A crash may have come before the name of the last segment was on disk.
                let named = shared.dir.sync();
                named.map_err(|e| io_error("sync", shared.dir.path(), e))?;
                if tail.torn.is_some() {
                    // A tombstone takes the place of the frame, and so the number of its first record.
                    scanned.last = Lsn::new(shard, recovered.next);
                }
                Active::resume(tail, shared.segment_bytes, recovered.next)
            }
            None => Active::first(shared),
        };
        self.start(active, scanned.last.map_or(0, Lsn::number))?;
        shared.recovered_bodies(&scanned.holes);
        Ok(scanned)
    }
}

impl Shared {
    /// What the checkpoint and the log say.
    fn recover(
        &self,
        journal: &mut Journal,
        visitor: &mut dyn Visitor,
    ) -> Result<Recovered, StoreError> {
        let (known, coverage) = Known::load(&mut self.checkpoints.lock(), journal)?;
        let (segments, copies) = cold::find(&self.dir, self.shard)?;
        self.cold_segments
            .store(bytes_of(segments.len()), Ordering::Relaxed);
        *self.cold.lock() = segments;
        let recovery = Recovery::new(&self.dir, self.shard, &self.places, journal, known, visitor);
        let recovery = recovery.with_copies(copies);
        let recovered = recovery.run()?;
        journal.absorbed(coverage);
        Ok(recovered)
    }
}

impl Store for EmbeddedLog {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            shards: 1,
            frame_max_bytes: limits(self.shared.segment_bytes).batch_bytes,
        }
    }

    fn identity(&self) -> Identity {
        self.shared.identity
    }

    fn load(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(&str, &[u8]),
    ) -> Result<Option<Lsn>, StoreError> {
        if shard != self.shared.shard {
            return Ok(None);
        }
        let mut checkpoints = self.shared.checkpoints.lock();
        checkpoints.catalog(visit)?;
        let saved = checkpoints.saved();
        Ok(saved.and_then(|saved| Lsn::new(shard, saved.catalog)))
    }

    fn recover(&self, shard: Shard, visitor: &mut dyn Visitor) -> Result<Scanned, StoreError> {
        self.replay_and_start(shard, visitor)
    }

    fn append<'a>(
        &self,
        shard: Shard,
        now: CoreTime,
        urgent: bool,
        records: &mut dyn Iterator<Item = Record<'a>>,
    ) -> Result<Lsn, AppendError> {
        let shared = &self.shared;
        let mut log = shared.log.lock();
        if shard != shared.shard || !log.is_open || shared.watermark.has_failed() {
            return Err(AppendError::Failed);
        }
        if !shared.has_room(&log, urgent) {
            return Err(AppendError::Full);
        }
        let first = match log.journal.append(now, urgent, records) {
            Ok(first) => first,
            Err(AppendError::Failed) => {
                drop(log);
                shared.fail();
                return Err(AppendError::Failed);
            }
            Err(refused) => return Err(refused),
        };
        shared.name_bodies(&mut log);
        let must_kick = log.must_kick();
        drop(log);
        if must_kick {
            shared.kick.notify_one();
        }
        Lsn::new(shard, first).ok_or(AppendError::Failed)
    }

    fn watermark(&self, shard: Shard) -> Watermark {
        if shard == self.shared.shard {
            self.shared.watermark.get()
        } else {
            Watermark::Failed
        }
    }

    fn wait(&self, lsn: Lsn, waiter: Arc<dyn Waiter>) {
        self.shared.wait(lsn, waiter);
    }

    fn read(&self, _shard: Shard, lsns: Vec<Lsn>, reader: Box<dyn Reader>) {
        let shared = &self.shared;
        let last = lsns.last().copied();
        let last = last.filter(|last| last.shard() == shared.shard);
        let asked = Asked::Messages { lsns, reader };
        match last {
            Some(last) if !shared.watermark.answers(last.number()) => {
                shared.wait(last, Later::new(&shared.asked, asked) as Arc<dyn Waiter>);
            }
            _ => shared.asked.push(asked),
        }
    }

    fn spill_put(&self, _shard: Shard, bytes: Vec<u8>) -> SpillId {
        self.shared.spill.put(bytes)
    }

    fn spill_get(&self, _shard: Shard, id: SpillId, reader: Box<dyn SpillReader>) {
        self.shared.asked.push(Asked::Spilled { id, reader });
    }

    fn spill_drop(&self, _shard: Shard, id: SpillId) {
        self.shared.spill.forget(id);
    }

    fn dead(&self, dead: &[Dead]) {
        let must_kick = {
            let mut log = self.shared.log.lock();
            for dead in dead {
                log.journal.dead(dead);
            }
            self.shared.end_bodies(&mut log);
            log.journal.may_recycle() && log.must_kick()
        };
        if must_kick {
            self.shared.kick.notify_one();
        }
    }

    fn checkpoint(
        &self,
        shard: Shard,
        upto: Lsn,
        changes: &mut dyn Iterator<Item = (&str, Option<&[u8]>)>,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        // A checkpoint ahead of its log would take records for absorbed that are yet to come.
        if shared.log.lock().journal.last() < upto.number() || shard != shared.shard {
            let error = io::Error::other("the log does not have what it would absorb");
            return Err(io_error("checkpoint", &shared.path, error));
        }
        let changes: Changes = changes
            .map(|(key, value)| (key.to_owned(), value.map(<[u8]>::to_vec)))
            .collect();
        shared.checkpoint(Some((upto, changes)))
    }

    fn watch_damage(&self, observer: Arc<dyn DamageObserver>) {
        *self.shared.observer.lock() = Some(observer);
    }

    fn place(&self, lsn: Lsn) -> String {
        let found = self.shared.places.find(&[lsn.number()], 0);
        let dir = &self.shared.dir;
        match found {
            Some(stretch) => dir.path_of(stretch.segment).display().to_string(),
            None => dir.path().display().to_string(),
        }
    }

    fn bodies(&self) -> &Arc<dyn Bodies> {
        &self.shared.bodies
    }

    fn space(&self) -> Space {
        let space = self.shared.log.lock().journal.space();
        let (spill_bytes, spill_pending_bytes) = self.shared.spill.bytes();
        Space {
            spill_bytes,
            spill_pending_bytes,
            log_bytes: self.shared.log_bytes(space.segments),
            ..space
        }
    }

    fn close(&self, now: CoreTime) -> Result<(), StoreError> {
        let stop = Record::Epoch {
            epoch: self.shared.identity.incarnation,
            clean_stop: true,
        };
        // Refused when it was closed before, was never scanned, has failed, or finds the disk full: then
        // the next start only takes it for a crash.
        let _ = self.append(self.shared.shard, now, true, &mut std::iter::once(stop));
        self.stop();
        if !self.shared.watermark.has_failed()
            && let Err(error) = self.shared.checkpoint(None)
        {
            tracing::warn!(%error, "the last checkpoint could not be made: the next start replays more");
        }
        // Whoever still holds the log can do nothing with it: the data dir is another's to open.
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.checkpoints.lock().close();
        self.lock.lock().take();
        let log = self.shared.log.lock();
        if !self.shared.watermark.has_failed() && log.journal.durable() == log.journal.last() {
            return Ok(());
        }
        let error = io::Error::other("what was appended last is not on disk");
        Err(io_error("close", self.shared.dir.path(), error))
    }
}
