//! What happens in a queue by itself: leases lapse, delays end, entries expire.

use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Effects;
use crate::core::queue::state::QueueState;

/// How long reads that the disk refused wait until they are tried again.
const AGAIN_MS: u64 = 1000;

impl QueueState {
    /// Does what is due at `now`, and asks for the next timer.
    pub(in crate::core) fn on_timer(&mut self, now: CoreTime, effects: &mut Effects) {
        self.timer = None;
        while let Some(&(due, seq)) = self.deadlines.first() {
            if due > now {
                break;
            }
            self.release(seq, true, now, effects);
        }
        if !self.is_open() {
            // What settled leases left for the log goes with every operation; nothing else happens here.
            self.retry_due = self.retry_due.filter(|due| *due > now);
            self.ask_for_timer(effects);
            return;
        }
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let delayed = first.remove();
            self.end_delay(delayed);
        }
        self.pages_turn(now, effects);
        if self.expiry_due.is_some_and(|due| due <= now) {
            for seq in self.ring.expired(now) {
                self.expire_ready(seq, effects);
            }
            self.expiry_due = self.ring.earliest_expiry(now);
            self.pages.is_due = self.ring.is_paged();
        }
        self.retry_stranded(now, effects);
        self.after_push(now, effects);
    }

    /// Loads have ended, or the disk refused some.
    fn pages_turn(&mut self, now: CoreTime, effects: &mut Effects) {
        if std::mem::take(&mut self.pages.must_wait) {
            self.pages.again_at = Some(now + AGAIN_MS);
        } else if self.pages.again_at.is_some_and(|again| again <= now) {
            self.pages.again_at = None;
            // Whoever waits for what was refused comes and asks again.
            self.pages.is_awaited = false;
        }
        self.bury_loaded(effects);
    }
}
