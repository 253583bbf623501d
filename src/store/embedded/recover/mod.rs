//! A start: the records that the checkpoint has not absorbed, then every entry that lives.
//!
//! Segments are read in order, those that the checkpoint covers not at all until the second pass, which reads the
//! frames with something that lives. A frame that is bad is a *torn tail* only in the last segment and only if no
//! valid frame follows it: it was being written when the power went, and nobody was told that it is safe. Everything
//! else that is bad is a hole, if something that matters may have been in it.

mod holes;
mod replay;
mod rows;
mod tell;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::core::log::store::Scanned;
use crate::core::log::store::StoreError;
use crate::core::log::store::Visitor;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

use crate::store::journal::At;
use crate::store::journal::Coverage;
use crate::store::journal::Journal;
use crate::store::journal::SegmentRow;

use super::checkpoint::Checkpoints;
use super::disk::SegmentFile;
use super::frame::FrameHeader;
use super::frame::SegmentHeader;
use super::meta::io_error;
use super::places::ColdFrame;
use super::places::FramePlace;
use super::places::Places;
use super::segment::LogDir;

use holes::Gap;
use rows::FreshRows;

/// Where the log goes on.
pub(super) struct Tail {
    /// The last segment.
    pub(super) header: SegmentHeader,
    /// Its file.
    pub(super) file: Arc<dyn SegmentFile>,
    /// Where the last frame starts, or the header if there is none.
    pub(super) last: u64,
    /// Where the next frame goes.
    pub(super) offset: u64,
    /// CRC of the last frame.
    pub(super) crc: u32,
    /// Whether nothing may follow in this segment.
    pub(super) is_sealed: bool,
    /// Whether records behind it are lost, so that the next segment does not continue it.
    pub(super) is_cut: bool,
    /// Bytes of the torn frame whose start stands at `offset`.
    pub(super) torn: Option<u64>,
}

/// What a start found.
pub(super) struct Recovered {
    /// Where the log goes on, none if there is no log.
    pub(super) tail: Option<Tail>,
    /// Number of the next record.
    pub(super) next: u64,
    /// What [`crate::core::log::store::Store::recover`] says.
    pub(super) scanned: Scanned,
}

/// What the checkpoint says.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Where it stands.
    pub(super) at: At,
    /// The last catalog record that it has absorbed.
    pub(super) catalog: u64,
    /// Its segments.
    pub(super) rows: BTreeMap<u64, SegmentRow>,
}

impl Known {
    /// Lets a journal take the newest generation over, and says what is left to know of it, and what both have.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub(super) fn load(
        checkpoints: &mut Checkpoints,
        journal: &mut Journal,
    ) -> Result<(Self, Coverage), StoreError> {
        let saved = checkpoints.saved().unwrap_or_default();
        let delta = checkpoints.load()?;
        let rows = delta.segments.iter();
        let known = Self {
            at: saved.at,
            catalog: saved.catalog,
            rows: rows
                .filter_map(|(id, row)| Some((*id, row.clone()?)))
                .collect(),
        };
        journal.load(saved.at, delta);
        Ok((known, checkpoints.coverage()))
    }
}

/// Numbers, and what may have records with them.
#[derive(Clone, Debug)]
struct Span {
    numbers: Range<u64>,
    of: Holder,
}

/// What may have records.
#[derive(Clone, Copy, Debug)]
enum Holder {
    /// A main segment.
    Main {
        id: u64,
        /// Whether the first pass has noted its frames.
        is_placed: bool,
    },
    /// A frame of copies.
    Cold(ColdFrame),
}

/// A start of one shard.
pub(super) struct Recovery<'a> {
    dir: &'a LogDir,
    shard: Shard,
    places: &'a Places,
    journal: &'a mut Journal,
    known: Known,
    visitor: &'a mut dyn Visitor,
    /// Number of the next record.
    next: u64,
    /// CRC of the last frame.
    crc: u32,
    /// The last segment that was read.
    previous: Option<u64>,
    /// Segments without a header.
    unreadable: BTreeSet<u64>,
    /// Frames of copies, in the order in which they were made.
    cold: Vec<ColdFrame>,
    spans: Vec<Span>,
    fresh: FreshRows,
    scanned: Scanned,
}

impl<'a> Recovery<'a> {
    /// A start that counts in `journal`, which has taken the checkpoint over, and notes where records are in `places`.
    pub(super) fn new(
        dir: &'a LogDir,
        shard: Shard,
        places: &'a Places,
        journal: &'a mut Journal,
        known: Known,
        visitor: &'a mut dyn Visitor,
    ) -> Self {
        let scanned = Scanned {
            latest: known.at.latest,
            clean_stop: known.at.is_clean_stop,
            ..Scanned::default()
        };
        Self {
            dir,
            shard,
            places,
            journal,
            known,
            visitor,
            next: 1,
            crc: 0,
            previous: None,
            unreadable: BTreeSet::new(),
            cold: Vec::new(),
            spans: Vec::new(),
            fresh: FreshRows::new(),
            scanned,
        }
    }

    /// The same with what was found of the cold chain, in the order in which it was written.
    pub(super) fn with_copies(mut self, frames: Vec<ColdFrame>) -> Self {
        self.cold = frames;
        self
    }

    /// Reads what has to be read, and tells what lives.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when nothing is left to go on with; [`StoreError::Io`].
    pub(super) fn run(mut self) -> Result<Recovered, StoreError> {
        let mut tail = self.replay()?;
        let absorbed = self.known.at.log.max(self.known.catalog);
        if self.next <= absorbed {
            let Some(tail) = &mut tail else {
                let what = "the log ends before what the checkpoint has absorbed of it";
                return Err(self.damaged(what));
            };
            // What the end was may live; what it said is absorbed. Its numbers are never used again.
            (tail.is_sealed, tail.is_cut) = (true, true);
            tail.torn = None;
            let gap = Gap {
                offset: tail.offset,
                first: self.next,
                last: absorbed,
            };
            let segment = tail.header.id;
            self.gap(
                segment,
                gap,
                "the log ends before what the checkpoint has absorbed",
            );
            self.next = absorbed + 1;
        }
        self.scanned.last = Lsn::new(self.shard, self.next - 1);
        self.journal.end_replay(self.next - 1, self.scanned.latest);
        self.scanned.holes = self.journal.holes().to_vec();
        self.place_cold()?;
        self.visitor.entries(&self.scanned);
        self.tell()?;
        if self.scanned.holes.is_empty() {
            self.tidy_rows();
        } else {
            self.journal.hold();
        }
        Ok(Recovered {
            tail,
            next: self.next,
            scanned: self.scanned,
        })
    }

    pub(super) fn place(&self, header: &SegmentHeader, frame: &FrameHeader, start: u64, end: u64) {
        let place = FramePlace {
            first: frame.first,
            last: frame.first + u64::from(frame.count) - 1,
            start,
            end,
            bytes: u64::from(frame.bytes),
        };
        self.places.add(header, place);
    }

    fn io(&self, id: u64, source: std::io::Error) -> StoreError {
        io_error("read", &self.dir.segment(id), source)
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.dir.path().display().to_string(),
            what: what.to_owned(),
        }
    }

    fn damaged_at(&self, id: u64, what: &str) -> StoreError {
        StoreError::Damaged {
            path: self.dir.segment(id).display().to_string(),
            what: what.to_owned(),
        }
    }
}
