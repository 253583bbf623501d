//! How core reaches a session: an inbox of few, bounded events, and one waker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::core::log::store::Waiter;
use crate::core::model::ids::Shard;
use crate::core::sync::Mutex;

/// What core tells a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The consumer with this key was waiting and its queue has entries: take, or decline.
    Ready(u64),
    /// The consumer with this key is gone, with its queue.
    Cancelled(u64),
    /// A watermark that was waited for has moved, or its shard failed.
    WatermarkMoved,
    /// An alarm was raised or cleared.
    AlarmsChanged,
    /// A large body that is written or read has come further, or will not.
    BodyMoved,
}

/// A session's inbox. Consumers' keys are the session's own; it may use them again after it has seen
/// [`Event::Cancelled`] or has unsubscribed.
///
/// Bounded by what the session asked for: one `Ready` and one `Cancelled` per consumer, and one each of
/// the others.
#[derive(Debug, Default)]
pub struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    consumers: VecDeque<Event>,
    watermark_moved: bool,
    alarms_changed: bool,
    body_moved: bool,
    waker: Option<Waker>,
}

impl State {
    fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.watermark_moved) {
            return Some(Event::WatermarkMoved);
        }
        if std::mem::take(&mut self.alarms_changed) {
            return Some(Event::AlarmsChanged);
        }
        if std::mem::take(&mut self.body_moved) {
            return Some(Event::BodyMoved);
        }
        self.consumers.pop_front()
    }
}

impl Inbox {
    /// An empty inbox.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Puts an event in and wakes whoever polls.
    pub(in crate::core) fn post(&self, event: Event) {
        let waker = {
            let mut state = self.state.lock();
            match event {
                Event::Ready(_) | Event::Cancelled(_) => state.consumers.push_back(event),
                Event::WatermarkMoved => state.watermark_moved = true,
                Event::AlarmsChanged => state.alarms_changed = true,
                Event::BodyMoved => state.body_moved = true,
            }
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next event, if there is one.
    pub fn try_next(&self) -> Option<Event> {
        self.state.lock().next()
    }

    /// The next event; registers `cx` for waking when there is none. One task may poll an inbox.
    ///
    /// # Cancel safety
    /// Nothing is lost when the poll is abandoned: an event leaves the inbox only by being returned.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut state = self.state.lock();
        match state.next() {
            Some(event) => Poll::Ready(event),
            None => {
                match &mut state.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// Waits until there is an event, and takes it.
    ///
    /// # Cancel safety
    /// As [`Inbox::poll_next`].
    pub async fn next(&self) -> Event {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }
}

impl Waiter for Inbox {
    fn watermark_moved(&self, _shard: Shard) {
        self.post(Event::WatermarkMoved);
    }
}
