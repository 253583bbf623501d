//! The segments of a chain held against each other: what is wrong with them, and what has to be put there.

use crate::store::embedded::frame::SegmentHeader;
use crate::store::embedded::walk::Bad;
use crate::store::embedded::walk::block;

use super::chain::Found;
use super::chain::Frame;
use super::chain::Segment;

/// What is wrong with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wound {
    /// The segment.
    pub(crate) segment: u64,
    /// Which part of it, and which records.
    pub(crate) bad: Bad,
    /// What has to be put there.
    pub(crate) kind: WoundKind,
}

/// What has to be put in the place of what is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WoundKind {
    /// The header, which the frames know.
    Header(SegmentHeader),
    /// Frames without content.
    Range(SegmentHeader),
    /// The same, and a seal.
    End(SegmentHeader),
    /// Nothing in the file is known.
    Whole,
    /// It does not continue the segment before it.
    Order,
}

/// A good frame whose records make no sense. What the frames beside it say of it is its own to say.
pub(crate) fn of_frame(frame: &Frame<'_>) -> Bad {
    Bad {
        start: frame.offset,
        end: frame.offset + frame.length,
        first: frame.header.first,
        next: Some(frame.header.first + u64::from(frame.header.count)),
        before: Some(frame.header.previous),
        behind: Some(frame.crc),
        what: "a record in a good frame cannot be read",
    }
}

/// Holds the segments of a whole chain against each other, and says what is wrong.
pub(crate) fn judge(segments: &[Segment]) -> Vec<Wound> {
    let mut wounds = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| segments.get(at));
        let behind = segments.get(at + 1);
        match &segment.found {
            None if behind.is_none() => {}
            None => wounds.push(whole(segment, before, behind)),
            Some(found) => judge_one(segment, found, before, behind, &mut wounds),
        }
    }
    wounds
}

/// Says what is wrong with a segment by itself that is not the one that is written.
pub(crate) fn judge_sealed(segment: &Segment) -> Vec<Wound> {
    let mut wounds = Vec::new();
    match &segment.found {
        None => wounds.push(whole(segment, None, None)),
        Some(found) => {
            judge_one(segment, found, None, None, &mut wounds);
            if !found.is_sealed {
                wounds.push(Wound {
                    segment: segment.id,
                    bad: missing_end(segment, found, None),
                    kind: WoundKind::End(found.header),
                });
            }
        }
    }
    wounds
}

fn judge_one(
    segment: &Segment,
    found: &Found,
    before: Option<&Segment>,
    behind: Option<&Segment>,
    wounds: &mut Vec<Wound>,
) {
    let mut header = found.header;
    let wound = |bad: Bad, kind| Wound {
        segment: segment.id,
        bad,
        kind,
    };
    let mut bads = found.bad.clone();
    if !found.has_header {
        // Its first frames may be gone as well: then the segment before knows better where it began.
        if let Some((next, crc)) = before.and_then(|before| end_before(before, segment.id)) {
            if header.first > next
                && let Some(bad) = bads.first_mut()
            {
                bad.first = next;
                bad.before = Some(crc);
                header.previous = crc;
            }
            header.first = header.first.min(next);
        }
        let bad = at_header(&header, "the segment's header is bad");
        wounds.push(wound(bad, WoundKind::Header(header)));
    }
    if let Some(before) = before.filter(|before| !continues(before, segment.id, &header)) {
        let mut bad = at_header(&header, "the segment does not continue the one before it");
        bad.first = before
            .found
            .as_ref()
            .map_or(header.first, |found| found.next);
        wounds.push(wound(bad, WoundKind::Order));
    }
    for bad in bads {
        wounds.push(wound(bad, WoundKind::Range(header)));
    }
    if let Some(behind) = behind.filter(|_| !found.is_sealed) {
        let next = behind.found.as_ref().map(|found| found.header);
        let bad = missing_end(segment, found, next);
        wounds.push(wound(bad, WoundKind::End(header)));
    }
}

/// What is missing of a segment without a seal, whose successor says this.
fn missing_end(segment: &Segment, found: &Found, next: Option<SegmentHeader>) -> Bad {
    let consecutive = next.filter(|next| next.id == segment.id + 1);
    Bad {
        start: found.end,
        end: segment.len.max(found.end + block()),
        first: found.next,
        // What a segment that is gone had in between may live as a copy, which a record in its place would hide.
        next: consecutive.map(|next| next.first),
        before: Some(found.crc),
        behind: consecutive.map(|next| next.previous),
        what: "the end of the segment is missing, and others follow it",
    }
}

/// Where the segment right before `id` ends: the next number, and its last CRC.
fn end_before(before: &Segment, id: u64) -> Option<(u64, u32)> {
    let found = before.found.as_ref()?;
    let is_known = found.is_sealed && before.id + 1 == id;
    is_known.then_some((found.next, found.crc))
}

/// Whether a segment goes on where the one before it ends; one that was recycled between may hide that.
fn continues(before: &Segment, id: u64, header: &SegmentHeader) -> bool {
    let Some(found) = &before.found else {
        return true;
    };
    if !found.is_sealed {
        return header.first >= found.next;
    }
    match before.id + 1 == id {
        true => header.first == found.next && header.previous == found.crc,
        false => header.first >= found.next,
    }
}

fn whole(segment: &Segment, before: Option<&Segment>, behind: Option<&Segment>) -> Wound {
    let found = |segment: &Segment| segment.found.clone();
    let first = before.and_then(found).map_or(1, |found| found.next);
    let next = behind.and_then(found).map(|found| found.header);
    Wound {
        segment: segment.id,
        bad: Bad {
            start: 0,
            end: segment.len,
            first,
            next: next.map(|header| header.first),
            before: None,
            behind: None,
            what: "the segment has neither a header nor a frame, and others follow it",
        },
        kind: WoundKind::Whole,
    }
}

fn at_header(header: &SegmentHeader, what: &'static str) -> Bad {
    Bad {
        start: 0,
        end: block(),
        first: header.first,
        next: Some(header.first),
        before: None,
        behind: None,
        what,
    }
}
