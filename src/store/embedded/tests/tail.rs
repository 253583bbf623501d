//! What may stand at and behind the end of a log: its last frame cut off, overwritten or flipped at every
//! byte, and behind it noise or bytes that were a log once. Whatever it is, every frame before is there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::sample::Index;
use tempfile::TempDir;

use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;

use crate::store::journal::Journal;

use super::super::disk::Disk;
use super::super::disk::SegmentFile;
use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::recover::Replay;
use super::super::segment::LogDir;
use super::super::shared::limits;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::append_durably;
use super::copy;
use super::open;
use super::segments;
use super::wait;

/// Frames before the last one: enough for a second segment.
const BEFORE: u64 = 20;
/// Records of the last frame: a few, so that one of them is cut and others are not, over two blocks.
const LAST: u64 = 3;

/// A log whose last frame is of several records, and which can be damaged thousands of times: its files
/// are read into memory once.
struct Log {
    dir: TempDir,
    image: Arc<Image>,
    segment: PathBuf,
    bytes: Vec<u8>,
    /// Where the last frame starts.
    start: usize,
    /// Its length without padding.
    length: usize,
}

impl Log {
    fn new() -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let opened = open(dir.path()).expect("opens");
        for n in 1..=BEFORE {
            append_durably(&opened.log, &format!("record {n}"));
        }
        let key = "long".repeat(360);
        let mut records = (0..LAST).map(|_| Record::Catalog {
            key: &key,
            value: None,
        });
        let last = opened.log.append(SHARD, NOW, false, &mut records);
        wait(&opened.log, last.expect("taken").plus(LAST - 1));
        drop(opened);
        let paths = segments(dir.path());
        assert!(paths.len() > 1, "the end is not in the first segment");
        let segment = paths.last().expect("a segment").clone();
        let bytes = fs::read(&segment).expect("readable");
        let (start, frame) = frames(&bytes).pop().expect("a frame");
        assert_eq!(u64::from(frame.count), LAST);
        let log = Self {
            dir,
            image: Arc::new(Image::of(&paths)),
            segment,
            bytes,
            start,
            length: length_of(&frame),
        };
        assert!(log.length > BLOCK_BYTES);
        log
    }

    /// Where the next frame would start.
    fn end(&self) -> usize {
        self.start + self.length.next_multiple_of(BLOCK_BYTES)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.image.files.lock();
        change(files.get_mut(&self.segment).expect("there"));
    }

    /// Writes, beyond the end of the file too: it may not have been filled to its end yet.
    fn write(&self, at: usize, bytes: &[u8]) {
        self.change(|file| {
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        });
    }

    /// The first `len` bytes of the segment are left.
    fn cut(&self, len: usize) {
        self.change(|file| file.truncate(len));
    }

    fn restore(&self) {
        self.change(|file| file.clone_from(&self.bytes));
    }

    /// Replays, and expects every frame, or every one but the last.
    fn expect(&self, has_last: bool, what: &str) {
        let expected = BEFORE + if has_last { LAST } else { 0 };
        let dir = LogDir::new(self.dir.path().join("log"), Arc::clone(&self.image) as _);
        let mut journal = Journal::new(SHARD, limits(SETTINGS.segment_bytes));
        let mut last = 0;
        let mut visit = |lsn: Lsn, _: Record<'_>| {
            assert_eq!(lsn.number(), last + 1, "{what}");
            last += 1;
        };
        let found = Replay::new(&dir, SHARD, &mut journal, &mut visit).run();
        let next = found.expect("a torn tail is no damage").next;
        assert_eq!((last, next), (expected, expected + 1), "{what}");
    }

    /// Opens it on a disk, goes on, and opens it again: what was lost stays lost, the rest is there.
    fn expect_to_go_on(&self, has_last: bool, what: &str) {
        let copied = copy(self.dir.path());
        let path = segments(copied.path()).pop().expect("a segment");
        self.change(|file| fs::write(path, file).expect("written"));
        let opened = open(copied.path()).expect(what);
        append_durably(&opened.log, "after");
        drop(opened);
        let records = open(copied.path()).expect(what).records;
        let kept = BEFORE + if has_last { LAST } else { 0 };
        assert_eq!(
            u64::try_from(records.len()).expect("small"),
            kept + 1,
            "{what}"
        );
        assert_eq!(records.last().map(|(_, key)| key.as_str()), Some("after"));
        assert!(
            records
                .iter()
                .zip(1..=BEFORE)
                .all(|((lsn, _), n)| *lsn == n),
            "{what}"
        );
    }
}

/// The files of a log in memory, which a replay only reads.
struct Image {
    files: Mutex<BTreeMap<PathBuf, Vec<u8>>>,
}

/// One of them, as it was when it was opened.
struct ImageFile(Vec<u8>);

impl Image {
    fn of(paths: &[PathBuf]) -> Self {
        let files = paths
            .iter()
            .map(|path| (path.clone(), fs::read(path).expect("readable")));
        Self {
            files: Mutex::new(files.collect()),
        }
    }
}

impl Disk for Image {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        let file = self.files.lock().get(path).expect("listed").clone();
        Ok(Arc::new(ImageFile(file)))
    }

    fn names(&self, _: &Path) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf| {
            path.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        Ok(self.files.lock().keys().filter_map(name).collect())
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }
}

impl SegmentFile for ImageFile {
    fn write_all_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).expect("small");
        let there = self.0.get(offset..).unwrap_or_default();
        let read = there.len().min(bytes.len());
        bytes[..read].copy_from_slice(&there[..read]);
        Ok(read)
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.0.len()).expect("small"))
    }
}

/// The frames of a segment.
fn frames(segment: &[u8]) -> Vec<(usize, FrameHeader)> {
    let blocks = (0..segment.len()).step_by(BLOCK_BYTES);
    let headers = blocks.map(|at| (at, FrameHeader::decode(&segment[at..])));
    headers
        .filter_map(|(at, header)| Some((at, header?.0)))
        .filter(|(_, header)| !header.is_seal)
        .collect()
}

/// Length of a frame without its padding.
fn length_of(frame: &FrameHeader) -> usize {
    FRAME_HEADER_BYTES + usize::try_from(frame.bytes).expect("small")
}

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
