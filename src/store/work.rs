//! Work that one thread does for many, first come, first served.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::log::store::Waiter;
use crate::core::model::ids::Shard;
use crate::core::sync::Condvar;
use crate::core::sync::Mutex;

/// A queue of work. Its bound is that of those who ask: each has one or two things asked for at a time.
pub(crate) struct WorkQueue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

struct State<T> {
    work: VecDeque<T>,
    is_stopping: bool,
}

/// What [`WorkQueue::poll`] found.
pub(crate) enum Polled<T> {
    /// This is to be done.
    Work(T),
    /// Nothing, for now.
    Nothing,
    /// Nothing is left since [`WorkQueue::stop`].
    Ended,
}

impl<T> WorkQueue<T> {
    /// Nothing to do yet.
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                work: VecDeque::new(),
                is_stopping: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Adds work behind what waits.
    pub(crate) fn push(&self, work: T) {
        self.state.lock().work.push_back(work);
        self.changed.notify_one();
    }

    /// Takes what waits longest, if anything does.
    pub(crate) fn try_next(&self) -> Option<T> {
        self.state.lock().work.pop_front()
    }

    /// Waits for work; none when [`Self::stop`] was called and nothing is left.
    pub(crate) fn next(&self) -> Option<T> {
        loop {
            match self.poll() {
                Polled::Work(work) => return Some(work),
                Polled::Nothing => self.wait(),
                Polled::Ended => return None,
            }
        }
    }

    /// Takes what waits longest, or says whether there may be more.
    pub(crate) fn poll(&self) -> Polled<T> {
        let mut state = self.state.lock();
        match state.work.pop_front() {
            Some(work) => Polled::Work(work),
            None if state.is_stopping => Polled::Ended,
            None => Polled::Nothing,
        }
    }

    /// Waits until [`Self::poll`] does not say [`Polled::Nothing`].
    pub(crate) fn wait(&self) {
        let mut state = self.state.lock();
        while state.work.is_empty() && !state.is_stopping {
            self.changed.wait(&mut state);
        }
    }

    /// Amount of work that waits.
    pub(crate) fn len(&self) -> usize {
        self.state.lock().work.len()
    }

    /// Lets whoever works end when nothing is left.
    pub(crate) fn stop(&self) {
        self.state.lock().is_stopping = true;
        self.changed.notify_all();
    }
}

/// Work that must wait for a watermark before it may wait in its queue.
pub(crate) struct Later<T> {
    queue: Arc<WorkQueue<T>>,
    work: Mutex<Option<T>>,
}

impl<T: Send> Later<T> {
    /// `work` for `queue`, when the watermark has moved.
    pub(crate) fn new(queue: &Arc<WorkQueue<T>>, work: T) -> Arc<Self> {
        Arc::new(Self {
            queue: Arc::clone(queue),
            work: Mutex::new(Some(work)),
        })
    }
}

impl<T: Send> Waiter for Later<T> {
    fn watermark_moved(&self, _shard: Shard) {
        if let Some(work) = self.work.lock().take() {
            self.queue.push(work);
        }
    }
}
