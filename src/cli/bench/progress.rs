//! The live line on a terminal.

use std::io::IsTerminal;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::args::Load;
use super::shared::Shared;

/// How often it changes, in nanoseconds.
const PERIOD: u64 = 500_000_000;

/// Shows what goes on, where somebody looks.
#[derive(Debug)]
pub(super) struct Progress {
    is_shown: bool,
    last: u64,
    sent: u64,
    received: u64,
}

impl Progress {
    /// Shown on a terminal only.
    pub(super) fn new(load: &Load) -> Self {
        Self {
            is_shown: !load.no_progress && std::io::stderr().is_terminal(),
            last: 0,
            sent: 0,
            received: 0,
        }
    }

    /// Writes the line when it is time to.
    pub(super) fn show(&mut self, shared: &Shared) {
        let now = shared.clock.now();
        if !self.is_shown || now - self.last < PERIOD {
            return;
        }
        let (sent, received) = (
            shared.counters.sent.load(Relaxed),
            shared.counters.received.load(Relaxed),
        );
        let per_second = |now_count: u64, before: u64| {
            u128::from(now_count - before) * 1_000_000_000 / u128::from(now - self.last)
        };
        let mut line = format!("{} msg/s sent", per_second(sent, self.sent));
        // Without consumers nothing is on its way: it has arrived in its queue.
        if shared.load.consumers > 0 {
            let received_now = per_second(received, self.received);
            let on_their_way = sent.saturating_sub(received);
            line += &format!(", {received_now} received, {on_their_way} on their way");
        }
        // Back to the line's begin, and what is longer from before is cleared.
        let _ = write!(std::io::stderr(), "\r{line}\x1b[K");
        (self.last, self.sent, self.received) = (now, sent, received);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
