//! Spawning: the only place that starts a task.
//!
//! Every task is tracked and knows the token that ends it, so a shutdown can tell them, wait for
//! them, and say how many did not come.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts tasks and ends them. Clones belong to the same broker.
#[derive(Clone, Debug, Default)]
pub struct Runtime {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl Runtime {
    /// A runtime without tasks. Tasks run on the tokio runtime that calls [`Self::spawn`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tracker.spawn(task)
    }

    /// Runs blocking work (a sync, a hash, a directory scan) off the async threads.
    pub fn spawn_blocking<F, T>(&self, work: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.tracker.spawn_blocking(work)
    }

    /// The token that ends the tasks of this runtime.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// How many tasks run.
    pub fn tasks(&self) -> usize {
        self.tracker.len()
    }

    /// Tells all tasks to end and waits for them. Returns how many were still there at the deadline.
    pub async fn shutdown(&self, deadline: Duration) -> usize {
        self.stop.cancel();
        self.tracker.close();
        // The time-out only bounds the wait; what is left is counted below.
        let _ = tokio::time::timeout(deadline, self.tracker.wait()).await;
        self.tracker.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shutdown_waits_for_those_who_come_and_counts_the_others() {
        let runtime = Runtime::new();
        let stop = runtime.stop_token().clone();
        runtime.spawn(async move { stop.cancelled().await });
        runtime.spawn(std::future::pending::<()>());
        assert_eq!(runtime.shutdown(Duration::from_secs(5)).await, 1);
    }
}
