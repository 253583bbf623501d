//! The only reader of the system's clocks.
//!
//! Core time is the wall clock at start plus the monotonic time since, so a jump of the wall clock
//! changes nothing at once; and it starts no lower than what a former run wrote to the log.

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
    /// What the wall clock showed then.
    wall_started_ms: u64,
    /// How far what a former run knew was ahead of the wall clock.
    ahead_ms: AtomicU64,
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
            wall_started_ms: millis(wall),
            ahead_ms: AtomicU64::new(0),
        }
    }

    /// Now, in milliseconds since 1970. Never goes back.
    pub fn now_ms(&self) -> u64 {
        self.started_ms()
            .saturating_add(millis(self.started.elapsed()))
    }

    /// When the process started, in milliseconds since 1970 and on the base of [`Clock::now_ms`].
    pub fn started_ms(&self) -> u64 {
        self.wall_started_ms
            .saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Keeps the time from going below what recovery found in the log. Where the wall clock was set
    /// back since, time goes on from there, ahead of it.
    pub fn not_below(&self, ms: u64) {
        let plain = self
            .wall_started_ms
            .saturating_add(millis(self.started.elapsed()));
        self.ahead_ms
            .fetch_max(ms.saturating_sub(plain), Ordering::Relaxed);
    }

    /// The monotonic instant at which this clock will show `ms`; for sleeping until then.
    pub fn instant_of(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms.saturating_sub(self.started_ms()))
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
        assert!(clock.now_ms() >= ahead);
        clock.not_below(5);
        assert!(clock.now_ms() >= ahead);
    }

    #[test]
    fn time_goes_on_from_an_hour_ahead_and_sleepers_wake_in_time() {
        let clock = Clock::start();
        let ahead = clock.now_ms() + 3_600_000;
        clock.not_below(ahead);
        assert!(clock.now_ms() - clock.started_ms() < 60_000);
        let due = clock.instant_of(ahead + 50);
        let wait = due.duration_since(clock.started);
        assert!(wait < Duration::from_secs(60), "{wait:?}");
        while clock.now_ms() < ahead + 2 {
            assert!(clock.started.elapsed() < Duration::from_secs(10));
            std::thread::yield_now();
        }
    }
}
