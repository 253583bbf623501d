//! What happens in a queue by itself: leases lapse, delays end, entries expire.

use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Effects;
use crate::core::queue::state::QueueState;

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
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                break;
            }
            let delayed = first.remove();
            self.push_ready(delayed.entry, delayed.extra);
        }
        if self.expiry_due.is_some_and(|due| due <= now) {
            for seq in self.ring.expired(now) {
                self.expire_ready(seq, effects);
            }
            self.expiry_due = self.ring.earliest_expiry();
        }
        self.retry_stranded(now, effects);
        self.after_push(now, effects);
    }
}
