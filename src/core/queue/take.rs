//! Taking: entries become leases, or leave at once.

use crate::core::log::record::GrantedEntry;
use crate::core::log::record::SettleKind;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;
use crate::core::queue::consumers::ConsumerSlot;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Delivery;
use crate::core::queue::entry::EntryState;
use crate::core::queue::state::Next;
use crate::core::queue::state::QueueState;

/// What a take makes of the entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// A lease without deadline, held by a link: it settles or releases, and its session releases what is
    /// left when it ends.
    Link,
    /// A lease that nobody holds: it lapses, counted, at this time.
    Deadline(CoreTime),
    /// No lease: the entries are accepted by being taken (0-9-1 `no-ack`).
    Settled,
}

/// How much a taker wants.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// What becomes of the entries.
    pub lease: Lease,
    /// Most entries: the least of the taker's credit pools.
    pub entries: usize,
    /// Stop once the bodies have this many bytes; at least one entry is taken.
    pub bytes: usize,
    /// Whether to wait in the queue's list when nothing is there.
    pub wait: bool,
}

/// What a take came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    /// Entries were appended to `out`; `more` are ready still.
    Entries {
        /// Whether another take now would find some.
        more: bool,
    },
    /// What goes next is there, but not in memory yet. A taker that waits gets
    /// [`crate::core::inbox::Event::Ready`]; one that does not must not take this for
    /// [`Took::Nothing`].
    Loading,
    /// Nothing is ready. A taker that waits gets [`crate::core::inbox::Event::Ready`].
    Nothing,
    /// The queue is gone, or quarantined: [`crate::core::queue::Queue::closed_because`] says which.
    Gone,
}

/// Entries of one take that are settled without a second allocation: what 64 KiB of output hold at 1 KiB.
const EXPECTED_MAX: usize = 64;

impl QueueState {
    /// Takes up to `terms`, in ready order.
    pub(in crate::core) fn take(
        &mut self,
        slot: Option<ConsumerSlot>,
        terms: Terms,
        now: CoreTime,
        out: &mut Vec<Delivery>,
        effects: &mut Effects,
    ) -> Took {
        if !self.is_open() {
            return Took::Gone;
        }
        let others = self.consumers.others(slot);
        if let Some(slot) = slot {
            self.consumers.running(slot);
        }
        let before = out.len();
        let most = terms.entries.min(self.fair_share(others));
        let mut bytes = 0;
        if terms.lease == Lease::Settled {
            effects.settled.expect(most.min(EXPECTED_MAX));
        }
        let mut is_loading = false;
        while out.len() - before < most && bytes < terms.bytes.max(1) {
            let seq = match self.next_ready() {
                Next::Entry(seq) => seq,
                Next::Loading => {
                    is_loading = true;
                    break;
                }
                Next::Nothing => break,
            };
            if self.drops_out(seq, now, effects) {
                continue;
            }
            if self.is_cold(seq) {
                is_loading = true;
                break;
            }
            if let Some(delivery) = self.take_one(seq, terms.lease, now, effects) {
                bytes += delivery.message.body_len();
                out.push(delivery);
            }
        }
        if terms.entries > 0 {
            self.pages.was_taken = true;
            self.pages.is_awaited = is_loading;
        }
        self.after_take(slot, terms.wait, out.len() > before, effects)
    }

    fn after_take(
        &mut self,
        slot: Option<ConsumerSlot>,
        wait: bool,
        some: bool,
        effects: &mut Effects,
    ) -> Took {
        self.ask_for_timer(effects);
        let (more, is_loading) = (self.ready > 0, self.pages.is_awaited);
        if more && !is_loading {
            effects.wakes.extend(self.consumers.wake_one());
        } else if let (Some(slot), true, false) = (slot, wait, some) {
            self.consumers.wait(slot);
            self.pages.was_told |= is_loading;
        }
        match (some, more) {
            (true, more) => Took::Entries { more },
            (false, true) if is_loading => Took::Loading,
            // Only limits of zero leave ready entries untaken.
            (false, _) => Took::Nothing,
        }
    }

    /// With others waiting, a taker leaves them their part.
    fn fair_share(&self, others: usize) -> usize {
        let ready = usize::try_from(self.ready).unwrap_or(usize::MAX);
        ready.div_ceil(others + 1).max(1)
    }

    /// Whether the entry that would be taken has expired or was received too often, and leaves instead.
    fn drops_out(&mut self, seq: u64, now: CoreTime, effects: &mut Effects) -> bool {
        let receive_limit = self.settings.receive_limit;
        let Some(entry) = self.ring.get(seq) else {
            return false;
        };
        if entry.is_expired(now) {
            self.expire_ready(seq, effects);
            return true;
        }
        if receive_limit.is_some_and(|limit| entry.failed >= limit) {
            self.doom_ready(seq, Cause::ReceiveLimit, effects);
            return true;
        }
        false
    }

    /// Leases one entry, whose message is in memory.
    fn take_one(
        &mut self,
        seq: u64,
        lease: Lease,
        now: CoreTime,
        effects: &mut Effects,
    ) -> Option<Delivery> {
        self.unready(seq);
        let entry = self.ring.get_mut(seq)?;
        let attempt = entry.acquire();
        let (failed, lsn, has_extra) = (entry.failed, entry.lsn, entry.has_extra());
        let overlay = if has_extra {
            self.overlay_of(seq)
        } else {
            None
        };
        let mut first_received = None;
        let message = match lease {
            Lease::Settled => {
                if let Some(reference) = self.ring.reference(seq) {
                    effects.settled.push(SettleKind::Accepted, reference);
                }
                self.take_out(seq)?
            }
            Lease::Link => {
                self.leased += 1;
                let entry = self.ring.get_mut(seq)?;
                entry.state = EntryState::Leased;
                entry.message()?
            }
            Lease::Deadline(until) => {
                first_received = Some(self.lease_until(seq, until, now));
                if let Some(entry) = lsn {
                    let granted = GrantedEntry {
                        entry,
                        acquired: attempt,
                        failed,
                    };
                    effects.granted.push(until, granted);
                }
                self.ring.get(seq)?.message()?
            }
        };
        Some(Delivery {
            seq,
            attempt,
            failed,
            message,
            overlay,
            lsn,
            first_received,
        })
    }

    /// Leases an entry to nobody, and says when that first happened.
    pub(in crate::core) fn lease_until(
        &mut self,
        seq: u64,
        until: CoreTime,
        now: CoreTime,
    ) -> CoreTime {
        self.leased += 1;
        self.set_deadline(seq, until);
        if let Some(entry) = self.ring.get_mut(seq) {
            entry.state = EntryState::Leased;
            entry.set_extra();
        }
        *self
            .extras
            .entry(seq)
            .or_default()
            .first_received
            .get_or_insert(now)
    }

    /// Sets or moves the deadline of a lease.
    pub(in crate::core) fn set_deadline(&mut self, seq: u64, until: CoreTime) {
        if let Some(old) = self.deadline_of.insert(seq, until) {
            self.deadlines.remove(&(old, seq));
        }
        self.deadlines.insert((until, seq));
    }

    /// A lease ends, whatever comes of it.
    pub(in crate::core) fn end_lease(&mut self, seq: u64) {
        self.leased -= 1;
        if let Some(old) = self.deadline_of.remove(&seq) {
            self.deadlines.remove(&(old, seq));
            if let Some(entry) = self.ring.get_mut(seq) {
                entry.clear_logged();
            }
        }
    }
}
