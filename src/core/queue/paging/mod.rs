//! Paging of a queue: what it wants back, what it lets go of.
//!
//! All of it is plain state under the queue's lock. `Core` carries loads to the store (which answers from
//! a thread of its own, and locks the queue again then), and puts aside what leaves memory.
//!
//! INVARIANT: whoever was told that something is loading is woken. A take that says so leaves a load under
//! way ([`want`]), and every load that ends, however it ends, wakes one taker ([`loaded`]).

pub mod sizes;

pub(in crate::core) mod blob;

pub(in crate::core) mod gather;

pub(in crate::core) mod loaded;

pub(in crate::core) mod room;

pub(in crate::core) mod varint;

pub(in crate::core) mod want;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::core::log::read::SpillId;
use crate::core::model::ids::Lsn;
use crate::core::model::overlay::Cause;
use crate::core::model::time::CoreTime;

/// Puts bytes aside.
pub(in crate::core) type Put<'a> = &'a mut dyn FnMut(Vec<u8>) -> SpillId;

/// Why something is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::core) enum Purpose {
    /// It comes next.
    Head,
    /// It came back and is taken first.
    Returned,
    /// It goes to a dead-letter target, which needs its message.
    Doomed,
    /// Something of it expires.
    Due,
}

/// Something to be read back.
#[derive(Clone, Debug)]
pub(in crate::core) struct Load {
    pub(in crate::core) purpose: Purpose,
    pub(in crate::core) what: What,
}

#[derive(Clone, Debug)]
pub(in crate::core) enum What {
    /// Messages of the log, by the LSN of their publish: ascending, those of equal LSN side by side.
    Messages(Vec<(Lsn, u64)>),
    /// Messages that were put aside, of entries in the chunk that begins at `base`.
    Blob {
        /// The chunk's first sequence.
        base: u64,
        /// The blob.
        id: SpillId,
    },
    /// The entries of the chunk that begins at `base`.
    Chunk {
        /// Its first sequence.
        base: u64,
        /// Where they are.
        id: SpillId,
    },
}

/// What a queue knows of its paging.
#[derive(Debug, Default)]
pub(in crate::core) struct Pages {
    /// A taker found that what comes next is loading.
    pub(in crate::core) is_awaited: bool,
    /// Somebody who waits was told that something is loading.
    pub(in crate::core) was_told: bool,
    /// Somebody took since loads were last looked for.
    pub(in crate::core) was_taken: bool,
    /// Ends of the pieces that are loaded or loading ahead of the ring's cursor, ascending.
    ahead: VecDeque<u64>,
    /// Loads under way, by purpose.
    under_way: [u16; 4],
    /// Dead letters whose messages are loading, and those behind them, in their order.
    pub(in crate::core) doomed: VecDeque<(u64, Cause)>,
    /// The queue is longer than it may be, and what would go is loading.
    pub(in crate::core) is_too_long: bool,
    /// Something has expired: it may stand in chunks that were put aside.
    pub(in crate::core) is_due: bool,
    /// Chunks that were loaded because something in them expires: they go back.
    swept: Vec<u64>,
    /// Reads that the disk refused, one after the other.
    refused: u32,
    /// The disk refused just now: the next turn says until when nothing is read.
    pub(in crate::core) must_wait: bool,
    /// Nothing is read before, because the disk refused.
    pub(in crate::core) again_at: Option<CoreTime>,
    /// Why a message, or an index, cannot be read: the queue is to be quarantined.
    pub(in crate::core) fault: Option<Arc<str>>,
}

impl Pages {
    fn under_way(&self, purpose: Purpose) -> u16 {
        let [head, returned, doomed, due] = self.under_way;
        match purpose {
            Purpose::Head => head,
            Purpose::Returned => returned,
            Purpose::Doomed => doomed,
            Purpose::Due => due,
        }
    }

    /// Whether anything is under way.
    pub(in crate::core) fn is_loading(&self) -> bool {
        self.under_way != [0; 4]
    }

    fn under_way_mut(&mut self, purpose: Purpose) -> &mut u16 {
        let [head, returned, doomed, due] = &mut self.under_way;
        match purpose {
            Purpose::Head => head,
            Purpose::Returned => returned,
            Purpose::Doomed => doomed,
            Purpose::Due => due,
        }
    }
}

#[cfg(test)]
mod tests;
