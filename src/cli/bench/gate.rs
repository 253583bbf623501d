//! The cap of messages that are sent and not yet received, over all producers.
//!
//! There is no timer in it: a consumer that frees room wakes the producers that wait for it, once
//! a read. A generator that polled for room each millisecond would measure its own poll.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use crate::core::sync::AtomicU64;
use crate::core::sync::AtomicUsize;
use crate::core::sync::Mutex;
use crate::core::sync::Ordering::Relaxed;
use crate::core::sync::Ordering::SeqCst;
use crate::core::sync::fence;

/// Lets so many messages out as there is room for.
#[derive(Debug)]
pub(super) struct Gate {
    /// 0: no cap.
    cap: u64,
    held: AtomicU64,
    /// How many slots of `waiters` are taken; read without the lock.
    waiting: AtomicUsize,
    /// One slot a producer.
    waiters: Mutex<Vec<Option<Waker>>>,
}

impl Gate {
    /// An empty gate.
    pub(super) fn new(cap: u64, producers: usize) -> Self {
        Self {
            cap,
            held: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            waiters: Mutex::new(vec![None; producers]),
        }
    }

    /// Takes room for up to `want` messages, at least one; a producer without room is woken when
    /// there is some.
    pub(super) fn poll_take(&self, producer: usize, want: u64, cx: &Context<'_>) -> Poll<u64> {
        if let Some(got) = self.take(want) {
            return Poll::Ready(got);
        }
        {
            let mut waiters = self.waiters.lock();
            if let Some(slot) = waiters.get_mut(producer)
                && slot.replace(cx.waker().clone()).is_none()
            {
                self.waiting.fetch_add(1, Relaxed);
            }
        }
        // Room that was freed before the slot was taken woke nobody. The fence: either this sees the room, or who frees
        // it sees the slot.
        fence(SeqCst);
        match self.take(want) {
            Some(got) => Poll::Ready(got),
            None => Poll::Pending,
        }
    }

    fn take(&self, want: u64) -> Option<u64> {
        if self.cap == 0 {
            return Some(want);
        }
        let room = |held: u64| want.min(self.cap.saturating_sub(held));
        let before = self.held.try_update(Relaxed, Relaxed, |held| {
            (room(held) > 0).then(|| held + room(held))
        });
        before.ok().map(room)
    }

    /// Gives room back.
    pub(super) fn give(&self, count: u64) {
        if self.cap == 0 || count == 0 {
            return;
        }
        // A duplicate gives back what it never took: the gate then lets one more through, no panic.
        let _ = self
            .held
            .try_update(Relaxed, Relaxed, |held| Some(held.saturating_sub(count)));
        fence(SeqCst);
        if self.waiting.load(Relaxed) > 0 {
            self.wake_all();
        }
    }

    /// Wakes all that wait: there is room, or the time is over.
    pub(super) fn wake_all(&self) {
        let mut waiters = self.waiters.lock();
        for waker in waiters.iter_mut().filter_map(Option::take) {
            self.waiting.fetch_sub(1, Relaxed);
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn the_cap_holds_and_room_wakes_who_waits() {
        let gate = Gate::new(10, 2);
        let count = Arc::new(Count::default());
        let waker = Waker::from(Arc::clone(&count));
        let cx = Context::from_waker(&waker);
        assert_eq!(gate.poll_take(0, 8, &cx), Poll::Ready(8));
        assert_eq!(gate.poll_take(1, 8, &cx), Poll::Ready(2));
        assert_eq!(gate.poll_take(1, 8, &cx), Poll::Pending);
        assert_eq!(gate.poll_take(1, 8, &cx), Poll::Pending);
        gate.give(3);
        assert_eq!(count.0.load(SeqCst), 1, "one slot a producer");
        assert_eq!(gate.poll_take(1, 8, &cx), Poll::Ready(3));
        gate.give(1);
        assert_eq!(count.0.load(SeqCst), 1, "nobody waits");
    }

    #[test]
    fn no_cap_lets_everything_out() {
        let gate = Gate::new(0, 1);
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(gate.poll_take(0, 1 << 40, &cx), Poll::Ready(1 << 40));
    }
}
