//! What it takes to find a message's queues, by kind of exchange and number of bindings.
//!
//! A session looks up a route only when exchange or key are others than the last message's; `cached` is what the other
//! messages pay. Run with `cargo bench --bench routing`.

#![allow(clippy::unwrap_used)] // the input is made here

use std::hint::black_box;
use std::sync::Arc;

use criterion::BenchmarkGroup;
use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use criterion::measurement::WallTime;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::formats::Formats;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::model::value::Properties;
use viaduct::core::model::value::Value;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::route::binding::BindingArguments;
use viaduct::core::topology::Vhost;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;

const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const BINDINGS: [usize; 3] = [1, 100, 10_000];
/// Queues that the bindings lead to.
const QUEUES: usize = 16;

/// A virtual host with queues.
struct Bench {
    core: Core,
    vhost: Arc<Vhost>,
}

impl Bench {
    fn new() -> Self {
        let settings = Settings::new(1 << 30);
        let (store, metrics) = (MemoryStore::new(1), Arc::new(Metrics::new()));
        let (core, _) = Core::open(store, Formats::new(), metrics, &settings, NOW).unwrap();
        let vhost = core.vhost("/").unwrap();
        let bench = Self { core, vhost };
        for n in 0..QUEUES {
            let declared = bench.core.declare_queue(
                &bench.vhost,
                &queue(n),
                || QueueSettings::new(false),
                NOW,
            );
            declared.unwrap();
        }
        bench
    }

    /// Binds queues to an exchange, each with the key and the arguments of its number.
    fn bind(
        self,
        exchange: &str,
        bindings: usize,
        key: impl Fn(usize) -> String,
        arguments: impl Fn(usize) -> BindingArguments,
    ) -> Self {
        let exchange = ExchangeName::parse(exchange).unwrap();
        for n in 0..bindings {
            let (key, arguments) = (key(n), arguments(n));
            let key = key.as_bytes();
            let (core, vhost) = (&self.core, &self.vhost);
            core.bind(vhost, &exchange, &queue(n), key, &arguments, NOW)
                .unwrap();
        }
        self
    }

    /// Measures the way of one message, which must lead somewhere.
    fn measure(
        &self,
        group: &mut BenchmarkGroup<'_, WallTime>,
        name: &str,
        (exchange, key): (&str, &str),
        properties: &Properties,
    ) {
        let route = || {
            let (exchange, key) = (black_box(exchange), black_box(key.as_bytes()));
            self.vhost.route(exchange, key, &mut || properties).unwrap()
        };
        assert!(!route().queues().is_empty());
        group.bench_function(name, |bencher| bencher.iter(route));
    }
}

fn queue(n: usize) -> QueueName {
    QueueName::parse(&format!("queue-{}", n % QUEUES)).unwrap()
}

fn none(_: usize) -> BindingArguments {
    BindingArguments::default()
}

fn by_key(criterion: &mut Criterion) {
    let properties = Properties::default();
    let mut group = criterion.benchmark_group("by key");
    let bench = Bench::new();
    bench.measure(&mut group, "default exchange", ("", "queue-7"), &properties);
    for bindings in BINDINGS {
        let bench = Bench::new().bind("amq.direct", bindings, |n| format!("key-{n}"), none);
        let name = format!("direct, {bindings} bindings");
        bench.measure(&mut group, &name, ("amq.direct", "key-0"), &properties);
    }
    for bindings in BINDINGS {
        // One in three with each wildcard, as subscriptions to sites, shops and devices have them.
        let pattern = |n: usize| match n % 3 {
            0 => format!("eu.shop-{n}.orders.*"),
            1 => format!("eu.*.orders.kind-{n}"),
            _ => format!("#.kind-{n}"),
        };
        let bench = Bench::new().bind("amq.topic", bindings, pattern, none);
        let name = format!("topic, {bindings} bindings");
        let way = ("amq.topic", "eu.shop-0.orders.new");
        bench.measure(&mut group, &name, way, &properties);
    }
    group.finish();
}

fn by_headers(criterion: &mut Criterion) {
    let text = |word: String| Value::Text(word.into());
    let properties = Properties {
        application: vec![
            ("tenant".into(), text("tenant-0".to_owned())),
            ("kind".into(), text("order".to_owned())),
            ("attempt".into(), Value::I32(1)),
        ],
        ..Properties::default()
    };
    let mut group = criterion.benchmark_group("by headers");
    for bindings in [1, 100] {
        let arguments = |n: usize| {
            BindingArguments::new(vec![
                ("x-match".into(), text("all".to_owned())),
                ("tenant".into(), text(format!("tenant-{n}"))),
                ("kind".into(), text("order".to_owned())),
            ])
        };
        let bench = Bench::new().bind("amq.headers", bindings, |_| String::new(), arguments);
        let name = format!("all of two, {bindings} bindings");
        bench.measure(&mut group, &name, ("amq.headers", ""), &properties);
    }
    group.finish();
}

fn cached(criterion: &mut Criterion) {
    let bench = Bench::new();
    let (exchange, key) = ("", "queue-7");
    let route = bench
        .vhost
        .route(exchange, key.as_bytes(), &mut || unreachable!());
    let route = route.unwrap();
    criterion.bench_function("cached", |bencher| {
        bencher.iter(|| {
            // As the publishing half of a session does it.
            bench.vhost.is_current(black_box(&route))
                && black_box(exchange) == exchange
                && route.is_cacheable()
                && black_box(key) == key
        });
    });
}

criterion_group!(benches, by_key, by_headers, cached);
criterion_main!(benches);
