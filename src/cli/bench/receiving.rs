//! A consumer's book: what arrived, from whom, and how late.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::bail;

use super::label::LABEL_BYTES;
use super::label::Label;
use super::recorder::Recorder;
use super::seen::Pair;
use super::settled::Words;
use super::shared::Phases;
use super::shared::Shared;

/// A consumer's book.
#[derive(Debug)]
pub(super) struct Receiving {
    shared: Arc<Shared>,
    /// By producer.
    pairs: Vec<Pair>,
    /// By producer: what it had handed out when that was last looked up.
    handed: Vec<u64>,
    latency: Recorder,
    now: u64,
    phases: Option<Phases>,
    receipts: u64,
    /// What came since the batch began.
    words: Words,
}

/// What a consumer brings home.
#[derive(Debug)]
pub(super) struct Received {
    /// By producer.
    pub(super) pairs: Vec<Pair>,
    pub(super) latency: Recorder,
}

impl Receiving {
    /// An empty book.
    ///
    /// # Errors
    /// No histogram.
    pub(super) fn new(shared: Arc<Shared>) -> anyhow::Result<Self> {
        let producers = usize::try_from(shared.load.producers)?;
        Ok(Self {
            pairs: (0..producers)
                .map(|producer| Pair::new(shared.queues_of(producer, shared.load.producers).len()))
                .collect(),
            handed: vec![0; producers],
            latency: Recorder::new()?,
            now: 0,
            phases: None,
            receipts: 0,
            words: Words::default(),
            shared,
        })
    }

    /// Reads the clock for what the next read brought.
    pub(super) fn begin_batch(&mut self) {
        self.now = self.shared.clock.now();
        if self.phases.is_none() {
            self.phases = self.shared.phases();
        }
    }

    /// Enters a message by the beginning of its body.
    ///
    /// # Errors
    /// Nobody in this run sent it.
    pub(super) fn enter(
        &mut self,
        label: [u8; LABEL_BYTES],
        redelivered: bool,
    ) -> anyhow::Result<()> {
        let label = Label::of_bytes(label);
        let producer = usize::from(label.producer);
        let (Some(pair), Some(handed)) =
            (self.pairs.get_mut(producer), self.handed.get_mut(producer))
        else {
            bail!(foreign());
        };
        if label.sequence >= *handed {
            // The bound keeps the account's memory in proportion, whatever a body says.
            *handed = self.shared.handed(producer);
        }
        if label.run != self.shared.run || label.sequence >= *handed {
            bail!(foreign());
        }
        self.receipts += 1;
        pair.take(label.sequence, redelivered);
        self.words.add(producer, label.sequence);
        if let Some(phases) = &self.phases
            && phases.measures(label.sent_at)
        {
            self.latency.record(self.now.saturating_sub(label.sent_at));
        }
        Ok(())
    }

    /// Makes the batch known: counters, and room for the producers.
    pub(super) fn end_batch(&mut self) {
        if self.receipts == 0 {
            return;
        }
        self.shared
            .counters
            .received
            .fetch_add(self.receipts, Relaxed);
        self.shared.settle(&mut self.words);
        self.receipts = 0;
    }

    /// Closes the book.
    pub(super) fn end(self) -> Received {
        Received {
            pairs: self.pairs,
            latency: self.latency,
        }
    }
}

/// For a message that is not ours.
pub(super) fn foreign() -> &'static str {
    "received a message that this run did not send; is the queue used by somebody else?"
}

#[cfg(test)]
mod tests {
    use super::super::shared::tests::load;
    use super::*;

    fn label(shared: &Shared, producer: u16, sequence: u64) -> [u8; LABEL_BYTES] {
        let label = Label {
            run: shared.run,
            producer,
            sequence,
            sent_at: 0,
        };
        label.to_bytes()
    }

    #[test]
    fn only_what_was_sent_is_accepted() {
        let shared = Arc::new(Shared::new(load("--producers 2")).unwrap());
        let mut receiving = Receiving::new(Arc::clone(&shared)).unwrap();
        shared.hand_out(1, 3);
        receiving.begin_batch();
        assert!(receiving.enter(label(&shared, 1, 2), false).is_ok());
        assert!(receiving.enter(label(&shared, 1, 3), false).is_err());
        assert!(receiving.enter(label(&shared, 0, 0), false).is_err());
        assert!(receiving.enter(label(&shared, 2, 0), false).is_err());
        let mut other = label(&shared, 1, 1);
        other[0] ^= 1;
        assert!(receiving.enter(other, false).is_err());
        receiving.end_batch();
        assert_eq!(shared.counters.settled.load(Relaxed), 1);
    }
}
