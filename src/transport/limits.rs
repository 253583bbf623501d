//! What one client, one connection and the whole broker may take.

use std::time::Duration;

/// The section `limits` of the configuration: every bound that a client can run into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest AMQP frame in bytes, negotiated downwards.
    pub frame_max_bytes: u32,
    /// Channels per AMQP connection, negotiated downwards.
    pub channels_max: u16,
    /// Heartbeat that the broker proposes; zero proposes none.
    pub heartbeat: Duration,
    /// Largest body of a message in bytes.
    pub message_max_bytes: u64,
    /// Bytes that a connection may send before it has logged in.
    pub before_login_max_bytes: u32,
    /// Time from the accept to the end of the login.
    pub login_timeout: Duration,
    /// Client connections at a time, all doors together.
    pub connections_max: u32,
    /// Memory that messages may take; `None` is the smaller of 40 % of the memory and 2 GiB.
    pub memory_budget_bytes: Option<u64>,
    /// Memory that messages may take before queues put aside what is not taken next; `None` is the smaller
    /// of a quarter of the budget and 256 MiB.
    pub message_cache_bytes: Option<u64>,
    /// Free disk space below which publishers wait.
    pub disk_free_floor_bytes: u64,
    /// Time from SIGTERM to the end, with clients that don't leave.
    pub shutdown_timeout: Duration,
}

impl Limits {
    /// RabbitMQ's own figure: clients size their buffers by it.
    pub const FRAME_MAX_BYTES: u32 = 131_072;
    /// RabbitMQ's own figure since 3.7: a client that opens more leaks them.
    pub const CHANNELS_MAX: u16 = 2047;
    /// Seconds; long enough for a slow phone, short enough that a dead peer's leases come back.
    pub const HEARTBEAT: Duration = Duration::from_secs(60);
    /// 128 MiB, RabbitMQ's figure up to 3.x.
    pub const MESSAGE_MAX_BYTES: u64 = 128 << 20;
    /// 64 KiB: the longest login any client sends is under 4 KiB.
    pub const BEFORE_LOGIN_MAX_BYTES: u32 = 64 << 10;
    /// 10 s, as RabbitMQ's handshake time-out.
    pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(10);
    /// An idle connection costs about 10 KiB: 500 MiB at the most.
    pub const CONNECTIONS_MAX: u32 = 50_000;
    /// 2 GiB: more helps only who lets queues grow for hours.
    pub const MEMORY_BUDGET_MAX_BYTES: u64 = 2 << 30;
    /// 40 %: the rest is for connections, page cache and neighbours.
    pub const MEMORY_BUDGET_PERCENT: u64 = 40;
    /// 256 MiB: more helps only queues that are deeper than their consumers read ahead.
    pub const MESSAGE_CACHE_MAX_BYTES: u64 = 256 << 20;
    /// A quarter: the rest is for what is leased, moved and on its way.
    pub const MESSAGE_CACHE_PART: u64 = 4;
    /// 1 GiB: room for consumers to drain and for the operator to react.
    pub const DISK_FREE_FLOOR_BYTES: u64 = 1 << 30;
    /// 8 s: container runtimes kill after 10.
    pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_max_bytes: Self::FRAME_MAX_BYTES,
            channels_max: Self::CHANNELS_MAX,
            heartbeat: Self::HEARTBEAT,
            message_max_bytes: Self::MESSAGE_MAX_BYTES,
            before_login_max_bytes: Self::BEFORE_LOGIN_MAX_BYTES,
            login_timeout: Self::LOGIN_TIMEOUT,
            connections_max: Self::CONNECTIONS_MAX,
            memory_budget_bytes: None,
            message_cache_bytes: None,
            disk_free_floor_bytes: Self::DISK_FREE_FLOOR_BYTES,
            shutdown_timeout: Self::SHUTDOWN_TIMEOUT,
        }
    }
}

impl Limits {
    /// The memory budget on a machine or cgroup with so much memory.
    pub fn memory_budget(&self, memory_bytes: Option<u64>) -> u64 {
        let share =
            memory_bytes.map_or(u64::MAX, |bytes| bytes / 100 * Self::MEMORY_BUDGET_PERCENT);
        self.memory_budget_bytes
            .unwrap_or(share.min(Self::MEMORY_BUDGET_MAX_BYTES))
    }

    /// What queues keep of messages that are not taken next, of a memory budget.
    pub fn message_cache(&self, memory_budget_bytes: u64) -> u64 {
        let part = memory_budget_bytes / Self::MESSAGE_CACHE_PART;
        self.message_cache_bytes
            .unwrap_or(part.min(Self::MESSAGE_CACHE_MAX_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_limits_are_those_of_the_documentation() {
        let limits = Limits::default();
        assert_eq!(limits.frame_max_bytes, 131_072);
        assert_eq!(limits.channels_max, 2047);
        assert_eq!(limits.heartbeat.as_secs(), 60);
        assert_eq!(limits.message_max_bytes, 128 * 1024 * 1024);
        assert_eq!(limits.before_login_max_bytes, 64 * 1024);
        assert_eq!(limits.login_timeout.as_secs(), 10);
        assert_eq!(limits.disk_free_floor_bytes, 1024 * 1024 * 1024);
    }

    #[test]
    fn memory_budget_is_the_smaller_of_share_and_cap() {
        let limits = Limits::default();
        assert_eq!(limits.memory_budget(Some(1000)), 400);
        assert_eq!(limits.memory_budget(Some(64 << 30)), 2 << 30);
        assert_eq!(limits.memory_budget(None), 2 << 30);
        let set = Limits {
            memory_budget_bytes: Some(5),
            ..limits
        };
        assert_eq!(set.memory_budget(Some(1000)), 5);
        assert_eq!(limits.message_cache(1000), 250);
        assert_eq!(limits.message_cache(2 << 30), 256 << 20);
    }
}
