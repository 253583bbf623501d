//! The core over the memory store: what a session may rely on.

use std::sync::Arc;

use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::Declared;
use viaduct::core::declare::DeleteIf;
use viaduct::core::events::CoreEvent;
use viaduct::core::events::Observer;
use viaduct::core::formats::Formats;
use viaduct::core::inbox::Event;
use viaduct::core::inbox::Inbox;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::batch::MessageBatch;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::overlay::Cause;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::Queue;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::entry::Delivery;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::queue::take::Took;
use viaduct::core::topology::Vhost;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;

pub const T0: CoreTime = CoreTime::from_ms(1_000_000);

pub struct Broker {
    pub store: Arc<MemoryStore>,
    pub core: Core,
    pub vhost: Arc<Vhost>,
}

impl Broker {
    fn on(store: Arc<MemoryStore>) -> Self {
        let settings = Settings::new(1 << 30);
        let metrics = Arc::new(Metrics::new());
        let (core, _) = Core::open(store.clone(), Formats::new(), metrics, &settings, T0).unwrap();
        let vhost = core.vhost("/").unwrap();
        Self { store, core, vhost }
    }

    pub fn new() -> Self {
        Self::on(MemoryStore::new(1))
    }

    pub fn restart(self) -> Self {
        Self::on(self.store.reopened())
    }

    pub fn queue(&self, name: &str, settings: QueueSettings) -> Arc<Queue> {
        let name = QueueName::parse(name).unwrap();
        match self
            .core
            .declare_queue(&self.vhost, &name, || settings, T0)
            .unwrap()
            .value
        {
            Declared::Created(queue) | Declared::Existing(queue) => queue,
        }
    }

    pub fn batch(&self, key: &str, bodies: &[&[u8]], durable: bool) -> MessageBatch {
        let mut builder = BatchBuilder::new();
        for body in bodies {
            let mut draft = Draft::new(FormatId(1), b"head", "", key.as_bytes());
            draft.body = DraftBody::Copied(body);
            draft.durable = durable;
            builder.push(draft);
        }
        builder.finish(&Arc::default(), T0, self.core.budget())
    }

    fn publish(&self, key: &str, bodies: &[&[u8]], now: CoreTime) {
        let batch = self.batch(key, bodies, true);
        let route = self
            .vhost
            .route("", key.as_bytes(), &mut || unreachable!())
            .unwrap();
        self.core
            .publish(&batch, 0..bodies.len(), &route, now)
            .unwrap();
    }

    pub fn take(&self, queue: &Arc<Queue>, n: usize, lease: Lease, now: CoreTime) -> Vec<Delivery> {
        let mut out = Vec::new();
        crate::process::eventually("what is loading has come", || {
            let terms = Terms {
                lease,
                entries: n - out.len(),
                bytes: usize::MAX,
                wait: false,
            };
            match self.core.take_once(queue, terms, now, &mut out).unwrap() {
                Took::Loading => None,
                Took::Entries { more } => (!more || out.len() == n).then_some(()),
                Took::Nothing | Took::Gone => Some(()),
            }
        });
        out
    }

    pub fn bodies(&self, queue: &Arc<Queue>) -> Vec<String> {
        let taken = self.take(queue, 100, Lease::Settled, T0 + 1_000_000);
        taken
            .iter()
            .map(|d| String::from_utf8(d.message.body_bytes().to_vec()).unwrap())
            .collect()
    }
}

pub fn lease(delivery: &Delivery) -> LeaseRef {
    LeaseRef {
        seq: delivery.seq,
        attempt: delivery.attempt,
    }
}

#[test]
fn a_released_entry_returns_to_its_old_place() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a", b"b", b"c"], T0);
    let taken = broker.take(&queue, 2, Lease::Link, T0);
    assert!(!taken[0].is_redelivered());
    broker
        .core
        .settle(&queue, &[lease(&taken[1])], Outcome::Accept, T0)
        .unwrap();
    broker
        .core
        .settle(
            &queue,
            &[lease(&taken[0])],
            Outcome::Release { counted: true },
            T0,
        )
        .unwrap();
    let again = broker.take(&queue, 10, Lease::Link, T0);
    assert_eq!(
        again
            .iter()
            .map(|d| d.message.body_bytes())
            .collect::<Vec<_>>(),
        [&b"a"[..], b"c"]
    );
    assert!(again[0].is_redelivered() && again[0].failed == 1 && !again[1].is_redelivered());
}

#[test]
fn a_restart_keeps_what_was_durable_and_not_accepted() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a", b"b", b"c"], T0);
    broker
        .core
        .publish(
            &broker.batch("q", &[b"transient"], false),
            0..1,
            &broker
                .vhost
                .route("", b"q", &mut || unreachable!())
                .unwrap(),
            T0,
        )
        .unwrap();
    let big = vec![b'x'; 3 * 1024 * 1024];
    broker.publish("q", &[&big], T0);
    let taken = broker.take(&queue, 2, Lease::Link, T0);
    broker
        .core
        .settle(&queue, &[lease(&taken[0])], Outcome::Accept, T0)
        .unwrap();
    let broker = broker.restart();
    let queue = broker.vhost.queue("q").unwrap();
    let taken = broker.take(&queue, 10, Lease::Link, T0);
    let bodies: Vec<_> = taken.iter().map(|d| d.message.body_bytes()).collect();
    assert_eq!(bodies, [&b"b"[..], b"c", &big]);
    assert!(
        taken[0].is_redelivered(),
        "after an unclean stop everything may have been seen"
    );
}

#[test]
fn a_lapsed_deadline_counts_and_a_late_delete_still_deletes() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a"], T0);
    let first = broker.take(&queue, 1, Lease::Deadline(T0 + 30_000), T0);
    assert!(broker.take(&queue, 1, Lease::Link, T0 + 29_999).is_empty());
    assert_eq!(broker.core.next_due(), Some(T0 + 30_000));
    broker.core.tick(T0 + 30_000).unwrap();
    let second = broker.take(&queue, 1, Lease::Deadline(T0 + 60_000), T0 + 30_000);
    assert_eq!(
        (
            second[0].failed,
            second[0].attempt,
            second[0].first_received
        ),
        (1, 2, Some(T0))
    );
    let late = broker
        .core
        .settle(&queue, &[lease(&first[0])], Outcome::Accept, T0 + 31_000)
        .unwrap();
    assert_eq!(late.settled, 1);
    assert_eq!(queue.counts().leased, 0);
}

#[test]
fn a_lease_with_a_deadline_survives_a_restart() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a", b"b"], T0);
    let taken = broker.take(&queue, 1, Lease::Deadline(T0 + 30_000), T0);
    let lsn = taken[0].lsn.unwrap();
    let broker = broker.restart();
    let queue = broker.vhost.queue("q").unwrap();
    assert_eq!(broker.bodies(&queue), ["b"]);
    let seq = broker.core.restored(&queue, lsn).unwrap();
    let named = LeaseRef {
        seq,
        attempt: taken[0].attempt,
    };
    assert_eq!(
        broker
            .core
            .settle(&queue, &[named], Outcome::Accept, T0)
            .unwrap()
            .settled,
        1
    );
    assert_eq!(queue.counts().leased, 0);
}

#[test]
fn a_dead_letter_moves_and_remembers_where_it_died() {
    let broker = Broker::new();
    let dead = broker.queue("dead", QueueSettings::new(true));
    let mut settings = QueueSettings::new(true);
    settings.dead_letter.insert(
        Cause::Rejected,
        DeadLetterTarget::Exchange {
            exchange: viaduct::core::model::names::ExchangeName::default_exchange(),
            routing_key: Some(b"dead".to_vec()),
        },
    );
    let queue = broker.queue("q", settings);
    broker.publish("q", &[b"a"], T0);
    let id = broker.take(&queue, 1, Lease::Link, T0);
    broker
        .core
        .settle(&queue, &[lease(&id[0])], Outcome::Reject, T0)
        .unwrap();
    assert_eq!(queue.counts().leased + queue.counts().ready, 0);
    let broker = broker.restart();
    let dead = broker.vhost.queue(dead.name().as_str()).unwrap();
    let letter = broker.take(&dead, 1, Lease::Link, T0).remove(0);
    let overlay = letter.overlay.unwrap();
    assert_eq!(overlay.deaths[0].queue.as_str(), "q");
    assert_eq!(
        (overlay.deaths[0].cause, overlay.deaths[0].count),
        (Cause::Rejected, 1)
    );
    assert_eq!(
        letter.message.id(broker.core.identity()),
        id[0].message.id(broker.core.identity())
    );
    assert_eq!(broker.vhost.queue("q").unwrap().counts().ready, 0);
}

#[test]
fn a_long_chain_of_full_queues_moves_without_recursion() {
    let broker = Broker::new();
    let n = 3000;
    for i in (0..n).rev() {
        let mut settings = QueueSettings::new(false);
        settings.max_length = Some(1);
        settings.dead_letter.insert(
            Cause::MaxLength,
            DeadLetterTarget::Queue(format!("q{}", i + 1)),
        );
        broker.queue(&format!("q{i}"), settings);
        broker.publish(&format!("q{i}"), &[b"x"], T0);
    }
    broker.publish("q0", &[b"y"], T0);
    let q0 = broker.vhost.queue("q0").unwrap();
    assert_eq!(broker.bodies(&q0), ["y"]);
    assert_eq!(
        broker
            .vhost
            .queue(&format!("q{}", n - 1))
            .unwrap()
            .counts()
            .ready,
        1
    );
}

#[test]
fn a_push_wakes_the_longest_waiting_consumer_once() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    let (a, b) = (Inbox::new(), Inbox::new());
    let (ca, cb) = (
        broker.core.subscribe(&queue, &a, 7, true).unwrap(),
        broker.core.subscribe(&queue, &b, 8, true).unwrap(),
    );
    let terms = Terms {
        lease: Lease::Link,
        entries: 10,
        bytes: 1000,
        wait: true,
    };
    let mut out = Vec::new();
    assert_eq!(
        broker.core.take(&ca, terms, T0, &mut out).unwrap(),
        Took::Nothing
    );
    assert_eq!(
        broker.core.take(&cb, terms, T0, &mut out).unwrap(),
        Took::Nothing
    );
    broker.publish("q", &[b"1", b"2", b"3", b"4"], T0);
    assert_eq!((a.try_next(), b.try_next()), (Some(Event::Ready(7)), None));
    assert_eq!(
        broker.core.take(&ca, terms, T0, &mut out).unwrap(),
        Took::Entries { more: true }
    );
    assert_eq!(out.len(), 2, "the other one gets its part");
    assert_eq!(b.try_next(), Some(Event::Ready(8)));
    broker.core.unsubscribe(cb);
    assert_eq!(
        broker.core.take(&ca, terms, T0, &mut out).unwrap(),
        Took::Entries { more: false }
    );
}

#[test]
fn expired_entries_go_by_themselves() {
    let broker = Broker::new();
    let mut settings = QueueSettings::new(true);
    settings.message_ttl_ms = Some(500);
    let queue = broker.queue("q", settings);
    broker.publish("q", &[b"a"], T0);
    assert_eq!(broker.core.next_due(), Some(T0 + 500));
    broker.core.tick(T0 + 499).unwrap();
    assert_eq!(queue.counts().ready, 1);
    broker.core.tick(T0 + 500).unwrap();
    assert_eq!(queue.counts().ready, 0);
}

#[test]
fn a_time_to_live_leaves_a_dead_letter_and_a_retention_does_not() {
    let broker = Broker::new();
    let dead = broker.queue("dead", QueueSettings::new(true));
    let mut settings = QueueSettings::new(true);
    settings.retention_ms = Some(500);
    let exchange = viaduct::core::model::names::ExchangeName::default_exchange();
    let target = DeadLetterTarget::Exchange {
        exchange,
        routing_key: Some(b"dead".to_vec()),
    };
    settings.dead_letter.insert(Cause::Expired, target);
    let retained = broker.queue("retained", settings.clone());
    settings.message_ttl_ms = Some(400);
    let short_lived = broker.queue("short-lived", settings);
    broker.publish("retained", &[b"forgotten"], T0);
    broker.publish("short-lived", &[b"expired"], T0);
    broker.core.tick(T0 + 400).unwrap();
    assert_eq!(retained.counts().ready, 1, "the two are independent");
    assert_eq!((short_lived.counts().ready, dead.counts().ready), (0, 1));
    broker.core.tick(T0 + 500).unwrap();
    assert_eq!((retained.counts().ready, dead.counts().ready), (0, 1));
}

#[test]
fn the_memory_alarm_follows_the_budget() {
    let store = MemoryStore::new(1);
    let settings = Settings::new(10_000);
    let (core, _) = Core::open(
        store.clone(),
        Formats::new(),
        Arc::new(Metrics::new()),
        &settings,
        T0,
    )
    .unwrap();
    let vhost = core.vhost("/").unwrap();
    let broker = Broker { store, core, vhost };
    let queue = broker.queue("q", QueueSettings::new(true));
    let inbox = Inbox::new();
    broker.core.watch_alarms(&inbox);
    broker.publish("q", &[&[b'x'; 20_000]], T0);
    assert!(broker.core.alarms().memory());
    assert_eq!(inbox.try_next(), Some(Event::AlarmsChanged));
    let taken = broker.take(&queue, 1, Lease::Link, T0);
    let leases: Vec<_> = taken.iter().map(lease).collect();
    drop(taken);
    broker
        .core
        .settle(&queue, &leases, Outcome::Accept, T0)
        .unwrap();
    assert!(!broker.core.alarms().any());
    assert_eq!(inbox.try_next(), Some(Event::AlarmsChanged));
}

#[test]
fn chunks_without_their_publish_spoil_nothing() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    let body = vec![7; 5 * 1024 * 1024];
    broker.store.hold();
    broker.publish("q", &[&body], T0);
    // The first chunks are on disk, the publish is not: settled now, it never will be.
    for number in 1..=6 {
        broker
            .store
            .release_upto(viaduct::core::model::ids::Shard(0), number);
    }
    assert_eq!(broker.take(&queue, 1, Lease::Settled, T0).len(), 1);
    broker.store.release();
    broker.publish("q", &[&body], T0);
    let broker = broker.restart();
    let queue = broker.vhost.queue("q").unwrap();
    assert_eq!(broker.take(&queue, 9, Lease::Link, T0).len(), 1);
}

#[test]
fn a_deeply_nested_declaration_survives_a_restart() {
    let broker = Broker::new();
    let mut settings = QueueSettings::new(true);
    let nested = (0..60).fold(
        serde_json::json!(1),
        |inner, _| serde_json::json!({"map": [["k", inner]]}),
    );
    settings.vocabulary.insert("amqp091", &nested);
    broker.queue("q", settings);
    broker.publish("q", &[b"a"], T0);
    let broker = broker.restart();
    assert_eq!(broker.vhost.queue("q").unwrap().counts().ready, 1);
}

#[test]
fn a_crash_after_a_clean_stop_is_a_crash() {
    let broker = Broker::new();
    broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a"], T0);
    broker.core.close(T0).unwrap();
    let broker = broker.restart();
    let queue = broker.vhost.queue("q").unwrap();
    assert!(!broker.take(&queue, 1, Lease::Link, T0)[0].is_redelivered());
    let broker = broker.restart();
    let queue = broker.vhost.queue("q").unwrap();
    assert!(broker.take(&queue, 1, Lease::Link, T0)[0].is_redelivered());
}

#[test]
fn a_consumer_that_vanishes_hands_its_wake_on() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    let (a, b) = (Inbox::new(), Inbox::new());
    let terms = Terms {
        lease: Lease::Link,
        entries: 10,
        bytes: 1000,
        wait: true,
    };
    let ca = broker.core.subscribe(&queue, &a, 1, true).unwrap();
    let cb = broker.core.subscribe(&queue, &b, 2, true).unwrap();
    for consumer in [&ca, &cb] {
        assert_eq!(
            broker
                .core
                .take(consumer, terms, T0, &mut Vec::new())
                .unwrap(),
            Took::Nothing
        );
    }
    broker.publish("q", &[b"1"], T0);
    assert_eq!((a.try_next(), b.try_next()), (Some(Event::Ready(1)), None));
    drop(ca);
    assert_eq!(b.try_next(), Some(Event::Ready(2)));
}

#[test]
fn a_durable_message_in_a_transient_queue_dies_into_a_durable_one_durably() {
    let broker = Broker::new();
    broker.queue("dead", QueueSettings::new(true));
    let mut settings = QueueSettings::new(false);
    settings
        .dead_letter
        .insert(Cause::Rejected, DeadLetterTarget::Queue("dead".into()));
    let queue = broker.queue("q", settings);
    broker.publish("q", &[b"a"], T0);
    let taken = broker.take(&queue, 1, Lease::Link, T0);
    broker
        .core
        .settle(&queue, &[lease(&taken[0])], Outcome::Reject, T0)
        .unwrap();
    let broker = broker.restart();
    let dead = broker.vhost.queue("dead").unwrap();
    assert_eq!(broker.bodies(&dead), ["a"]);
}

/// Writes down what it is told.
#[derive(Default)]
pub struct Witness(pub parking_lot::Mutex<Vec<(u64, CoreEvent)>>);

impl Observer for Witness {
    fn event(&self, number: u64, event: &CoreEvent) {
        self.0.lock().push((number, event.clone()));
    }
}

#[test]
fn observers_hear_everything_in_order() {
    let broker = Broker::new();
    let witness = Arc::new(Witness::default());
    broker.core.observe(witness.clone());
    let queue = broker.queue("q", QueueSettings::new(true));
    let consumer = broker
        .core
        .subscribe(&queue, &Inbox::new(), 1, true)
        .unwrap();
    broker.core.unsubscribe(consumer);
    broker.core.set_disk_alarm(true);
    broker.core.set_disk_alarm(true);
    broker
        .core
        .delete_queue(&broker.vhost, &queue, DeleteIf::default(), T0)
        .unwrap();
    let (vhost, name) = (broker.vhost.name().clone(), queue.name().clone());
    let heard = witness.0.lock().clone();
    let first = heard[0].0;
    let expected = [
        CoreEvent::QueueCreated(vhost.clone(), name.clone()),
        CoreEvent::Consumers(vhost.clone(), name.clone(), 1),
        CoreEvent::Consumers(vhost.clone(), name.clone(), 0),
        CoreEvent::Alarms(broker.core.alarms()),
        CoreEvent::QueueDeleted(vhost, name),
    ];
    assert_eq!(heard, (first..).zip(expected).collect::<Vec<_>>());
}

#[test]
fn a_repeated_settle_is_the_same_promise() {
    let broker = Broker::new();
    let queue = broker.queue("q", QueueSettings::new(true));
    broker.publish("q", &[b"a"], T0);
    let taken = broker.take(&queue, 1, Lease::Deadline(T0 + 30_000), T0);
    broker.store.hold();
    let settle = || {
        broker
            .core
            .settle(&queue, &[lease(&taken[0])], Outcome::Accept, T0)
            .unwrap()
    };
    let (first, again) = (settle(), settle());
    assert_eq!((first.settled, again.gone), (1, 1));
    assert_eq!(first.lsn, again.lsn);
    assert!(!broker.core.is_durable(again.lsn.unwrap()));
    let purged = broker.core.purge(&queue, Purge::All, T0).unwrap();
    assert_eq!((purged.value, purged.lsn), (0, first.lsn));
}

#[test]
fn two_queues_may_be_each_others_dead_letter_queue_by_receives() {
    let broker = Broker::new();
    let settings = |other: &str| {
        let mut settings = QueueSettings::new(true);
        settings.receive_limit = Some(1);
        settings
            .dead_letter
            .insert(Cause::ReceiveLimit, DeadLetterTarget::Queue(other.into()));
        settings
    };
    let queues = [
        broker.queue("a", settings("b")),
        broker.queue("b", settings("a")),
    ];
    broker.publish("a", &[b"x"], T0);
    for round in 0..40 {
        let queue = &queues[round % 2];
        let taken = broker.take(queue, 1, Lease::Link, T0);
        let release = Outcome::Release { counted: true };
        broker
            .core
            .settle(queue, &[lease(&taken[0])], release, T0)
            .unwrap();
        assert!(
            broker.take(queue, 1, Lease::Link, T0).is_empty(),
            "moved to the other"
        );
    }
}
