//! The one timer structure: which queue has something due, and when.
//!
//! A queue stands here with its earliest instant only; what is due in it, it knows itself.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use parking_lot::Mutex;

use crate::core::model::ids::QueueId;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;

/// Queues by due time.
#[derive(Debug, Default)]
pub(in crate::core) struct Timers {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    due: BTreeMap<(CoreTime, QueueId), Weak<Queue>>,
    /// Where each queue stands: once.
    of: HashMap<QueueId, CoreTime>,
    waker: Option<Waker>,
}

impl Timers {
    /// Calls on `queue` at `due`. Wakes whoever waits for an earlier time than the one it knew.
    pub(in crate::core) fn set(&self, queue: &Arc<Queue>, due: CoreTime) {
        let waker = {
            let mut state = self.state.lock();
            let earliest = state.due.first_key_value().map(|((due, _), _)| *due);
            if let Some(old) = state.of.insert(queue.id(), due) {
                state.due.remove(&(old, queue.id()));
            }
            state.due.insert((due, queue.id()), Arc::downgrade(queue));
            if earliest.is_none_or(|earliest| due < earliest) {
                state.waker.take()
            } else {
                None
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes out a queue that is due at `now`.
    pub(in crate::core) fn pop_due(&self, now: CoreTime) -> Option<Arc<Queue>> {
        let mut state = self.state.lock();
        while let Some(first) = state.due.first_entry() {
            if first.key().0 > now {
                return None;
            }
            let id = first.key().1;
            let queue = first.remove().upgrade();
            state.of.remove(&id);
            if queue.is_some() {
                return queue;
            }
        }
        None
    }

    /// When something is due next.
    pub(in crate::core) fn next_due(&self) -> Option<CoreTime> {
        self.state
            .lock()
            .due
            .first_key_value()
            .map(|((due, _), _)| *due)
    }

    /// Ready once [`Timers::next_due`] is no longer `known`.
    pub(in crate::core) fn poll_changed(
        &self,
        known: Option<CoreTime>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let mut state = self.state.lock();
        if state.due.first_key_value().map(|((due, _), _)| *due) != known {
            return Poll::Ready(());
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}
