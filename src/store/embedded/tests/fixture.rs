//! The fixtures: a data dir of each format, that some version wrote, and that every later one must read as exactly
//! these records. They are never written anew; a change of the format gets another one.
//!
//! `log.hex` holds the used bytes of `log/0000000001.seg`: offset, colon, hex digits; `#` starts a comment.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::core::log::record::Record;
use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;

use crate::store::format::every_kind::every_kind;
use crate::store::format::every_kind::every_kind_of_format_1;

use crate::store::contract::visitors::Silence;

use super::EmbeddedLog;
use super::SETTINGS;
use super::SHARD;
use super::append_durably;
use super::open;
use super::show::show;

use crate::telemetry::Metrics;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// The bytes of a file that `log.hex` describes.
fn segment(text: &str) -> Vec<u8> {
    let mut bytes = vec![0; 64 * 1024];
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let Some((offset, digits)) = line.split_once(':') else {
            continue;
        };
        let offset = usize::from_str_radix(offset.trim(), 16).expect("an offset");
        let digits: Vec<u8> = digits
            .bytes()
            .filter(|b| !b.is_ascii_whitespace())
            .collect();
        for (n, pair) in digits.chunks(2).enumerate() {
            let pair = std::str::from_utf8(pair).expect("digits");
            bytes[offset + n] = u8::from_str_radix(pair, 16).expect("two digits");
        }
    }
    bytes
}

/// A data dir of a format.
fn dir_of(format: u8) -> TempDir {
    let fixture = Path::new(FIXTURES).join(format!("format-{format}"));
    let dir = TempDir::new().expect("a temporary directory");
    fs::create_dir(dir.path().join("log")).expect("made");
    for entry in fs::read_dir(&fixture).expect("there") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "log.hex" {
            fs::copy(entry.path(), dir.path().join(entry.file_name())).expect("copied");
        }
    }
    let text = fs::read_to_string(fixture.join("log.hex")).expect("there");
    fs::write(dir.path().join("log/0000000001.seg"), segment(&text)).expect("written");
    dir
}

/// Reads a data dir and expects these records.
fn expect(dir: &Path, records: &[Record<'_>]) {
    let log = EmbeddedLog::open(dir, SETTINGS, Metrics::new().into()).expect("opens");
    let mut replayed = Vec::new();
    let scanned = log.recover(SHARD, &mut Silence).expect("recovered");
    show(&log, &mut |lsn, record| {
        replayed.push((lsn.number(), format!("{record:?}")));
    });
    let expected: Vec<_> = (1..)
        .zip(records.iter().map(|record| format!("{record:?}")))
        .collect();
    assert_eq!(replayed, expected);
    assert_eq!(
        scanned,
        Scanned {
            last: Lsn::new(SHARD, expected.len() as u64),
            latest: CoreTime::from_ms(1_700_000_000_123),
            clean_stop: true,
            holes: Vec::new(),
        }
    );
    let mut values = Vec::new();
    let absorbed = log.load(SHARD, &mut |key, value| {
        values.push((key.to_owned(), value.to_vec()));
    });
    assert_eq!(absorbed.expect("a checkpoint"), Lsn::new(SHARD, 2));
    assert_eq!(values, [("vhost//".to_owned(), b"{}".to_vec())]);
    assert_eq!(log.identity().incarnation, 2);
    assert_eq!(
        log.identity().uuid,
        0x0123_4567_89ab_cdef_0123_4567_89ab_cdef
    );
}

#[test]
fn format_1_is_read_for_ever() {
    expect(dir_of(1).path(), &every_kind_of_format_1());
}

#[test]
fn format_2_is_read_for_ever() {
    expect(dir_of(2).path(), &every_kind());
}

#[test]
fn a_data_dir_of_format_1_goes_on_as_one_of_format_2() {
    let dir = dir_of(1);
    let meta = || fs::read_to_string(dir.path().join("meta")).expect("there");
    assert!(meta().starts_with("viaduct data, format 1\n"));
    let keys = |opened: &super::Opened| {
        let keys = opened.records.iter().map(|(_, key)| key.clone());
        keys.collect::<Vec<_>>()
    };
    let opened = open(dir.path()).expect("opens");
    assert!(meta().starts_with("viaduct data, format 2\n"));
    let old = keys(&opened);
    append_durably(&opened.log, "new");
    opened.log.close(super::NOW).expect("closed");
    drop(opened);
    let opened = open(dir.path()).expect("opens again");
    assert_eq!(keys(&opened), [old, vec!["new".to_owned()]].concat());
}
