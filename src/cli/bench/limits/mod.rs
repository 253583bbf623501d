//! `viaduct bench limits`: what the machine can do at most, to hold brokers' figures against.
//!
//! A relay moves every byte twice, so half of the sink is its bound; a confirm cannot come before one
//! ping-pong and one `fdatasync`. Blocking threads, no runtime: nothing lies between this and the kernel.

mod append;
mod report;
mod tcp;

use std::time::Duration;

use super::args::LimitsArgs;
use super::output;

use report::Report;

/// Time of each measure.
const MEASURE: Duration = Duration::from_secs(1);

/// Messages a write of the sink.
const MESSAGES_A_WRITE: [u64; 2] = [64, 1];

/// Takes all measures and tells what came out.
///
/// # Errors
/// The folder cannot be written to, or there is no loopback.
pub(super) fn limits(args: &LimitsArgs) -> anyhow::Result<()> {
    let size = usize::try_from(args.size)?;
    let mut report = Report::new(args.size);
    for messages in MESSAGES_A_WRITE {
        let per_second = tcp::sink(size, usize::try_from(messages)?, MEASURE)?;
        report.sink_per_second.insert(messages, per_second);
    }
    report.ping_pong_us = tcp::ping_pong(size, MEASURE)?;
    let mut file = append::Segment::create(&args.dir)?;
    // The lowest batch is the one whose syncs are the yardstick of a lone confirm.
    let mut batches = args.batch.clone();
    batches.sort_unstable();
    for batch in batches {
        let (per_second, latency) = file.append(size, usize::try_from(batch)?, MEASURE)?;
        report.append_per_second.insert(batch, per_second);
        report.sync_us = report.sync_us.or(latency);
    }
    output::write(&report.text(), &report, args.json.as_deref())
}
