//! What takes long and somebody at a command line waits for: a check, a backup. One at a time, on a thread of its own.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use serde_json::json;

use crate::core::log::store::StoreError;
use crate::management::Task;
use crate::management::Work;
use crate::store::embedded::Progress;
use crate::store::embedded::Saved;

use super::foundation::Foundation;

/// Who asked for it asks after it several times a second; when nobody has for so long, nobody waits any more.
const PATIENCE_MS: u64 = 10_000;

/// How often it is looked whether somebody still waits.
const LOOK: Duration = Duration::from_millis(100);

/// The last piece of work.
#[derive(Default)]
pub(super) struct Works {
    last: Mutex<Option<Arc<Running>>>,
}

/// A piece of work, done or not.
struct Running {
    task: &'static str,
    progress: Progress,
    asked_ms: AtomicU64,
    outcome: Mutex<Option<Result<Value, String>>>,
}

impl Works {
    /// Begins a piece of work; why not, if another is not done.
    pub(super) fn begin(
        &self,
        foundation: &Foundation,
        is_stopping: &Arc<AtomicBool>,
        task: Task,
    ) -> Result<(), String> {
        let mut last = self.last.lock();
        if let Some(running) = last.as_ref().filter(|last| last.outcome.lock().is_none()) {
            return Err(format!("a {} is being made already", running.task));
        }
        let running = Arc::new(Running {
            task: match task {
                Task::Check => "check",
                Task::Backup(_) => "backup",
            },
            progress: Progress::default(),
            asked_ms: AtomicU64::new(foundation.clock.now_ms()),
            outcome: Mutex::new(None),
        });
        let (foundation, stopping) = (foundation.clone(), Arc::clone(is_stopping));
        let works = Arc::clone(&running);
        std::thread::Builder::new()
            .name(format!("viaduct-{}", running.task))
            .spawn(move || works.run(&foundation, &stopping, &task))
            .map_err(|error| error.to_string())?;
        *last = Some(running);
        Ok(())
    }

    /// How far it is.
    pub(super) fn get(&self, now_ms: u64) -> Option<Work> {
        let running = self.last.lock().clone()?;
        running.asked_ms.store(now_ms, Ordering::Relaxed);
        let outcome = running.outcome.lock().clone();
        let (done, total) = running.progress.get();
        Some(Work {
            task: running.task.to_owned(),
            is_running: outcome.is_none(),
            done,
            total,
            error: outcome.clone().and_then(Result::err),
            result: outcome.and_then(Result::ok),
        })
    }

    /// Asks it to end.
    pub(super) fn give_up(&self) {
        if let Some(running) = self.last.lock().as_ref() {
            running.progress.cancel();
        }
    }
}

impl Running {
    /// Does it, and sees to it that it ends when nobody waits for it or the broker stops.
    fn run(&self, foundation: &Foundation, is_stopping: &AtomicBool, task: &Task) {
        let outcome = std::thread::scope(|scope| {
            let work = scope.spawn(|| self.carry_out(foundation, task));
            while !work.is_finished() {
                let asked = self.asked_ms.load(Ordering::Relaxed);
                let is_left = foundation.clock.now_ms().saturating_sub(asked) > PATIENCE_MS;
                if is_left || is_stopping.load(Ordering::Relaxed) {
                    self.progress.cancel();
                }
                std::thread::park_timeout(LOOK);
            }
            let panicked = |_| Err("it failed for a reason of its own; see the log".to_owned());
            work.join().unwrap_or_else(panicked)
        });
        *self.outcome.lock() = Some(outcome);
    }

    fn carry_out(&self, foundation: &Foundation, task: &Task) -> Result<Value, String> {
        match task {
            Task::Check => {
                let report = foundation.log.check(&self.progress).map_err(text)?;
                serde_json::to_value(report).map_err(|error| error.to_string())
            }
            Task::Backup(folder) => {
                // A younger checkpoint makes for a quicker start; the log has everything without it.
                if let Err(error) = foundation.core.checkpoint() {
                    tracing::warn!(%error, "the catalog could not be checkpointed before a backup");
                }
                let saved = foundation
                    .log
                    .backup(folder, &self.progress)
                    .map_err(text)?;
                let Saved { upto, files, bytes } = saved;
                tracing::info!(folder = %folder.display(), upto, files, bytes, "a backup was made");
                Ok(json!({ "upto": upto, "files": files, "bytes": bytes }))
            }
        }
    }
}

/// An error with its cause.
fn text(error: StoreError) -> String {
    match std::error::Error::source(&error) {
        Some(cause) => format!("cannot {error}: {cause}"),
        None => error.to_string(),
    }
}
