//! What a queue wants back from the store.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::core::model::time::CoreTime;
use crate::core::queue::effects::Effects;
use crate::core::queue::paging::Load;
use crate::core::queue::paging::Purpose;
use crate::core::queue::paging::What;
use crate::core::queue::ring::New;
use crate::core::queue::ring::Piece;
use crate::core::queue::ring::cold::Source;
use crate::core::queue::state::QueueState;

/// Reads under way for what comes next.
const HEAD_LOADS: u16 = 2;

/// Pieces that are loaded or loading ahead of the takers.
const PIECES_AHEAD: usize = 4;

/// Returned entries, or dead letters, whose messages are read at once.
const READ_AT_ONCE: usize = 256;

/// Chunks that are read at once to see what expires in them.
const DUE_LOADS: usize = 4;

/// Loads to be started: none, mostly.
pub(in crate::core) type Loads = SmallVec<[Load; 2]>;

impl QueueState {
    /// Whether there may be anything to read, or to let go of.
    pub(in crate::core) fn is_paging(&self) -> bool {
        self.ring.is_paged()
            || self.ring.has_unused()
            || self.pages.is_awaited
            || self.pages.was_told
            || self.pages.fault.is_some()
    }

    /// What has to be read now. They count as under way from here on.
    pub(in crate::core) fn wanted(&mut self, now: CoreTime, effects: &mut Effects) -> Loads {
        let mut loads = Loads::new();
        if !self.is_open() {
            return loads;
        }
        if self.ring.is_paged() {
            self.want(now, &mut loads);
        } else {
            self.pages.ahead.clear();
        }
        let is_waiting = self.pages.must_wait || self.pages.again_at.is_some();
        if self.pages.is_awaited && !self.pages.is_loading() && !is_waiting {
            // What was waited for is gone, or can be nowhere: what is next may be there.
            self.pages.is_awaited = false;
            if self.ready > 0 {
                effects.wakes.extend(self.consumers.wake_one());
            }
        }
        self.tell_if_empty(effects);
        loads
    }

    /// Who was told that something is loading may wait for nothing else (basic.get). If that has gone to others, or
    /// for good, and nothing is left, all who wait come and see.
    pub(in crate::core) fn tell_if_empty(&mut self, effects: &mut Effects) {
        if self.ready > 0 || !std::mem::take(&mut self.pages.was_told) {
            return;
        }
        self.pages.is_awaited = false;
        while let Some(wake) = self.consumers.wake_one() {
            effects.wakes.push(wake);
        }
    }

    fn want(&mut self, now: CoreTime, loads: &mut Loads) {
        if self.pages.must_wait || self.pages.again_at.is_some() {
            return;
        }
        self.want_doomed(loads);
        if std::mem::take(&mut self.pages.was_taken) || self.pages.is_too_long {
            self.want_returned(loads);
            self.want_head(loads);
        }
        if self.pages.under_way(Purpose::Due) == 0 && std::mem::take(&mut self.pages.is_due) {
            self.want_due(now, loads);
        }
    }

    /// Whether what goes next is there, but not in memory.
    pub(in crate::core) fn is_next_away(&mut self) -> bool {
        if let Some(seq) = self.returned.first() {
            return self.is_cold(*seq);
        }
        match self.ring.peek_new() {
            New::Ready(seq) => self.is_cold(seq),
            New::Spilled => true,
            New::Nothing => false,
        }
    }

    /// Whether the entry at `seq` has no message in memory.
    pub(in crate::core) fn is_cold(&self, seq: u64) -> bool {
        self.ring.get(seq).is_some_and(|entry| entry.is_cold())
    }

    fn want_returned(&mut self, loads: &mut Loads) {
        if self.pages.under_way(Purpose::Returned) > 0 {
            return;
        }
        let mut piece = Piece::default();
        for seq in self.returned.iter().take(READ_AT_ONCE) {
            self.ring.want(*seq, &mut piece);
        }
        self.read(Purpose::Returned, piece, loads);
    }

    fn want_doomed(&mut self, loads: &mut Loads) {
        if self.pages.under_way(Purpose::Doomed) > 0 || self.pages.doomed.is_empty() {
            return;
        }
        let mut piece = Piece::default();
        for (seq, _) in self.pages.doomed.iter().take(READ_AT_ONCE) {
            self.ring.want(*seq, &mut piece);
        }
        self.read(Purpose::Doomed, piece, loads);
    }

    /// Pieces ahead of the cursor, in order.
    fn want_head(&mut self, loads: &mut Loads) {
        // Moves the cursor to what is next.
        let is_away = self.is_next_away();
        let cursor = self.ring.cursor();
        while self.pages.ahead.front().is_some_and(|end| *end <= cursor) {
            self.pages.ahead.pop_front();
        }
        if is_away && self.pages.under_way(Purpose::Head) == 0 {
            // What was asked for has come, and this is not among it.
            self.pages.ahead.clear();
        }
        while self.pages.under_way(Purpose::Head) < HEAD_LOADS
            && self.pages.ahead.len() < PIECES_AHEAD
        {
            let from = self.pages.ahead.back().copied().unwrap_or(cursor);
            let (entries, bytes) = (self.sizes.piece_entries, self.sizes.piece_bytes);
            let piece = self.ring.piece(from, entries, bytes);
            if let Some((base, id)) = piece.spilled {
                self.want_chunk(Purpose::Head, base, id, loads);
                return;
            }
            if piece.end == from {
                return;
            }
            self.pages.ahead.push_back(piece.end);
            self.read(Purpose::Head, piece, loads);
        }
    }

    /// Chunks in which something expires.
    fn want_due(&mut self, now: CoreTime, loads: &mut Loads) {
        for (base, id) in self.ring.due_spilled(now, DUE_LOADS) {
            self.want_chunk(Purpose::Due, base, id, loads);
        }
    }

    fn want_chunk(
        &mut self,
        purpose: Purpose,
        base: u64,
        id: crate::core::log::read::SpillId,
        loads: &mut Loads,
    ) {
        if self.ring.set_loading(base, true) {
            self.start(purpose, What::Chunk { base, id }, loads);
        }
    }

    /// Reads the cold entries of a piece.
    fn read(&mut self, purpose: Purpose, piece: Piece, loads: &mut Loads) {
        if !piece.lost.is_empty() {
            self.lose("a message that the log does not have was not put aside");
        }
        let mut messages = Vec::new();
        let mut blobs = BTreeSet::new();
        for (seq, source) in piece.cold {
            match source {
                Source::Log(lsn) => messages.push((lsn, seq)),
                Source::Blob(id) => {
                    blobs.extend(self.ring.base_of(seq).map(|base| (base, id)));
                }
            }
        }
        if !messages.is_empty() {
            messages.sort_unstable();
            self.start(purpose, What::Messages(messages), loads);
        }
        for (base, id) in blobs {
            self.start(purpose, What::Blob { base, id }, loads);
        }
    }

    fn start(&mut self, purpose: Purpose, what: What, loads: &mut Loads) {
        *self.pages.under_way_mut(purpose) += 1;
        loads.push(Load { purpose, what });
    }
}
