//! A queue's entries, as recovery found them.

use std::sync::Arc;

use crate::core::log::record::EntryFields;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Counted;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::EntryState;
use crate::core::queue::entry::Extra;
use crate::core::queue::state::QueueState;

/// An entry that the log says is still there.
#[derive(Clone, Debug)]
pub(in crate::core) struct Restored {
    pub(in crate::core) lsn: Lsn,
    pub(in crate::core) message: Message,
    pub(in crate::core) acquired: u16,
    pub(in crate::core) failed: u16,
    /// Whether the log has its counters, so that somebody may still name a lease of it.
    pub(in crate::core) is_counted: bool,
    /// Deadline of a lease that nobody has given up.
    pub(in crate::core) until: Option<CoreTime>,
    expiry: Option<CoreTime>,
    not_before: Option<CoreTime>,
    overlay: Option<Arc<Overlay>>,
    first_received: Option<CoreTime>,
}

impl Restored {
    pub(in crate::core) fn new(lsn: Lsn, fields: &EntryFields, message: Message) -> Self {
        let more = fields.more.as_deref();
        let overlay = more
            .and_then(|more| serde_json::from_slice(&more.overlay).ok())
            .map(Arc::new);
        Self {
            lsn,
            message,
            acquired: more.map_or(0, |more| more.acquired),
            failed: more.map_or(0, |more| more.failed),
            is_counted: false,
            until: None,
            expiry: fields.expiry,
            not_before: fields.not_before,
            overlay,
            first_received: more.and_then(|more| more.first_delivery),
        }
    }
}

impl QueueState {
    /// Puts entries back, in log order, into a queue that is still empty.
    ///
    /// Link leases are not logged: after an unclean stop every entry counts as acquired at least once, so
    /// that its next delivery says redelivered (SEMANTICS §2).
    pub(in crate::core) fn restore(
        &mut self,
        entries: impl Iterator<Item = Restored>,
        clean_stop: bool,
        effects: &mut Effects,
    ) {
        for restored in entries {
            // When it was first leased is not logged; it was not before this.
            let entry_time = restored.message.enqueued_at();
            let mut entry = self.entry(restored.message, Some(restored.lsn), restored.expiry);
            entry.acquired = if clean_stop {
                restored.acquired
            } else {
                restored.acquired.max(1)
            };
            entry.failed = restored.failed;
            if restored.is_counted {
                entry.set_logged();
            }
            let seen = restored.until.map(|_| entry_time);
            let extra = Extra {
                overlay: restored.overlay,
                first_received: restored.first_received.or(seen),
            };
            let not_before = restored
                .not_before
                .filter(|_| restored.until.is_none() && !restored.is_counted);
            if let Some(due) = not_before {
                // A delay that is over by now ends at the first tick, in its order.
                self.push(entry, extra, Some(due), CoreTime::default());
                continue;
            }
            let seq = self.push_ready(entry, extra);
            if let Some(until) = restored.until {
                self.unready(seq);
                self.lease_until(seq, until, until);
            }
            if restored.is_counted {
                self.restored.insert(restored.lsn, seq);
            }
        }
        self.ask_for_timer(effects);
    }

    /// The counters of entries that somebody had, for a clean stop to log.
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
