//! Work for one thread, in order.

use std::collections::VecDeque;

use parking_lot::Condvar;
use parking_lot::Mutex;

/// A queue of jobs. Bounded by those who fill it: a body has few blocks on their way at a time.
pub(super) struct Lane<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
}

struct State<J> {
    jobs: VecDeque<J>,
    is_stopping: bool,
}

impl<J> Default for Lane<J> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                is_stopping: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<J> Lane<J> {
    /// Adds a job.
    pub(super) fn push(&self, job: J) {
        self.state.lock().jobs.push_back(job);
        self.changed.notify_one();
    }

    /// The next job, if there is one.
    #[cfg(test)]
    pub(super) fn try_next(&self) -> Option<J> {
        self.state.lock().jobs.pop_front()
    }

    /// Waits for the next job; none when everything is done and the lane was stopped.
    pub(super) fn next(&self) -> Option<J> {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_stopping {
                return None;
            }
            self.changed.wait(&mut state);
        }
    }

    /// Lets whoever waits end once everything is done.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }
}
