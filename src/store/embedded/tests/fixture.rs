//! The fixture of format 1: a data dir that some version wrote, and that every later one must read as
//! exactly these records. It is never written anew; a change of the format gets another one.
//!
//! `log.hex` holds the used bytes of `log/0000000001.seg`: offset, colon, hex digits; `#` starts a comment.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::core::log::store::Scanned;
use crate::core::log::store::Store;
use crate::core::model::ids::Lsn;
use crate::core::model::time::CoreTime;

use crate::store::format::every_kind::every_kind;

use super::EmbeddedLog;
use super::SETTINGS;
use super::SHARD;

use crate::telemetry::Metrics;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1");

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

#[test]
fn format_1_is_read_for_ever() {
    let fixture = Path::new(FIXTURE);
    let dir = TempDir::new().expect("a temporary directory");
    fs::create_dir(dir.path().join("log")).expect("made");
    for file in ["meta", "catalog.redb"] {
        fs::copy(fixture.join(file), dir.path().join(file)).expect("copied");
    }
    let text = fs::read_to_string(fixture.join("log.hex")).expect("there");
    fs::write(dir.path().join("log/0000000001.seg"), segment(&text)).expect("written");

    let log = EmbeddedLog::open(dir.path(), SETTINGS, Metrics::new().into()).expect("opens");
    let mut replayed = Vec::new();
    let scanned = log
        .scan(SHARD, &mut |lsn, record| {
            replayed.push((lsn.number(), format!("{record:?}")));
        })
        .expect("scanned");
    let expected: Vec<_> = (1..)
        .zip(every_kind().iter().map(|record| format!("{record:?}")))
        .collect();
    assert_eq!(replayed, expected);
    assert_eq!(
        scanned,
        Scanned {
            last: Lsn::new(SHARD, expected.len() as u64),
            latest: CoreTime::from_ms(1_700_000_000_123),
            clean_stop: true,
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
