//! Queues: what an idle one takes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::json;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::overlay::Cause;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::core::queue::settings::QueueSettings;

use crate::broker::Broker;
use crate::broker::Folder;
use crate::broker::scaled;

/// A tenth of the figure's.
const QUEUES: u32 = 10_000;
const BYTES: u64 = 2 * 1024;

/// A queue as `queue.declare` makes it.
fn amqp(_: u32) -> QueueSettings {
    let mut settings = QueueSettings::new(true);
    let told = json!({"durable": true, "arguments": {"x-message-ttl": {"i32": 60_000}}});
    settings.vocabulary.insert("amqp091", &told);
    settings
}

/// A queue with dead letters and limits.
fn with_dead_letters(n: u32) -> QueueSettings {
    let target = DeadLetterTarget::Exchange {
        exchange: ExchangeName::parse("dead").unwrap(),
        routing_key: Some(format!("dead-{n}").into()),
    };
    let causes = [
        Cause::Rejected,
        Cause::Expired,
        Cause::MaxLength,
        Cause::DeliveryLimit,
    ];
    QueueSettings {
        max_length: Some(1_000),
        dead_letter: causes.map(|cause| (cause, target.clone())).into(),
        ..amqp(n)
    }
}

/// A queue as CreateQueue makes it: no two are alike.
fn sqs(n: u32) -> QueueSettings {
    let mut settings = QueueSettings::new(true);
    let tags = BTreeMap::from([("team", "orders"), ("stage", "production")]);
    let told = json!({
        "created_ms": 1_700_000_000_000_u64 + u64::from(n), "modified_ms": 1_700_000_000_000_u64 + u64::from(n),
        "is_native": true, "numbers": {"VisibilityTimeout": 60, "MaximumMessageSize": 65_536}, "texts": {},
        "redrive_arn": null, "redrive_allow": null, "tags": tags,
    });
    settings.vocabulary.insert("sqs", &told);
    settings
}

fn declare_many(broker: &Broker, settings: fn(u32) -> QueueSettings) {
    let mut last = None;
    for n in 0..scaled(QUEUES) {
        last = broker.declare(&format!("queue-{n}"), settings(n));
    }
    broker.wait(last);
    broker.core.checkpoint().unwrap();
}

/// Holds queues of one kind to their bytes: as they were declared, as a start finds them, and once they are deleted.
fn assert_small(kind: &str, most: u64, settings: fn(u32) -> QueueSettings) {
    let folder = Folder::new();
    let each = |bytes: u64| bytes / u64::from(scaled(QUEUES));
    let empty = folder.measured(|_| ());
    let declared = each(folder.measured(|broker| declare_many(broker, settings)) - empty);
    let start = Instant::now();
    let started = each(folder.measured(|_| ()) - empty);
    println!(
        "{kind}: {declared} B each, {started} B after a start in {:?}",
        start.elapsed()
    );
    assert!(declared <= most, "{declared}");
    assert!(started <= most, "{started}");
    let deleted = folder.measured(|broker| {
        let mut last = None;
        for n in 0..scaled(QUEUES) {
            last = broker.delete(&format!("queue-{n}"));
        }
        broker.wait(last);
        broker.core.checkpoint().unwrap();
    });
    let left = each(deleted.saturating_sub(empty));
    println!("{kind}: {left} B each left when they are deleted");
    assert!(left <= BYTES / 20, "{left}");
}

#[test]
fn an_idle_queue_takes_at_most_2_kib_and_gives_them_back() {
    assert_small("amqp", BYTES, amqp);
    assert_small("amqp with dead letters", BYTES, with_dead_letters);
    assert_small("sqs", BYTES, sqs);
}

#[test]
fn one_of_many_queues_is_deleted_without_a_look_at_the_bindings_of_others() {
    let folder = Folder::new();
    let broker = folder.open();
    declare_many(&broker, amqp);
    for n in 0..scaled(QUEUES) {
        broker.bind("amq.topic", &format!("queue-{n}"), &format!("key.{n}"));
    }
    let start = Instant::now();
    for n in 0..scaled(QUEUES) {
        broker.delete(&format!("queue-{n}"));
    }
    // A look at each other binding for each is 100 million of them.
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert_eq!(broker.vhost.queues_from("", 1).len(), 0);
}
