//! What the embedded log makes of a disk, beside what the disk itself can do.
//!
//! `raw` writes ready bytes to a file whose blocks are all there, and syncs after each batch: one batch at a time, nobody
//! can be faster.
//! `log` appends the same messages to an embedded log, settles those of the batch before, and waits until the batch
//! is durable; `log, 4 in flight` has up to four batches on the way. The rounds alternate, so that a neighbour's load
//! falls on all of them. Run with `cargo bench --bench log`; the log's own part is well if `log` is at least half of `raw`.

#![allow(clippy::unwrap_used)] // a measurement that cannot go on must stop
#![allow(clippy::disallowed_methods)] // measuring time is what it is for

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;
use viaduct::core::log::record::BodyFields;
use viaduct::core::log::record::EntryFields;
use viaduct::core::log::record::EntryRef;
use viaduct::core::log::record::MessageFields;
use viaduct::core::log::record::Publish;
use viaduct::core::log::record::Record;
use viaduct::core::log::record::SettleKind;
use viaduct::core::log::store::LiveEntry;
use viaduct::core::log::store::Scanned;
use viaduct::core::log::store::Store;
use viaduct::core::log::store::Visitor;
use viaduct::core::log::store::Waiter;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::ids::QueueId;
use viaduct::core::model::ids::Shard;
use viaduct::core::model::time::CoreTime;
use viaduct::store::embedded::EmbeddedLog;
use viaduct::store::embedded::Settings;
use viaduct::telemetry::Metrics;

const BODY_BYTES: usize = 1024;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(1);
const RAW_FILE_BYTES: u64 = 256 * 1024 * 1024;
/// Messages that a start finds in the log.
const REPLAYED: u64 = 500_000;
const SHARD: Shard = Shard(0);
const QUEUE: QueueId = QueueId(1);

fn main() {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let raw = raw_file(&dir);
    let metrics = Arc::new(Metrics::new());
    let data = dir.path().join("data");
    let log = EmbeddedLog::open(&data, Settings::default(), Arc::clone(&metrics)).unwrap();
    println!("records of {BODY_BYTES} bytes a second, median [least to most] of {ROUNDS} rounds");
    for batch in [1, 10, 100, 1_000] {
        let mut rates = [const { Vec::new() }; 3];
        let before = (metrics.log_records.get(), metrics.log_syncs.get());
        for _ in 0..ROUNDS {
            rates[0].push(raw_rate(&raw, batch));
            rates[1].push(log_rate(&log, batch, 1));
            rates[2].push(log_rate(&log, batch, 4));
        }
        let [raw, log, ahead] = rates.map(Spread::of);
        let records = metrics.log_records.get() - before.0;
        let syncs = metrics.log_syncs.get() - before.1;
        println!(
            "batch {batch:>4}: raw {raw}  log {log} ({:.2} of raw)  log, 4 in flight {ahead} ({:.2})  \
             {} records a sync",
            log.median / raw.median,
            ahead.median / raw.median,
            records / syncs.max(1),
        );
    }
    replay(&data, log);
}

fn raw_file(dir: &TempDir) -> File {
    let file = File::create(dir.path().join("raw")).unwrap();
    let zeros = vec![0; 1024 * 1024];
    for n in 0..RAW_FILE_BYTES / 1024 / 1024 {
        file.write_all_at(&zeros, n * 1024 * 1024).unwrap();
    }
    file.sync_all().unwrap();
    file
}

fn raw_rate(file: &File, batch: u64) -> f64 {
    let bytes = vec![7; usize::try_from(batch).unwrap() * BODY_BYTES];
    let len = u64::try_from(bytes.len()).unwrap();
    let (start, mut offset, mut records) = (Instant::now(), 0, 0);
    while start.elapsed() < ROUND {
        if offset + len > RAW_FILE_BYTES {
            offset = 0;
        }
        file.write_all_at(&bytes, offset).unwrap();
        file.sync_data().unwrap();
        offset += len;
        records += batch;
    }
    rate(records, start)
}

fn log_rate(log: &EmbeddedLog, batch: u64, in_flight: usize) -> f64 {
    let start = Instant::now();
    let mut waits = VecDeque::new();
    let (mut unsettled, mut records) = (Vec::new(), 0);
    while start.elapsed() < ROUND {
        let first = append(log, batch, std::mem::take(&mut unsettled));
        let last = first.plus(batch - 1);
        unsettled.extend((0..batch).map(|n| first.plus(n)));
        waits.push_back(Durable::of(log, last));
        if waits.len() == in_flight {
            waits.pop_front().unwrap().wait();
        }
        records += batch;
    }
    for wait in waits {
        wait.wait();
    }
    let rate = rate(records, start);
    append(log, 0, unsettled);
    rate
}

/// Counts what a start tells.
#[derive(Default)]
struct Counted {
    entries: u64,
    bytes: u64,
}

impl Visitor for Counted {
    fn catalog(&mut self, _: Lsn, _: &str, _: Option<&[u8]>) {}

    fn entries(&mut self, _: &Scanned) {}

    fn entry(&mut self, entry: LiveEntry<'_>) -> bool {
        self.entries += 1;
        self.bytes += entry.body_bytes;
        true
    }
}

/// Bytes of messages that a start tells of in a second.
fn replay(dir: &Path, log: Arc<EmbeddedLog>) {
    for _ in 0..REPLAYED / 1_000 {
        let first = append(&log, 1_000, Vec::new());
        Durable::of(&log, first.plus(999)).wait();
    }
    drop(log);
    let start = Instant::now();
    let log = EmbeddedLog::open(dir, Settings::default(), Arc::default()).unwrap();
    let mut counted = Counted::default();
    log.recover(SHARD, &mut counted).unwrap();
    let Counted { entries, bytes } = counted;
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "replay: {entries} entries, {} MiB in {seconds:.2} s",
        bytes >> 20
    );
}

/// Appends `batch` messages and settles others, and returns the first message's LSN.
fn append(log: &EmbeddedLog, batch: u64, settled: Vec<Lsn>) -> Lsn {
    let body = [7; BODY_BYTES];
    let entries = [EntryFields::plain(QUEUE)];
    let publish = || {
        Record::Publish(Publish {
            message: MessageFields {
                body: BodyFields::Inline(Cow::Owned(vec![&body[..]])),
                ..MessageFields::default()
            },
            entries: Cow::Borrowed(&entries),
            elidable: true,
        })
    };
    let settled: Vec<EntryRef> = settled
        .into_iter()
        .map(|entry| EntryRef {
            entry,
            message: entry,
        })
        .collect();
    let settle = (!settled.is_empty()).then_some(Record::Settle {
        queue: QUEUE,
        outcome: SettleKind::Accepted,
        entries: Cow::Owned(settled),
    });
    let mut records = (0..batch).map(|_| publish()).chain(settle);
    let now = CoreTime::from_ms(1);
    log.append(SHARD, now, false, &mut records).unwrap()
}

#[derive(Default)]
struct Durable(Mutex<bool>, Condvar);

impl Durable {
    fn of(log: &EmbeddedLog, lsn: Lsn) -> Arc<Self> {
        let durable = Arc::<Self>::default();
        log.wait(lsn, Arc::clone(&durable) as Arc<dyn Waiter>);
        durable
    }

    fn wait(&self) {
        let is_durable = self.0.lock().unwrap();
        drop(self.1.wait_while(is_durable, |durable| !*durable).unwrap());
    }
}

impl Waiter for Durable {
    fn watermark_moved(&self, _shard: Shard) {
        *self.0.lock().unwrap() = true;
        self.1.notify_one();
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure to read")]
fn rate(records: u64, start: Instant) -> f64 {
    records as f64 / start.elapsed().as_secs_f64()
}

/// Rates of the rounds, in records a second.
struct Spread {
    least: f64,
    median: f64,
    most: f64,
}

impl Spread {
    fn of(mut rates: Vec<f64>) -> Self {
        rates.sort_by(f64::total_cmp);
        Self {
            least: rates[0],
            median: rates[rates.len() / 2],
            most: rates[rates.len() - 1],
        }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            least,
            median,
            most,
        } = self;
        write!(f, "{median:>9.0} [{least:.0} to {most:.0}]")
    }
}
