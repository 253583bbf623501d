//! Where records lie: from a record's number to a stretch of a file that has its frame.
//!
//! A place per frame would cost as much as an index of messages where every frame has one. So there is one per
//! [`STRETCH_BYTES`] of a main segment, about 16 KiB for a segment of 64 MiB, and a reader walks the frames from there.
//! A cold frame has a place of its own: it holds what was left of many frames.

mod cold;

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::frame::SegmentHeader;
use super::segment::SegmentId;

use cold::ColdPlaces;

pub(super) use cold::ColdFrame;

/// Bytes of frames behind one entry; more only where a frame is longer.
const STRETCH_BYTES: u64 = 64 * 1024;

/// The places of a log's records.
///
/// INVARIANT: a segment is here from when its first frame is durable until it is given to whoever makes spares,
/// so a reader that finds other bytes there than it should can ask again: gone, moved, or damaged.
#[derive(Default)]
pub(super) struct Places(Mutex<State>);

#[derive(Default)]
struct State {
    /// By the number of the segment's first record.
    main: BTreeMap<u64, Segment>,
    cold: ColdPlaces,
}

/// Where the frames of a main segment are.
struct Segment {
    id: u64,
    salt: u64,
    /// Number of the last record.
    last: u64,
    /// Where the last frame ends.
    end: u64,
    /// Bytes of records.
    bytes: u64,
    /// First record and offset of some of its frames, ascending; never empty.
    stretches: Vec<(u64, u64)>,
}

/// Consecutive whole frames of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// The segment.
    pub(super) segment: SegmentId,
    /// Its salt.
    pub(super) salt: u64,
    /// Where the first frame starts.
    pub(super) start: u64,
    /// Where the last frame ends.
    pub(super) end: u64,
}

/// A durable frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct FramePlace {
    /// Number of its first record.
    pub(super) first: u64,
    /// Number of its last record.
    pub(super) last: u64,
    /// Where it starts.
    pub(super) start: u64,
    /// Where it ends.
    pub(super) end: u64,
    /// Bytes of its records.
    pub(super) bytes: u64,
}

impl Places {
    /// Notes a frame that is durable; frames of a segment come in order.
    pub(super) fn add(&self, header: &SegmentHeader, frame: FramePlace) {
        let mut state = self.0.lock();
        let segment = state.main.entry(header.first).or_insert_with(|| Segment {
            id: header.id,
            salt: header.salt,
            last: 0,
            end: 0,
            bytes: 0,
            stretches: Vec::new(),
        });
        segment.last = frame.last;
        segment.end = frame.end;
        segment.bytes += frame.bytes;
        let newest = segment.stretches.last();
        if newest.is_none_or(|(_, start)| frame.start >= start + STRETCH_BYTES) {
            segment.stretches.push((frame.first, frame.start));
        }
    }

    /// Notes cold frames that are durable. Where a main segment has their records, that is what counts.
    pub(super) fn add_cold(&self, frames: &[ColdFrame]) {
        let mut state = self.0.lock();
        for frame in frames {
            state.cold.add(*frame);
        }
    }

    /// Forgets a segment.
    pub(super) fn forget(&self, segment: SegmentId) {
        let mut state = self.0.lock();
        match segment {
            SegmentId::Main(id) => state.main.retain(|_, segment| segment.id != id),
            SegmentId::Cold(id) => state.cold.forget(id),
        }
    }

    /// Where the first of some ascending records is, and as many of those behind it as lie in the same segment and
    /// within `most` bytes. None: the log has no such record.
    pub(super) fn find(&self, numbers: &[u64], most: u64) -> Option<Stretch> {
        let (first, others) = numbers.split_first()?;
        let state = self.0.lock();
        let Some((segment, (start, mut end))) = state.main_of(*first) else {
            return state.cold.find(*first, others, most);
        };
        for number in others {
            match segment.stretch(*number) {
                Some((_, further)) if further <= start + most => end = further,
                _ => break,
            }
        }
        Some(Stretch {
            segment: SegmentId::Main(segment.id),
            salt: segment.salt,
            start,
            end,
        })
    }

    /// Bytes of records in each main segment.
    pub(super) fn main_bytes(&self) -> BTreeMap<u64, u64> {
        let state = self.0.lock();
        let segments = state.main.values();
        segments
            .map(|segment| (segment.id, segment.bytes))
            .collect()
    }

    /// Whether readers look for records in this very frame of the cold chain.
    pub(super) fn is_cold_frame(&self, frame: &ColdFrame) -> bool {
        self.0.lock().cold.has(frame)
    }

    /// The cold frames, in the order of their records.
    pub(super) fn cold(&self) -> Vec<ColdFrame> {
        self.0.lock().cold.frames().copied().collect()
    }

    /// Whether nothing lies between two records that are to stand in one cold frame of what is left of `source`.
    pub(super) fn is_clear_between(&self, before: u64, after: u64, source: SegmentId) -> bool {
        let state = self.0.lock();
        let mut main = state.main.range(before..after);
        let is_clear = main.all(|(_, segment)| SegmentId::Main(segment.id) == source);
        is_clear && state.cold.is_clear_between(before, after, source)
    }
}

impl State {
    /// The main segment that has a record, and the stretch there.
    fn main_of(&self, number: u64) -> Option<(&Segment, (u64, u64))> {
        let (_, segment) = self.main.range(..=number).next_back()?;
        segment.stretch(number).map(|stretch| (segment, stretch))
    }
}

impl Segment {
    /// Start and end of the frames of which one has record `number`.
    fn stretch(&self, number: u64) -> Option<(u64, u64)> {
        if number > self.last {
            return None;
        }
        let after = self
            .stretches
            .partition_point(|(first, _)| *first <= number);
        let (_, start) = self.stretches.get(after.checked_sub(1)?)?;
        let end = self
            .stretches
            .get(after)
            .map_or(self.end, |(_, start)| *start);
        Some((*start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: SegmentHeader = SegmentHeader {
        shard: 0,
        chain: 0,
        id: 7,
        first: 10,
        salt: 99,
        previous: 0,
    };

    fn stretch(start: u64, end: u64) -> Option<Stretch> {
        Some(Stretch {
            segment: SegmentId::Main(7),
            salt: 99,
            start,
            end,
        })
    }

    #[test]
    fn a_stretch_has_whole_frames_and_as_many_neighbours_as_fit() {
        let places = Places::default();
        // Frames of 4 KiB with two records each, 64 stretches of 16 frames.
        for n in 0..1024 {
            let start = 4096 + n * 4096;
            let first = 10 + n * 2;
            let frame = FramePlace {
                first,
                last: first + 1,
                start,
                end: start + 4096,
                bytes: 100,
            };
            places.add(&HEADER, frame);
        }
        let at = |n: u64| 4096 + n * STRETCH_BYTES;
        assert_eq!(places.main_bytes(), BTreeMap::from([(7, 102_400)]));
        assert_eq!(places.find(&[9], 1 << 20), None, "before the segment");
        assert_eq!(places.find(&[10], 1 << 20), stretch(at(0), at(1)));
        assert_eq!(places.find(&[41], 1 << 20), stretch(at(0), at(1)));
        assert_eq!(places.find(&[42], 1 << 20), stretch(at(1), at(2)));
        assert_eq!(places.find(&[2057], 1 << 20), stretch(at(63), at(64)));
        assert_eq!(places.find(&[2058], 1 << 20), None, "after it");
        assert_eq!(places.find(&[42, 80, 110], 1 << 20), stretch(at(1), at(4)));
        assert_eq!(
            places.find(&[42, 80, 110], 128 * 1024),
            stretch(at(1), at(3))
        );
        assert_eq!(places.find(&[42, 9_999], 1 << 20), stretch(at(1), at(2)));
        places.forget(SegmentId::Main(7));
        assert_eq!(places.find(&[42], 1 << 20), None);
    }
}
