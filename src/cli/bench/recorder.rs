//! Latencies of one task.

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::Serialize;

/// Lowest latency told from others, in nanoseconds.
const LOWEST: u64 = 64;
/// Highest latency: above it, it counts as this much.
const HIGHEST: u64 = 600_000_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// Counts latencies, in nanoseconds.
///
/// Of what is received the clock is read once a batch, so the messages of a batch often have one latency: they are
/// counted as a run, and the histogram is touched once a run.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    histogram: Histogram<u64>,
    value: u64,
    run: u64,
}

impl Recorder {
    /// An empty one.
    ///
    /// # Errors
    /// The bounds make no histogram.
    pub(super) fn new() -> anyhow::Result<Self> {
        let histogram = Histogram::new_with_bounds(LOWEST, HIGHEST, DIGITS)
            .context("a histogram of latencies")?;
        Ok(Self {
            histogram,
            value: 0,
            run: 0,
        })
    }

    /// Counts one latency.
    pub(super) fn record(&mut self, nanos: u64) {
        if nanos != self.value {
            self.flush();
            self.value = nanos;
        }
        self.run += 1;
    }

    /// Counts a latency so many times.
    pub(super) fn record_many(&mut self, nanos: u64, count: u64) {
        self.histogram.saturating_record_n(nanos, count);
    }

    fn flush(&mut self) {
        if self.run > 0 {
            self.histogram.saturating_record_n(self.value, self.run);
            self.run = 0;
        }
    }

    /// Adds what another one counted.
    pub(super) fn merge(&mut self, mut other: Self) {
        other.flush();
        self.flush();
        // Equal bounds: it cannot be out of range.
        let _ = self.histogram.add(&other.histogram);
    }

    /// The percentiles; `None` when nothing was counted.
    pub(super) fn percentiles(mut self) -> Option<Percentiles> {
        self.flush();
        if self.histogram.is_empty() {
            return None;
        }
        let max = self.histogram.max();
        // A bucket's upper bound may lie above the highest value in it.
        let micros = |quantile| micros(self.histogram.value_at_quantile(quantile).min(max));
        Some(Percentiles {
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            max: micros(1.0),
        })
    }
}

/// Latencies in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Percentiles {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
}

/// Nanoseconds in microseconds, to a tenth.
#[expect(clippy::cast_precision_loss, reason = "for people")]
pub(super) fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut odd = Recorder::new().unwrap();
        let mut even = Recorder::new().unwrap();
        for value in (1..=10_000u64).rev() {
            let of = if value % 2 == 0 { &mut even } else { &mut odd };
            of.record(value * 1000);
        }
        odd.merge(even);
        let got = odd.percentiles().unwrap();
        for (got, expected) in [
            (got.p50, 5_000.0),
            (got.p99, 9_900.0),
            (got.p999, 9_990.0),
            (got.max, 10_000.0),
        ] {
            assert!(
                (got - expected).abs() <= expected / 500.0,
                "{got} {expected}"
            );
        }
    }

    #[test]
    fn a_run_of_equal_latencies_counts_each() {
        let mut recorder = Recorder::new().unwrap();
        for _ in 0..98 {
            recorder.record(1_000_000);
        }
        recorder.record(5_000_000);
        recorder.record(5_000_000);
        let got = recorder.percentiles().unwrap();
        assert!((got.p50 - 1000.0).abs() < 2.0 && (got.p99 - 5000.0).abs() < 10.0);
    }

    #[test]
    fn nothing_recorded_has_no_percentiles() {
        assert_eq!(Recorder::new().unwrap().percentiles(), None);
    }
}
