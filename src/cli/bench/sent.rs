//! What a producer brings home.

use super::pace::Schedule;
use super::recorder::Recorder;
use super::seen::Bits;
use super::shared::Phases;

/// How long after the end a paced producer sends what should have been sent before, in nanoseconds: what
/// is late must not be missing from the latencies, but a broker that cannot keep up has no end.
pub(super) const LATE: u64 = 2_000_000_000;

/// Unsent messages are entered in so many steps at most, however many a rate asked for.
const MAX_STEPS: u64 = 100_000;

/// What a producer brings home.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) producer: usize,
    /// Latencies of confirms.
    pub(super) confirm: Recorder,
    /// What the latencies of unsent messages are at least.
    pub(super) missed: Recorder,
    /// Messages that were due before the end, and not sent until [`LATE`] after it.
    pub(super) unsent: u64,
    /// What the broker did not take.
    pub(super) refused: Bits,
}

impl Sent {
    /// Of a producer with these latencies of confirms; none for one that never began.
    ///
    /// # Errors
    /// No histogram.
    pub(super) fn new(confirm: Recorder) -> anyhow::Result<Self> {
        Ok(Self {
            producer: 0,
            confirm,
            missed: Recorder::new()?,
            unsent: 0,
            refused: Bits::default(),
        })
    }

    /// Enters what a schedule asked for from the message `next` on. Such a message would have been late by more
    /// than what is entered: left out, a broker that stands still would have the best latencies.
    pub(super) fn miss(&mut self, schedule: &Schedule, next: u64, phases: &Phases) {
        let due = schedule.due_before(phases.end);
        self.unsent = due.saturating_sub(next);
        let step = self.unsent.div_ceil(MAX_STEPS).max(1);
        let given_up = phases.end.saturating_add(LATE);
        let mut at = next;
        while at < due {
            let count = step.min(due - at);
            let intended = schedule.intended(at);
            if phases.measures(intended) {
                self.missed
                    .record_many(given_up.saturating_sub(intended), count);
            }
            at += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn what_was_not_sent_is_at_least_as_late_as_the_end_of_the_sending() {
        let phases = Phases {
            start: 0,
            measure_from: SECOND,
            end: 3 * SECOND,
        };
        let pace = Schedule::new(0, 1000, 1, 0);
        let mut sent = Sent::new(Recorder::new().unwrap()).unwrap();
        sent.miss(&pace, 500, &phases);
        assert_eq!(sent.unsent, 2500);
        // The two measured seconds: from four seconds late to two.
        let latency = sent.missed.percentiles().unwrap();
        assert!((latency.p50 - 3e6).abs() < 1e4, "{latency:?}");
        assert!((latency.max - 4e6).abs() < 1e4, "{latency:?}");
    }

    #[test]
    fn nothing_is_unsent_when_all_was_sent_and_a_high_rate_takes_no_time() {
        let phases = Phases {
            start: 0,
            measure_from: 0,
            end: 3600 * SECOND,
        };
        let pace = Schedule::new(0, 100_000_000, 1, 0);
        let mut sent = Sent::new(Recorder::new().unwrap()).unwrap();
        sent.miss(&pace, 360_000_000_000, &phases);
        assert_eq!((sent.unsent, sent.missed.clone().percentiles()), (0, None));
        sent.miss(&pace, 0, &phases);
        assert_eq!(sent.unsent, 360_000_000_000);
    }
}
