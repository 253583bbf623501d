//! The keeper: one thread that makes checkpoints, so that starts are quick and the log gives its room back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::store::StoreError;
use crate::core::model::ids::Lsn;

use super::checkpoint::Changes;
use super::meta;
use super::meta::io_error;
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

/// Tells the keeper that there is something to do, or that the log is being closed.
#[derive(Default)]
pub(super) struct Bell {
    state: Mutex<Rung>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Rung {
    is_rung: bool,
    is_stopping: bool,
}

impl Bell {
    /// There is something to do.
    pub(super) fn ring(&self) {
        self.state.lock().is_rung = true;
        self.changed.notify_one();
    }

    /// Ends [`Keeper::run`].
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Waits; false when the log is being closed.
    pub(super) fn wait(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        if !state.is_rung && !state.is_stopping {
            self.changed.wait_for(&mut state, timeout);
        }
        state.is_rung = false;
        !state.is_stopping
    }
}

/// The keeper's thread.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    every: Every,
    /// The last record that was seen, and since when there is no other.
    seen: u64,
    quiet_since: Instant,
    /// When the last checkpoint was made, or tried.
    last: Instant,
    has_warned: bool,
}

impl Keeper {
    /// A keeper of a log that was just opened.
    pub(super) fn new(shared: Arc<Shared>, every: Every, now: Instant) -> Self {
        Self {
            shared,
            every,
            seen: 0,
            quiet_since: now,
            last: now,
            has_warned: false,
        }
    }

    /// Makes checkpoints until the log is closed: the body of the thread.
    #[expect(
        clippy::disallowed_methods,
        reason = "how often a checkpoint is made decides how long a start takes, and nothing else"
    )]
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let look = (self.every.idle / 4).clamp(Duration::from_millis(1), Duration::from_secs(1));
        while shared.bell.wait(look) {
            self.step(Instant::now());
        }
    }

    /// Makes a checkpoint, if it is time.
    pub(super) fn step(&mut self, now: Instant) {
        if !self.is_due(now) {
            return;
        }
        self.last = now;
        self.shared.unabsorbed.store(0, Ordering::Relaxed);
        match self.shared.checkpoint(None) {
            Ok(()) => self.has_warned = false,
            Err(_) if self.shared.watermark.has_failed() => {}
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let cause = cause.unwrap_or_default();
                    tracing::warn!(%error, cause, "a checkpoint could not be made: the log keeps what it would absorb");
                }
            }
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
        if would_free && (is_full || is_idle) && now - self.last >= self.every.idle.min(RETRY) {
            return true;
        }
        is_idle
            && (has_changed || self.shared.checkpoints.lock().is_behind())
            && (!self.has_warned || now - self.last >= self.every.time)
    }
}

/// How soon a full disk is helped by another checkpoint.
const RETRY: Duration = Duration::from_millis(250);

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
        catalog: Option<(Lsn, &Changes)>,
    ) -> Result<(), StoreError> {
        let mut checkpoints = self.checkpoints.lock();
        let (snapshot, is_new) = {
            let mut log = self.log.lock();
            let is_new = log.journal.has_changed();
            (log.journal.snapshot(), is_new)
        };
        let upto = Lsn::new(self.shard, snapshot.at.log);
        checkpoints.add(snapshot, is_new);
        if !upto.is_none_or(|upto| self.wait_durable(upto)) {
            let error = std::io::Error::other("the log has failed");
            return Err(io_error("checkpoint", &self.path, error));
        }
        if let Some((upto, changes)) = catalog {
            checkpoints.change(upto.number(), changes);
        }
        checkpoints.commit()?;
        self.note_checkpoint()?;
        if checkpoints.lacks_much() {
            checkpoints.commit()?;
        }
        let coverage = checkpoints.coverage();
        let mut log = self.log.lock();
        log.journal.absorbed(coverage);
        let must_kick = log.must_kick();
        drop(log);
        if must_kick {
            self.kick.notify_one();
        }
        Ok(())
    }

    /// Says in `meta` that there is a checkpoint, before anything is forgotten because of it.
    fn note_checkpoint(&self) -> Result<(), StoreError> {
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
