//! What reading a deep queue back costs: messages of 100 bytes, 2,048 a request, front to back.
//!
//! Run with `cargo bench --bench log_read`. The pages are in the system's cache, so it is the store that is measured.

#![allow(clippy::unwrap_used)] // the input is made here

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;

use bytes::Bytes;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use tempfile::TempDir;
use viaduct::core::log::read::ReadError;
use viaduct::core::log::read::Reader;
use viaduct::core::log::record::BodyFields;
use viaduct::core::log::record::EntryFields;
use viaduct::core::log::record::MessageFields;
use viaduct::core::log::record::Publish;
use viaduct::core::log::record::Record;
use viaduct::core::log::store::Store;
use viaduct::core::log::store::Waiter;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::ids::QueueId;
use viaduct::core::model::ids::Shard;
use viaduct::core::model::time::CoreTime;
use viaduct::store::embedded::EmbeddedLog;
use viaduct::store::embedded::Settings;
use viaduct::telemetry::Metrics;

const SHARD: Shard = Shard(0);
const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const BODY: [u8; 100] = [b'x'; 100];
const MESSAGES: u64 = 400_000;
const REQUEST: usize = 2_048;

/// Tells a thread that something came.
struct Told(Sender<usize>, usize);

impl Waiter for Told {
    fn watermark_moved(&self, _shard: Shard) {
        let _ = self.0.send(0);
    }
}

impl Reader for Told {
    fn message(&mut self, _lsn: Lsn, fields: &MessageFields<'_>, _chunks: Vec<Bytes>) {
        if let BodyFields::Inline(parts) = &fields.body {
            self.1 += parts.iter().map(|part| part.len()).sum::<usize>();
        }
    }

    fn done(self: Box<Self>, unread: Vec<(Lsn, ReadError)>) {
        assert!(unread.is_empty());
        let _ = self.0.send(self.1);
    }
}

/// Fills the log with appends of `batch` messages, and returns the LSN of every one.
fn fill(log: &EmbeddedLog, batch: u64) -> Vec<Lsn> {
    let entries = [EntryFields::plain(QueueId(1))];
    let mut lsns = Vec::new();
    for _ in 0..MESSAGES / batch {
        let mut publishes = (0..batch).map(|_| {
            Record::Publish(Publish {
                message: MessageFields {
                    routing_key: b"queue",
                    head: b"\x10\x00\x02",
                    body: BodyFields::Inline(Cow::Owned(vec![&BODY[..]])),
                    ..MessageFields::default()
                },
                entries: Cow::Borrowed(&entries),
                elidable: true,
            })
        });
        let first = log.append(SHARD, NOW, true, &mut publishes).unwrap();
        lsns.extend((0..batch).map(|n| first.plus(n)));
        if lsns.len() % 10_000 == 0 {
            let (told, came) = channel();
            log.wait(first, Arc::new(Told(told, 0)));
            came.recv().unwrap();
        }
    }
    let (told, came) = channel();
    log.wait(*lsns.last().unwrap(), Arc::new(Told(told, 0)));
    came.recv().unwrap();
    lsns
}

/// Reads all messages, with two requests in flight.
fn drain(log: &EmbeddedLog, lsns: &[Lsn]) -> usize {
    let (told, came) = channel();
    let mut bytes = 0;
    for (n, request) in lsns.chunks(REQUEST).enumerate() {
        log.read(SHARD, request.to_vec(), Box::new(Told(told.clone(), 0)));
        if n > 0 {
            bytes += came.recv().unwrap();
        }
    }
    bytes + came.recv().unwrap()
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    group.sample_size(10);
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let log = EmbeddedLog::open(dir.path(), Settings::default(), Arc::new(Metrics::new())).unwrap();
    let all = fill(&log, 100);
    let every_tenth: Vec<Lsn> = all.iter().copied().step_by(10).collect();
    for (name, lsns) in [("read", &all), ("read every tenth", &every_tenth)] {
        group.throughput(Throughput::Elements(lsns.len().try_into().unwrap()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(drain(&log, lsns), lsns.len() * BODY.len()));
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
