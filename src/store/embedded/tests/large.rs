//! Large bodies that are damaged: what a check, the scrub and a repair make of them.

use std::borrow::Cow;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Condvar;
use parking_lot::Mutex;
use tempfile::TempDir;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyError;
use crate::core::log::bodies::BodyId;
use crate::core::log::bodies::BodyWriter;
use crate::core::log::bodies::LARGE_BODY_BYTES;
use crate::core::log::record::BodyFields;
use crate::core::log::record::EntryFields;
use crate::core::log::record::MessageFields;
use crate::core::log::record::Publish;
use crate::core::log::record::Record;
use crate::core::log::store::Store;
use crate::core::model::ids::QueueId;

use super::super::repair::repair;
use super::super::survey::Damage;
use super::super::survey::Progress;
use super::super::survey::Report;
use super::EmbeddedLog;
use super::NOW;
use super::SHARD;
use super::cold::declare;
use super::cold::flip;
use super::cold::open;
use super::wait;

/// Not a whole number of blocks.
const BYTES: usize = LARGE_BODY_BYTES as usize + 9;

/// A body that is being written.
#[derive(Default)]
struct Upload {
    is_whole: Mutex<bool>,
    changed: Condvar,
}

impl BodyWriter for Upload {
    fn written(&self, _: usize) {}

    fn ended(&self, outcome: Result<(), BodyError>) {
        outcome.expect("written");
        *self.is_whole.lock() = true;
        self.changed.notify_all();
    }
}

/// Writes a body that nobody names yet.
fn upload(log: &EmbeddedLog) -> BodyId {
    let upload = Arc::new(Upload::default());
    let id = log.bodies().begin(true, Arc::clone(&upload) as _);
    for block in vec![7; BYTES].chunks(BODY_BLOCK_BYTES) {
        log.bodies().append(id, block.to_vec());
    }
    log.bodies().finish(id);
    let mut is_whole = upload.is_whole.lock();
    while !*is_whole {
        upload.changed.wait(&mut is_whole);
    }
    id
}

/// Publishes a message with a large body to some queues, and says its number.
fn publish(log: &EmbeddedLog, id: BodyId, queues: &[u64]) -> u64 {
    let bytes = LARGE_BODY_BYTES + 9;
    let entries = queues
        .iter()
        .map(|queue| EntryFields::plain(QueueId(*queue)));
    let publish = Record::Publish(Publish {
        message: MessageFields {
            body: BodyFields::File { id, bytes },
            ..MessageFields::default()
        },
        entries: Cow::Owned(entries.collect()),
        elidable: false,
    });
    let lsn = log
        .append(SHARD, NOW, false, &mut std::iter::once(publish))
        .expect("taken");
    wait(log, lsn);
    log.bodies().release(id);
    lsn.number()
}

/// A data dir with two large messages, its log, their numbers and their files.
fn two_bodies() -> (TempDir, Arc<EmbeddedLog>, [(u64, PathBuf); 2]) {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, ..) = open(dir.path());
    declare(&log, 1);
    declare(&log, 2);
    let messages = [&[1][..], &[1, 2]].map(|queues| {
        let id = upload(&log);
        let path = dir.path().join(format!("big/{:016x}", id.0));
        (publish(&log, id, queues), path)
    });
    (dir, log, messages)
}

fn check(dir: &Path) -> Report {
    super::super::check(dir, &Progress::default()).expect("read")
}

/// The damages but for what they are called.
fn places(damages: &[Damage]) -> Vec<(&str, u64, u64)> {
    let damages = damages.iter();
    damages
        .map(|d| (d.file.as_str(), d.offset, d.first))
        .collect()
}

#[test]
fn a_block_that_is_not_what_was_written_is_found_and_its_message_given_up() {
    let (dir, log, [(first, _), (second, path)]) = two_bodies();
    log.close(NOW).expect("closed");
    drop(log);
    assert!(check(dir.path()).is_sound());
    // In the third block.
    flip(&path, 16 + 2 * 65_540 + 100);
    let report = check(dir.path());
    let file = path.display().to_string();
    assert_eq!(
        places(&report.damages),
        [(file.as_str(), 16 + 2 * 65_540, second)]
    );
    let queues = ["/ q1".to_owned(), "/ q2".to_owned()];
    assert_eq!(report.damages[0].queues, Some(queues.to_vec()));
    let done = repair(dir.path(), "a", &Progress::default(), &mut |_| true);
    let kept = done.expect("repaired").expect("something to do").kept;
    assert!(kept.join(path.file_name().expect("a name")).exists());
    assert!(!path.exists());
    assert!(check(dir.path()).is_sound());
    let (log, told, scanned) = open(dir.path());
    assert_eq!((told, scanned.holes), ([(1, vec![first])].into(), vec![]));
    drop(log);
    // Whichever generation of the checkpoint a start goes by.
    fs::write(dir.path().join("checkpoint.1.redb"), "nothing").expect("written");
    assert_eq!(open(dir.path()).1, [(1, vec![first])].into());
}

#[test]
fn a_body_that_is_missing_or_short_or_anothers_is_found() {
    let (dir, log, [(first, one), (second, two)]) = two_bodies();
    // No clean stop, and no checkpoint.
    drop(log);
    let bytes = fs::read(&one).expect("there");
    fs::remove_file(&one).expect("removed");
    fs::write(&two, &bytes).expect("written");
    let report = check(dir.path());
    let (file_one, file_two) = (one.display().to_string(), two.display().to_string());
    assert_eq!(
        places(&report.damages),
        [
            (file_one.as_str(), 0, first),
            (file_two.as_str(), 0, second)
        ]
    );
    fs::write(&one, &bytes[..bytes.len() - 1]).expect("written");
    let report = check(dir.path());
    let end = bytes.len() as u64 - 1;
    assert_eq!(places(&report.damages)[0], (file_one.as_str(), end, first));
    let done = repair(dir.path(), "a", &Progress::default(), &mut |_| true);
    done.expect("repaired").expect("something to do");
    assert!(check(dir.path()).is_sound());
    let (_, told, scanned) = open(dir.path());
    assert_eq!((told, scanned.holes), ([].into(), vec![]));
}

#[test]
fn a_running_log_names_the_queues_of_a_damaged_body_once() {
    let (dir, log, [_, (second, path)]) = two_bodies();
    let sound = log.check(&Progress::default()).expect("read");
    assert!(sound.is_sound(), "{:?}", sound.damages);
    assert!(sound.bytes > 2 * LARGE_BODY_BYTES);
    flip(&path, 20);
    for _ in 0..2 {
        let report = log.check(&Progress::default()).expect("read");
        let file = path.display().to_string();
        assert_eq!(places(&report.damages), [(file.as_str(), 16, second)]);
        let queues = ["queue number 1".to_owned(), "queue number 2".to_owned()];
        assert_eq!(report.damages[0].queues, Some(queues.to_vec()));
    }
    assert_eq!(log.damages().len(), 1);
    // What nobody needs any more is no damage.
    super::cold::settle(&log, 1, &[second]);
    super::cold::settle(&log, 2, &[second]);
    let report = log.check(&Progress::default()).expect("read");
    assert_eq!(report.damages, []);
    drop(dir);
}

#[test]
fn files_that_no_record_names_are_told_and_go_with_the_next_start() {
    let dir = TempDir::new().expect("a temporary directory");
    let (log, ..) = open(dir.path());
    let id = upload(&log);
    drop(log);
    let path = dir.path().join(format!("big/{:016x}", id.0));
    let report = check(dir.path());
    assert!(report.is_sound());
    assert!(report.notes[0].contains("1 files"), "{:?}", report.notes);
    // A log that was never begun has no segment.
    for segment in super::segments(dir.path()) {
        fs::remove_file(segment).expect("removed");
    }
    drop(open(dir.path()));
    assert!(!path.exists());
    assert_eq!(check(dir.path()).notes, Vec::<String>::new());
}
