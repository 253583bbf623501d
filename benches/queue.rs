//! What a message costs in core, from a batch in hand to its settlement, over the store in memory.
//!
//! Each round builds a batch, pushes it, takes it and settles it, as a publisher and a consumer do that keep up with each
//! other. Run with `cargo bench --bench queue`.

#![allow(clippy::unwrap_used)] // the input is made here

use std::sync::Arc;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::Declared;
use viaduct::core::formats::Formats;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Producer;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::Queue;
use viaduct::core::queue::entry::Delivery;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::topology::Route;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;

const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const BODY: [u8; 1024] = [b'x'; 1024];
/// One at a time; what clients mostly send at once; one read of the broker, of 1 KiB and of 64 bytes a message.
const BATCHES: [usize; 4] = [1, 16, 58, 700];

/// A queue, and one that publishes and consumes.
struct Bench {
    core: Core,
    queue: Arc<Queue>,
    route: Route,
    builder: BatchBuilder,
    producer: Arc<Producer>,
    taken: Vec<Delivery>,
    leases: Vec<LeaseRef>,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings::new(1 << 30);
        let (store, metrics) = (MemoryStore::new(1), Arc::new(Metrics::new()));
        let (core, _) = Core::open(store, Formats::new(), metrics, &settings, NOW).unwrap();
        let vhost = core.vhost("/").unwrap();
        let name = QueueName::parse("orders").unwrap();
        let declared = core.declare_queue(&vhost, &name, || QueueSettings::new(true), NOW);
        let (Declared::Created(queue) | Declared::Existing(queue)) = declared.unwrap().value;
        let route = vhost.route("", b"orders", &mut || unreachable!());
        Self {
            core,
            queue,
            route: route.unwrap(),
            builder: BatchBuilder::new(),
            producer: Arc::default(),
            taken: Vec::new(),
            leases: Vec::new(),
        }
    }

    fn round(&mut self, messages: usize, body: &[u8], durable: bool, lease: Lease) {
        self.builder.expect_bytes(messages * (body.len() + 64));
        for _ in 0..messages {
            let mut draft = Draft::new(FormatId(1), b"head of the message", "", b"orders");
            draft.body = DraftBody::Copied(body);
            draft.durable = durable;
            self.builder.push(draft);
        }
        let batch = self.builder.finish(&self.producer, NOW, self.core.budget());
        let pushed = self.core.publish(&batch, 0..messages, &self.route, NOW);
        pushed.unwrap();
        drop(batch);
        let terms = Terms {
            lease,
            entries: messages,
            bytes: usize::MAX,
            wait: false,
        };
        let took = self
            .core
            .take_once(&self.queue, terms, NOW, &mut self.taken);
        took.unwrap();
        assert_eq!(self.taken.len(), messages);
        if lease == Lease::Link {
            let leases = self.taken.iter().map(|delivery| LeaseRef {
                seq: delivery.seq,
                attempt: delivery.attempt,
            });
            self.leases.extend(leases);
            let settled = self
                .core
                .settle(&self.queue, &self.leases, Outcome::Accept, NOW);
            assert_eq!(settled.unwrap().settled, messages);
            self.leases.clear();
        }
        self.taken.clear();
    }
}

fn queue(criterion: &mut Criterion) {
    let kinds = [
        ("transient, settled by the take", false, Lease::Settled),
        ("transient, taken and accepted", false, Lease::Link),
        ("durable, taken and accepted", true, Lease::Link),
    ];
    for (name, durable, lease) in kinds {
        let mut group = criterion.benchmark_group(name);
        for messages in BATCHES {
            let body = if messages > 100 { &BODY[..64] } else { &BODY };
            let mut bench = Bench::new();
            group.throughput(Throughput::Elements(messages as u64));
            group.bench_function(format!("{messages} of {} bytes", body.len()), |bencher| {
                bencher.iter(|| bench.round(messages, body, durable, lease));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, queue);
criterion_main!(benches);
