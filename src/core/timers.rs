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
    /// Calls on `queue` at `due`, unless it stands here with an earlier time: two that have left its lock come in any
    /// order, and a call too many harms nothing. Wakes whoever waits for an earlier time than the one it knew.
    pub(in crate::core) fn set(&self, queue: &Arc<Queue>, due: CoreTime) {
        let waker = {
            let mut state = self.state.lock();
            let earliest = state.due.first_key_value().map(|((due, _), _)| *due);
            match state.of.get(&queue.id()).copied() {
                Some(old) if old <= due => return,
                Some(old) => {
                    state.due.remove(&(old, queue.id()));
                }
                None => {}
            }
            state.of.insert(queue.id(), due);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::ids::Shard;
    use crate::core::model::names::QueueName;
    use crate::core::model::names::VhostName;
    use crate::core::queue::paging::sizes::PageSizes;
    use crate::core::queue::settings::QueueSettings;

    #[test]
    fn a_later_time_that_comes_late_does_not_replace_an_earlier_one() {
        let queue = Queue::new(
            QueueId(1),
            QueueName::parse("q").unwrap(),
            VhostName::parse("/").unwrap(),
            Shard(0),
            0,
            QueueSettings::new(true),
            &Arc::new(PageSizes::default()),
        );
        let (timers, at) = (Timers::default(), CoreTime::from_ms);
        for (due, expected) in [(50, 50), (10, 10), (70, 10)] {
            timers.set(&queue, at(due));
            assert_eq!(timers.next_due(), Some(at(expected)));
        }
        assert!(timers.pop_due(at(10)).is_some());
        assert!(timers.pop_due(at(100)).is_none(), "it stands there once");
        timers.set(&queue, at(70));
        assert_eq!(timers.next_due(), Some(at(70)));
    }
}
