//! When each message of a paced run should be sent.

use std::task::Context;
use std::task::Poll;

use super::clock::Clock;
use super::timer::Timer;

const SECOND: u128 = 1_000_000_000;

/// How long before its time a message is awaited awake: about what it takes to wake a sleeping processor. Without it
/// every latency has the generator's own wake-up in it.
const AWAKE_NANOS: u64 = 80_000;
/// At most this part of the time between two messages is spent so.
const AWAKE_PART: u64 = 4;

/// The sending times of one producer: those of all producers together lie evenly.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    start: u64,
    /// Messages a second of all producers; not 0.
    rate: u64,
    producers: u64,
    producer: u64,
}

impl Schedule {
    /// The schedule of a producer in a run that starts at `start`.
    pub(super) fn new(start: u64, rate: u64, producers: u64, producer: u64) -> Self {
        Self {
            start,
            rate: rate.max(1),
            producers,
            producer,
        }
    }

    /// When the producer's message of this sequence number should be sent.
    pub(super) fn intended(&self, sequence: u64) -> u64 {
        let slot = u128::from(sequence) * u128::from(self.producers) + u128::from(self.producer);
        let after = slot * SECOND / u128::from(self.rate);
        self.start
            .saturating_add(u64::try_from(after).unwrap_or(u64::MAX))
    }

    /// How long before a message's time the producer is awake.
    fn awake_nanos(&self) -> u64 {
        let interval = 1_000_000_000 / self.rate * self.producers;
        (interval / AWAKE_PART).min(AWAKE_NANOS)
    }

    /// How many of the producer's messages should have been sent before `end`.
    pub(super) fn due_before(&self, end: u64) -> u64 {
        end.checked_sub(1).map_or(0, |last| self.due(last))
    }

    /// How many of the producer's messages should have been sent by `now`.
    pub(super) fn due(&self, now: u64) -> u64 {
        let Some(elapsed) = now.checked_sub(self.start) else {
            return 0;
        };
        // The last slot whose time, rounded down as above, is not after now.
        let slot = ((u128::from(elapsed) + 1) * u128::from(self.rate) - 1) / SECOND;
        match slot.checked_sub(u128::from(self.producer)) {
            None => 0,
            Some(slots) => {
                u64::try_from(slots / u128::from(self.producers) + 1).unwrap_or(u64::MAX)
            }
        }
    }
}

/// A producer's schedule with the timer that wakes it.
#[derive(Debug)]
pub(super) struct Pace {
    schedule: Schedule,
    timer: Timer,
}

impl Pace {
    /// A pace with a timer of its own.
    ///
    /// # Errors
    /// The system has no more timers.
    pub(super) fn new(schedule: Schedule) -> std::io::Result<Self> {
        Ok(Self {
            schedule,
            timer: Timer::new()?,
        })
    }

    /// When a message should be sent.
    pub(super) fn intended(&self, sequence: u64) -> u64 {
        self.schedule.intended(sequence)
    }

    /// When all should be sent.
    pub(super) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// How many messages are due from `next` on, at least one; else the producer is woken when the
    /// next one is. 0 when all are sent that should have been before `end`.
    pub(super) fn poll_due(
        &mut self,
        next: u64,
        clock: Clock,
        end: u64,
        cx: &mut Context<'_>,
    ) -> Poll<u64> {
        loop {
            let now = clock.now();
            let due = self.schedule.due(now.min(end.saturating_sub(1)));
            let due = due.saturating_sub(next);
            if due > 0 || now >= end {
                return Poll::Ready(due);
            }
            let at = self.schedule.intended(next).min(end);
            let wake_at = at.saturating_sub(self.schedule.awake_nanos());
            if now >= wake_at {
                // Looks again as soon as everybody else on this thread had a turn.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.timer.poll_at(wake_at, clock, cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_producers_together_send_evenly() {
        let of = |producer| Schedule::new(1_000, 2_000, 4, producer);
        let mut all: Vec<u64> = (0..4)
            .flat_map(|producer| (0..5).map(move |sequence| of(producer).intended(sequence)))
            .collect();
        all.sort_unstable();
        let even: Vec<u64> = (0..20).map(|slot| 1_000 + slot * 500_000).collect();
        assert_eq!(all, even);
    }

    #[test]
    fn what_is_due_is_what_was_intended_by_then() {
        for (rate, producers, producer) in [(2_000, 1, 0), (3, 2, 1), (7_777_777, 5, 4), (1, 1, 0)]
        {
            let schedule = Schedule::new(50, rate, producers, producer);
            assert_eq!(schedule.due(0), 0);
            for sequence in 0..300 {
                let at = schedule.intended(sequence);
                assert!(schedule.due(at) > sequence, "{rate} {sequence}");
                assert!(schedule.due(at - 1) <= sequence, "{rate} {sequence}");
            }
        }
    }

    #[tokio::test]
    async fn a_message_is_never_sent_early_and_none_is_left_out() {
        let clock = Clock::start();
        let schedule = Schedule::new(clock.now(), 5_000, 1, 0);
        let end = schedule.intended(100);
        let mut pace = Pace::new(schedule).unwrap();
        let mut next = 0;
        loop {
            match std::future::poll_fn(|cx| pace.poll_due(next, clock, end, cx)).await {
                0 => break,
                due => next += due,
            }
            assert!(clock.now() >= pace.intended(next - 1));
        }
        assert_eq!(next, 100, "all before the end, and no more");
        assert!(clock.now() >= end);
    }
}
