//! A queue's entries, as recovery found them.

use std::sync::Arc;

use crate::core::log::store::LiveEntry;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Counted;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;
use crate::core::queue::entry::Extra;
use crate::core::queue::paging::Put;
use crate::core::queue::ring::ColdEntry;
use crate::core::queue::state::Delayed;
use crate::core::queue::state::QueueState;

impl QueueState {
    /// Puts an entry back, cold, behind those that came before it. Their messages stay in the log until
    /// somebody takes them, and what is deep is put aside as it comes.
    ///
    /// `may_have_been_taken`: link leases are not logged, so after an unclean stop every entry counts as
    /// acquired at least once, and its next delivery says redelivered (SEMANTICS §2).
    pub(in crate::core) fn restore(
        &mut self,
        live: &LiveEntry<'_>,
        may_have_been_taken: bool,
        put: Put<'_>,
    ) {
        let expiry_ms = live.fields.expiry.map_or(0, CoreTime::as_ms);
        let mut entry = Entry::cold(Some(live.entry), expiry_ms);
        entry.set_retention(live.fields.is_retention || self.is_retention_of(live));
        entry.acquired = live.acquired.max(u16::from(may_have_been_taken));
        entry.failed = live.failed;
        entry.set_logged();
        let cold = ColdEntry {
            body_len: u32::try_from(live.body_bytes).unwrap_or(u32::MAX),
            moved: (live.message != live.entry).then_some(live.message),
        };
        let extra = extra_of(live);
        let delay = live.fields.not_before;
        match delay.filter(|_| live.until.is_none() && !live.is_counted) {
            // A delay that is over by now ends at the first tick, in its order.
            Some(due) => self.delay(due, Delayed::cold(entry, extra, cold)),
            None => self.restore_ready(live, entry, extra, cold),
        }
        self.pack_restored(put);
    }

    fn restore_ready(&mut self, live: &LiveEntry<'_>, entry: Entry, extra: Extra, cold: ColdEntry) {
        let seq = self.push_cold(entry, extra, cold);
        if let Some(until) = live.until {
            self.unready(seq);
            self.lease_until(seq, until, until);
        }
        if live.is_counted {
            self.restored.insert(live.entry, seq);
            self.ring.set_named(seq);
        }
    }

    /// Format 1 does not say it.
    fn is_retention_of(&self, live: &LiveEntry<'_>) -> bool {
        let end = self.settings.retention_ms.map(|ms| live.enqueued_at + ms);
        live.fields.expiry.is_some() && live.fields.expiry == end
    }

    /// All entries are back.
    pub(in crate::core) fn restored(&mut self, effects: &mut Effects) {
        self.ask_for_timer(effects);
    }

    /// The counters of entries that somebody had, for a clean stop to log. What was put aside nobody had
    /// since the log knew it.
    pub(in crate::core) fn counters(&self) -> Vec<Counted> {
        let states = [EntryState::Ready, EntryState::Leased, EntryState::Moving];
        let seqs = states
            .into_iter()
            .flat_map(|state| self.ring.in_state(state));
        seqs.filter(|seq| !self.deadline_of.contains_key(seq))
            .filter_map(|seq| {
                let entry = self.ring.get(seq)?;
                let counted = Counted {
                    entry: entry.lsn?,
                    acquired: entry.acquired,
                    failed: entry.failed,
                };
                (!entry.is_logged()).then_some(counted)
            })
            .collect()
    }
}

fn extra_of(live: &LiveEntry<'_>) -> Extra {
    let more = live.fields.more.as_deref();
    let overlay = more.and_then(|more| serde_json::from_slice::<Overlay>(&more.overlay).ok());
    // When it was first leased is not logged; it was not before this.
    let seen = live.until.map(|_| live.enqueued_at);
    Extra {
        overlay: overlay.map(Arc::new),
        first_received: more.and_then(|more| more.first_delivery).or(seen),
    }
}
