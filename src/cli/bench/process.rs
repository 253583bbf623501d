//! CPU time and peak memory of a process, from `/proc`.

use std::fs;

use anyhow::Context;

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// User and system time, in seconds.
    pub(super) cpu_seconds: f64,
    /// Highest resident memory since the process began.
    pub(super) peak_memory_bytes: u64,
}

/// Reads a process's usage; `"self"` is this one.
///
/// # Errors
/// There is no such process, or no `/proc`.
pub(super) fn usage(pid: &str) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    };
    let parsed = parse(
        &read("stat")?,
        &read("status")?,
        rustix::param::clock_ticks_per_second(),
    );
    parsed.with_context(|| format!("cannot make out /proc/{pid}/stat"))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ticks of a hundredth of a second"
)]
fn parse(stat: &str, status: &str, ticks_per_second: u64) -> Option<Usage> {
    // The name in the second field may hold anything, so fields are counted from its end: state is
    // the third, utime and stime are the 14th and 15th (proc(5)).
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.trim().strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok());
    Some(Usage {
        cpu_seconds: (user + system) as f64 / ticks_per_second.max(1) as f64,
        peak_memory_bytes: peak.unwrap_or(0) * 1024,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_behind_the_name() {
        let stat = "17 (a ) b) S 1 17 17 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 99 0 0";
        let usage = parse(stat, "Name:\tx\nVmHWM:\t    2048 kB\n", 100).unwrap();
        let expected = Usage {
            cpu_seconds: 3.0,
            peak_memory_bytes: 2 << 20,
        };
        assert_eq!(usage, expected);
        assert_eq!(parse("nothing", "", 100), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_others_may_not_be_there() {
        assert!(usage("self").unwrap().peak_memory_bytes > 0);
        let error = usage("0").unwrap_err().to_string();
        assert_eq!(error, "cannot read /proc/0/stat");
    }
}
