//! The report for people.

use std::fmt::Write;

use super::recorder::Percentiles;
use super::report::Report;

/// The report as a table.
pub(super) fn table(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<12}{value}");
    };
    line("broker", peer(report));
    line("load", load(report));
    let mut sent = rate(report.sent_per_second, report.total.sent);
    if report.settings.consumers == 0 {
        let _ = write!(sent, ", {:.1} MB/s", report.sent_mb_per_second);
    }
    line("sent", sent);
    if report.settings.confirms() {
        let confirmed = rate(report.confirmed_per_second, report.total.confirmed);
        line("confirmed", confirmed);
    }
    if report.settings.consumers > 0 {
        let received = rate(report.received_per_second, report.total.received);
        let bytes = report.received_mb_per_second;
        line("received", format!("{received}, {bytes:.1} MB/s"));
    }
    if let Some(latency) = &report.end_to_end_us {
        line("end to end", percentiles(latency));
    }
    if let Some(latency) = &report.confirm_us {
        line("confirm", percentiles(latency));
    }
    line("messages", verdict(report));
    if let Some(reason) = &report.blocked {
        line(
            "blocked",
            format!("the broker blocked publishers: {reason}"),
        );
    }
    line(
        "own CPU",
        cpu(report.own_cpu_seconds, report.own_cpu_us_per_message),
    );
    if let (Some(seconds), Some(each), Some(memory)) = (
        report.broker_cpu_seconds,
        report.broker_cpu_us_per_message,
        report.broker_peak_memory_bytes,
    ) {
        let memory = memory >> 20;
        line(
            "broker CPU",
            format!(
                "{}; {memory} MiB at most since it began",
                cpu(seconds, each)
            ),
        );
    }
    text
}

fn peer(report: &Report) -> String {
    let peer = &report.peer;
    format!("{} {} over {}", peer.product, peer.version, report.bench)
}

fn load(report: &Report) -> String {
    let of = &report.settings;
    let mut text = format!(
        "{} + {} on {} {}, {} bytes",
        of.producers,
        of.consumers,
        of.queues,
        if of.queues == 1 { "queue" } else { "queues" },
        of.size
    );
    text += if of.durable {
        ", durable"
    } else {
        ", transient"
    };
    for (name, value) in [
        ("confirm window", of.confirm_window),
        ("in flight", of.in_flight),
        ("rate", of.rate),
        ("flush", of.flush),
        ("prefetch", of.prefetch),
        ("batch", of.batch.unwrap_or(0)),
    ] {
        if value > 0 {
            let _ = write!(text, ", {name} {value}");
        }
    }
    let _ = write!(text, "; {:.1} s", report.seconds);
    text
}

fn rate(per_second: f64, total: u64) -> String {
    format!("{per_second:.0} msg/s ({total} in all)")
}

fn percentiles(of: &Percentiles) -> String {
    format!(
        "p50 {} µs, p99 {} µs, p99.9 {} µs, max {} µs",
        of.p50, of.p99, of.p999, of.max
    )
}

fn cpu(seconds: f64, each: f64) -> String {
    format!("{seconds:.2} s, {each:.3} µs a message")
}

fn verdict(report: &Report) -> String {
    let mut text = format!(
        "{} lost, {} duplicated, {} reordered",
        report.lost, report.duplicated, report.reordered
    );
    if report.missing > 0 {
        let _ = write!(text, ", {} missing", report.missing);
    }
    if report.redelivered > 0 {
        let _ = write!(text, ", {} redelivered", report.redelivered);
    }
    if report.refused > 0 {
        let _ = write!(text, ", {} refused", report.refused);
    }
    if report.refused_calls > 0 {
        let _ = write!(text, ", {} calls refused", report.refused_calls);
    }
    if report.unsent > 0 {
        let _ = write!(text, ", {} unsent", report.unsent);
    }
    if !report.drained {
        text += " (given up waiting: not everything was confirmed and received)";
    }
    text
}
