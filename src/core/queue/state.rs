//! A queue's plain state: what its lock guards. Nothing here calls anybody else; what is left to do
//! goes into [`Effects`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use crate::core::log::record::EntryRef;
use crate::core::log::record::SettleKind;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::consumers::Consumers;
use crate::core::queue::effects::Doomed;
use crate::core::queue::effects::Effects;
use crate::core::queue::entry::Entry;
use crate::core::queue::entry::EntryState;
use crate::core::queue::entry::Extra;
use crate::core::queue::paging::Pages;
use crate::core::queue::paging::sizes::PageSizes;
use crate::core::queue::ring::ColdEntry;
use crate::core::queue::ring::New;
use crate::core::queue::ring::Ring;
use crate::core::queue::ring::Shape;
use crate::core::queue::runs::Runs;
use crate::core::queue::settings::Overflow;
use crate::core::queue::settings::QueueSettings;
use crate::core::queue::standing::Standing;

/// An entry that nobody may take yet. It gets its sequence when its time has come.
#[derive(Debug)]
pub(in crate::core) struct Delayed {
    pub(in crate::core) entry: Entry,
    pub(in crate::core) extra: Extra,
    /// What is known of its message, if that is not in memory.
    cold: Option<ColdEntry>,
}

impl Delayed {
    /// One whose message is not in memory.
    pub(in crate::core) fn cold(entry: Entry, extra: Extra, cold: ColdEntry) -> Self {
        Self {
            entry,
            extra,
            cold: Some(cold),
        }
    }

    /// How the log names it; none if the log does not hold it.
    pub(in crate::core) fn reference(&self) -> Option<EntryRef> {
        let Some(cold) = &self.cold else {
            return self.entry.reference();
        };
        let entry = self.entry.lsn?;
        Some(EntryRef {
            entry,
            message: cold.moved.unwrap_or(entry),
        })
    }
}

/// What goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Next {
    /// This entry, whose message may be cold.
    Entry(u64),
    /// One that is not in memory.
    Loading,
    /// Nothing is ready.
    Nothing,
}

/// How long an entry with a time to live of 0 stays when a consumer is waiting (RabbitMQ hands it over
/// without queueing; here the consumer comes for it).
const NOW_OR_NEVER_MS: u64 = 1000;

#[derive(Debug)]
pub(in crate::core) struct QueueState {
    pub(in crate::core) settings: Arc<QueueSettings>,
    pub(in crate::core) ring: Ring,
    pub(in crate::core) sizes: Arc<PageSizes>,
    pub(in crate::core) pages: Pages,
    /// Ready entries below the ring's cursor: released ones, back at their old place.
    pub(in crate::core) returned: BTreeSet<u64>,
    pub(in crate::core) delayed: BTreeMap<(CoreTime, u64), Delayed>,
    delayed_serial: u64,
    pub(in crate::core) extras: HashMap<u64, Extra>,
    /// Leases with a deadline, by time and by entry.
    pub(in crate::core) deadlines: BTreeSet<(CoreTime, u64)>,
    pub(in crate::core) deadline_of: HashMap<u64, CoreTime>,
    /// Entries with a lease that recovery restored, for whoever names them by LSN.
    pub(in crate::core) restored: HashMap<Lsn, u64>,
    /// Nothing expires before.
    pub(in crate::core) expiry_due: Option<CoreTime>,
    /// Settles that found the disk full: logged when there is room, tried again at `retry_due`.
    pub(in crate::core) unlogged: Runs<SettleKind, EntryRef>,
    /// Purged ranges that found the disk full, likewise.
    pub(in crate::core) unlogged_ranges: Vec<(Lsn, Lsn)>,
    /// Dead letters whose target refused: the mover has them, and tries again at `retry_due`.
    pub(in crate::core) stranded: BTreeMap<u64, Doomed>,
    /// Bytes of their bodies.
    pub(in crate::core) stranded_bytes: u64,
    pub(in crate::core) retry_due: Option<CoreTime>,
    pub(in crate::core) ready: u64,
    pub(in crate::core) ready_bytes: u64,
    pub(in crate::core) leased: u64,
    pub(in crate::core) consumers: Consumers,
    /// What the core's timer holds for this queue.
    pub(in crate::core) timer: Option<CoreTime>,
    pub(in crate::core) standing: Standing,
    /// The last record of an operation on the queue, if this start wrote one.
    pub(in crate::core) last_record: Option<Lsn>,
    /// The record that declared the queue, if this start wrote it.
    pub(in crate::core) declared: Option<Lsn>,
}

impl QueueState {
    pub(in crate::core) fn new(settings: Arc<QueueSettings>, sizes: Arc<PageSizes>) -> Self {
        let shape = Shape {
            entries: sizes.chunk_entries,
            bytes: sizes.chunk_bytes,
        };
        Self {
            settings,
            ring: Ring::new(shape),
            sizes,
            pages: Pages::default(),
            returned: BTreeSet::new(),
            delayed: BTreeMap::new(),
            delayed_serial: 0,
            extras: HashMap::new(),
            deadlines: BTreeSet::new(),
            deadline_of: HashMap::new(),
            restored: HashMap::new(),
            expiry_due: None,
            unlogged: Runs::default(),
            unlogged_ranges: Vec::new(),
            stranded: BTreeMap::new(),
            stranded_bytes: 0,
            retry_due: None,
            ready: 0,
            ready_bytes: 0,
            leased: 0,
            consumers: Consumers::default(),
            timer: None,
            standing: Standing::Open,
            last_record: None,
            declared: None,
        }
    }

    /// What holds here.
    pub(in crate::core) fn settings(&self) -> &Arc<QueueSettings> {
        &self.settings
    }

    /// Entries that can be taken.
    pub(in crate::core) fn ready_count(&self) -> u64 {
        self.ready
    }

    /// Consumers that clients see.
    pub(in crate::core) fn consumer_count(&self) -> usize {
        self.consumers.visible()
    }

    /// Other rules hold from now on; entries keep the expiry that they got when they came.
    pub(in crate::core) fn apply_settings(
        &mut self,
        settings: QueueSettings,
        now: CoreTime,
        effects: &mut Effects,
    ) {
        self.settings = Arc::new(settings);
        self.after_push(now, effects);
    }

    /// Whether another message of `bytes` fits beside `more` that were let in just now.
    pub(in crate::core) fn has_room(&self, more: u64, more_bytes: u64, bytes: u64) -> bool {
        let fits = |limit: Option<u64>, used: u64| limit.is_none_or(|limit| used <= limit);
        fits(self.settings.max_length, self.length() + more + 1)
            && fits(
                self.settings.max_length_bytes,
                self.length_bytes() + more_bytes + bytes,
            )
    }

    /// What counts towards `max_length`: ready entries, and dead letters that found no place yet.
    fn length(&self) -> u64 {
        self.ready + self.stranded.len() as u64
    }

    /// What counts towards `max_length_bytes`.
    fn length_bytes(&self) -> u64 {
        self.ready_bytes + self.stranded_bytes
    }

    /// When an entry of `message` expires here, in milliseconds since the epoch, 0 = never.
    pub(in crate::core) fn expiry_of(
        &self,
        message: &Message,
        without_expiration: bool,
        now: CoreTime,
    ) -> u64 {
        let own = if without_expiration {
            None
        } else {
            message.expiration_ms()
        };
        let ttl = match self.settings.ttl_ms(own) {
            // "Now or never": whoever waits is being woken for it and gets the moment that this takes.
            Some(0) if self.consumers.others(None) > 0 => Some((now + NOW_OR_NEVER_MS).as_ms()),
            ttl => ttl.map(|ttl| (now + ttl).as_ms()),
        };
        let retention = self.retention_end(message);
        ttl.into_iter()
            .chain(retention)
            .min()
            .map_or(0, |ms| ms.max(1))
    }

    /// An entry of `message`, never taken.
    pub(in crate::core) fn entry(
        &self,
        message: Message,
        lsn: Option<Lsn>,
        expiry: Option<CoreTime>,
    ) -> Entry {
        let expiry_ms = expiry.map_or(0, CoreTime::as_ms);
        let is_retention = self.is_retention(&message, expiry);
        let mut entry = Entry::new(message, lsn, expiry_ms);
        entry.set_retention(is_retention);
        entry
    }

    /// Whether an expiry is the end of the queue's retention of a message.
    pub(in crate::core) fn is_retention(
        &self,
        message: &Message,
        expiry: Option<CoreTime>,
    ) -> bool {
        expiry.is_some_and(|expiry| self.retention_end(message) == Some(expiry.as_ms()))
    }

    fn retention_end(&self, message: &Message) -> Option<u64> {
        self.settings
            .retention_ms
            .map(|retention| (message.enqueued_at() + retention).as_ms())
    }

    /// Puts an entry in: ready, or delayed until `not_before`.
    pub(in crate::core) fn push(
        &mut self,
        entry: Entry,
        extra: Extra,
        not_before: Option<CoreTime>,
        now: CoreTime,
    ) {
        match not_before {
            Some(due) if due > now => {
                let delayed = Delayed {
                    entry,
                    extra,
                    cold: None,
                };
                self.delay(due, delayed);
            }
            _ => {
                self.push_ready(entry, extra);
            }
        }
    }

    /// Keeps an entry back until `due`.
    pub(in crate::core) fn delay(&mut self, due: CoreTime, delayed: Delayed) {
        self.delayed_serial += 1;
        self.delayed.insert((due, self.delayed_serial), delayed);
    }

    /// The delay of an entry is over.
    pub(in crate::core) fn end_delay(&mut self, delayed: Delayed) {
        match delayed.cold {
            Some(cold) => self.push_cold(delayed.entry, delayed.extra, cold),
            None => self.push_ready(delayed.entry, delayed.extra),
        };
    }

    /// Puts a ready entry at the end.
    pub(in crate::core) fn push_ready(&mut self, mut entry: Entry, extra: Extra) -> u64 {
        self.ready_bytes += entry.body_len();
        let is_extra = self.expect_ready(&mut entry, &extra);
        let seq = self.ring.push(entry);
        if is_extra {
            self.extras.insert(seq, extra);
        }
        seq
    }

    /// Puts a ready entry at the end whose message is not in memory.
    pub(in crate::core) fn push_cold(
        &mut self,
        mut entry: Entry,
        extra: Extra,
        cold: ColdEntry,
    ) -> u64 {
        self.ready_bytes += u64::from(cold.body_len);
        let is_extra = self.expect_ready(&mut entry, &extra);
        let seq = self.ring.push_cold(entry, cold);
        if is_extra {
            self.extras.insert(seq, extra);
        }
        seq
    }

    /// Counts an entry that becomes ready, and says whether the side table has more about it.
    fn expect_ready(&mut self, entry: &mut Entry, extra: &Extra) -> bool {
        self.ready += 1;
        self.expect_expiry(entry.expiry_ms);
        let has_extra = extra.overlay.is_some() || extra.first_received.is_some();
        if has_extra {
            entry.set_extra();
        }
        has_extra
    }

    /// After entries became ready: makes room, wakes a consumer, and asks for the timer.
    pub(in crate::core) fn after_push(&mut self, now: CoreTime, effects: &mut Effects) {
        self.drop_oldest(now, effects);
        // While they wait for a load, they need not come: it wakes one when it ends.
        if self.ready > 0 && !self.pages.is_awaited {
            effects.wakes.extend(self.consumers.wake_one());
        }
        self.ask_for_timer(effects);
    }

    /// x-max-length: stranded dead letters, then the oldest ready entries make room. A queue that refuses
    /// what does not fit never drops what it let in, even when released entries make it longer.
    pub(in crate::core) fn drop_oldest(&mut self, now: CoreTime, effects: &mut Effects) {
        self.pages.is_too_long = false;
        if self.settings.overflow != Overflow::DropOldest || !self.is_open() {
            return;
        }
        let over = |limit: Option<u64>, used: u64| limit.is_some_and(|limit| used > limit);
        while over(self.settings.max_length, self.length())
            || over(self.settings.max_length_bytes, self.length_bytes())
        {
            if let Some(stranded) = self.pop_stranded() {
                self.remove_for(stranded.seq, stranded.cause.settle_kind(), effects);
                continue;
            }
            let seq = match self.next_ready() {
                Next::Entry(seq) => seq,
                // What else is too much goes when it has come.
                Next::Loading => {
                    self.pages.is_too_long = true;
                    return;
                }
                Next::Nothing => return,
            };
            let is_expired = self
                .ring
                .get(seq)
                .is_some_and(|entry| entry.is_expired(now));
            if is_expired {
                self.expire_ready(seq, effects);
            } else {
                self.doom_ready(seq, Cause::MaxLength, effects);
            }
        }
    }

    /// The entry that goes next: the first returned one, for all of them stand below the new ones.
    pub(in crate::core) fn next_ready(&mut self) -> Next {
        if let Some(returned) = self.returned.first() {
            return Next::Entry(*returned);
        }
        match self.ring.peek_new() {
            New::Ready(seq) => Next::Entry(seq),
            New::Spilled => Next::Loading,
            New::Nothing => Next::Nothing,
        }
    }

    /// A ready entry stops being ready; its state is the caller's to set.
    pub(in crate::core) fn unready(&mut self, seq: u64) {
        if self.ring.is_new(seq) {
            if self.ring.is_at(seq) || self.ring.peek_new() == New::Ready(seq) {
                self.ring.advance_past(seq);
            }
        } else {
            self.returned.remove(&seq);
        }
        self.ready -= 1;
        self.ready_bytes -= self.ring.body_len(seq);
    }

    /// An entry that was leased or moving is ready again, at its old place.
    pub(in crate::core) fn make_ready(&mut self, seq: u64) {
        let is_new = self.ring.is_new(seq);
        let bytes = self.ring.body_len(seq);
        let Some(entry) = self.ring.get_mut(seq) else {
            return;
        };
        entry.state = EntryState::Ready;
        let expiry_ms = entry.expiry_ms;
        self.ready += 1;
        self.ready_bytes += bytes;
        self.ring.note_expiry(seq, expiry_ms);
        self.expect_expiry(expiry_ms);
        if !is_new {
            self.returned.insert(seq);
        }
    }

    fn expect_expiry(&mut self, expiry_ms: u64) {
        if expiry_ms != 0 {
            let at = CoreTime::from_ms(expiry_ms);
            self.expiry_due = Some(self.expiry_due.map_or(at, |due| due.min(at)));
        }
    }

    /// The earliest time at which something happens here by itself.
    pub(in crate::core) fn next_due(&self) -> Option<CoreTime> {
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        if !self.is_open() {
            return deadline.into_iter().chain(self.retry_due).min();
        }
        let delayed = self.delayed.first_key_value().map(|((due, _), _)| *due);
        let again = self.pages.again_at;
        [deadline, delayed, self.expiry_due, self.retry_due, again]
            .into_iter()
            .flatten()
            .min()
    }

    /// Asks for the core's timer if it would come too late.
    pub(in crate::core) fn ask_for_timer(&mut self, effects: &mut Effects) {
        let Some(due) = self.next_due() else { return };
        if self.timer.is_none_or(|timer| due < timer) {
            self.timer = Some(due);
            effects.due = Some(due);
        }
    }

    /// The overlay of an entry.
    pub(in crate::core) fn overlay_of(&self, seq: u64) -> Option<Arc<Overlay>> {
        self.extras
            .get(&seq)
            .and_then(|extra| extra.overlay.clone())
    }
}
