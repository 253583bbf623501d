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

use crate::store::journal::Fold;
use crate::store::work::Later;

use super::EmbeddedLog;
use super::active::Active;
use super::meta;
use super::meta::io_error;
use super::read::Asked;
use super::recover::Replay;
use super::shared::limits;

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
        self.shared.catalog.load(shard, visit)
    }

    fn scan(
        &self,
        shard: Shard,
        visit: &mut dyn FnMut(Lsn, Record<'_>),
    ) -> Result<Scanned, StoreError> {
        let shared = &self.shared;
        if shard != shared.shard {
            return Ok(Scanned::default());
        }
        let mut log = shared.log.lock();
        if log.is_open && log.journal.last() == 0 {
            return Ok(Scanned::default());
        }
        if log.is_open {
            let error = io::Error::new(io::ErrorKind::ResourceBusy, "records were appended");
            return Err(io_error("scan", shared.dir.path(), error));
        }
        let replay = Replay::new(&shared.dir, shard, &shared.places, &mut log.journal, visit);
        let recovered = replay.run()?;
        if let Some(applied) = shared.applied(recovered.scanned.last)? {
            log.journal.absorbed(applied.number());
        }
        drop(log);
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
        let mut log = shared.log.lock();
        let named = log.journal.named_files();
        shared.name_bodies(&mut log);
        shared.end_bodies(&mut log);
        drop(log);
        shared.files.keep(&named);
        Ok(scanned)
    }

    fn recover(&self, shard: Shard, visitor: &mut dyn Visitor) -> Result<Scanned, StoreError> {
        let mut fold = Fold::new(self.shared.catalog.applied(shard)?);
        let scanned = self.scan(shard, &mut |lsn, record| fold.record(lsn, &record, visitor))?;
        self.dead(&fold.finish(&scanned, visitor));
        Ok(scanned)
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
        let is_there = shared.log.lock().journal.last() >= upto.number();
        if !is_there || !shared.wait_durable(upto) {
            let error = io::Error::other("the log does not have what it would absorb");
            return Err(io_error("checkpoint", &shared.path, error));
        }
        shared.catalog.checkpoint(shard, upto, changes)?;
        let mut meta = shared.meta.lock();
        if !meta.has_catalog {
            meta.has_catalog = true;
            meta::write(&*shared.dir.disk, &shared.path, &meta)?;
        }
        drop(meta);
        shared.log.lock().journal.absorbed(upto.number());
        shared.kick.notify_one();
        Ok(())
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
            log_bytes: space.segments * self.shared.segment_bytes
                + self.shared.spares.ready_bytes(),
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
        // Whoever still holds the log can do nothing with it: the data dir is another's to open.
        self.shared.is_closed.store(true, Ordering::Release);
        self.shared.catalog.close();
        self.lock.lock().take();
        let log = self.shared.log.lock();
        if !self.shared.watermark.has_failed() && log.journal.durable() == log.journal.last() {
            return Ok(());
        }
        let error = io::Error::other("what was appended last is not on disk");
        Err(io_error("close", self.shared.dir.path(), error))
    }
}
