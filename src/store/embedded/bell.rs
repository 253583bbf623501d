//! How an actor that looks by itself now and then is told to look at once.

use std::time::Duration;

use crate::core::sync::Condvar;
use crate::core::sync::Mutex;

/// Tells one actor that there is something to do, or that the log is being closed.
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

    /// The log is being closed.
    pub(super) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_one();
    }

    /// Listens; true when the log is being closed.
    pub(super) fn has_stopped(&self) -> bool {
        let mut state = self.state.lock();
        state.is_rung = false;
        state.is_stopping
    }

    /// Waits, unless it was rung since somebody listened.
    pub(super) fn wait(&self, most: Option<Duration>) {
        let mut state = self.state.lock();
        if state.is_rung || state.is_stopping {
            return;
        }
        match most {
            Some(most) => drop(self.changed.wait_for(&mut state, most)),
            None => self.changed.wait(&mut state),
        }
    }
}
