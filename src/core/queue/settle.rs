//! Settling: what a lease ends with (SEMANTICS §3).

use crate::core::log::record::GrantedEntry;
use crate::core::log::record::SettleKind;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Counted;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::EntryState;
use crate::core::queue::state::QueueState;

/// How a lease is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The taker took responsibility: the entry is gone. Hits an entry whose lease has lapsed too.
    Accept,
    /// The taker refuses it: dead letter, or dropped.
    Reject,
    /// Back to its old place.
    Release {
        /// Whether this counts against the delivery and receive limits.
        counted: bool,
    },
    /// The lease gets another deadline. One that is not after now releases it, counted.
    Extend(CoreTime),
}

/// Names a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRef {
    /// The entry's sequence.
    pub seq: u64,
    /// [`crate::core::queue::entry::Delivery::attempt`] of the take.
    pub attempt: u16,
}

/// What a settle of one lease hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    /// The lease, or for an accept the entry.
    Settled,
    /// The entry is there, but this lease of it has ended.
    Lapsed,
    /// The entry is gone.
    Gone,
}

impl QueueState {
    /// Settles one lease.
    pub(in crate::core) fn settle(
        &mut self,
        lease: LeaseRef,
        outcome: Outcome,
        now: CoreTime,
        effects: &mut Effects,
    ) -> Hit {
        let LeaseRef { seq, attempt } = lease;
        let Some(entry) = self.ring.get(seq) else {
            return Hit::Gone;
        };
        let (state, holds) = (
            entry.state,
            entry.acquired == attempt && entry.state == EntryState::Leased,
        );
        match outcome {
            Outcome::Accept => match state {
                EntryState::Leased => {
                    self.end_lease(seq);
                    self.remove_for(seq, SettleKind::Accepted, effects);
                    Hit::Settled
                }
                EntryState::Ready => {
                    self.unready(seq);
                    self.remove_for(seq, SettleKind::Accepted, effects);
                    Hit::Settled
                }
                EntryState::Moving => match self.unstrand(seq) {
                    true => {
                        self.remove_for(seq, SettleKind::Accepted, effects);
                        Hit::Settled
                    }
                    false => Hit::Lapsed,
                },
                EntryState::Gone => Hit::Gone,
            },
            _ if !holds => Hit::Lapsed,
            Outcome::Reject => {
                self.end_lease(seq);
                self.doom(seq, Cause::Rejected, effects);
                Hit::Settled
            }
            Outcome::Release { counted } => {
                self.release(seq, counted, now, effects);
                Hit::Settled
            }
            Outcome::Extend(until) if until <= now => {
                self.release(seq, true, now, effects);
                Hit::Settled
            }
            Outcome::Extend(until) => {
                self.extend(seq, until, effects);
                Hit::Settled
            }
        }
    }

    fn extend(&mut self, seq: u64, until: CoreTime, effects: &mut Effects) {
        self.set_deadline(seq, until);
        if let Some(entry) = self.ring.get(seq)
            && let Some(lsn) = entry.lsn
        {
            let granted = GrantedEntry {
                entry: lsn,
                acquired: entry.acquired,
                failed: entry.failed,
            };
            effects.granted.push(until, granted);
        }
    }

    /// A leased entry goes back, unless its time or its limit is over.
    pub(in crate::core) fn release(
        &mut self,
        seq: u64,
        counted: bool,
        now: CoreTime,
        effects: &mut Effects,
    ) {
        self.end_lease(seq);
        let delivery_limit = self.settings.delivery_limit;
        let Some(entry) = self.ring.get_mut(seq) else {
            return;
        };
        if counted {
            entry.failed = entry.failed.saturating_add(1);
            if let Some(lsn) = entry.lsn {
                effects.counted.push(Counted {
                    entry: lsn,
                    acquired: entry.acquired,
                    failed: entry.failed,
                });
            }
        }
        let over_limit = counted && delivery_limit.is_some_and(|limit| entry.failed > limit);
        let expired = entry.is_expired(now);
        self.make_ready(seq);
        if !self.is_open() {
            // Nothing leaves a quarantined queue by itself.
        } else if over_limit {
            self.doom_ready(seq, Cause::DeliveryLimit, effects);
        } else if expired {
            self.expire_ready(seq, effects);
        }
    }
}
