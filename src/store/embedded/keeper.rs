//! The keeper makes checkpoints, so that starts are quick and the log gives its room back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;

use super::checkpoint::Changes;
use super::crew::Acted;
use super::crew::Actor;
use super::making::Making;
use super::meta;
use super::shared::Shared;

/// When the keeper makes a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    /// Bytes of log: what a start replays at most, about.
    pub log_bytes: u64,
    /// Time, if something changed.
    pub time: Duration,
    /// Time without an append, if something changed.
    pub idle: Duration,
}

impl Default for Every {
    fn default() -> Self {
        Self {
            log_bytes: 128 * 1024 * 1024,
            time: Duration::from_secs(30),
            idle: Duration::from_secs(5),
        }
    }
}

/// Makes checkpoints.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    every: Every,
    /// The checkpoint that is being made.
    making: Option<Making>,
    /// The last record that was seen, and since when there is no other.
    seen: u64,
    quiet_since: Instant,
    /// When the last checkpoint was made, or tried.
    last: Instant,
    /// How many in a row could not be made, and the room that a full disk then had in spares.
    failures: u32,
    room: Option<u64>,
    has_warned: bool,
}

impl Actor for Keeper {
    fn act(&mut self, now: Instant) -> Acted {
        if self.shared.bell.has_stopped() {
            return Acted::Ended;
        }
        self.step(now)
    }

    fn rest(&mut self, most: Option<Duration>) {
        match self.making.as_ref().map(|making| making.upto(&self.shared)) {
            Some(Some(upto)) => drop(self.shared.wait_durable(upto)),
            Some(None) => {}
            None => self.shared.bell.wait(most),
        }
    }
}

impl Keeper {
    /// A keeper of a log that was just opened.
    pub(super) fn new(shared: Arc<Shared>, now: Instant) -> Self {
        Self {
            every: shared.every,
            shared,
            making: None,
            seen: 0,
            quiet_since: now,
            last: now,
            failures: 0,
            room: None,
            has_warned: false,
        }
    }

    /// Makes a checkpoint, or goes on with one, if it is time.
    fn step(&mut self, now: Instant) -> Acted {
        if self.making.is_none() && self.is_due(now) {
            self.begin(now);
        }
        let Some(mut making) = self.making.take() else {
            return Acted::Rests(Some(self.look()));
        };
        let mut checkpoints = self.shared.checkpoints.lock();
        match making.finish(&self.shared, &mut checkpoints) {
            Ok(true) => {
                self.has_warned = false;
                self.failures = 0;
            }
            Ok(false) => {
                self.making = Some(making);
                return Acted::Rests(None);
            }
            Err(_) if self.shared.watermark.has_failed() => {}
            Err(error) => {
                drop(checkpoints);
                self.failures += 1;
                self.warn(&error);
            }
        }
        Acted::Rests(Some(self.look()))
    }

    /// How often it looks whether a checkpoint is due. On a full disk publishers wait for it.
    fn look(&self) -> Duration {
        let most = match self.shared.spares.left_when_full() {
            Some(_) => RETRY,
            None => Duration::from_secs(1),
        };
        (self.every.idle / 4).clamp(Duration::from_millis(1), most)
    }

    /// How long after the last one a checkpoint is made that lets room go. One that could not be made is not tried again
    /// and again, unless something has changed that may help.
    fn pause(&mut self) -> Duration {
        let room = self.shared.spares.left_when_full();
        if std::mem::replace(&mut self.room, room) != room {
            self.failures = 0;
        }
        self.every.idle.min(RETRY) * (1 << self.failures.min(MOST_DOUBLINGS))
    }

    fn begin(&mut self, now: Instant) {
        self.last = now;
        self.shared.unabsorbed.store(0, Ordering::Relaxed);
        let mut checkpoints = self.shared.checkpoints.lock();
        self.making = Some(Making::begin(&self.shared, &mut checkpoints, None));
    }

    fn warn(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            let cause = cause.unwrap_or_default();
            tracing::warn!(%error, cause, "a checkpoint could not be made: the log keeps what it would absorb");
        }
    }

    fn is_due(&mut self, now: Instant) -> bool {
        let (last, has_changed, is_quiet, would_free) = {
            let log = self.shared.log.lock();
            let journal = &log.journal;
            if !log.is_open {
                return false;
            }
            (
                journal.last(),
                journal.has_changed(),
                journal.pending_bytes() == 0,
                journal.wants_checkpoint(),
            )
        };
        if last != self.seen {
            self.seen = last;
            self.quiet_since = now;
        }
        let bytes = self.shared.unabsorbed.load(Ordering::Relaxed);
        if has_changed && (bytes >= self.every.log_bytes || now - self.last >= self.every.time) {
            return true;
        }
        let is_idle = is_quiet && now - self.quiet_since >= self.every.idle;
        let is_full = self.shared.spares.left_when_full().is_some();
        if would_free && (is_full || is_idle) && now - self.last >= self.pause() {
            return true;
        }
        is_idle
            && (has_changed || self.shared.checkpoints.lock().is_behind())
            && (!self.has_warned || now - self.last >= self.every.time)
    }
}

/// How soon a full disk is helped by another checkpoint.
const RETRY: Duration = Duration::from_millis(250);
/// How often that is doubled when none could be made: 8 s.
const MOST_DOUBLINGS: u32 = 5;

impl Shared {
    /// Notes bytes that were written, for the keeper.
    pub(super) fn wrote(&self, bytes: u64) {
        let before = self.unabsorbed.fetch_add(bytes, Ordering::Relaxed);
        let limit = self.every.log_bytes;
        if before < limit && before.saturating_add(bytes) >= limit {
            self.bell.ring();
        }
    }

    /// Makes a checkpoint of everything that was appended, with what changed in the catalog if somebody tells. Waits
    /// for the disk.
    ///
    /// # Errors
    /// [`StoreError`]; the earlier ones then still hold, and the next will have what this one would have had.
    pub(super) fn checkpoint(
        self: &Arc<Self>,
        catalog: Option<(Lsn, Changes)>,
    ) -> Result<(), StoreError> {
        let mut checkpoints = self.checkpoints.lock();
        let mut making = Making::begin(self, &mut checkpoints, catalog);
        while !making.finish(self, &mut checkpoints)? {
            if let Some(upto) = making.upto(self) {
                self.wait_durable(upto);
            }
        }
        Ok(())
    }

    /// Says in `meta` that there is a checkpoint, before anything is forgotten because of it.
    pub(super) fn note_checkpoint(&self) -> Result<(), StoreError> {
        let mut meta = self.meta.lock();
        if meta.has_checkpoint {
            return Ok(());
        }
        let noted = meta::Meta {
            has_checkpoint: true,
            ..*meta
        };
        meta::write(&*self.dir.disk, &self.path, &noted)?;
        *meta = noted;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use crate::core::log::record::EntryRef;
    use crate::core::log::store::Dead;
    use crate::core::log::store::Store;
    use crate::core::model::ids::QueueId;
    use crate::core::model::ids::Shard;
    use crate::core::model::time::CoreTime;
    use crate::store::contract::bench::publish;
    use crate::store::embedded::EmbeddedLog;
    use crate::store::embedded::Settings;
    use crate::store::embedded::test_disk::TestDisk;
    use crate::telemetry::Metrics;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "where the test's time starts")]
    fn what_cannot_be_made_on_a_full_disk_is_not_tried_all_the_time() {
        let dir = TempDir::new().unwrap();
        let disk = Arc::new(TestDisk::default());
        let settings = Settings {
            segment_bytes: 64 * 1024,
            ..Settings::default()
        };
        let metrics = Metrics::new().into();
        let log =
            EmbeddedLog::open_on(dir.path(), settings, metrics, Arc::clone(&disk) as _).unwrap();
        // A segment in which nothing lives, which a checkpoint would let go.
        while !log.shared.log.lock().journal.wants_checkpoint() {
            let mut record = std::iter::once(publish(&[1], &[7; 10_000]));
            let lsn = log.append(Shard(0), CoreTime::default(), true, &mut record);
            let lsn = lsn.unwrap();
            assert!(log.shared.wait_durable(lsn));
            log.dead(&[Dead {
                queue: QueueId(1),
                entry: EntryRef {
                    entry: lsn,
                    message: lsn,
                },
            }]);
        }
        log.stop();
        log.shared.log.lock().is_open = true;
        disk.full_above(Some(u64::MAX));
        log.shared.spares.starve();

        let start = Instant::now();
        let mut keeper = Keeper::new(Arc::clone(&log.shared), start);
        let mut tries = Vec::new();
        for n in 1..=100 {
            let now = start + RETRY * n;
            let before = keeper.failures;
            keeper.step(now);
            tries.extend((keeper.failures > before).then_some(n));
        }
        assert_eq!(tries, [1, 3, 7, 15, 31, 63, 95]);
    }
}
