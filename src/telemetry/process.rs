//! What the operating system says about this process, read when somebody scrapes.

use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::metrics::gauge::ConstGauge;

/// Memory and file descriptors of the process, from `/proc/self`. A system without it shows none.
#[derive(Debug)]
pub(super) struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let rows = [
            (
                "process_resident_memory_bytes",
                "Resident memory of the process",
                resident_bytes(),
            ),
            ("process_open_fds", "Open file descriptors", open_fds()),
            (
                "process_max_fds",
                "File descriptors that the process may open",
                max_fds(),
            ),
        ];
        for (name, help, value) in rows {
            if let Some(value) = value {
                let gauge = ConstGauge::new(value);
                gauge.encode(encoder.encode_descriptor(
                    name,
                    help,
                    None,
                    gauge.metric_type(),
                )?)?;
            }
        }
        Ok(())
    }
}

/// Resident set in bytes; the kernel prints it as `VmRSS:  1234 kB`.
fn resident_bytes() -> Option<i64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<i64>()
        .ok()?
        .checked_mul(1024)
}

fn open_fds() -> Option<i64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?.count();
    // The listing itself holds one.
    i64::try_from(entries.saturating_sub(1)).ok()
}

/// The soft limit; absent where it is `unlimited`.
fn max_fds() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_understood() {
        assert!(resident_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(open_fds().is_some_and(|fds| fds >= 3));
    }
}
