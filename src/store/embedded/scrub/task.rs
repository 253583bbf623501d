//! Who scrubs, step by step.

use std::sync::Arc;
use std::time::Duration;

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
}

impl Scrubber {
    /// Nothing read yet. A start has just read what matters most, and has better things to do: the first step is to come
    /// after [`REST`].
    pub(super) fn new(shared: Arc<Shared>, rate: u64) -> Self {
        Self {
            shared,
            rate,
            round: None,
        }
    }

    /// Scrubs until the log is closed: the body of the thread.
    pub(super) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut rest = REST;
        while !shared.scrub.wait(rest) {
            rest = self.step();
        }
    }

    /// Reads a piece of about a megabyte, tells what is damaged in it, and says how long the disk is to have its peace.
    pub(super) fn step(&mut self) -> Duration {
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
