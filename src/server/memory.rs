//! How much memory there is: of the machine, or of the cgroup that we live in.

use std::fs;
use std::path::Path;

/// Memory in bytes that this process may use; `None` where the system doesn't say.
pub(super) fn available_bytes() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| total_of(&text));
    [machine, cgroup_limit()].into_iter().flatten().min()
}

/// `MemTotal:       16384 kB`
fn total_of(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()?
        .checked_mul(1024)
}

/// The limit of our own group; inside a container that group looks like the root.
fn cgroup_limit() -> Option<u64> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let v2 = own
        .lines()
        .find_map(|line| line.strip_prefix("0::"))
        .unwrap_or("/");
    let v1 = own
        .lines()
        .find_map(|line| line.split_once(":memory:").map(|(_, path)| path))
        .unwrap_or("/");
    let files = [
        ("/sys/fs/cgroup", v2, "memory.max"),
        ("/sys/fs/cgroup", "/", "memory.max"),
        ("/sys/fs/cgroup/memory", v1, "memory.limit_in_bytes"),
        ("/sys/fs/cgroup/memory", "/", "memory.limit_in_bytes"),
    ];
    let limits = files.iter().filter_map(|(root, group, name)| {
        let path = Path::new(root)
            .join(group.trim_start_matches('/'))
            .join(name);
        // `max` is no number, and version 1 says "none" by a number beyond any machine.
        fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_is_read() {
        assert_eq!(
            total_of("MemFree: 1 kB\nMemTotal:       16384 kB\n"),
            Some(16384 * 1024)
        );
        assert_eq!(total_of("nonsense"), None);
    }
}
