//! A producer's book: how many messages it may send now, and what became of them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use anyhow::Context as _;
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::label::LABEL_BYTES;
use super::label::Label;
use super::pace::Pace;
use super::pace::Schedule;
use super::recorder::Recorder;
use super::seen::Bits;
use super::sent::LATE;
use super::sent::Sent;
use super::settled::Words;
use super::shared::Phases;
use super::shared::Shared;
use super::unconfirmed::Unconfirmed;

/// What a producer does next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Sends these messages.
    Send(Batch),
    /// Ends: the time is over and nothing is unconfirmed, or the run stops.
    End,
}

/// Messages to be written at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Sequence number of the first.
    pub(super) first: u64,
    /// How many; at least one.
    pub(super) count: u64,
    now: u64,
}

/// A producer's book.
#[derive(Debug)]
pub(super) struct Sending {
    shared: Arc<Shared>,
    producer: usize,
    phases: Phases,
    next: u64,
    pace: Option<Pace>,
    unconfirmed: Unconfirmed,
    latency: Recorder,
    refused: Bits,
    /// What is refused at once.
    words: Words,
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Sending {
    /// Opens the book when the run has begun.
    ///
    /// # Errors
    /// The system has no more timers.
    pub(super) fn new(
        shared: Arc<Shared>,
        producer: usize,
        phases: Phases,
    ) -> anyhow::Result<Self> {
        let load = &shared.load;
        let pace = (load.rate > 0)
            .then(|| {
                let index = u64::try_from(producer).unwrap_or(u64::MAX);
                let schedule = Schedule::new(phases.start, load.rate, load.producers, index);
                Pace::new(schedule).context("a timer for --rate")
            })
            .transpose()?;
        Ok(Self {
            producer,
            phases,
            next: 0,
            pace,
            unconfirmed: Unconfirmed::default(),
            latency: Recorder::new()?,
            refused: Bits::default(),
            words: Words::default(),
            stop: Box::pin(shared.stop.clone().cancelled_owned()),
            shared,
        })
    }

    /// Decides what is next, `most` messages at once at most. When it is pending the task is woken
    /// by the clock or by room; a confirm makes room, too, and the caller has to see that it reads.
    pub(super) fn poll_turn(&mut self, most: u64, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.poll_stop(cx).is_ready() {
            return Poll::Ready(Turn::End);
        }
        let end = self.phases.end;
        let now = self.shared.clock.now();
        let (mut want, last) = match &mut self.pace {
            None if now >= end => (0, end),
            None => (most, end),
            Some(pace) => {
                let due = ready!(pace.poll_due(self.next, self.shared.clock, end, cx));
                (due.min(most), end + LATE)
            }
        };
        if want == 0 || now >= last {
            return match self.unconfirmed.open() {
                0 => Poll::Ready(Turn::End),
                _ => Poll::Pending,
            };
        }
        if self.shared.load.confirms() {
            let room = self.shared.load.confirm_window;
            want = want.min(room.saturating_sub(self.unconfirmed.open()));
        }
        if want == 0 {
            return Poll::Pending;
        }
        self.shared
            .gate
            .poll_take(self.producer, want, cx)
            .map(|count| {
                Turn::Send(Batch {
                    first: self.next,
                    count,
                    now,
                })
            })
    }

    /// Ready when the run stops; else the task is woken then.
    pub(super) fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stop.as_mut().poll(cx)
    }

    /// When a message of a batch counts as sent.
    fn sent_at(&self, batch: &Batch, sequence: u64) -> u64 {
        match &self.pace {
            Some(pace) => pace.intended(sequence),
            None => batch.now,
        }
    }

    /// The first bytes of a body.
    pub(super) fn label(&self, batch: &Batch, sequence: u64) -> [u8; LABEL_BYTES] {
        let label = Label {
            run: self.shared.run,
            producer: u16::try_from(self.producer).unwrap_or(u16::MAX),
            sequence,
            sent_at: self.sent_at(batch, sequence),
        };
        label.to_bytes()
    }

    /// Enters a batch: before it is written, so that no consumer is quicker.
    pub(super) fn enter(&mut self, batch: &Batch) {
        self.next = batch.first + batch.count;
        self.shared.hand_out(self.producer, self.next);
        self.shared.counters.sent.fetch_add(batch.count, Relaxed);
        if self.shared.load.confirms() {
            for sequence in batch.first..self.next {
                self.unconfirmed.push(self.sent_at(batch, sequence));
            }
        }
    }

    /// Enters a confirm of one message or, `multiple`, of all up to it.
    ///
    /// # Errors
    /// Nothing of this number was sent.
    pub(super) fn confirm(&mut self, sequence: u64, multiple: bool) -> anyhow::Result<()> {
        let now = self.shared.clock.now();
        let (phases, latency) = (self.phases, &mut self.latency);
        let count = self.unconfirmed.take(sequence, multiple, |_, sent_at| {
            if phases.measures(sent_at) {
                latency.record(now.saturating_sub(sent_at));
            }
        });
        let count = count.with_context(|| unsent(sequence))?;
        self.shared.counters.confirmed.fetch_add(count, Relaxed);
        Ok(())
    }

    /// Enters that the broker refused a message, or all up to it.
    ///
    /// # Errors
    /// Nothing of this number was sent.
    pub(super) fn refuse(&mut self, sequence: u64, multiple: bool) -> anyhow::Result<()> {
        let (producer, words) = (self.producer, &mut self.words);
        let refused = &mut self.refused;
        let count = self.unconfirmed.take(sequence, multiple, |number, _| {
            refused.insert(number);
            words.add(producer, number);
        });
        let count = count.with_context(|| unsent(sequence))?;
        self.shared.counters.refused.fetch_add(count, Relaxed);
        self.shared.settle(words);
        Ok(())
    }

    /// Closes the book.
    ///
    /// # Errors
    /// No histogram.
    pub(super) fn end(self) -> anyhow::Result<Sent> {
        let mut sent = Sent::new(self.latency)?;
        sent.producer = self.producer;
        sent.refused = self.refused;
        if let Some(pace) = &self.pace {
            sent.miss(pace.schedule(), self.next, &self.phases);
        }
        self.shared.producer_is_done();
        Ok(sent)
    }
}

fn unsent(sequence: u64) -> String {
    format!("the broker confirmed message {sequence}, which was not sent")
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::load;
    use super::*;
    use std::task::Waker;

    fn sending(flags: &str, end: u64) -> (Arc<Shared>, Sending) {
        let shared = Arc::new(Shared::new(load(flags)).unwrap());
        let phases = Phases {
            start: 0,
            measure_from: 0,
            end,
        };
        let sending = Sending::new(Arc::clone(&shared), 0, phases).unwrap();
        (shared, sending)
    }

    /// Sends what may be sent: how many, or `None` for the end.
    fn turn(sending: &mut Sending, most: u64) -> Poll<Option<u64>> {
        let mut cx = Context::from_waker(Waker::noop());
        sending.poll_turn(most, &mut cx).map(|turn| match turn {
            Turn::End => None,
            Turn::Send(batch) => {
                sending.enter(&batch);
                Some(batch.count)
            }
        })
    }

    #[test]
    fn the_window_and_the_cap_hold_whichever_is_smaller() {
        let (shared, mut sending) = sending("--confirm-window 5 --in-flight 7", u64::MAX);
        assert_eq!(turn(&mut sending, 3), Poll::Ready(Some(3)), "a block");
        assert_eq!(turn(&mut sending, 3), Poll::Ready(Some(2)), "the window");
        assert_eq!(turn(&mut sending, 3), Poll::Pending);
        sending.confirm(4, true).unwrap();
        assert_eq!(turn(&mut sending, 3), Poll::Ready(Some(2)), "the cap");
        assert_eq!(turn(&mut sending, 3), Poll::Pending);
        sending.refuse(5, false).unwrap();
        assert_eq!(
            turn(&mut sending, 3),
            Poll::Ready(Some(1)),
            "nobody will receive it"
        );
        assert!(sending.confirm(8, false).is_err(), "never sent");
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        assert_eq!(count(&shared.counters.sent), 8);
        assert_eq!(count(&shared.counters.confirmed), 5);
        assert_eq!(count(&shared.counters.refused), 1);
        assert_eq!(shared.handed(0), 8);
    }

    #[test]
    fn the_end_waits_for_confirms_and_a_stop_for_nothing() {
        let (_, mut over) = sending("--confirm-window 5", 0);
        assert_eq!(turn(&mut over, 3), Poll::Ready(None));
        let (shared, mut sending) = sending("--confirm-window 5", u64::MAX);
        assert_eq!(turn(&mut sending, 3), Poll::Ready(Some(3)));
        sending.phases.end = 0;
        assert_eq!(turn(&mut sending, 3), Poll::Pending);
        shared.stop.cancel();
        assert_eq!(turn(&mut sending, 3), Poll::Ready(None));
    }
}
