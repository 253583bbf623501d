//! Torn tails, flipped bits, and old bytes that look like the log.

use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use crate::core::log::store::Store;

use super::super::disk::RealDisk;
use super::super::frame::BLOCK_BYTES;
use super::super::frame::FrameHeader;
use super::super::segment::LogDir;
use super::NOW;
use super::Opened;
use super::append;
use super::append_durably;
use super::copy;
use super::image::frames;
use super::image::replayed;
use super::open;
use super::segments;

/// Where the third block's frame ends, padding excluded: the second frame of a new log.
const SECOND_FRAME: usize = 2 * BLOCK_BYTES;

/// A log with one record in each of `frames` frames.
fn log_of(frames: usize) -> TempDir {
    let dir = TempDir::new().expect("a temporary directory");
    let opened = open(dir.path()).expect("opens");
    for n in 1..=frames {
        append_durably(&opened.log, &format!("record {n}"));
    }
    dir
}

fn numbered(upto: usize) -> Vec<(u64, String)> {
    (1..=upto)
        .map(|n| (u64::try_from(n).expect("small"), format!("record {n}")))
        .collect()
}

/// What is left of a segment whose second frame was torn at byte `cut`.
fn torn_at(segment: &[u8], cut: usize, is_truncated: bool) -> Vec<u8> {
    let mut torn = segment.to_vec();
    if is_truncated {
        torn.truncate(SECOND_FRAME + cut);
    } else {
        // Not zeros: a byte that is zero by nature would not be torn.
        torn[SECOND_FRAME + cut..SECOND_FRAME + 512].fill(0xee);
    }
    torn
}

#[test]
fn a_frame_torn_at_any_byte_is_lost_and_nothing_else() {
    let dir = log_of(2);
    let path = &segments(dir.path())[0];
    let segment = fs::read(path).expect("a segment");
    let frame = FrameHeader::decode(&segment[SECOND_FRAME..]).expect("a frame");
    let length = 64 + usize::try_from(frame.0.bytes).expect("small");
    for cut in 0..length {
        for is_truncated in [false, true] {
            fs::write(path, torn_at(&segment, cut, is_truncated)).expect("written");
            let log = LogDir::new(dir.path().join("log"), Arc::new(RealDisk));
            let (records, found) = replayed(&log);
            assert_eq!((records, found.next), (numbered(1), 2), "cut at {cut}");
            assert_eq!(found.scanned.holes, []);
        }
    }
}

#[test]
fn a_torn_frame_does_not_come_back_when_the_log_goes_on() {
    let dir = log_of(2);
    let segment = fs::read(&segments(dir.path())[0]).expect("a segment");
    for cut in [0, 1, 31, 32, 63, 64, 70] {
        let torn = copy(dir.path());
        fs::write(&segments(torn.path())[0], torn_at(&segment, cut, false)).expect("written");
        let opened = open(torn.path()).expect("a torn tail is no damage");
        assert_eq!(opened.records, numbered(1));
        let next = append_durably(&opened.log, "next").number();
        assert!(next <= 3, "at most a tombstone stands before it");
        drop(opened);
        let records = open(torn.path()).expect("opens").records;
        assert_eq!(records[0], (1, "record 1".to_owned()));
        assert_eq!(records.last(), Some(&(next, "next".to_owned())));
        assert!(records.iter().all(|(_, text)| text != "record 2"));
    }
}

#[test]
fn how_much_a_torn_frame_lost_is_known() {
    let dir = log_of(2);
    let path = &segments(dir.path())[0];
    let segment = fs::read(path).expect("a segment");
    // In the records, in the header behind its salt, and before anything of the frame was written.
    let block = u64::try_from(BLOCK_BYTES).expect("small");
    for (cut, lost) in [(70, Some(block)), (40, Some(block)), (0, None)] {
        fs::write(path, torn_at(&segment, cut, false)).expect("written");
        let log = LogDir::new(dir.path().join("log"), Arc::new(RealDisk));
        let tail = replayed(&log).1.tail.expect("a log");
        assert_eq!((tail.offset, tail.torn), (2 * block, lost), "cut at {cut}");
    }
}

/// What is missing: first and last number of each hole.
fn holes(opened: &Opened) -> Vec<(u64, u64)> {
    let holes = opened.scanned.holes.iter();
    holes.map(|h| (h.first.number(), h.last.number())).collect()
}

fn but(all: usize, missing: std::ops::RangeInclusive<u64>) -> Vec<(u64, String)> {
    let mut records = numbered(all);
    records.retain(|(number, _)| !missing.contains(number));
    records
}

#[test]
fn a_bad_frame_before_a_good_one_is_a_hole_and_the_rest_is_read() {
    let dir = log_of(3);
    let path = segments(dir.path())[0].clone();
    let mut bytes = fs::read(&path).expect("a segment");
    bytes[SECOND_FRAME + 70] ^= 1;
    fs::write(&path, bytes).expect("written");
    // It is told again by every start, whatever was absorbed meanwhile.
    for start in 0..3 {
        let opened = open(dir.path()).expect("opens");
        assert_eq!(holes(&opened), [(2, 2)]);
        let hole = &opened.scanned.holes[0];
        assert_eq!(hole.path, path.display().to_string());
        let place = format!("offset {SECOND_FRAME}");
        assert!(hole.what.contains(&place), "{}", hole.what);
        assert_eq!(hole.queues, None, "it may concern any");
        if start == 0 {
            assert_eq!(opened.records, but(3, 2..=2));
            let next = append_durably(&opened.log, "next");
            let last = opened.scanned.last.expect("a log");
            assert_eq!(next, last.plus(1));
        }
        if start == 1 {
            opened.log.close(NOW).expect("closed");
        }
    }
}

#[test]
fn a_last_segment_without_its_header_and_first_frame_is_not_one_that_was_never_begun() {
    let dir = log_of(3);
    let path = &segments(dir.path())[0];
    let mut bytes = fs::read(path).expect("a segment");
    bytes[..SECOND_FRAME].fill(0xee);
    fs::write(path, bytes).expect("written");
    let opened = open(dir.path()).expect("opens");
    assert_eq!(opened.records, but(3, 1..=1));
    assert_eq!(append_durably(&opened.log, "next").number(), 4);
}

/// A log of several segments, sealed ones included.
fn log_of_segments() -> TempDir {
    let dir = log_of(40);
    assert!(segments(dir.path()).len() >= 3);
    dir
}

#[test]
fn a_log_of_several_segments_is_read_over_their_seals() {
    let dir = log_of_segments();
    assert_eq!(open(dir.path()).expect("opens").records, numbered(40));
}

#[test]
fn a_segment_that_lost_its_end_is_a_hole_up_to_the_next() {
    let dir = log_of_segments();
    let path = &segments(dir.path())[1];
    let bytes = fs::read(path).expect("a segment");
    let frames = frames(&bytes);
    let (first, last) = (frames[0].1.first, frames[frames.len() - 1].1.first);
    for (end, lost) in [
        (0, first),
        (BLOCK_BYTES, first),
        (3 * BLOCK_BYTES, first + 2),
        // Only the seal.
        (bytes.len() - BLOCK_BYTES, last + 1),
    ] {
        fs::write(path, &bytes[..end]).expect("written");
        let opened = open(copy(dir.path()).path()).expect("opens");
        assert_eq!(opened.records, but(40, lost..=last), "cut off at {end}");
        let expected: Vec<_> = (lost <= last).then_some((lost, last)).into_iter().collect();
        assert_eq!(holes(&opened), expected, "cut off at {end}");
    }
}

#[test]
fn a_flipped_bit_costs_one_frame_and_is_told() {
    let dir = log_of_segments();
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
        cases: 64,
        ..Default::default()
    });
    let flips = (any::<Index>(), any::<Index>(), 0..8_u8);
    let outcome = runner.run(&flips, |(segment, at, bit)| {
        let flipped = copy(dir.path());
        let paths = segments(flipped.path());
        let path = &paths[segment.index(paths.len())];
        let mut bytes = fs::read(path).expect("a segment");
        // The headers, and the records: padding is nobody's.
        let block = at.index(bytes.len() / BLOCK_BYTES);
        let at = block * BLOCK_BYTES + at.index(80);
        bytes[at] ^= 1 << bit;
        fs::write(path, bytes).expect("written");
        let opened = open(flipped.path()).expect("opens");
        let lost = 40 - opened.records.len();
        prop_assert!(lost <= 1, "one frame, with one record: {lost}");
        match holes(&opened).as_slice() {
            // Only the last frame can pass for torn.
            [] => prop_assert_eq!(opened.records, numbered(40 - lost)),
            [(first, last)] => prop_assert_eq!(opened.records, but(40, *first..=*last)),
            more => prop_assert!(false, "{more:?}"),
        }
        Ok(())
    });
    outcome.expect("found");
}

#[test]
fn what_a_recycled_segment_held_never_comes_back() {
    let dir = log_of_segments();
    let spares = dir.path().join("log");
    for entry in fs::read_dir(&spares).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|ext| ext == "spare") {
            fs::remove_file(path).expect("removed");
        }
    }
    // The same log's own first segment, with good frames of its own: only the salt tells.
    fs::copy(&segments(dir.path())[0], spares.join("0000000900.spare")).expect("copied");
    let opened = open(dir.path()).expect("opens");
    let mut expected = opened.records.clone();
    for n in 41..=60 {
        let lsn = append_durably(&opened.log, &format!("record {n}"));
        expected.push((lsn.number(), format!("record {n}")));
        drop(open(copy(dir.path()).path()).expect("whole at any moment"));
    }
    drop(opened);
    assert_eq!(open(dir.path()).expect("opens").records, expected);
}

#[test]
fn a_body_that_looks_like_the_log_is_only_a_body() {
    let dir = log_of(3);
    let opened = open(dir.path()).expect("opens");
    let stolen = fs::read(&segments(dir.path())[0]).expect("a segment");
    // With the frames at the file's own alignment, whatever is before them.
    for shift in [0, 1, 4_000] {
        let text: String = stolen[shift..3 * BLOCK_BYTES]
            .iter()
            .map(|byte| char::from(byte & 0x7f))
            .collect();
        append(&opened.log, &text);
    }
    append_durably(&opened.log, "last");
    drop(opened);
    assert_eq!(open(dir.path()).expect("opens").records.len(), 7);
}
