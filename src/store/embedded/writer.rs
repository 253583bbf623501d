//! The writer: one thread that takes everything pending, writes it as one frame, syncs once, moves the
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
use super::frame::FRAME_HEADER_BYTES;
use super::meta::io_error;
use super::places::FramePlace;
use super::segment::SegmentId;
use super::shared::Rest;
use super::shared::Shared;

/// How soon a write that found the disk full is tried again.
const FULL_RETRY: Duration = Duration::from_millis(50);

/// What the writer does next.
enum Step {
    /// The next frame, which starts with this record, needs another segment.
    Roll(u64),
    Write(Batch),
    Recycle,
    Stop,
}

/// The writer's thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    /// When what does not press is written all the same; none until it waits. Outlives other steps, or each of them
    /// would let it wait from the start again.
    doze_ends: Option<Instant>,
    /// Bodies that a record of the next frame names.
    unsynced: Vec<BodyId>,
    /// Kept for its memory.
    woken: Vec<Arc<dyn Waiter>>,
}

impl Writer {
    /// A writer that goes on in `active`.
    pub(super) fn new(shared: Arc<Shared>, active: Active) -> Self {
        Self {
            shared,
            active,
            doze_ends: None,
            unsynced: Vec::new(),
            woken: Vec::new(),
        }
    }

    /// Writes until the log is closed or fails.
    pub(super) fn run(mut self) {
        self.show_space();
        loop {
            let done = match self.next_step() {
                Step::Stop => return,
                Step::Recycle => {
                    self.recycle();
                    self.show_space();
                    Ok(())
                }
                Step::Roll(first) => self.roll(first).inspect(|()| self.show_space()),
                Step::Write(batch) => self.write(batch),
            };
            if let Err(error) = done {
                self.fail(&error);
                return;
            }
        }
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

    /// Waits for something to do. Everything that gives it something to do happens under the lock that
    /// it looks with, so it never sleeps over a kick.
    ///
    /// What nobody waits for waits itself for a while: a consumer's settles would otherwise cost a sync of their own
    /// between two serial publishes, and double the time to a confirm.
    #[expect(
        clippy::disallowed_methods,
        reason = "waits on the system's clock, for what nobody waits for"
    )]
    fn next_step(&mut self) -> Step {
        let shared = &self.shared;
        let mut log = shared.log.lock();
        loop {
            log.active_left = self.active.left();
            // First, or a log that is never idle would never give room back. Rarely true.
            if log.journal.may_recycle() {
                return Step::Recycle;
            }
            let pending = log.journal.next_batch_bytes();
            let must_write =
                log.is_pressing() || self.doze_ends.is_some_and(|ends| ends <= Instant::now());
            if let Some(bytes) = pending.filter(|_| must_write) {
                if self.active.must_roll(bytes, shared.segment_bytes) {
                    return Step::Roll(log.journal.next_batch_first());
                }
                if let Some(batch) = log.journal.take(self.active.header.id) {
                    self.unsynced.append(&mut log.unsynced);
                    return Step::Write(batch);
                }
            }
            if log.is_stopping {
                return Step::Stop;
            }
            if pending.is_some() {
                log.rest = Rest::Dozing;
                let patience = shared.patience;
                let ends = *self
                    .doze_ends
                    .get_or_insert_with(|| Instant::now() + patience);
                shared.kick.wait_until(&mut log, ends);
            } else {
                log.rest = Rest::Asleep;
                shared.kick.wait(&mut log);
            }
            log.rest = Rest::Awake;
        }
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

    fn roll(&mut self, first: u64) -> Result<(), StoreError> {
        loop {
            match self.active.roll(&self.shared, first) {
                Err(error) if super::is_full(&error) && self.wait_for_room() => {}
                done => return done.map_err(|e| self.failed("begin the segment after", e)),
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "measures the disk; no decision depends on it"
    )]
    fn write(&mut self, mut batch: Batch) -> Result<(), StoreError> {
        let start = Instant::now();
        self.doze_ends = None;
        self.sync_bodies()?;
        let (first, count, latest) = (batch.first(), batch.len(), batch.latest());
        let offset = self.active.offset();
        let frame = batch.finish();
        let unpadded = frame.len();
        loop {
            // Nothing was synced, so a write that found the disk full may be tried again as it is.
            match self.active.write(frame, first, count, latest) {
                Err(error) if super::is_full(&error) && self.wait_for_room() => {
                    frame.truncate(unpadded);
                }
                done => break done.map_err(|e| self.failed("write", e))?,
            }
        }
        let synced = self.active.file.sync();
        synced.map_err(|e| self.failed("sync", e))?;
        let metrics = &self.shared.metrics;
        metrics.log_frames.inc();
        metrics.log_records.inc_by(bytes_of(count));
        metrics.log_bytes.inc_by(bytes_of(frame.len()));
        self.shared.wrote(bytes_of(frame.len()));
        let records = unpadded - FRAME_HEADER_BYTES;
        metrics.log_record_bytes.inc_by(bytes_of(records));
        metrics.log_syncs.inc();
        metrics
            .log_sync_seconds
            .observe(start.elapsed().as_secs_f64());
        let place = FramePlace {
            first,
            last: batch.last(),
            start: offset,
            end: self.active.offset(),
            bytes: bytes_of(records),
        };
        // Before the watermark moves: what is durable can be read.
        self.shared.places.add(&self.active.header, place);
        self.written(batch);
        Ok(())
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

    fn written(&mut self, batch: Batch) {
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

    /// Waits a little for the disk to have room again; false when the log is being closed meanwhile.
    fn wait_for_room(&self) -> bool {
        self.shared.spares.starve();
        let mut log = self.shared.log.lock();
        self.shared.kick.wait_for(&mut log, FULL_RETRY);
        !log.is_stopping
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
    fn who_has_waited_does_not_wait_again_for_a_new_segment() {
        let (_dir, log, mut writer) = writer();
        let mut rolls = 0;
        for _ in 0..20 {
            settle(&log);
            assert_eq!(writer.doze_ends, None);
            let mut ends = None;
            loop {
                let step = writer.next_step();
                assert_eq!(writer.doze_ends, *ends.get_or_insert(writer.doze_ends));
                match step {
                    Step::Recycle => {
                        writer.recycle();
                        // It may come first.
                        ends = ends.filter(Option::is_some);
                    }
                    Step::Roll(first) => {
                        writer.roll(first).unwrap();
                        rolls += 1;
                    }
                    Step::Write(batch) => break writer.write(batch).unwrap(),
                    Step::Stop => panic!("nobody stopped it"),
                }
            }
            assert!(ends.is_some_and(|ends| ends.is_some()), "it waited");
        }
        assert!(rolls > 0, "no segment was full");
    }
}
