//! The scrub: what was written long ago is read again, slowly and in rounds, so that a bit that a disk lost is known before
//! somebody needs it. `viaduct check` on a running broker is one round at full speed.
//!
//! A round reads the segments of the main chain, what lives of the cold chain, the files of large bodies, and both
//! generations of the checkpoint. Files come and go meanwhile: what looks damaged is looked at once more, and told only if
//! somebody still needs it.

mod bodies;
mod cold;
mod finding;
mod round;
mod segments;
mod task;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::core::log::store::StoreError;

use super::EmbeddedLog;
use super::meta::io_error;
use super::shared::Shared;
use super::survey::Damage;
use super::survey::Progress;
use super::survey::Report;

use round::Round;
use task::Scrubber;

use finding::Finding;

/// Between two rounds of a small log: who reads the same megabyte again and again learns nothing.
const REST: Duration = Duration::from_secs(60);
/// Findings that are kept to be shown; more than these is a broken disk.
const FINDINGS_MAX: usize = 1_000;

/// What the scrub has found, and when it stops.
#[derive(Default)]
pub(super) struct Scrub {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    findings: Vec<Damage>,
    stopping: bool,
    thread: Option<JoinHandle<()>>,
}

impl Scrub {
    /// Ends the thread, if there is one.
    pub(super) fn stop(&self) {
        let thread = {
            let mut state = self.state.lock();
            state.stopping = true;
            state.thread.take()
        };
        self.changed.notify_all();
        if let Some(thread) = thread {
            // A thread that panicked has said so.
            let _ = thread.join();
        }
    }

    /// Whether the log is being closed.
    fn has_stopped(&self) -> bool {
        self.state.lock().stopping
    }

    /// Waits, unless the log is being closed.
    fn wait(&self, time: Duration) {
        let mut state = self.state.lock();
        if !state.stopping {
            self.changed.wait_for(&mut state, time);
        }
    }

    /// Notes what was found; false if it was known.
    fn note(&self, damage: &Damage) -> bool {
        let mut state = self.state.lock();
        let place = |d: &Damage| (d.file.clone(), d.offset);
        if state.findings.iter().any(|d| place(d) == place(damage)) {
            return false;
        }
        if state.findings.len() < FINDINGS_MAX {
            state.findings.push(damage.clone());
        }
        true
    }
}

impl EmbeddedLog {
    /// Begins to read the log again and again in the background, so many bytes a second; 0 = never.
    ///
    /// # Errors
    /// [`StoreError::Io`] if there is no thread for it.
    pub fn scrub(&self, bytes_per_second: u64) -> Result<(), StoreError> {
        if bytes_per_second > 0 {
            let scrubber = Scrubber::new(Arc::clone(&self.shared), bytes_per_second);
            let hired = self.hire("viaduct-scrub", scrubber)?;
            self.shared.scrub.state.lock().thread = hired;
        }
        Ok(())
    }

    /// What the scrub, and whoever asked for a check, has found since the start.
    pub fn damages(&self) -> Vec<Damage> {
        self.shared.scrub.state.lock().findings.clone()
    }

    /// Reads everything that is not being written, at full speed. Blocks until it is done.
    ///
    /// # Errors
    /// The disk's, and the end that somebody asked for.
    pub fn check(&self, progress: &Progress) -> Result<Report, StoreError> {
        let shared = &self.shared;
        let failed = |e| io_error("read", &shared.path, e);
        let mut round = Round::begin(shared).map_err(failed)?;
        progress.expect(round.bytes());
        while let Some(bytes) = round.step(shared).map_err(failed)? {
            progress.done(bytes).map_err(failed)?;
        }
        let findings = round.take_findings();
        let mut report = round.end();
        report.data_dir = shared.path.display().to_string();
        report.is_running = true;
        report.last = shared.log.lock().journal.durable();
        for finding in findings {
            tell(shared, &finding);
            report.damages.push(finding.damage);
        }
        Ok(report)
    }
}

/// Says loudly what was found, once.
fn tell(shared: &Shared, finding: &Finding) {
    let damage = &finding.damage;
    if !shared.scrub.note(damage) {
        return;
    }
    shared.metrics.scrub_damages.inc();
    tracing::error!(
        file = damage.file,
        offset = damage.offset,
        bytes = damage.bytes,
        first = damage.first,
        last = damage.last,
        queues = damage.queues.as_ref().map(|queues| queues.join(", ")),
        what = damage.what,
        "the log is damaged: stop the broker and run viaduct repair"
    );
    if damage.first > 0 {
        let what = format!("{} (offset {})", damage.what, damage.offset);
        shared.lost(&damage.file, (damage.first, damage.last), &what);
    }
}

#[cfg(test)]
mod tests;
