//! The writer: one actor that takes everything pending, writes it as one frame, syncs once, moves the
//! watermark, and wakes who waited for it. What comes while it syncs is the next frame: that is all
//! there is to group commit. Nothing that is waited for is delayed; grants and settles are, a little, for
//! something to be written with (`Settings::patience`).

use std::io;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::core::log::bodies::BodyId;
use crate::core::log::store::StoreError;
use crate::core::log::store::Waiter;

use crate::store::journal::Batch;

use super::active::Active;
use super::active::bytes_of;
use super::crew::Acted;
use super::crew::Actor;
use super::frame::FRAME_HEADER_BYTES;
use super::meta::io_error;
use super::places::FramePlace;
use super::rest;
use super::rest::Rest;
use super::segment::SegmentId;
use super::shared::Shared;

/// How soon a write that found the disk full is tried again.
const FULL_RETRY: Duration = Duration::from_millis(50);

/// What the writer is at, from one step to the next.
#[derive(Default)]
enum Doing {
    /// It looks for something to do.
    #[default]
    Nothing,
    /// Segments may be free.
    Recycling,
    /// The next frame, which starts with this record, needs another segment.
    Rolling(u64),
    /// The next frame, which starts with this record and has so many bytes, needs blocks.
    Growing(u64, usize),
    /// A frame is to be written.
    Writing(Batch),
    /// A frame was written, and is to be synced.
    Syncing(Batch, Written),
    /// A frame is durable.
    Telling(Batch, Written),
}

/// A frame that was written.
struct Written {
    place: FramePlace,
    /// Its length, padding included.
    bytes: usize,
    /// When it was begun.
    start: Instant,
}

/// The writer.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    doing: Doing,
    /// When what does not press is written all the same; none until it waits. Outlives other steps, or each of them
    /// would let it wait from the start again.
    doze_ends: Option<Instant>,
    /// Bodies that a record of the next frame names.
    unsynced: Vec<BodyId>,
    /// Kept for its memory.
    woken: Vec<Arc<dyn Waiter>>,
}

impl Actor for Writer {
    fn act(&mut self, now: Instant) -> Acted {
        match self.step(now) {
            Ok(acted) => acted,
            Err(error) => {
                self.fail(&error);
                Acted::Ended
            }
        }
    }

    fn rest(&mut self, most: Option<Duration>) {
        let mut log = self.shared.log.lock();
        let is_idle = matches!(self.doing, Doing::Nothing);
        let kick = &self.shared.kick;
        match most {
            _ if log.is_stopping => {}
            // Who waits for the disk to have room is told nothing.
            Some(most) if !is_idle => drop(kick.wait_for(&mut log, most)),
            most => rest::sleep(&mut log, |log| &mut log.rest, kick, most),
        }
    }
}

impl Writer {
    /// A writer that goes on in `active`.
    pub(super) fn new(shared: Arc<Shared>, active: Active) -> Self {
        let writer = Self {
            shared,
            active,
            doing: Doing::Nothing,
            doze_ends: None,
            unsynced: Vec::new(),
            woken: Vec::new(),
        };
        writer.show_space();
        writer
    }

    /// Goes on with what it is at, or looks for something to do.
    fn step(&mut self, now: Instant) -> Result<Acted, StoreError> {
        match std::mem::take(&mut self.doing) {
            Doing::Nothing => return Ok(self.look(now)),
            Doing::Rolling(first) => return self.roll(first),
            Doing::Growing(first, bytes) => return self.grow(first, bytes),
            Doing::Writing(batch) => return self.write(batch, now),
            Doing::Syncing(batch, written) => {
                let synced = self.active.file.sync();
                synced.map_err(|e| self.failed("sync", e))?;
                self.doing = Doing::Telling(batch, written);
            }
            Doing::Telling(batch, written) => {
                self.count(&batch, &written, now);
                self.written(batch, written.place);
            }
            Doing::Recycling => {
                self.recycle();
                self.show_space();
            }
        }
        Ok(Acted::Done)
    }

    /// Says what failed, in the words that somebody needs who looks for the broken disk.
    fn fail(&self, error: &StoreError) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let cause = cause.unwrap_or_default();
        tracing::error!(failed = %error, cause, "the log has failed: nothing more is confirmed");
        self.shared.fail();
    }

    /// An error of the segment that is written.
    fn failed(&self, action: &'static str, source: io::Error) -> StoreError {
        let file = self.shared.dir.segment(self.active.header.id);
        io_error(action, &file, source)
    }

    /// Looks for something to do.
    ///
    /// What nobody waits for waits itself for a while: a consumer's settles would otherwise cost a sync of their own
    /// between two serial publishes, and double the time to a confirm.
    fn look(&mut self, now: Instant) -> Acted {
        let shared = &self.shared;
        let mut log = shared.log.lock();
        log.active_left = self.active.left();
        // First, or a log that is never idle would never give room back. Rarely true.
        if log.journal.may_recycle() {
            self.doing = Doing::Recycling;
            return Acted::Done;
        }
        let pending = log.journal.next_batch_bytes();
        let must_write = log.is_pressing() || self.doze_ends.is_some_and(|ends| ends <= now);
        if let Some(bytes) = pending.filter(|_| must_write) {
            if self.active.must_roll(bytes, shared.segment_bytes) {
                self.doing = Doing::Rolling(log.journal.next_batch_first());
                return Acted::Done;
            }
            if !self.active.has_room(bytes) {
                self.doing = Doing::Growing(log.journal.next_batch_first(), bytes);
                return Acted::Done;
            }
            if let Some(batch) = log.journal.take(self.active.header.id) {
                self.unsynced.append(&mut log.unsynced);
                self.doing = Doing::Writing(batch);
                return Acted::Done;
            }
        }
        if log.is_stopping {
            return Acted::Ended;
        }
        if pending.is_some() {
            log.rest = Rest::Dozing;
            let ends = *self.doze_ends.get_or_insert_with(|| now + shared.patience);
            return Acted::Rests(Some(ends.saturating_duration_since(now)));
        }
        log.rest = Rest::Asleep;
        Acted::Rests(None)
    }

    /// Hands segments that nothing holds to whoever makes spares of them.
    fn recycle(&self) {
        loop {
            let Some(segment) = self.shared.log.lock().journal.recyclable() else {
                return;
            };
            self.shared.recycle(SegmentId::Main(segment));
        }
    }

    fn roll(&mut self, first: u64) -> Result<Acted, StoreError> {
        match self.active.roll(&self.shared, first) {
            Ok(()) => {
                self.show_space();
                Ok(Acted::Done)
            }
            Err(error) if super::is_full(&error) && self.may_wait_for_room() => {
                self.doing = Doing::Rolling(first);
                Ok(Acted::Rests(Some(FULL_RETRY)))
            }
            Err(error) => Err(self.failed("begin the segment after", error)),
        }
    }

    /// Lets the segment grow, or leaves it for a spare where the disk has no room.
    fn grow(&mut self, first: u64, bytes: usize) -> Result<Acted, StoreError> {
        match self.active.make_room(bytes) {
            Ok(()) => Ok(Acted::Done),
            Err(error) if super::is_full(&error) => {
                self.shared.spares.starve();
                if self.active.can_be_left() && self.shared.spares.has_spare() {
                    self.doing = Doing::Rolling(first);
                    return Ok(Acted::Done);
                }
                if self.shared.log.lock().is_stopping {
                    return Err(self.failed("write", error));
                }
                self.doing = Doing::Growing(first, bytes);
                Ok(Acted::Rests(Some(FULL_RETRY)))
            }
            Err(error) => Err(self.failed("write", error)),
        }
    }

    fn write(&mut self, mut batch: Batch, now: Instant) -> Result<Acted, StoreError> {
        self.doze_ends = None;
        self.sync_bodies()?;
        let (first, count, latest) = (batch.first(), batch.len(), batch.latest());
        let start = self.active.offset();
        let frame = batch.finish();
        let unpadded = frame.len();
        match self.active.write(frame, first, count, latest) {
            Ok(()) => {}
            // Nothing was synced, so a write that found the disk full may be tried again as it is.
            Err(error) if super::is_full(&error) && self.may_wait_for_room() => {
                frame.truncate(unpadded);
                self.doing = Doing::Writing(batch);
                return Ok(Acted::Rests(Some(FULL_RETRY)));
            }
            Err(error) => return Err(self.failed("write", error)),
        }
        let written = Written {
            bytes: frame.len(),
            place: FramePlace {
                first,
                last: batch.last(),
                start,
                end: self.active.offset(),
                bytes: bytes_of(unpadded - FRAME_HEADER_BYTES),
            },
            start: now,
        };
        self.doing = Doing::Syncing(batch, written);
        Ok(Acted::Done)
    }

    fn count(&self, batch: &Batch, written: &Written, now: Instant) {
        let metrics = &self.shared.metrics;
        metrics.log_frames.inc();
        metrics.log_records.inc_by(bytes_of(batch.len()));
        metrics.log_bytes.inc_by(bytes_of(written.bytes));
        self.shared.wrote(bytes_of(written.bytes));
        metrics.log_record_bytes.inc_by(written.place.bytes);
        metrics.log_syncs.inc();
        let took = now.saturating_duration_since(written.start);
        metrics.log_sync_seconds.observe(took.as_secs_f64());
    }

    /// A record that names a body promises it: of a transient message that a durable queue demands.
    fn sync_bodies(&mut self) -> Result<(), StoreError> {
        for body in self.unsynced.drain(..) {
            let files = &self.shared.files;
            let synced = files.make_durable(body);
            synced.map_err(|e| io_error("sync a body in", files.folder(), e))?;
        }
        Ok(())
    }

    fn written(&mut self, batch: Batch, place: FramePlace) {
        // Before the watermark moves: what is durable can be read.
        self.shared.places.add(&self.active.header, place);
        let durable = batch.last();
        {
            let mut log = self.shared.log.lock();
            log.journal.written(batch);
            log.active_left = self.active.left();
            let watermark = &self.shared.watermark;
            log.waiters.reach(watermark, durable, &mut self.woken);
            self.shared.end_bodies(&mut log);
        }
        self.wake();
    }

    /// Shows how much room the log takes, when that has changed.
    fn show_space(&self) {
        let shared = &self.shared;
        let segments = shared.log.lock().journal.space().segments;
        let bytes = shared.log_bytes(segments);
        let gauge = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        shared.metrics.log_disk_bytes.set(gauge(bytes));
        shared
            .metrics
            .log_segments
            .set(gauge(bytes / shared.segment_bytes));
    }

    /// Calls waiters, without the lock.
    fn wake(&mut self) {
        for waiter in self.woken.drain(..) {
            waiter.watermark_moved(self.shared.shard);
        }
    }

    /// Says that the disk is full; false when the log is being closed, and there is no time to wait for room.
    fn may_wait_for_room(&self) -> bool {
        self.shared.spares.starve();
        !self.shared.log.lock().is_stopping
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::core::log::record::EntryRef;
    use crate::core::log::record::Record;
    use crate::core::log::record::SettleKind;
    use crate::core::log::store::Store;
    use crate::core::model::ids::Lsn;
    use crate::core::model::ids::QueueId;
    use crate::core::model::ids::Shard;
    use crate::core::model::time::CoreTime;
    use crate::store::embedded::EmbeddedLog;
    use crate::store::embedded::Settings;
    use crate::telemetry::Metrics;

    use super::*;

    /// A log of small segments whose threads have ended, and a writer that a test drives instead.
    fn writer() -> (TempDir, Arc<EmbeddedLog>, Writer) {
        let dir = TempDir::new().unwrap();
        let settings = Settings {
            segment_bytes: 64 * 1024,
            patience: Duration::from_millis(20),
            ..Settings::default()
        };
        let log = EmbeddedLog::open(dir.path(), settings, Metrics::new().into()).unwrap();
        log.stop();
        let active = Active::first(&log.shared).unwrap();
        {
            let mut shared = log.shared.log.lock();
            shared.is_open = true;
            shared.is_stopping = false;
        }
        let writer = Writer::new(Arc::clone(&log.shared), active);
        (dir, log, writer)
    }

    /// Appends a settle of some kilobytes, which does not press.
    fn settle(log: &EmbeddedLog) {
        let entry = |number| {
            let entry = Lsn::new(Shard(0), number).unwrap();
            EntryRef {
                entry,
                message: entry,
            }
        };
        let mut record = std::iter::once(Record::Settle {
            queue: QueueId(1),
            outcome: SettleKind::Accepted,
            entries: (1..1_000).map(|n| entry(n << 30)).collect(),
        });
        let settled = log.append(Shard(0), CoreTime::default(), true, &mut record);
        settled.unwrap();
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
    fn who_has_waited_does_not_wait_again_for_a_new_segment() {
        let (_dir, log, mut writer) = writer();
        let start = Instant::now();
        let mut rolls = 0;
        for _ in 0..20 {
            settle(&log);
            assert_eq!(writer.doze_ends, None);
            let mut now = start;
            let mut waits = 0;
            while !matches!(writer.doing, Doing::Syncing(..)) {
                rolls += usize::from(matches!(writer.doing, Doing::Rolling(_)));
                match writer.act(now) {
                    Acted::Done => {}
                    Acted::Rests(most) => {
                        now += most.expect("something is pending");
                        waits += 1;
                    }
                    Acted::Ended => panic!("nobody stopped it"),
                }
            }
            assert_eq!(waits, 1);
            assert_eq!(now - start, Duration::from_millis(20));
            assert_eq!(
                (writer.act(now), writer.act(now)),
                (Acted::Done, Acted::Done)
            );
        }
        assert!(rolls > 0, "no segment was full");
    }
}
