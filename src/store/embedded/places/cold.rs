//! Where what was copied forward lies: the frames of the cold chain, by the numbers that their records keep.

use std::collections::BTreeMap;

use super::super::segment::SegmentId;
use super::Stretch;

/// A frame of the cold chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct ColdFrame {
    /// The lowest number that one of its records keeps.
    pub(in super::super) first: u64,
    /// The highest one.
    pub(in super::super) last: u64,
    /// The cold segment that it is in.
    pub(in super::super) segment: u64,
    /// That one's salt.
    pub(in super::super) salt: u64,
    /// Where it starts.
    pub(in super::super) start: u64,
    /// Where it ends.
    pub(in super::super) end: u64,
    /// Number of its records.
    pub(in super::super) count: u32,
    /// Bytes of its records.
    pub(in super::super) bytes: u32,
}

/// The frames, disjoint.
#[derive(Default)]
pub(super) struct ColdPlaces(BTreeMap<u64, ColdFrame>);

impl ColdFrame {
    fn id(&self) -> SegmentId {
        SegmentId::Cold(self.segment)
    }
}

impl ColdPlaces {
    /// Notes a frame: it takes the place of earlier copies of its records.
    pub(super) fn add(&mut self, frame: ColdFrame) {
        let overlaps = |other: &ColdFrame| other.first <= frame.last && other.last >= frame.first;
        let earlier = self.0.range(..=frame.last).rev();
        let earlier: Vec<u64> = earlier
            .take_while(|(_, other)| overlaps(other))
            .map(|(first, _)| *first)
            .collect();
        for first in earlier {
            self.0.remove(&first);
        }
        self.0.insert(frame.first, frame);
    }

    pub(super) fn forget(&mut self, segment: u64) {
        self.0.retain(|_, frame| frame.segment != segment);
    }

    /// Whether a frame is one of them.
    pub(super) fn has(&self, frame: &ColdFrame) -> bool {
        self.0.get(&frame.first) == Some(frame)
    }

    /// All frames, ascending.
    pub(super) fn frames(&self) -> impl Iterator<Item = &ColdFrame> {
        self.0.values()
    }

    /// See [`super::Places::find`]. Between the frames of a stretch there may be others: they are whole, too.
    pub(super) fn find(&self, first: u64, others: &[u64], most: u64) -> Option<Stretch> {
        let frame = self.of(first)?;
        let mut end = frame.end;
        for number in others {
            match self.of(*number) {
                Some(other)
                    if other.id() == frame.id()
                        && other.start >= frame.start
                        && other.end <= frame.start + most =>
                {
                    end = end.max(other.end);
                }
                _ => break,
            }
        }
        Some(Stretch {
            segment: frame.id(),
            salt: frame.salt,
            start: frame.start,
            end,
        })
    }

    pub(super) fn is_clear_between(&self, before: u64, after: u64, source: SegmentId) -> bool {
        let mut between = self.0.range(before..after);
        between.all(|(_, frame)| frame.id() == source)
    }

    fn of(&self, number: u64) -> Option<&ColdFrame> {
        let (_, frame) = self.0.range(..=number).next_back()?;
        (frame.last >= number).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(segment: u64, first: u64, last: u64, at: u64) -> ColdFrame {
        ColdFrame {
            first,
            last,
            segment,
            salt: segment,
            start: at * 4096,
            end: (at + 1) * 4096,
            count: 2,
            bytes: 100,
        }
    }

    #[test]
    fn a_later_copy_takes_the_place_of_an_earlier_one() {
        let mut places = ColdPlaces::default();
        for copy in [
            frame(1, 10, 19, 1),
            frame(1, 30, 39, 2),
            frame(1, 50, 59, 3),
        ] {
            places.add(copy);
        }
        places.add(frame(2, 12, 38, 1));
        let left: Vec<_> = places.frames().map(|f| (f.segment, f.first)).collect();
        assert_eq!(left, [(2, 12), (1, 50)]);
        assert_eq!(places.find(11, &[], 1 << 20), None);
        assert_eq!(
            places.find(38, &[], 0).map(|s| s.segment),
            Some(SegmentId::Cold(2))
        );
        places.forget(2);
        assert_eq!(places.find(38, &[], 0), None);
    }

    #[test]
    fn neighbours_of_the_same_file_are_read_with_it() {
        let mut places = ColdPlaces::default();
        for copy in [
            frame(1, 10, 19, 1),
            frame(1, 30, 39, 2),
            frame(2, 50, 59, 3),
        ] {
            places.add(copy);
        }
        let stretch = places.find(10, &[30, 31, 50], 1 << 20).unwrap();
        assert_eq!((stretch.start, stretch.end), (4096, 3 * 4096));
        assert!(places.is_clear_between(19, 50, SegmentId::Cold(1)));
        assert!(!places.is_clear_between(10, 51, SegmentId::Cold(1)));
    }
}
