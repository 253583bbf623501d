//! Making room: what a queue lets go of.

use crate::core::model::time::CoreTime;
use crate::core::queue::paging::Put;
use crate::core::queue::state::QueueState;

/// Chunks beside the window that a restored queue keeps in memory while it comes.
const KEPT_WHILE_RESTORED: usize = 4;

/// Chunks that a push puts aside at most: it pays for about what it brought.
const PACKED_BY_A_PUSH: usize = 2;

impl QueueState {
    /// Puts the newest full chunks beyond the window aside, a few. False: there is none.
    pub(in crate::core) fn pack_newest(&mut self, put: Put<'_>) -> bool {
        let mut any = false;
        for _ in 0..PACKED_BY_A_PUSH {
            if !self.pack_one(put) {
                break;
            }
            any = true;
        }
        any
    }

    /// Puts the newest full chunk beyond the window aside. False: there is none.
    pub(in crate::core) fn pack_one(&mut self, put: Put<'_>) -> bool {
        let (entries, bytes) = (self.sizes.window_entries, self.sizes.window_bytes);
        let from = self.ring.window_end(entries, bytes);
        let Some(base) = self.ring.packable(from) else {
            return false;
        };
        self.pack(base, 0, put)
    }

    /// While entries come from the log, what is deep is put aside.
    pub(in crate::core) fn pack_restored(&mut self, put: Put<'_>) {
        let (next, chunk) = (self.ring.next_seq(), u64::from(self.sizes.chunk_entries));
        // Looked at once a chunk.
        if next.is_multiple_of(chunk) && self.ring.open_chunks() > KEPT_WHILE_RESTORED {
            while self.pack_one(put) {}
        }
    }

    fn pack(&mut self, base: u64, not_due_before_ms: u64, put: Put<'_>) -> bool {
        while self.pages.ahead.back().is_some_and(|end| *end > base) {
            self.pages.ahead.pop_back();
        }
        self.ring
            .pack(base, not_due_before_ms, &mut self.extras, put)
    }

    /// Puts chunks aside again that were loaded to see what expires in them.
    pub(in crate::core) fn pack_swept(&mut self, now: CoreTime, put: Put<'_>) {
        if self.pages.swept.is_empty() {
            return;
        }
        let (entries, bytes) = (self.sizes.window_entries, self.sizes.window_bytes);
        let from = self.ring.window_end(entries, bytes);
        let not_before = (now + self.sizes.sweep_ms).as_ms();
        for base in std::mem::take(&mut self.pages.swept) {
            if base >= from && self.ring.is_packable_at(base) {
                self.pack(base, not_before, put);
            }
        }
    }

    /// Lets go of messages of entries that are not taken next: leased and returned ones, and if nobody
    /// takes here, all.
    pub(in crate::core) fn chill(&mut self, put: Put<'_>) {
        let is_read = self.consumers.others(None) > 0 || self.consumers.visible() > 0;
        let cursor = self.ring.cursor();
        let (entries, bytes) = (self.sizes.window_entries, self.sizes.window_bytes);
        let end = self.ring.window_end(entries, bytes);
        for base in self.ring.warm_chunks() {
            let is_next = self.ring.reaches(base, cursor) && base < end;
            if !is_read || !is_next {
                self.ring.chill(base, put);
            }
        }
        if !is_read {
            self.pages.ahead.clear();
        }
    }
}
