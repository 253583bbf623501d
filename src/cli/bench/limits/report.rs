//! The limits as JSON and as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::cli::bench::recorder::Percentiles;

/// The report. Scripts read its JSON: names stay.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    bench: &'static str,
    /// Bytes of a message or record.
    size: u64,
    /// By messages a write: messages a second through one loopback connection, one way.
    pub(super) sink_per_second: BTreeMap<u64, u64>,
    /// By records a write: records a second, with an `fdatasync` behind each write.
    pub(super) append_per_second: BTreeMap<u64, u64>,
    /// One write with its `fdatasync`, at the lowest batch.
    pub(super) sync_us: Option<Percentiles>,
    /// One message there and back.
    pub(super) ping_pong_us: Option<Percentiles>,
}

impl Report {
    /// Nothing measured yet.
    pub(super) fn new(size: u64) -> Self {
        Self {
            bench: "limits",
            size,
            sink_per_second: BTreeMap::new(),
            append_per_second: BTreeMap::new(),
            sync_us: None,
            ping_pong_us: None,
        }
    }

    /// The report for people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{} bytes a message or record\n", self.size);
        let megabytes = |per_second: u64| per_second * self.size / 1_000_000;
        // Writing to a string cannot fail.
        for (messages, per_second) in &self.sink_per_second {
            let mb = megabytes(*per_second);
            let _ = writeln!(
                text,
                "TCP sink, {messages:>4} a write      {per_second:>10}/s {mb:>6} MB/s"
            );
        }
        for (batch, per_second) in &self.append_per_second {
            let mb = megabytes(*per_second);
            let _ = writeln!(
                text,
                "append, {batch:>6} a fdatasync  {per_second:>10}/s {mb:>6} MB/s"
            );
        }
        for (name, of) in [
            ("append + fdatasync", self.sync_us),
            ("ping-pong", self.ping_pong_us),
        ] {
            if let Some(of) = of {
                let _ = writeln!(text, "{name:<19} p50 {} µs, p99 {} µs", of.p50, of.p99);
            }
        }
        text
    }
}
