//! Allocations of the whole broker, per message that was published and delivered.

use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::broker::Broker;
use crate::client::Client;
use crate::client::publishes;

const QUEUE: &str = "orders";
const BODY_BYTES: usize = 1024;
const WARM_UP_ROUNDS: u64 = 200;
const MESSAGES: u64 = 32_000;

/// What kind of traffic.
#[derive(Clone, Copy, Debug)]
struct Traffic {
    /// Messages of one write of the publisher. The next write waits until all of them were delivered, so no read of the
    /// broker finds more.
    batch: u64,
    /// Persistent, and confirmed before the next write.
    durable: bool,
    /// Acknowledged one by one.
    acks: bool,
}

/// Allocations and reallocations a message, once nothing grows any more.
fn per_message(traffic: Traffic) -> f64 {
    let broker = Broker::start();
    let mut publisher = Client::connect(broker.amqp());
    publisher.declare(QUEUE);
    if traffic.durable {
        publisher.confirm();
    }
    let mut consumer = Client::connect(broker.amqp());
    consumer.consume(QUEUE, !traffic.acks);
    let bytes = publishes(QUEUE, traffic.batch, BODY_BYTES, traffic.durable);
    let mut round = || {
        publisher.write(&bytes);
        let first = consumer.seen.delivery_tag + 1;
        let until = consumer.seen.deliveries + traffic.batch;
        consumer.read_until(|seen| seen.deliveries == until);
        if traffic.acks {
            consumer.ack_each(first..=consumer.seen.delivery_tag);
        }
        if traffic.durable {
            let until = publisher.seen.confirmed + traffic.batch;
            publisher.read_until(|seen| seen.confirmed == until);
        }
    };
    for _ in 0..WARM_UP_ROUNDS {
        round();
    }
    let rounds = MESSAGES / traffic.batch;
    let region = Region::new(ALLOCATOR);
    for _ in 0..rounds {
        round();
    }
    let change = region.change();
    let messages = rounds * traffic.batch;
    #[expect(clippy::cast_precision_loss, reason = "a figure to read")]
    let share = |count: usize| count as f64 / messages as f64;
    println!(
        "{traffic:?}: {:.4} allocations and {:.4} reallocations a message, {:.0} bytes",
        share(change.allocations),
        share(change.reallocations),
        share(change.bytes_allocated),
    );
    share(change.allocations + change.reallocations)
}

/// Holds traffic of one kind to its bound, at the smallest batch that the bound is for and at a larger one.
fn assert_at_most(bound: f64, durable: bool, acks: bool) {
    let found = [16, 64].map(|batch| {
        per_message(Traffic {
            batch,
            durable,
            acks,
        })
    });
    assert!(found.iter().all(|share| *share <= bound), "{found:?}");
}

#[test]
fn a_transient_message_costs_at_most_a_fifth_of_an_allocation() {
    assert_at_most(0.2, false, false);
}

#[test]
fn acknowledgements_cost_no_more_than_that() {
    assert_at_most(0.2, false, true);
}

#[test]
fn a_durable_confirmed_and_acknowledged_message_costs_no_more_either() {
    assert_at_most(0.2, true, true);
}
