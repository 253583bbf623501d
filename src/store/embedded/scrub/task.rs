//! The thread that scrubs.

use std::time::Duration;

use super::REST;
use super::Shared;
use super::round::Round;
use super::tell;

/// Scrubs in rounds until the log is closed: the body of the thread.
pub(super) fn run(shared: &Shared, rate: u64) {
    // A start has just read what matters most, and has better things to do.
    while !shared.scrub.wait(REST) {
        if let Err(error) = one_round(shared, rate) {
            tracing::warn!(%error, "the scrub cannot read the log");
        }
    }
}

fn one_round(shared: &Shared, rate: u64) -> std::io::Result<()> {
    let mut round = Round::begin(shared)?;
    while let Some(bytes) = round.step(shared)? {
        shared.metrics.scrub_bytes.inc_by(bytes);
        for damage in round.take_damages() {
            tell(shared, &damage);
        }
        let time = Duration::from_millis(bytes.saturating_mul(1_000) / rate);
        if shared.scrub.wait(time) {
            return Ok(());
        }
    }
    for damage in round.take_damages() {
        tell(shared, &damage);
    }
    Ok(())
}
