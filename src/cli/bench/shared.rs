//! What all connections of a run share.

use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::args::Load;
use super::blocked::Blocked;
use super::clock::Clock;
use super::gate::Gate;
use super::settled::Settled;
use super::settled::Words;

/// When a run does what, in nanoseconds of its clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Phases {
    /// Producers begin.
    pub(super) start: u64,
    /// The warm-up is over.
    pub(super) measure_from: u64,
    /// Producers end, and so does the measure.
    pub(super) end: u64,
}

impl Phases {
    /// Whether the latency of a message that was sent then counts, however late it arrives.
    pub(super) fn measures(&self, sent_at: u64) -> bool {
        (self.measure_from..self.end).contains(&sent_at)
    }
}

/// Counters of the whole run; each task adds to them once a batch.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) sent: AtomicU64,
    pub(super) confirmed: AtomicU64,
    /// Messages that the broker would not take (AMQP basic.nack, an SQS call or entry that failed).
    pub(super) refused: AtomicU64,
    /// Calls of consumers that the broker would not carry out at that time, where the protocol has calls.
    pub(super) refused_calls: AtomicU64,
    /// Receipts, each as often as it came.
    pub(super) received: AtomicU64,
    /// Different messages that arrived or were refused: what nobody waits for any more.
    pub(super) settled: AtomicU64,
}

/// What all connections of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) load: Load,
    pub(super) clock: Clock,
    pub(super) gate: Gate,
    pub(super) counters: Counters,
    /// What the broker said of publishers.
    pub(super) blocked: Blocked,
    /// Random; in every label.
    pub(super) run: u16,
    /// Names of the queues, all of one length.
    pub(super) queues: Vec<String>,
    /// By producer: how many of its messages may be on their way.
    handed: Vec<AtomicU64>,
    settled: Settled,
    phases: OnceLock<Phases>,
    started: CancellationToken,
    /// All is over: what still runs ends.
    pub(super) stop: CancellationToken,
    ready: AtomicUsize,
    producers_done: AtomicUsize,
    failure: Mutex<Option<anyhow::Error>>,
}

impl Shared {
    /// Prepares a run.
    ///
    /// # Errors
    /// No random numbers.
    pub(super) fn new(load: Load) -> anyhow::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)?;
        let [high, low, rest @ ..] = random;
        let prefix = load.queue.clone().unwrap_or_else(|| {
            let digits: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("viaduct-bench-{digits}")
        });
        let producers = usize::try_from(load.producers)?;
        // Nothing comes back when nobody consumes.
        let cap = if load.consumers == 0 {
            0
        } else {
            load.in_flight
        };
        Ok(Self {
            clock: Clock::start(),
            gate: Gate::new(cap, producers),
            counters: Counters::default(),
            blocked: Blocked::default(),
            run: u16::from_be_bytes([high, low]),
            queues: (0..load.queues)
                .map(|queue| format!("{prefix}-{queue:04}"))
                .collect(),
            handed: (0..producers).map(|_| AtomicU64::new(0)).collect(),
            settled: Settled::new(producers),
            phases: OnceLock::new(),
            started: CancellationToken::new(),
            stop: CancellationToken::new(),
            ready: AtomicUsize::new(0),
            producers_done: AtomicUsize::new(0),
            failure: Mutex::new(None),
            load,
        })
    }

    /// The queues of a producer or consumer: those that fall to it when they are dealt out, and when
    /// there are fewer queues than connections, one of them.
    pub(super) fn queues_of(&self, connection: usize, connections: u64) -> Vec<&str> {
        let connections = usize::try_from(connections).unwrap_or(usize::MAX).max(1);
        let count = self.queues.len();
        let of = |queue: usize| self.queues.get(queue).map(String::as_str);
        if count <= connections {
            return of(connection % count.max(1)).into_iter().collect();
        }
        (connection..count)
            .step_by(connections)
            .filter_map(of)
            .collect()
    }

    /// Says that a connection is ready to begin.
    pub(super) fn is_ready(&self) {
        self.ready.fetch_add(1, Ordering::SeqCst);
    }

    /// How many connections are ready.
    pub(super) fn ready(&self) -> usize {
        self.ready.load(Ordering::SeqCst)
    }

    /// Begins.
    pub(super) fn begin(&self, phases: Phases) {
        let _ = self.phases.set(phases);
        self.started.cancel();
    }

    /// Waits for the begin; `None` when it will not come.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn begun(&self) -> Option<Phases> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            () = self.started.cancelled() => self.phases(),
        }
    }

    /// The phases, once the run has begun.
    pub(super) fn phases(&self) -> Option<Phases> {
        self.phases.get().copied()
    }

    /// Lets consumers accept a producer's messages below `next`: before they are written.
    pub(super) fn hand_out(&self, producer: usize, next: u64) {
        if let Some(handed) = self.handed.get(producer) {
            handed.store(next, Ordering::Release);
        }
    }

    /// How many messages a producer has handed out; 0 for one that there is not.
    pub(super) fn handed(&self, producer: usize) -> u64 {
        self.handed
            .get(producer)
            .map_or(0, |handed| handed.load(Ordering::Acquire))
    }

    /// Says that a producer sends no more and waits for no confirm.
    pub(super) fn producer_is_done(&self) {
        self.producers_done.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether all producers have sent everything and wait for no confirm.
    pub(super) fn producers_are_done(&self) -> bool {
        self.producers_done.load(Ordering::SeqCst) == self.handed.len()
    }

    /// Notes that messages arrived or were refused, and makes room for as many as nobody had yet.
    pub(super) fn settle(&self, words: &mut Words) {
        let new = self.settled.add(words);
        self.counters.settled.fetch_add(new, Relaxed);
        self.gate.give(new);
    }

    /// Whether nothing is on its way any more.
    pub(super) fn is_drained(&self) -> bool {
        let is_settled = || self.counters.settled.load(Relaxed) >= self.counters.sent.load(Relaxed);
        self.producers_are_done() && (self.load.consumers == 0 || is_settled())
    }

    /// Ends the run: what failed first is what is told.
    pub(super) fn fail(&self, error: anyhow::Error) {
        self.failure.lock().get_or_insert(error);
        self.stop.cancel();
    }

    /// What failed first.
    pub(super) fn failure(&self) -> Option<anyhow::Error> {
        self.failure.lock().take()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::Parser;

    /// The flags of a command line.
    pub(in crate::cli::bench) fn load(flags: &str) -> Load {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            load: Load,
        }
        let line = Line::parse_from(std::iter::once("bench").chain(flags.split_whitespace()));
        line.load
    }

    #[test]
    fn every_queue_has_a_consumer_and_every_connection_a_queue() {
        for (queues, connections) in [(1, 1), (1, 4), (4, 1), (7, 3), (3, 7), (5, 5)] {
            let shared = Shared::new(load(&format!("--queues {queues}"))).unwrap();
            let mut dealt: Vec<&str> = Vec::new();
            for connection in 0..connections {
                let own = shared.queues_of(connection, connections as u64);
                assert!(!own.is_empty());
                dealt.extend(own);
            }
            dealt.sort_unstable();
            dealt.dedup();
            assert_eq!(dealt, shared.queues, "{queues} {connections}");
        }
    }
}
