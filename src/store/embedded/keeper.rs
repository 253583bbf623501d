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
    has_warned: bool,
}

impl Actor for Keeper {
    fn act(&mut self, now: Instant) -> Acted {
        if self.shared.bell.has_stopped() {
            return Acted::Ended;
        }
        if self.making.is_none() && self.is_due(now) {
            self.begin(now);
        }
        let Some(mut making) = self.making.take() else {
            return Acted::Rests(Some(self.look()));
        };
        let mut checkpoints = self.shared.checkpoints.lock();
        match making.finish(&self.shared, &mut checkpoints) {
            Ok(true) => self.has_warned = false,
            Ok(false) => {
                self.making = Some(making);
                return Acted::Rests(None);
            }
            Err(_) if self.shared.watermark.has_failed() => {}
            Err(error) => {
                drop(checkpoints);
                self.warn(&error);
            }
        }
        Acted::Rests(Some(self.look()))
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
            has_warned: false,
        }
    }

    /// How often it looks whether a checkpoint is due.
    fn look(&self) -> Duration {
        (self.every.idle / 4).clamp(Duration::from_millis(1), Duration::from_secs(1))
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
