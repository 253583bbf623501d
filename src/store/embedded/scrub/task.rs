//! Who scrubs, step by step.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::store::embedded::crew::Acted;
use crate::store::embedded::crew::Actor;

use super::REST;
use super::Shared;
use super::round::Round;
use super::tell;

/// Reads the log in rounds, at a pace.
pub(super) struct Scrubber {
    shared: Arc<Shared>,
    /// Bytes a second.
    rate: u64,
    round: Option<Round>,
    is_new: bool,
}

impl Actor for Scrubber {
    fn act(&mut self, _: Instant) -> Acted {
        if self.shared.scrub.has_stopped() {
            return Acted::Ended;
        }
        if std::mem::take(&mut self.is_new) {
            // A start has just read what matters most, and has better things to do.
            return Acted::Rests(Some(REST));
        }
        Acted::Rests(Some(self.step()))
    }

    fn rest(&mut self, most: Option<Duration>) {
        self.shared.scrub.wait(most.unwrap_or(REST));
    }
}

impl Scrubber {
    /// Nothing read yet.
    pub(super) fn new(shared: Arc<Shared>, rate: u64) -> Self {
        Self {
            shared,
            rate,
            round: None,
            is_new: true,
        }
    }

    /// Reads a piece of about a megabyte, tells what is damaged in it, and says how long the disk is to have its peace.
    fn step(&mut self) -> Duration {
        match self.read() {
            Ok(Some(bytes)) => {
                self.shared.metrics.scrub_bytes.inc_by(bytes);
                Duration::from_millis(bytes.saturating_mul(1_000) / self.rate)
            }
            Ok(None) => {
                self.round = None;
                REST
            }
            Err(error) => {
                tracing::warn!(%error, "the scrub cannot read the log");
                self.round = None;
                REST
            }
        }
    }

    fn read(&mut self) -> std::io::Result<Option<u64>> {
        let round = match &mut self.round {
            Some(round) => round,
            None => self.round.insert(Round::begin(&self.shared)?),
        };
        let read = round.step(&self.shared)?;
        for finding in round.take_findings() {
            tell(&self.shared, &finding);
        }
        Ok(read)
    }
}
