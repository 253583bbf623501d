//! What a record costs in the embedded log, from the append to the watermark, on this disk.
//!
//! Each round appends a batch, settles the one before, and waits until both are durable. Run with
//! `cargo bench --bench log_append`; beside what the disk itself can do, in interleaved rounds, it is `--bench log`.

#![allow(clippy::unwrap_used)] // the input is made here

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use tempfile::TempDir;
use viaduct::core::log::record::BodyFields;
use viaduct::core::log::record::EntryFields;
use viaduct::core::log::record::EntryRef;
use viaduct::core::log::record::MessageFields;
use viaduct::core::log::record::Publish;
use viaduct::core::log::record::Record;
use viaduct::core::log::record::SettleKind;
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
const QUEUE: QueueId = QueueId(1);
const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const BODY: [u8; 1024] = [b'x'; 1024];
/// A lone publisher; a window of a hundred; a loaded broker.
const BATCHES: [u64; 3] = [1, 100, 1_000];

/// Tells a thread that a watermark has moved.
struct Told(Sender<()>);

impl Waiter for Told {
    fn watermark_moved(&self, _shard: Shard) {
        let _ = self.0.send(());
    }
}

/// Appends `batch` messages and settles those from `before` on, and returns the first one's LSN when they are durable.
fn round(log: &EmbeddedLog, batch: u64, before: Option<Lsn>) -> Lsn {
    let entries = [EntryFields::plain(QUEUE)];
    let publishes = (0..batch).map(|_| {
        Record::Publish(Publish {
            message: MessageFields {
                body: BodyFields::Inline(Cow::Owned(vec![&BODY[..]])),
                ..MessageFields::default()
            },
            entries: Cow::Borrowed(&entries),
            elidable: false,
        })
    });
    let settle = before.map(|first| Record::Settle {
        queue: QUEUE,
        outcome: SettleKind::Accepted,
        entries: (0..batch)
            .map(|n| first.plus(n))
            .map(|entry| EntryRef {
                entry,
                message: entry,
            })
            .collect(),
    });
    let mut records = publishes.chain(settle);
    let first = log.append(SHARD, NOW, false, &mut records).unwrap();
    let (told, is_durable) = channel();
    log.wait(first.plus(batch - 1), Arc::new(Told(told)));
    is_durable.recv().unwrap();
    first
}

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    for batch in BATCHES {
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let log = EmbeddedLog::open(dir.path(), Settings::default(), Arc::new(Metrics::new()));
        let log = log.unwrap();
        let mut before = None;
        group.throughput(Throughput::Elements(batch));
        group.bench_function(format!("append and sync, {batch} at once"), |bencher| {
            bencher.iter(|| before = Some(round(&log, batch, before)));
        });
    }
    group.finish();
}

criterion_group!(benches, append);
criterion_main!(benches);
