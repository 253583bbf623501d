//! What a run found out, as JSON and as text.

use std::sync::atomic::Ordering::Relaxed;

use serde::Serialize;

use super::args::Load;
use super::peer::Identity;
use super::recorder::Percentiles;
use super::recorder::Recorder;
use super::run::End;
use super::run::Measured;
use super::seen::Account;
use super::seen::Bits;
use super::seen::account;
use super::shared::Shared;

/// The report. Scripts read its JSON: names stay.
///
/// `sent`, `confirmed`, `received` and all rates are of the measured time; `lost`, `missing`, `duplicated`,
/// `reordered`, `redelivered`, `refused`, `unsent` and `total` are of the whole run, after draining.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) bench: &'static str,
    pub(super) peer: Identity,
    pub(super) settings: Load,
    pub(super) seconds: f64,
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    pub(super) received: u64,
    pub(super) sent_per_second: f64,
    pub(super) sent_mb_per_second: f64,
    pub(super) confirmed_per_second: f64,
    pub(super) received_per_second: f64,
    pub(super) received_mb_per_second: f64,
    pub(super) end_to_end_us: Option<Percentiles>,
    pub(super) confirm_us: Option<Percentiles>,
    /// Sent and not received, although the broker had taken everything and nothing came any more.
    pub(super) lost: u64,
    /// Sent and not received when the wait was over and the broker had not taken or answered everything.
    pub(super) missing: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
    pub(super) redelivered: u64,
    pub(super) refused: u64,
    /// Calls of consumers that were refused and made again.
    pub(super) refused_calls: u64,
    /// Due by `--rate` and not sent until two seconds after the end; in the latencies as what they are at least.
    pub(super) unsent: u64,
    pub(super) drained: bool,
    /// Why the broker blocked publishers, if it did.
    pub(super) blocked: Option<String>,
    pub(super) total: Total,
    pub(super) own_cpu_seconds: f64,
    pub(super) own_cpu_us_per_message: f64,
    pub(super) broker_cpu_seconds: Option<f64>,
    pub(super) broker_cpu_us_per_message: Option<f64>,
    /// Since the process began, not of the run.
    pub(super) broker_peak_memory_bytes: Option<u64>,
}

/// Counts of the whole run.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Total {
    pub(super) sent: u64,
    pub(super) confirmed: u64,
    /// Different messages.
    pub(super) received: u64,
}

impl Report {
    /// Reckons it up.
    ///
    /// # Errors
    /// No histogram.
    pub(super) fn new(shared: &Shared, measured: Measured) -> anyhow::Result<Self> {
        let load = &shared.load;
        let Measured { from, to, .. } = measured;
        let account = whole_account(shared, &measured);
        let is_lost = measured.end != End::GivenUp;
        let mut end_to_end = Recorder::new()?;
        let mut confirm = Recorder::new()?;
        let mut unsent = 0;
        for sent in measured.sent {
            confirm.merge(sent.confirm);
            if load.confirms() {
                confirm.merge(sent.missed.clone());
            }
            if load.consumers > 0 {
                end_to_end.merge(sent.missed);
            }
            unsent += sent.unsent;
        }
        for received in measured.received {
            end_to_end.merge(received.latency);
        }
        let seconds = float(to.at - from.at) / 1e9;
        let received = to.received - from.received;
        let sent = to.sent - from.sent;
        let confirmed = to.confirmed - from.confirmed;
        let messages = if load.consumers > 0 { received } else { sent };
        let per_second = |count: u64| rounded(ratio(float(count), seconds), 10.0);
        let mb_per_second = |count: u64| {
            let bytes = float(count) * float(load.size);
            rounded(ratio(bytes, seconds * 1e6), 100.0)
        };
        let per_message = |cpu: f64| rounded(ratio(cpu * 1e6, float(messages)), 1000.0);
        let own = to.own.cpu_seconds - from.own.cpu_seconds;
        let broker = to.broker.cpu_seconds - from.broker.cpu_seconds;
        let if_known = |value: f64| load.pid.map(|_| value);
        let refused = shared.counters.refused.load(Relaxed);
        Ok(Self {
            bench: measured.name,
            peer: measured.identity,
            settings: load.clone(),
            seconds: rounded(seconds, 1e6),
            sent,
            confirmed,
            received,
            sent_per_second: per_second(sent),
            sent_mb_per_second: mb_per_second(sent),
            confirmed_per_second: per_second(confirmed),
            received_per_second: per_second(received),
            received_mb_per_second: mb_per_second(received),
            end_to_end_us: end_to_end.percentiles(),
            confirm_us: confirm.percentiles(),
            lost: if is_lost { account.lost } else { 0 },
            missing: if is_lost { 0 } else { account.lost },
            duplicated: account.duplicated,
            reordered: account.reordered,
            redelivered: account.redelivered,
            refused,
            refused_calls: shared.counters.refused_calls.load(Relaxed),
            unsent,
            drained: measured.end == End::Drained,
            blocked: shared.blocked.reason(),
            total: Total {
                sent: shared.counters.sent.load(Relaxed),
                confirmed: shared.counters.confirmed.load(Relaxed),
                received: account.arrived,
            },
            own_cpu_seconds: rounded(own, 1000.0),
            own_cpu_us_per_message: per_message(own),
            broker_cpu_seconds: if_known(rounded(broker, 1000.0)),
            broker_cpu_us_per_message: if_known(per_message(broker)),
            broker_peak_memory_bytes: load.pid.map(|_| to.broker.peak_memory_bytes),
        })
    }

    /// Whether the broker did what it is for.
    pub(super) fn is_clean(&self) -> bool {
        self.lost == 0
            && self.missing == 0
            && self.duplicated == 0
            && self.refused == 0
            && self.refused_calls == 0
            && self.unsent == 0
            && self.drained
    }
}

/// The account over all producers and consumers; without consumers nothing can be missed.
fn whole_account(shared: &Shared, measured: &Measured) -> Account {
    let mut whole = Account::default();
    if measured.received.is_empty() {
        return whole;
    }
    let nothing = Bits::default();
    let producers = usize::try_from(shared.load.producers).unwrap_or(usize::MAX);
    for producer in 0..producers {
        let pairs = measured
            .received
            .iter()
            .filter_map(|received| received.pairs.get(producer));
        let refused = measured.sent.iter().find(|sent| sent.producer == producer);
        let refused = refused.map_or(&nothing, |sent| &sent.refused);
        whole += account(shared.handed(producer), refused, pairs);
    }
    whole
}

#[expect(clippy::cast_precision_loss, reason = "for rates")]
fn float(count: u64) -> f64 {
    count as f64
}

/// 0 when there is nothing to divide by.
fn ratio(value: f64, by: f64) -> f64 {
    if by > 0.0 { value / by } else { 0.0 }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use super::super::receiving::Receiving;
    use super::super::run::Sample;
    use super::super::shared::Phases;
    use super::super::shared::tests::load;
    use super::super::text::table;
    use super::*;
    use crate::cli::bench::label::Label;
    use std::sync::Arc;

    /// The report of a run of two producers, ten messages each, in which one consumer receives these.
    fn report(flags: &str, received: &[(u16, u64)], end: End) -> Report {
        let shared = Arc::new(Shared::new(load(flags)).unwrap());
        shared.begin(Phases {
            start: 0,
            measure_from: 0,
            end: u64::MAX,
        });
        let mut receiving = Receiving::new(Arc::clone(&shared)).unwrap();
        receiving.begin_batch();
        for producer in 0..2 {
            shared.hand_out(producer, 10);
        }
        shared.counters.sent.store(20, Relaxed);
        for &(producer, sequence) in received {
            let label = Label {
                run: shared.run,
                producer,
                sequence,
                sent_at: 0,
            };
            receiving.enter(label.to_bytes(), false).unwrap();
        }
        receiving.end_batch();
        let to = Sample {
            at: 2_000_000_000,
            sent: 20,
            received: shared.counters.received.load(Relaxed),
            ..Sample::default()
        };
        let measured = Measured {
            name: "amqp",
            identity: Identity::default(),
            from: Sample::default(),
            to,
            sent: Vec::new(),
            received: vec![receiving.end()],
            end,
        };
        Report::new(&shared, measured).unwrap()
    }

    fn all() -> Vec<(u16, u64)> {
        (0..2)
            .flat_map(|producer| (0..10).map(move |sequence| (producer, sequence)))
            .collect()
    }

    #[test]
    fn a_clean_run_is_clean_and_its_rates_are_counts_over_time() {
        let report = report("--producers 2 --size 500000", &all(), End::Drained);
        assert!(report.is_clean());
        let rates = (report.received_per_second, report.received_mb_per_second);
        assert_eq!(rates, (10.0, 5.0));
        assert_eq!(report.confirm_us, None);
        assert!(report.end_to_end_us.is_some());
        assert_eq!(report.broker_cpu_seconds, None);
        let text = table(&report);
        assert!(
            text.contains("received    10 msg/s (20 in all), 5.0 MB/s\n"),
            "{text}"
        );
        assert!(
            text.contains("0 lost, 0 duplicated, 0 reordered\n"),
            "{text}"
        );
    }

    #[test]
    fn lost_duplicated_and_reordered_messages_are_reported() {
        let mut received = all();
        received.retain(|message| *message != (1, 7));
        received.push((0, 3));
        received.swap(4, 5);
        let undrained = report("--producers 2", &received, End::GivenUp);
        assert_eq!((undrained.lost, undrained.missing), (0, 1));
        assert!(!undrained.is_clean());
        let report = report("--producers 2", &received, End::Silent);
        assert_eq!(report.missing, 0);
        let faults = (report.lost, report.duplicated, report.reordered);
        assert_eq!(faults, (1, 1, 1));
        assert!(!report.is_clean());
        assert_eq!((report.total.received, report.received), (19, 20));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["lost"], 1);
        assert!(table(&report).contains("1 lost, 1 duplicated, 1 reordered"));
    }
}
