//! How an actor that rests is told that there is something to do, and how it never sleeps over that.
//!
//! It looks for work with a lock held, and says under the same lock how it rests. Whoever brings work does so under that
//! lock, and asks whether somebody must be kicked. So between its look and its sleep nothing is lost: work that came in
//! between has taken its rest away.

use std::time::Duration;

use crate::core::sync::Condvar;
use crate::core::sync::MutexGuard;

/// How an actor rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Rest {
    /// It looks again before it rests.
    #[default]
    Awake,
    /// It waits a little with what does not press.
    Dozing,
    /// Nothing is to be done.
    Asleep,
}

impl Rest {
    /// Whether it must be kicked for what was brought, which is for the caller to do without the lock. Once: it is awake
    /// from then on. `is_urgent`: no doze is an excuse.
    #[must_use]
    pub(super) fn must_kick(&mut self, is_urgent: bool) -> bool {
        let must = match self {
            Self::Awake => false,
            Self::Dozing => is_urgent,
            Self::Asleep => true,
        };
        if must {
            *self = Self::Awake;
        }
        must
    }
}

/// Sleeps until it is kicked, or for so long; not at all if what it said of its rest (`rest` of what the lock guards) was
/// taken away.
pub(super) fn sleep<T>(
    guard: &mut MutexGuard<'_, T>,
    rest: impl Fn(&mut T) -> &mut Rest,
    kick: &Condvar,
    most: Option<Duration>,
) {
    if *rest(guard) == Rest::Awake {
        return;
    }
    match most {
        Some(most) => drop(kick.wait_for(guard, most)),
        None => kick.wait(guard),
    }
    *rest(guard) = Rest::Awake;
}
