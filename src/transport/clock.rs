//! The only reader of the system's clocks.
//!
//! Core time is the wall clock at start plus the monotonic time since, so a jump of the wall clock
//! changes nothing at once; and it never goes below what a former run wrote to the log.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Tells the time in milliseconds since 1970.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    started_ms: u64,
    /// Last time that a former run knew.
    floor_ms: AtomicU64,
}

impl Clock {
    /// Reads the wall clock, once and for all.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn start() -> Self {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        Self {
            started: Instant::now(),
            started_ms: millis(wall),
            floor_ms: AtomicU64::new(0),
        }
    }

    /// Now, in milliseconds since 1970. Never goes back.
    pub fn now_ms(&self) -> u64 {
        let now = self
            .started_ms
            .saturating_add(millis(self.started.elapsed()));
        now.max(self.floor_ms.load(Ordering::Relaxed))
    }

    /// When the process started, in milliseconds since 1970.
    pub fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// Keeps the time from going below what recovery found in the log. Where the wall clock was set
    /// back since, time stands still until it has caught up.
    pub fn not_below(&self, ms: u64) {
        self.floor_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// The monotonic instant at which this clock will show `ms`; for sleeping until then.
    pub fn instant_of(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms.saturating_sub(self.started_ms))
    }

    /// Now as the wall clock shows it, for checks against other people's clocks (SigV4).
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the clocks"
    )]
    pub fn wall_ms(&self) -> u64 {
        millis(
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or(Duration::ZERO),
        )
    }
}

fn millis(duration: Duration) -> u64 {
    // 2^64 ms are half a billion years.
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_never_below_what_the_log_has_seen() {
        let clock = Clock::start();
        let ahead = clock.now_ms() + 60_000;
        clock.not_below(ahead);
        assert_eq!(clock.now_ms(), ahead);
        clock.not_below(5);
        assert_eq!(clock.now_ms(), ahead);
    }
}
