//! A log in memory, which a test can damage thousands of times.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use redb::Builder;
use redb::Database;
use redb::DatabaseError;
use tempfile::TempDir;

use crate::core::log::record::Record;
use crate::core::log::store::Store;

use crate::store::journal::At;
use crate::store::journal::Delta;
use crate::store::journal::Journal;

use super::super::disk::Disk;
use super::super::disk::SegmentFile;
use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::places::Places;
use super::super::recover::Known;
use super::super::recover::Recovered;
use super::super::recover::Recovery;
use super::super::segment::LogDir;
use super::super::shared::limits;
use super::Listener;
use super::NOW;
use super::SETTINGS;
use super::SHARD;
use super::append_durably;
use super::copy;
use super::open;
use super::segments;
use super::wait;

/// Frames before the last one: enough for a second segment.
pub(super) const BEFORE: u64 = 20;
/// Records of the last frame: a few, so that one of them is cut and others are not, over two blocks.
pub(super) const LAST: u64 = 3;

/// A log whose last frame is of several records, and which can be damaged thousands of times: its files
/// are read into memory once.
pub(super) struct Log {
    pub(super) dir: TempDir,
    image: Arc<Image>,
    segment: PathBuf,
    pub(super) bytes: Vec<u8>,
    /// Where the last frame starts.
    pub(super) start: usize,
    /// Its length without padding.
    pub(super) length: usize,
}

impl Log {
    pub(super) fn new() -> Self {
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
    pub(super) fn end(&self) -> usize {
        self.start + self.length.next_multiple_of(BLOCK_BYTES)
    }

    fn change(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut files = self.image.files.lock();
        change(files.get_mut(&self.segment).expect("there"));
    }

    /// Writes, beyond the end of the file too: it may not have been filled to its end yet.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) {
        self.change(|file| {
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
        });
    }

    /// The first `len` bytes of the segment are left.
    pub(super) fn cut(&self, len: usize) {
        self.change(|file| file.truncate(len));
    }

    pub(super) fn restore(&self) {
        self.change(|file| file.clone_from(&self.bytes));
    }

    /// Replays, and expects every frame, or every one but the last.
    pub(super) fn expect(&self, has_last: bool, what: &str) {
        let expected = BEFORE + if has_last { LAST } else { 0 };
        let dir = LogDir::new(self.dir.path().join("log"), Arc::clone(&self.image) as _);
        let (records, found) = replayed(&dir);
        let numbers: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=expected).collect::<Vec<_>>(), "{what}");
        assert_eq!(found.next, expected + 1, "{what}");
        assert_eq!(found.scanned.holes, [], "{what}: a torn tail is no damage");
    }

    /// Opens it on a disk, goes on, and opens it again: what was lost stays lost, the rest is there.
    pub(super) fn expect_to_go_on(&self, has_last: bool, what: &str) {
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

/// What a start that writes nothing finds in a directory without a checkpoint.
pub(super) fn replayed(dir: &LogDir) -> (Vec<(u64, String)>, Recovered) {
    let (mut listener, places) = (Listener::default(), Places::default());
    let mut journal = Journal::new(SHARD, limits(SETTINGS.segment_bytes));
    journal.load(At::default(), Delta::default());
    let known = Known::default();
    let start = Recovery::new(dir, SHARD, &places, &mut journal, known, &mut listener);
    let found = start.run().expect("nothing is so bad");
    (listener.records, found)
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

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn SegmentFile>> {
        self.open(path)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        panic!("{} is no part of the log", path.display())
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

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.files.lock().get(path).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn write_file(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn exists(&self, path: &Path) -> bool {
        self.files.lock().contains_key(path)
    }

    fn lock(&self, _: &Path) -> io::Result<Box<dyn Send>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn create_database(&self, _: &Path, _: &Builder) -> Result<Database, DatabaseError> {
        Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into())
    }

    fn open_database(&self, _: &Path, _: &Builder) -> Result<Database, DatabaseError> {
        Err(io::Error::from(io::ErrorKind::ReadOnlyFilesystem).into())
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
pub(super) fn frames(segment: &[u8]) -> Vec<(usize, FrameHeader)> {
    let blocks = (0..segment.len()).step_by(BLOCK_BYTES);
    let headers = blocks.map(|at| (at, FrameHeader::decode(&segment[at..])));
    headers
        .filter_map(|(at, header)| Some((at, header?.0)))
        .filter(|(_, header)| !header.is_seal)
        .collect()
}

/// Length of a frame without its padding.
pub(super) fn length_of(frame: &FrameHeader) -> usize {
    FRAME_HEADER_BYTES + usize::try_from(frame.bytes).expect("small")
}
