//! What comes back from the store, and what does not.

use bytes::Bytes;

use crate::core::log::read::ReadError;
use crate::core::log::read::SpillId;
use crate::core::model::ids::Lsn;
use crate::core::model::message::Message;
use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Effects;
use crate::core::queue::paging::Purpose;
use crate::core::queue::ring::cold::Source;
use crate::core::queue::state::QueueState;

/// Reads that the disk may refuse before what they wanted counts as damaged.
const REFUSED_MAX: u32 = 5;

/// Messages of the log that came, by the LSN of their publish, and those that did not.
#[derive(Debug, Default)]
pub(in crate::core) struct Read {
    pub(in crate::core) messages: Vec<(Lsn, Message)>,
    pub(in crate::core) unread: Vec<(Lsn, ReadError)>,
    /// Where the first of these would be, for people.
    pub(in crate::core) place: String,
}

impl QueueState {
    /// Messages of the log were read for `wanted`: both ascending.
    pub(in crate::core) fn messages_loaded(
        &mut self,
        purpose: Purpose,
        wanted: &[(Lsn, u64)],
        read: Read,
        effects: &mut Effects,
    ) {
        for (lsn, message) in read.messages {
            for (_, seq) in of_lsn(wanted, lsn) {
                self.ring.warm(*seq, Source::Log(lsn), message.clone());
            }
        }
        let mut refused = None;
        for (lsn, error) in read.unread {
            if self.is_for_good(error) {
                for (_, seq) in of_lsn(wanted, lsn) {
                    let why = format!("{}: record {}: {error}", read.place, lsn.number());
                    self.lose_cold(*seq, Source::Log(lsn), &why);
                }
            } else {
                refused = Some(error);
            }
        }
        self.load_ended(purpose, refused, effects);
    }

    /// A blob was read. `messages` are in its order; none: what came cannot be what was put aside.
    pub(in crate::core) fn blob_loaded(
        &mut self,
        purpose: Purpose,
        (base, id): (u64, SpillId),
        messages: Result<Vec<(usize, Message)>, ReadError>,
        effects: &mut Effects,
    ) {
        let owners = self.ring.blob_owners(base, id);
        let source = Source::Blob(id);
        let refused = match messages {
            Ok(messages) => {
                for (number, message) in messages {
                    if let Some(seq) = owners.get(number) {
                        self.ring.warm(*seq, source, message);
                    }
                }
                self.ring.forget_blob(base, id);
                None
            }
            Err(error) if self.is_for_good(error) => {
                let why = format!("messages that were put aside: {error}");
                for seq in owners {
                    self.lose_cold(seq, source, &why);
                }
                None
            }
            Err(error) => Some(error),
        };
        self.load_ended(purpose, refused, effects);
    }

    /// A chunk's entries were read.
    pub(in crate::core) fn chunk_loaded(
        &mut self,
        purpose: Purpose,
        (base, id): (u64, SpillId),
        bytes: Result<Bytes, ReadError>,
        effects: &mut Effects,
    ) {
        let mut refused = None;
        if self.ring.is_spilled(base, id) {
            self.ring.set_loading(base, false);
            let unpacked = bytes.and_then(|bytes| {
                let extras = self.ring.unpack(base, &bytes);
                extras.map_err(|_| ReadError::Damaged)
            });
            match unpacked {
                Ok(extras) => {
                    self.extras.extend(extras);
                    if purpose == Purpose::Due {
                        self.pages.swept.push(base);
                    }
                }
                Err(error) if self.is_for_good(error) => {
                    self.lose(&format!("an index that was put aside: {error}"));
                }
                Err(error) => refused = Some(error),
            }
        }
        self.load_ended(purpose, refused, effects);
    }

    /// Whether another try would not do better.
    fn is_for_good(&self, error: ReadError) -> bool {
        match error {
            ReadError::NotThere | ReadError::Damaged => true,
            ReadError::Io => self.pages.refused >= REFUSED_MAX,
            ReadError::Closed => false,
        }
    }

    /// However a load ended: whoever waits for it goes on, or tries again later.
    fn load_ended(&mut self, purpose: Purpose, refused: Option<ReadError>, effects: &mut Effects) {
        let under_way = self.pages.under_way_mut(purpose);
        *under_way = under_way.saturating_sub(1);
        if !self.is_open() || self.pages.fault.is_some() {
            return;
        }
        match refused {
            None => {
                self.pages.refused = 0;
                if std::mem::take(&mut self.pages.is_awaited) && self.ready > 0 {
                    effects.wakes.extend(self.consumers.wake_one());
                }
                if purpose == Purpose::Due {
                    self.expiry_due = Some(CoreTime::default());
                }
                self.tell_if_empty(effects);
                let has_more = purpose == Purpose::Due
                    || self.pages.is_too_long
                    || !self.pages.doomed.is_empty();
                if has_more {
                    self.ask_for_turn(effects);
                }
            }
            // The store is closing: nobody is told, and nothing is lost.
            Some(ReadError::Closed) => {}
            Some(_) => {
                self.pages.refused += 1;
                self.pages.must_wait = true;
                self.ask_for_turn(effects);
            }
        }
    }

    /// A message cannot be read, unless its entry has got it meanwhile.
    fn lose_cold(&mut self, seq: u64, source: Source, why: &str) {
        let mut piece = crate::core::queue::ring::Piece::default();
        self.ring.want(seq, &mut piece);
        if piece.cold == [(seq, source)] {
            self.lose(why);
        }
    }

    /// A message cannot be read back: it stays, and whoever carries out the operation quarantines the queue.
    pub(in crate::core) fn lose(&mut self, why: &str) {
        self.pages.fault.get_or_insert_with(|| why.into());
    }

    /// Asks for the core's timer at once.
    pub(in crate::core) fn ask_for_turn(&mut self, effects: &mut Effects) {
        let at_once = CoreTime::default();
        if self.timer != Some(at_once) {
            self.timer = Some(at_once);
            effects.due = Some(at_once);
        }
    }
}

/// Those of `wanted` with this LSN.
fn of_lsn(wanted: &[(Lsn, u64)], lsn: Lsn) -> &[(Lsn, u64)] {
    let from = wanted.partition_point(|(other, _)| *other < lsn);
    let upto = wanted.partition_point(|(other, _)| *other <= lsn);
    wanted.get(from..upto).unwrap_or_default()
}
