//! The core from several threads at once: what no single-threaded sequence can show is that locks are
//! taken in one order, and that what threads do to the same entries is done once.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::DeleteIf;
use viaduct::core::formats::Formats;
use viaduct::core::log::store::Store;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Producer;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::overlay::Cause;
use viaduct::core::model::time::CoreTime;
use viaduct::core::model::value::Properties;
use viaduct::core::queue::Counts;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::dead_letters::DeadLetters;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::route::binding::BindingArguments;
use viaduct::core::topology::Vhost;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;

use crate::operation::QUEUES;

const THREADS: u64 = 4;

/// What each thread does.
const OPERATIONS: u64 = 4_000;

/// Longer than a loaded machine takes: who is not done by then waits for ever.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
struct Shared {
    core: Core,
    vhost: Arc<Vhost>,
    now: Arc<AtomicU64>,
}

fn open(store: &Arc<MemoryStore>) -> Shared {
    let settings = Settings::new(1 << 30);
    let (now, metrics) = (CoreTime::from_ms(1), Arc::new(Metrics::new()));
    let store = Arc::clone(store) as Arc<dyn Store>;
    let (core, now) = Core::open(store, Formats::new(), metrics, &settings, now).unwrap();
    Shared {
        vhost: core.vhost("/").unwrap(),
        core,
        now: Arc::new(AtomicU64::new(now.as_ms())),
    }
}

/// Numbers without a pattern, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % limit
    }
}

impl Shared {
    fn time(&self) -> CoreTime {
        CoreTime::from_ms(self.now.load(Ordering::Relaxed))
    }

    fn act(&self, numbers: &mut Numbers) {
        let name = QUEUES[numbers.below(QUEUES.len())];
        match numbers.below(40) {
            0 => self.declare(name, numbers),
            1 => self.delete(name),
            2 => self.update(name, numbers),
            3 => self.purge(name, [Purge::Ready, Purge::All][numbers.below(2)]),
            4 => self.bind(name),
            5..=7 => {
                let at = self.now.fetch_add(1, Ordering::Relaxed);
                self.core.tick(CoreTime::from_ms(at)).unwrap();
            }
            8..=22 => self.publish(name, numbers),
            _ => self.take_and_settle(name, numbers),
        }
    }

    fn declare(&self, name: &str, numbers: &mut Numbers) {
        let (name, settings) = (QueueName::parse(name).unwrap(), settings(numbers));
        self.core
            .declare_queue(&self.vhost, &name, || settings, self.time())
            .unwrap();
    }

    fn delete(&self, name: &str) {
        if let Ok(queue) = self.vhost.queue(name) {
            // Another thread may have been faster.
            let only = DeleteIf::default();
            let _ = self
                .core
                .delete_queue(&self.vhost, &queue, only, self.time());
        }
    }

    fn update(&self, name: &str, numbers: &mut Numbers) {
        if let Ok(queue) = self.vhost.queue(name) {
            let other = settings(numbers);
            let change = |settings: &mut QueueSettings| settings.clone_from(&other);
            let _ = self.core.update_queue(&queue, change, self.time());
        }
    }

    fn purge(&self, name: &str, purge: Purge) {
        if let Ok(queue) = self.vhost.queue(name) {
            self.core.purge(&queue, purge, self.time()).unwrap();
        }
    }

    fn bind(&self, name: &str) {
        let exchange = ExchangeName::parse("amq.fanout").unwrap();
        let name = QueueName::parse(name).unwrap();
        let none = BindingArguments::default();
        let _ = self
            .core
            .bind(&self.vhost, &exchange, &name, b"", &none, self.time());
    }

    fn publish(&self, key: &str, numbers: &mut Numbers) {
        let exchange = ["", "amq.fanout"][numbers.below(2)];
        let properties = Properties::default();
        let route = self
            .vhost
            .route(exchange, key.as_bytes(), &mut || &properties)
            .unwrap();
        let mut builder = BatchBuilder::new();
        for _ in 0..=numbers.below(3) {
            builder.push(Draft {
                durable: numbers.below(4) > 0,
                expiration_ms: (numbers.below(5) == 0).then_some(3),
                ..Draft::new(FormatId(1), b"", exchange, key.as_bytes())
            });
        }
        let messages = builder.len();
        let producer = Arc::new(Producer::default());
        let batch = builder.finish(&producer, self.time(), self.core.budget());
        self.core
            .publish(&batch, 0..messages, &route, self.time())
            .unwrap();
    }

    fn take_and_settle(&self, name: &str, numbers: &mut Numbers) {
        let Ok(queue) = self.vhost.queue(name) else {
            return;
        };
        let until = self.time() + 2;
        let terms = Terms {
            lease: [Lease::Link, Lease::Deadline(until), Lease::Settled][numbers.below(3)],
            entries: 3,
            bytes: usize::MAX,
            wait: false,
        };
        let mut taken = Vec::new();
        self.core
            .take_once(&queue, terms, self.time(), &mut taken)
            .unwrap();
        if terms.lease == Lease::Settled {
            return;
        }
        let leases: Vec<LeaseRef> = taken
            .iter()
            .map(|delivery| LeaseRef {
                seq: delivery.seq,
                attempt: delivery.attempt,
            })
            .collect();
        let outcome = match numbers.below(4) {
            0 => Outcome::Reject,
            1 => Outcome::Release { counted: true },
            _ => Outcome::Accept,
        };
        self.core
            .settle(&queue, &leases, outcome, self.time())
            .unwrap();
    }
}

/// Short queues whose dead letters go round.
fn settings(numbers: &mut Numbers) -> QueueSettings {
    let everywhere = DeadLetterTarget::Exchange {
        exchange: ExchangeName::parse("amq.fanout").unwrap(),
        routing_key: None,
    };
    let next = DeadLetterTarget::Queue(QUEUES[numbers.below(QUEUES.len())].to_owned());
    QueueSettings {
        max_length: Some(4),
        delivery_limit: Some(1),
        dead_letter: DeadLetters::from([
            (Cause::Rejected, next.clone()),
            (Cause::MaxLength, next),
            (Cause::Expired, everywhere.clone()),
            (Cause::DeliveryLimit, everywhere),
        ]),
        ..QueueSettings::new(true)
    }
}

#[test]
fn threads_neither_wait_for_each_other_for_ever_nor_leave_anything_behind() {
    let store = MemoryStore::with_segments(1, 4 * 1024);
    let shared = open(&store);
    let mut numbers = Numbers(1);
    for name in QUEUES {
        shared.declare(name, &mut numbers);
        shared.bind(name);
    }
    let (done, all_done) = mpsc::channel();
    for thread in 1..=THREADS {
        let (shared, done) = (shared.clone(), done.clone());
        std::thread::spawn(move || {
            let mut numbers = Numbers(thread * 0x9E37_79B9);
            for _ in 0..OPERATIONS {
                shared.act(&mut numbers);
            }
            done.send(()).unwrap();
        });
    }
    for _ in 0..THREADS {
        // An error is a thread that panicked, or one that waits for ever.
        all_done.recv_timeout(PATIENCE).unwrap();
    }
    for name in QUEUES {
        shared.purge(name, Purge::All);
    }
    for queue in shared.vhost.queues_from("", 100) {
        assert_eq!(queue.counts(), Counts::default(), "{}", queue.name());
    }
    assert_eq!(store.space().references, 0);
    let again = store.reopened();
    let shared = open(&again);
    for queue in shared.vhost.queues_from("", 100) {
        assert_eq!(queue.counts(), Counts::default(), "{}", queue.name());
    }
    assert_eq!(again.space().references, 0);
}
