//! Bindings: what one takes, and what those that do not match cost a message.

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use viaduct::core::queue::settings::QueueSettings;

use crate::broker::Broker;
use crate::broker::Folder;
use crate::broker::allocated;
use crate::broker::scaled;

/// A tenth of the figure's.
const BINDINGS: u32 = 100_000;
/// Queues that they lead to.
const QUEUES: u32 = 16;
/// What a binding may take in memory beside its key.
const BYTES: u64 = 250;
/// Filters that match each key of [`key`], and the queues that they lead to.
const MATCHING: [&str; 10] = [
    "#", "s.#", "s.*.m", "#.m", "s.#.m", "*.*.m", "*.#", "s.*.*", "#.#.m", "*.*.*",
];
const ROUNDS: usize = 31;
const KEYS: u32 = 200;

/// Binds `bindings` keys, and says how many bytes these have.
fn bind_many(broker: &Broker, exchange: &str, bindings: u32, key: impl Fn(u32) -> String) -> u64 {
    let mut bytes = 0;
    let mut last = None;
    for n in 0..bindings {
        let key = key(n);
        bytes += key.len() as u64;
        last = broker.bind(exchange, &format!("queue-{}", n % QUEUES), &key);
    }
    broker.wait(last);
    bytes
}

fn declare_queues(broker: &Broker) {
    for n in 0..QUEUES {
        broker.declare(&format!("queue-{n}"), QueueSettings::new(true));
    }
}

/// Holds bindings with keys of one shape to their bytes: as they were bound, and as a start finds them.
fn assert_small(exchange: &str, key: fn(u32) -> String) {
    let folder = Folder::new();
    let bindings = scaled(BINDINGS);
    let empty = folder.measured(declare_queues);
    let (broker, before) = (folder.open(), allocated());
    let start = Instant::now();
    let keys = bind_many(&broker, exchange, bindings, key);
    let bound = start.elapsed();
    broker.core.checkpoint().unwrap();
    let each = |bytes: u64| bytes.saturating_sub(keys) / u64::from(bindings);
    let after_binding = each(allocated() - before);
    broker.close();
    let start = Instant::now();
    let after_start = each(folder.measured(|_| ()) - empty);
    println!(
        "{exchange} {:?}: {after_binding} B each beside the key, {after_start} B after a start; \
         bound in {bound:?}, started in {:?}",
        key(12_345),
        start.elapsed()
    );
    assert!(after_binding <= BYTES, "{after_binding}");
    assert!(after_start <= BYTES, "{after_start}");
}

#[test]
fn a_binding_by_topic_takes_at_most_250_bytes_beside_its_key() {
    assert_small("amq.topic", |n| format!("device.{n}.temperature"));
    assert_small("amq.topic", |n| {
        format!("region.{}.device.{n}.sensor.*.#", n % 100)
    });
}

#[test]
fn a_binding_by_key_takes_no_more_either() {
    assert_small("amq.direct", |n| format!("customer-{n}"));
}

/// A key that nothing but [`MATCHING`] matches, beside many that do not: its way through them differs by `n`.
fn key(n: u32) -> String {
    format!("s.{n}.m")
}

/// A broker where each key of [`key`] has ten matching bindings by topic.
fn matching(broker: Broker) -> Broker {
    declare_queues(&broker);
    for (n, filter) in MATCHING.iter().enumerate() {
        broker.bind("amq.topic", &format!("queue-{n}"), filter);
    }
    broker
}

/// What it takes to find the queues of [`KEYS`] messages.
fn routing_time(broker: &Broker) -> Duration {
    let keys: Vec<String> = (0..KEYS).map(|n| key(n * 397)).collect();
    let start = Instant::now();
    for key in &keys {
        let route = broker
            .vhost
            .route("amq.topic", key.as_bytes(), &mut || unreachable!());
        assert_eq!(black_box(route.unwrap()).queues().len(), MATCHING.len());
    }
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn a_match_takes_no_longer_for_bindings_that_do_not_match() {
    let folder = Folder::new();
    let (few, many) = (matching(folder.open_other()), matching(folder.open()));
    // Siblings all along the way: of each level, and of what follows a wildcard.
    bind_many(&many, "amq.topic", scaled(BINDINGS), |n| match n % 4 {
        0 => format!("s.{n}.other"),
        1 => format!("s.*.{n}"),
        2 => format!("t{n}.*.m"),
        _ => format!("#.{n}.x.m"),
    });
    let rounds = (0..ROUNDS).map(|_| (routing_time(&few), routing_time(&many)));
    let (few, many): (Vec<_>, Vec<_>) = rounds.unzip();
    let (few, many) = (median(few), median(many));
    println!(
        "{KEYS} routes: {few:?} among ten bindings, {many:?} among {}",
        scaled(BINDINGS)
    );
    // Caches miss more often; a look at every binding would take thousands of times as long.
    assert!(many <= few * 5, "{few:?} {many:?}");
}
