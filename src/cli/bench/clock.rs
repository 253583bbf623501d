//! The generator's clock: nanoseconds since the run began.

use std::time::Duration;
use std::time::Instant;

/// Tells monotonic nanoseconds; a copy tells the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    /// Starts at 0.
    #[expect(
        clippy::disallowed_methods,
        reason = "a latency is measured with the real clock, and the broker's own is not asked"
    )]
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Now, in nanoseconds.
    pub(super) fn now(self) -> u64 {
        nanos(self.0.elapsed())
    }

    /// The instant of a time, for timers.
    pub(super) fn instant(self, nanos: u64) -> Instant {
        self.0 + Duration::from_nanos(nanos)
    }
}

/// A duration in nanoseconds; what doesn't fit is 585 years.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
