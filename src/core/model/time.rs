//! Core time: the one clock of the broker, always handed in.

use std::ops::Add;
use std::ops::Sub;

use serde::Deserialize;
use serde::Serialize;

/// An instant of core time, in milliseconds since the Unix epoch.
///
/// Core time is the wall clock at start plus the monotonic time since, and never below the last time
/// in the log: a jump of the wall clock changes nothing at once (DESIGN rule 6). Core never reads a
/// clock; whoever calls it says what time it is.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CoreTime(u64);

impl CoreTime {
    /// The instant `ms` milliseconds after the Unix epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// Milliseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for CoreTime {
    type Output = Self;

    /// The instant `ms` milliseconds later; saturates.
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Sub<u64> for CoreTime {
    type Output = Self;

    /// The instant `ms` milliseconds earlier; saturates at the epoch.
    fn sub(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}
