//! What may stand at and behind the end of a log: its last frame cut off, overwritten or flipped at every
//! byte, and behind it noise or bytes that were a log once. Whatever it is, every frame before is there.

use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::image::LAST;
use super::image::Log;
use super::image::frames;
use super::image::length_of;
use super::segments;

/// Positions to look at where every one would take minutes: around what has a meaning, and a sample.
fn edges(length: usize) -> impl Iterator<Item = usize> {
    let near = |at: usize, edge: usize| at.abs_diff(edge) <= 2;
    (0..length).filter(move |at| {
        let is_edge = [0, FRAME_HEADER_BYTES, BLOCK_BYTES, length].map(|edge| near(*at, edge));
        *at < FRAME_HEADER_BYTES || is_edge.contains(&true) || at % 61 == 0
    })
}

#[test]
fn a_segment_cut_off_at_every_byte_of_its_last_frame_keeps_the_others() {
    let log = Log::new();
    for cut in (0..log.end() - log.start).rev() {
        log.cut(log.start + cut);
        // Only the padding may go: it says nothing.
        log.expect(cut >= log.length, &format!("cut off at {cut}"));
    }
}

#[test]
fn a_frame_that_was_written_in_part_is_lost_as_a_whole() {
    let log = Log::new();
    let old = vec![0; log.length];
    let other = log.bytes[BLOCK_BYTES..BLOCK_BYTES + log.length].to_vec();
    // What stands behind what was written: zeros of a new file, an old frame of a recycled one, anything.
    for (what, rest) in [
        ("zeros", old),
        ("an old frame", other),
        ("ones", vec![0xff; log.length]),
    ] {
        for written in edges(log.length) {
            // The last bytes may be the same by chance, and then nothing is missing.
            if rest[written..] == log.bytes[log.start + written..log.start + log.length] {
                continue;
            }
            log.write(log.start + written, &rest[written..]);
            log.expect(false, &format!("{what} from {written}"));
            log.write(log.start, &log.bytes[log.start..log.end()]);
        }
    }
    log.expect(true, "restored");
}

#[test]
fn every_bit_of_the_last_frame_counts_and_none_behind_it() {
    let log = Log::new();
    let behind = log.length..log.end() - log.start;
    for at in edges(log.length).chain(behind.step_by(97)) {
        let byte = log.bytes[log.start + at];
        for bit in 0..8 {
            log.write(log.start + at, &[byte ^ (1 << bit)]);
            log.expect(at >= log.length, &format!("bit {bit} of byte {at}"));
        }
        log.write(log.start + at, &[byte]);
    }
}

#[test]
fn frames_of_the_log_behind_its_end_are_not_the_log() {
    let log = Log::new();
    let paths = segments(log.dir.path());
    let room = log.bytes.len() - log.end();
    for path in &paths {
        let segment = fs::read(path).expect("readable");
        // As they stood in the file that the segment is made of, and each of them right behind the end.
        let stale = &segment[log.end()..log.end() + room];
        log.write(log.end(), stale);
        log.expect(true, "what the file held before");
        for (at, header) in frames(&segment) {
            for gap in [0, BLOCK_BYTES] {
                log.restore();
                log.write(log.end() + gap, &segment[at..at + length_of(&header)]);
                log.expect(true, &format!("the frame at {at} of {}", path.display()));
            }
        }
        log.expect_to_go_on(true, "a stale frame");
        log.restore();
    }
}

#[test]
fn noise_behind_the_end_is_not_the_log() {
    let log = Log::new();
    let salt = log.bytes[24..32].to_vec();
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
        cases: 64,
        ..Default::default()
    });
    let noise = proptest::collection::vec(any::<u8>(), 64..200);
    // With the magic, the segment's salt or both in their places, as a frame that was begun has them.
    let outcome = runner.run(
        &(noise, any::<bool>(), any::<bool>()),
        |(noise, magic, salted)| {
            let mut noise = noise.repeat(100);
            if magic {
                noise[..4].copy_from_slice(b"VFRM");
            }
            if salted {
                noise[24..32].copy_from_slice(&salt);
            }
            log.restore();
            log.write(log.end(), &noise);
            log.expect(true, "noise");
            Ok(())
        },
    );
    outcome.expect("found");
    log.expect_to_go_on(true, "noise");
}

/// A body can hold what looks like a frame, later than everything in the log. If its own frame was torn, only
/// what nobody was told, the segment's salt, says that no good frame follows.
#[test]
fn a_forged_frame_behind_a_torn_one_is_not_the_log() {
    let log = Log::new();
    let (_, last) = frames(&log.bytes).pop().expect("a frame");
    let later = FrameHeader {
        first: last.first + LAST,
        ..last
    };
    let forgeries = [
        FrameHeader {
            salt: later.salt ^ 1,
            ..later
        },
        FrameHeader {
            segment: later.segment - 1,
            ..later
        },
        FrameHeader { shard: 1, ..later },
    ];
    for forged in forgeries {
        log.restore();
        log.write(log.start, &[0; BLOCK_BYTES]);
        let mut header = vec![0; FRAME_HEADER_BYTES];
        forged.encode_into(&mut header);
        log.write(log.start + BLOCK_BYTES, &header);
        log.expect(false, &format!("{forged:?}"));
        log.expect_to_go_on(false, &format!("{forged:?}"));
    }
}

#[test]
fn a_log_goes_on_after_every_kind_of_torn_frame() {
    let log = Log::new();
    let mut runner = proptest::test_runner::TestRunner::new(proptest::test_runner::Config {
        cases: 24,
        ..Default::default()
    });
    let outcome = runner.run(&(any::<Index>(), 0..4_u8), |(at, how)| {
        let at = at.index(log.length);
        log.restore();
        match how {
            0 => log.cut(log.start + at),
            1 => log.write(log.start + at, &[log.bytes[log.start + at] ^ 0x10]),
            2 => log.write(log.start + at, &vec![0xee; log.length - at]),
            _ => log.write(log.start, &vec![0; log.length]),
        }
        log.expect_to_go_on(false, &format!("kind {how} at {at}"));
        Ok(())
    });
    outcome.expect("found");
}
