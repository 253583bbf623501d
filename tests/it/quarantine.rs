//! Queues that damage of the log concerns: what may still be done with them, and what with all others.

use std::sync::Arc;

use viaduct::core::declare::DeleteIf;
use viaduct::core::error::CoreError;
use viaduct::core::events::CoreEvent;
use viaduct::core::inbox::Event;
use viaduct::core::inbox::Inbox;
use viaduct::core::log::store::Hole;
use viaduct::core::log::store::Store;
use viaduct::core::log::store::Watermark;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::ids::QueueId;
use viaduct::core::model::ids::Shard;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::overlay::Cause;
use viaduct::core::publish::Published;
use viaduct::core::queue::Queue;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::queue::take::Took;
use viaduct::core::route::binding::BindingArguments;

use crate::core::Broker;
use crate::core::T0;
use crate::core::Witness;
use crate::core::lease;

const TERMS: Terms = Terms {
    lease: Lease::Link,
    entries: 10,
    bytes: usize::MAX,
    wait: true,
};

fn durable() -> QueueSettings {
    QueueSettings::new(true)
}

/// The last record so far.
fn last(broker: &Broker) -> Lsn {
    let upto = match broker.store.watermark(Shard(0)) {
        Watermark::Durable(upto) => upto,
        Watermark::Failed => 0,
    };
    Lsn::new(Shard(0), upto).expect("the log works")
}

fn hole(first: Lsn, last: Lsn, queues: Option<Vec<QueueId>>) -> Hole {
    Hole {
        path: "/data/log/0000000001.seg".to_owned(),
        what: "a frame is bad (offset 8192)".to_owned(),
        first,
        last,
        queues,
    }
}

/// Damages the last record, which is said to concern whatever was there.
fn damage_last(broker: &Broker) {
    broker.store.lose(&hole(last(broker), last(broker), None));
}

fn push(broker: &Broker, exchange: &str, key: &str) -> Published {
    let batch = broker.batch(key, &[b"x"], true);
    let route = broker
        .vhost
        .route(exchange, key.as_bytes(), &mut || unreachable!())
        .unwrap();
    broker.core.publish(&batch, 0..1, &route, T0).unwrap()
}

fn found(broker: &Broker, name: &str) -> Arc<Queue> {
    broker.vhost.queue(name).unwrap()
}

fn assert_closed(error: &CoreError, queue: &str) {
    assert!(matches!(error, CoreError::Quarantined(_)), "{error}");
    let expected = format!(
        "queue '{queue}' in vhost '/' is quarantined until 'viaduct repair' has run: \
         /data/log/0000000001.seg: a frame is bad (offset 8192): record"
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// Everything that would change what is in a queue is refused.
fn assert_quarantined(broker: &Broker, name: &str) {
    let queue = found(broker, name);
    let took = broker.core.take_once(&queue, TERMS, T0, &mut Vec::new());
    assert_eq!(took.unwrap(), Took::Gone);
    assert_closed(&queue.closed_because(), name);
    let subscribed = broker.core.subscribe(&queue, &Inbox::new(), 1, true);
    assert_closed(&subscribed.unwrap_err(), name);
    let purged = broker.core.purge(&queue, Purge::Ready, T0);
    assert_closed(&purged.unwrap_err(), name);
    let before = queue.counts();
    let published = push(broker, "", name);
    let withheld = published.withheld.expect("nobody has it");
    assert_eq!(
        (withheld.by.queue.as_str(), withheld.is_kept),
        (name, false)
    );
    assert_eq!(published.lsn, None);
    broker.core.tick(T0 + 1_000_000_000).unwrap();
    assert_eq!(queue.counts(), before);
    let if_empty = DeleteIf {
        empty: true,
        ..DeleteIf::default()
    };
    let deleted = broker
        .core
        .delete_queue(&broker.vhost, &queue, if_empty, T0);
    assert_closed(&deleted.unwrap_err(), name);
}

#[test]
fn a_start_with_a_hole_sets_apart_what_was_there_until_a_repair() {
    let broker = Broker::new();
    for name in ["old", "older"] {
        broker.queue(name, durable());
        push(&broker, "", name);
    }
    damage_last(&broker);
    broker.queue("later", durable());
    push(&broker, "", "later");
    let mut broker = broker;
    for _ in 0..2 {
        broker = broker.restart();
        assert_quarantined(&broker, "old");
        assert_quarantined(&broker, "older");
        assert_eq!(broker.core.quarantined().len(), 2);
        assert_eq!(broker.core.metrics().queues_quarantined.get(), 2);
        assert_eq!(broker.core.metrics().log_holes.get(), 1);
        push(&broker, "", "later");
        broker.core.close(T0).unwrap();
    }
    broker.store.repair();
    let broker = broker.restart();
    assert!(broker.core.quarantined().is_empty());
    for name in ["old", "older"] {
        assert_eq!(broker.bodies(&found(&broker, name)), ["x"]);
    }
    assert_eq!(broker.bodies(&found(&broker, "later")).len(), 3);
}

#[test]
fn a_hole_that_names_its_queues_concerns_no_other_and_deleting_one_is_allowed() {
    let broker = Broker::new();
    let hurt = broker.queue("hurt", durable());
    broker.queue("sound", durable());
    push(&broker, "", "sound");
    let gone = QueueId(hurt.id().0 + 1_000);
    let record = last(&broker);
    let queues = Some(vec![hurt.id(), gone]);
    broker.store.lose(&hole(record, record, queues));
    let broker = broker.restart();
    assert_quarantined(&broker, "hurt");
    assert_eq!(broker.bodies(&found(&broker, "sound")), ["x"]);
    let delete = |name: &str| {
        let queue = found(&broker, name);
        broker
            .core
            .delete_queue(&broker.vhost, &queue, DeleteIf::default(), T0)
            .unwrap()
    };
    delete("hurt");
    assert_eq!(broker.core.metrics().queues_quarantined.get(), 0);
    broker.queue("hurt", durable());
    push(&broker, "", "hurt");
    let broker = broker.restart();
    assert_eq!(broker.bodies(&found(&broker, "hurt")), ["x"]);
}

#[test]
fn an_entry_whose_queue_is_nowhere_stays_as_long_as_records_are_missing() {
    let broker = Broker::new();
    let queue = broker.queue("q", durable());
    push(&broker, "", "q");
    damage_last(&broker);
    // Its declaration is as if it had stood in the hole.
    broker.core.checkpoint().unwrap();
    let key = format!("queue/{}", queue.id().0);
    let change = (key.as_str(), None);
    broker
        .store
        .checkpoint(Shard(0), last(&broker), &mut std::iter::once(change))
        .unwrap();
    let broker = broker.restart();
    assert!(broker.vhost.queue("q").is_err());
    assert_eq!(
        broker.store.space().references,
        1,
        "somebody was promised it"
    );
    broker.store.repair();
    let broker = broker.restart();
    assert_eq!(broker.store.space().references, 0);
}

#[test]
fn the_other_queues_of_a_fan_out_get_theirs() {
    let broker = Broker::new();
    broker.queue("hurt", durable());
    damage_last(&broker);
    let sound = broker.queue("sound", durable());
    let fanout = ExchangeName::parse("amq.fanout").unwrap();
    for name in ["hurt", "sound"] {
        let name = QueueName::parse(name).unwrap();
        let arguments = BindingArguments::default();
        broker
            .core
            .bind(&broker.vhost, &fanout, &name, b"", &arguments, T0)
            .unwrap();
    }
    drop(sound);
    let broker = broker.restart();
    let published = push(&broker, "amq.fanout", "");
    assert!(published.withheld.unwrap().is_kept);
    assert!(published.lsn.is_some());
    assert_eq!(broker.core.metrics().withheld.get(), 1);
    assert_eq!(broker.bodies(&found(&broker, "sound")), ["x"]);
}

#[test]
fn a_dead_letter_waits_for_its_target() {
    let broker = Broker::new();
    broker.queue("dead", durable());
    damage_last(&broker);
    let target = DeadLetterTarget::Queue("dead".to_owned());
    let mut settings = durable();
    settings.dead_letter.insert(Cause::Rejected, target);
    broker.queue("q", settings);
    push(&broker, "", "q");
    let broker = broker.restart();
    let reject = |broker: &Broker| {
        let queue = found(broker, "q");
        let taken = broker.take(&queue, 1, Lease::Link, T0);
        let leases: Vec<_> = taken.iter().map(lease).collect();
        broker
            .core
            .settle(&queue, &leases, Outcome::Reject, T0)
            .unwrap();
    };
    reject(&broker);
    for second in 1..5 {
        broker.core.tick(T0 + second * 1_000).unwrap();
    }
    assert_eq!(found(&broker, "dead").counts().ready, 0);
    broker.store.repair();
    let broker = broker.restart();
    reject(&broker);
    assert_eq!(broker.bodies(&found(&broker, "dead")), ["x"]);
}

#[test]
fn nothing_leaves_a_quarantined_queue_by_itself_and_what_is_leased_may_be_settled() {
    let broker = Broker::new();
    let mut settings = durable();
    settings.message_ttl_ms = Some(60_000);
    settings.delivery_limit = Some(0);
    let queue = broker.queue("q", settings);
    for _ in 0..5 {
        push(&broker, "", "q");
    }
    let damaged = last(&broker);
    let inbox = Inbox::new();
    let consumer = broker.core.subscribe(&queue, &inbox, 7, true).unwrap();
    let held = broker.take(&queue, 2, Lease::Link, T0);
    let lapses = broker.take(&queue, 1, Lease::Deadline(T0 + 30_000), T0);
    let witness = Arc::new(Witness::default());
    broker.core.observe(witness.clone());
    broker.store.lose(&hole(damaged, damaged, None));
    assert_eq!(inbox.try_next(), Some(Event::Cancelled(7)));
    let heard: Vec<_> = witness.0.lock().iter().map(|(_, e)| e.clone()).collect();
    let (vhost, name) = (broker.vhost.name().clone(), queue.name().clone());
    let expected = [
        CoreEvent::Consumers(vhost.clone(), name.clone(), 0),
        CoreEvent::QueueQuarantined(vhost, name),
    ];
    assert_eq!(heard, expected);
    let took = broker.core.take(&consumer, TERMS, T0, &mut Vec::new());
    assert_eq!(took.unwrap(), Took::Gone);
    broker.core.unsubscribe(consumer);
    let settle = |n: usize, outcome| {
        let leases = [lease(&held[n])];
        let settled = broker.core.settle(&queue, &leases, outcome, T0 + 70_000);
        assert_eq!(settled.unwrap().settled, 1);
    };
    settle(0, Outcome::Accept);
    settle(1, Outcome::Release { counted: true });
    // The lease lapses; times to live and limits wait for the repair.
    broker.core.tick(T0 + 70_000).unwrap();
    let counts = queue.counts();
    assert_eq!((counts.ready, counts.leased, counts.consumers), (4, 0, 0));
    assert_eq!(broker.core.next_due(), None);
    let shorter = |settings: &mut QueueSettings| settings.max_length = Some(1);
    broker
        .core
        .update_queue(&queue, shorter, T0 + 70_000)
        .unwrap();
    assert_eq!(queue.counts().ready, 4);
    drop(lapses);
    assert_quarantined(&broker, "q");
}

#[test]
fn damage_that_is_found_while_it_is_served_concerns_who_has_something_there() {
    let broker = Broker::new();
    let queues = ["a", "b", "c"].map(|name| broker.queue(name, durable()));
    let records = ["a", "b", "c"].map(|name| push(&broker, "", name).lsn.unwrap());
    assert_eq!(broker.bodies(&queues[2]), ["x"]);
    // What was settled is of no interest to anybody.
    broker.store.lose(&hole(records[1], records[2], None));
    assert_quarantined(&broker, "b");
    assert_eq!(broker.core.quarantined().len(), 1);
    broker.store.lose(&hole(records[1], records[2], None));
    assert_eq!(broker.core.metrics().log_holes.get(), 1, "it was known");
    assert_eq!(broker.bodies(&queues[0]), ["x"]);
}
