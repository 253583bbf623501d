//! One queue: a vector of entries in the order of their sequences.

use std::rc::Rc;

use viaduct::core::model::overlay::Cause;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::settings::Overflow;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::telemetry::DropReason;

use super::Drops;

/// How long a message without any time to live stays for a consumer that waits.
const NOW_OR_NEVER_MS: u64 = 1000;

/// What was published.
#[derive(Debug, PartialEq)]
pub(crate) struct Message {
    pub(crate) number: u32,
    pub(crate) bytes: u64,
    pub(crate) durable: bool,
    pub(crate) exchange: String,
    pub(crate) key: String,
    pub(crate) expiration_ms: Option<u64>,
    pub(crate) delay_ms: Option<u64>,
    pub(crate) enqueued_at: u64,
}

/// What an entry changes about its message.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Overlay {
    pub(crate) routed: Option<(String, String)>,
    /// Queue, cause and count, the latest first.
    pub(crate) deaths: Vec<(String, Cause, u64)>,
    pub(crate) first: Option<(String, Cause, String)>,
    pub(crate) hops: u8,
}

impl Overlay {
    /// Whether the sender's expiration no longer counts.
    pub(crate) fn has_died(&self) -> bool {
        !self.deaths.is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    /// With the lease's deadline, none for a link's.
    Leased(Option<u64>),
    Moving,
}

/// What the log knows of an entry: what an unclean restart finds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Logged {
    pub(super) acquired: u16,
    pub(super) failed: u16,
    pub(super) until: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    pub(super) message: Rc<Message>,
    pub(super) overlay: Overlay,
    /// Place of its record in the log, none = transient here.
    pub(super) log: Option<u64>,
    /// Whether that record is a move, which refers to the publish of its message.
    pub(super) is_moved: bool,
    pub(super) expiry: Option<u64>,
    /// Expires by retention, of which nobody hears.
    pub(super) silent: bool,
    pub(super) not_before: Option<u64>,
    pub(super) acquired: u16,
    pub(super) failed: u16,
    pub(super) state: State,
    pub(super) first_received: Option<u64>,
    /// None until somebody had it and the log was told.
    pub(super) logged: Option<Logged>,
    /// Whether somebody had it, or had it no more, since the start.
    pub(super) was_touched: bool,
    /// Whether it was there when the broker stopped uncleanly.
    pub(super) is_suspect: bool,
}

impl Entry {
    pub(super) fn is_expired(&self, now: u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry <= now)
    }

    fn grant(&mut self, until: u64) {
        self.logged = Some(Logged {
            acquired: self.acquired,
            failed: self.failed,
            until: Some(until),
        });
    }

    pub(super) fn log_counters(&mut self) {
        self.logged = Some(Logged {
            acquired: self.acquired,
            failed: self.failed,
            until: None,
        });
    }
}

/// An entry that is to be moved to a dead-letter target; it is `Moving` meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doomed {
    pub(super) seq: u64,
    pub(super) cause: Cause,
}

/// What a taker got.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Taken {
    pub(crate) seq: u64,
    pub(crate) attempt: u16,
    pub(crate) failed: u16,
    pub(crate) message: Rc<Message>,
    /// Place of the entry's record in the log.
    pub(crate) log: Option<u64>,
    pub(crate) overlay: Overlay,
    pub(crate) first_received: Option<u64>,
}

/// What a settle hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hit {
    Settled,
    Lapsed,
    Gone,
}

#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) settings: QueueSettings,
    pub(super) next_seq: u64,
    pub(super) entries: Vec<Entry>,
    /// By due time; of equal ones in the order of their coming.
    pub(super) delayed: Vec<Entry>,
    /// Dead letters that found no place, by sequence.
    pub(super) stranded: Vec<Doomed>,
    pub(super) retry: Option<u64>,
    /// The earliest that was due here since the last turn. It is the queue's turn then, even if what was
    /// due has gone since: of several queues that are late, the one that was due first comes first.
    pub(super) turn: Option<u64>,
    /// Consumers that wait, whether woken by now or not.
    pub(super) parked: Vec<usize>,
}

impl Queue {
    pub(super) fn new(name: &str, settings: QueueSettings) -> Self {
        Self {
            name: name.to_owned(),
            settings,
            next_seq: 1,
            entries: Vec::new(),
            delayed: Vec::new(),
            stranded: Vec::new(),
            retry: None,
            turn: None,
            parked: Vec::new(),
        }
    }

    pub(super) fn ready(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.state == State::Ready)
    }

    pub(super) fn ready_bytes(&self) -> u64 {
        self.ready().map(|entry| entry.message.bytes).sum()
    }

    pub(super) fn leased(&self) -> impl Iterator<Item = &Entry> {
        self.entries
            .iter()
            .filter(|e| matches!(e.state, State::Leased(_)))
    }

    /// Whether what counts towards the limits keeps them with so many more: what is ready, and dead
    /// letters that found no place.
    fn fits(&self, more: u64, more_bytes: u64) -> bool {
        let is_stranded = |entry: &&Entry| self.stranded.iter().any(|d| d.seq == entry.seq);
        let stranded = self.entries.iter().filter(is_stranded);
        let sizes: Vec<u64> = self
            .ready()
            .chain(stranded)
            .map(|e| e.message.bytes)
            .collect();
        let (length, bytes) = (sizes.len() as u64, sizes.iter().sum::<u64>());
        let (max, max_bytes) = (self.settings.max_length, self.settings.max_length_bytes);
        max.is_none_or(|max| length + more <= max)
            && max_bytes.is_none_or(|max| bytes + more_bytes <= max)
    }

    /// Whether a message is refused, with `more` let in just now.
    pub(super) fn refuses(&self, more: (u64, u64), bytes: u64) -> bool {
        self.settings.overflow != Overflow::DropOldest && !self.fits(more.0 + 1, more.1 + bytes)
    }

    /// A new entry, as this queue's rules make it.
    pub(super) fn entry(
        &self,
        message: &Rc<Message>,
        overlay: Overlay,
        log: Option<u64>,
        delay_ms: u64,
        now: u64,
    ) -> Entry {
        let own = message.expiration_ms.filter(|_| !overlay.has_died());
        let ttl = own.into_iter().chain(self.settings.message_ttl_ms).min();
        let dies = match ttl {
            // Now or never: whoever waits is on its way.
            Some(0) if !self.parked.is_empty() => Some(now + NOW_OR_NEVER_MS),
            ttl => ttl.map(|ttl| now + ttl),
        };
        let vanishes = self
            .settings
            .retention_ms
            .map(|ms| message.enqueued_at + ms);
        Entry {
            seq: 0,
            message: Rc::clone(message),
            overlay,
            log,
            is_moved: false,
            expiry: dies.into_iter().chain(vanishes).min(),
            silent: vanishes.is_some_and(|end| dies.is_none_or(|dies| end <= dies)),
            not_before: (delay_ms > 0).then_some(now + delay_ms),
            acquired: 0,
            failed: 0,
            state: State::Ready,
            first_received: None,
            logged: None,
            was_touched: false,
            is_suspect: false,
        }
    }

    pub(super) fn push(&mut self, entry: Entry, now: u64) {
        match entry.not_before {
            Some(due) if due > now => {
                let at = self
                    .delayed
                    .partition_point(|other| other.not_before <= Some(due));
                self.delayed.insert(at, entry);
            }
            _ => self.push_ready(entry),
        }
    }

    pub(super) fn push_ready(&mut self, mut entry: Entry) {
        self.turn = self.turn.into_iter().chain(entry.expiry).min();
        entry.seq = self.next_seq;
        self.next_seq += 1;
        self.entries.push(entry);
    }

    /// The oldest make room.
    pub(super) fn keep_limits(&mut self, now: u64, doomed: &mut Vec<Doomed>, drops: &mut Drops) {
        if self.settings.overflow != Overflow::DropOldest {
            return;
        }
        while !self.fits(0, 0) {
            if !self.stranded.is_empty() {
                let stranded = self.stranded.remove(0);
                self.drop_entry(stranded.seq, reason(stranded.cause), drops);
                continue;
            }
            let Some((seq, expired)) = self.ready().next().map(|e| (e.seq, e.is_expired(now)))
            else {
                return;
            };
            if expired {
                self.expire(seq, doomed, drops);
            } else {
                self.doom(seq, Cause::MaxLength, doomed, drops);
            }
        }
    }

    pub(super) fn find(&mut self, seq: u64) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.seq == seq)
    }

    pub(super) fn take_out(&mut self, seq: u64) {
        self.entries.retain(|entry| entry.seq != seq);
    }

    fn drop_entry(&mut self, seq: u64, reason: DropReason, drops: &mut Drops) {
        self.take_out(seq);
        drops.count(reason);
    }

    fn doom(&mut self, seq: u64, cause: Cause, doomed: &mut Vec<Doomed>, drops: &mut Drops) {
        if !self.settings.dead_letter.contains_key(&cause) {
            self.drop_entry(seq, reason(cause), drops);
            return;
        }
        if let Some(entry) = self.find(seq) {
            entry.state = State::Moving;
            // Nobody overtakes those that found no place.
            if self.stranded.is_empty() {
                doomed.push(Doomed { seq, cause });
            } else {
                self.strand(Doomed { seq, cause });
            }
        }
    }

    pub(super) fn strand(&mut self, doomed: Doomed) {
        let at = self
            .stranded
            .partition_point(|other| other.seq < doomed.seq);
        self.stranded.insert(at, doomed);
    }

    fn expire(&mut self, seq: u64, doomed: &mut Vec<Doomed>, drops: &mut Drops) {
        if self.find(seq).is_some_and(|entry| entry.silent) {
            self.drop_entry(seq, DropReason::Retention, drops);
        } else {
            self.doom(seq, Cause::Expired, doomed, drops);
        }
    }

    /// What a taker gets at most: it leaves to others who wait their part.
    pub(super) fn most(&self, others: usize, terms: Terms) -> usize {
        let share = self.ready().count().div_ceil(others + 1).max(1);
        terms.entries.min(share)
    }

    /// Takes in ready order, leaving to others who wait their part.
    pub(super) fn take(
        &mut self,
        others: usize,
        terms: Terms,
        now: u64,
        doomed: &mut Vec<Doomed>,
        drops: &mut Drops,
    ) -> Vec<Taken> {
        let most = self.most(others, terms);
        let (mut out, mut bytes) = (Vec::new(), 0);
        while out.len() < most && bytes < terms.bytes.max(1) {
            let Some(entry) = self.entries.iter_mut().find(|e| e.state == State::Ready) else {
                break;
            };
            let seq = entry.seq;
            if entry.is_expired(now) {
                self.expire(seq, doomed, drops);
                continue;
            }
            if self
                .settings
                .receive_limit
                .is_some_and(|limit| entry.failed >= limit)
            {
                self.doom(seq, Cause::ReceiveLimit, doomed, drops);
                continue;
            }
            entry.acquired += 1;
            entry.was_touched = true;
            entry.state = State::Leased(None);
            let mut first_received = None;
            if let Lease::Deadline(until) = terms.lease {
                first_received = Some(*entry.first_received.get_or_insert(now));
                entry.state = State::Leased(Some(until.as_ms()));
                entry.grant(until.as_ms());
            }
            bytes += usize::try_from(entry.message.bytes).unwrap();
            out.push(Taken {
                seq,
                attempt: entry.acquired,
                failed: entry.failed,
                message: Rc::clone(&entry.message),
                log: entry.log,
                overlay: entry.overlay.clone(),
                first_received,
            });
            if terms.lease == Lease::Settled {
                self.take_out(seq);
            }
        }
        out
    }

    pub(super) fn settle(
        &mut self,
        (seq, attempt): (u64, u16),
        outcome: Outcome,
        now: u64,
        doomed: &mut Vec<Doomed>,
        drops: &mut Drops,
    ) -> Hit {
        let Some(entry) = self.find(seq) else {
            return Hit::Gone;
        };
        if let Outcome::Accept = outcome {
            let is_moving = entry.state == State::Moving;
            let before = self.stranded.len();
            self.stranded.retain(|stranded| stranded.seq != seq);
            if is_moving && self.stranded.len() == before {
                return Hit::Lapsed;
            }
            self.take_out(seq);
            return Hit::Settled;
        }
        if entry.attempt_in_hand() != Some(attempt) {
            return Hit::Lapsed;
        }
        match outcome {
            Outcome::Accept => {}
            Outcome::Reject => self.doom(seq, Cause::Rejected, doomed, drops),
            Outcome::Release { counted } => self.release(seq, counted, now, doomed, drops),
            Outcome::Extend(until) if until.as_ms() <= now => {
                self.release(seq, true, now, doomed, drops);
            }
            Outcome::Extend(until) => {
                entry.state = State::Leased(Some(until.as_ms()));
                entry.grant(until.as_ms());
            }
        }
        Hit::Settled
    }

    fn release(
        &mut self,
        seq: u64,
        counted: bool,
        now: u64,
        doomed: &mut Vec<Doomed>,
        drops: &mut Drops,
    ) {
        let limit = self.settings.delivery_limit;
        let Some(entry) = self.find(seq) else { return };
        entry.state = State::Ready;
        entry.was_touched = true;
        if counted {
            entry.failed += 1;
            entry.log_counters();
        }
        if counted && limit.is_some_and(|limit| entry.failed > limit) {
            self.doom(seq, Cause::DeliveryLimit, doomed, drops);
        } else if entry.is_expired(now) {
            self.expire(seq, doomed, drops);
        }
    }

    pub(super) fn purge(&mut self, purge: Purge) -> u64 {
        let before = self.entries.len() + self.delayed.len();
        self.entries.retain(|entry| match entry.state {
            State::Ready => false,
            State::Leased(_) => purge == Purge::Ready,
            State::Moving => purge == Purge::Ready,
        });
        if purge == Purge::All {
            self.delayed.clear();
            self.stranded.clear();
        }
        (before - self.entries.len() - self.delayed.len()) as u64
    }

    /// When something happens here by itself.
    pub(super) fn next_due(&self) -> Option<u64> {
        let deadlines = self.entries.iter().filter_map(|entry| match entry.state {
            State::Leased(until) => until,
            State::Ready => entry.expiry,
            State::Moving => None,
        });
        let delayed = self.delayed.iter().filter_map(|entry| entry.not_before);
        deadlines.chain(delayed).chain(self.retry).min()
    }

    /// What is due by now happens: leases lapse, delays end, entries expire, dead letters are tried again.
    pub(super) fn lapse(&mut self, now: u64, doomed: &mut Vec<Doomed>, drops: &mut Drops) {
        self.turn = None;
        let mut lapsed: Vec<_> = self
            .entries
            .iter()
            .filter_map(|entry| match entry.state {
                State::Leased(Some(until)) if until <= now => Some((until, entry.seq)),
                State::Ready | State::Leased(_) | State::Moving => None,
            })
            .collect();
        lapsed.sort_unstable();
        for (_, seq) in lapsed {
            self.release(seq, true, now, doomed, drops);
        }
        while self
            .delayed
            .first()
            .is_some_and(|e| e.not_before <= Some(now))
        {
            let entry = self.delayed.remove(0);
            self.push_ready(entry);
        }
        let expired: Vec<_> = self
            .ready()
            .filter(|e| e.is_expired(now))
            .map(|e| e.seq)
            .collect();
        for seq in expired {
            self.expire(seq, doomed, drops);
        }
        if self.retry.is_some_and(|retry| retry <= now) {
            self.retry = None;
            doomed.append(&mut self.stranded);
        }
        self.keep_limits(now, doomed, drops);
    }
}

impl Entry {
    fn attempt_in_hand(&self) -> Option<u16> {
        matches!(self.state, State::Leased(_)).then_some(self.acquired)
    }
}

/// Why an entry without a dead-letter target is dropped.
pub(super) fn reason(cause: Cause) -> DropReason {
    match cause {
        Cause::Rejected => DropReason::Rejected,
        Cause::Expired => DropReason::Expired,
        Cause::MaxLength => DropReason::MaxLength,
        Cause::DeliveryLimit => DropReason::DeliveryLimit,
        Cause::ReceiveLimit => DropReason::ReceiveLimit,
        Cause::TooLarge => DropReason::TooLarge,
    }
}
