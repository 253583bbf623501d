//! Runs operations against both, and compares.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::Declared;
use viaduct::core::declare::DeleteIf;
use viaduct::core::error::CoreError;
use viaduct::core::formats::Formats;
use viaduct::core::inbox::Event;
use viaduct::core::inbox::Inbox;
use viaduct::core::log::store::Store;
use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::message::FormatId;
use viaduct::core::model::message::Producer;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::model::value::Properties;
use viaduct::core::queue::Consumer;
use viaduct::core::queue::Counts;
use viaduct::core::queue::Queue;
use viaduct::core::queue::clear::Purge;
use viaduct::core::queue::entry::Delivery;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Lease;
use viaduct::core::queue::take::Terms;
use viaduct::core::queue::take::Took;
use viaduct::core::route::binding::BindingArguments;
use viaduct::core::route::exchange::ExchangeKind;
use viaduct::core::route::exchange::ExchangeSettings;
use viaduct::core::topology::Vhost;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::DropReason;
use viaduct::telemetry::Label;
use viaduct::telemetry::Metrics;

use crate::operation::EXCHANGES;
use crate::operation::How;
use crate::operation::KEYS;
use crate::operation::Kind;
use crate::operation::Operation;
use crate::operation::QUEUES;
use crate::operation::Spec;
use crate::operation::TARGETS;
use crate::operation::Want;
use crate::reference::Id;
use crate::reference::Message;
use crate::reference::Overlay;
use crate::reference::Reference;
use crate::reference::Taken;

/// Where core time starts, so that nothing is due at zero.
const START_MS: u64 = 1_000_000;

/// So few that segments are recycled all the time.
const SEGMENT_BYTES: usize = 512;

/// Runs a sequence; panics where core and reference differ.
pub(crate) fn run(shards: u8, operations: &[Operation]) {
    let mut world = World::new(shards);
    for operation in operations {
        world.operate(operation);
        world.compare();
    }
    world.empty();
}

struct World {
    store: Arc<MemoryStore>,
    core: Core,
    metrics: Arc<Metrics>,
    vhost: Arc<Vhost>,
    reference: Reference,
    /// What an unclean restart finds while nothing reaches the disk.
    held: Option<Reference>,
    now: u64,
    /// Of the last message.
    number: u32,
    /// Of the last consumer.
    last_consumer: usize,
    consumers: Vec<Tap>,
    leases: Vec<Held>,
}

/// A consumer.
struct Tap {
    id: usize,
    queue: Id,
    name: &'static str,
    visible: bool,
    consumer: Consumer,
    inbox: Arc<Inbox>,
    /// Was told that there are entries, and has not taken since.
    woken: bool,
}

/// A lease, or what is left of one.
#[derive(Clone)]
struct Held {
    queue: Id,
    name: &'static str,
    core: LeaseRef,
    reference: (u64, u16),
    lsn: Option<Lsn>,
    log: Option<u64>,
    by_link: bool,
}

/// What a taker sees of an entry.
#[derive(Debug, PartialEq)]
struct Seen {
    number: u32,
    attempt: u16,
    failed: u16,
    in_log: bool,
    overlay: Overlay,
    without_expiration: bool,
    first_received: Option<u64>,
}

impl Seen {
    fn by_core(delivery: &Delivery) -> Self {
        let overlay = delivery.overlay.as_deref().cloned().unwrap_or_default();
        let deaths = overlay.deaths.iter();
        let without_expiration = overlay.without_expiration;
        let routed = overlay.routed.as_ref().map(|(exchange, key)| {
            let key = String::from_utf8(key.clone()).unwrap();
            (exchange.to_string(), key)
        });
        let overlay = Overlay {
            routed,
            deaths: deaths
                .map(|d| (d.queue.to_string(), d.cause, d.count))
                .collect(),
            first: overlay.first_death.map(|first| {
                (
                    first.queue.to_string(),
                    first.cause,
                    first.exchange.to_string(),
                )
            }),
            hops: overlay.hops,
        };
        Self {
            number: number_of(delivery),
            attempt: delivery.attempt,
            failed: delivery.failed,
            in_log: delivery.lsn.is_some(),
            overlay,
            without_expiration,
            first_received: delivery.first_received.map(CoreTime::as_ms),
        }
    }

    fn by_reference(taken: &Taken) -> Self {
        Self {
            number: taken.number,
            attempt: taken.attempt,
            failed: taken.failed,
            in_log: taken.log.is_some(),
            overlay: taken.overlay.clone(),
            without_expiration: taken.overlay.has_died(),
            first_received: taken.first_received,
        }
    }
}

/// The number that a message's body starts with.
fn number_of(delivery: &Delivery) -> u32 {
    let body = delivery.message.body_bytes();
    u32::from_be_bytes(body[..4].try_into().unwrap())
}

fn open(store: &Arc<MemoryStore>, now: u64) -> (Core, Arc<Metrics>, Arc<Vhost>) {
    let metrics = Arc::new(Metrics::new());
    let settings = Settings {
        memory_budget_bytes: 1 << 30,
    };
    let store = Arc::clone(store) as Arc<dyn Store>;
    let now = CoreTime::from_ms(now);
    let (core, _) =
        Core::open(store, Formats::new(), Arc::clone(&metrics), &settings, now).unwrap();
    let vhost = core.vhost("/").unwrap();
    (core, metrics, vhost)
}

impl World {
    fn new(shards: u8) -> Self {
        let store = MemoryStore::with_segments(shards, SEGMENT_BYTES);
        let (core, metrics, vhost) = open(&store, START_MS);
        Self {
            store,
            core,
            metrics,
            vhost,
            reference: Reference::default(),
            held: None,
            now: START_MS,
            number: 0,
            last_consumer: 0,
            consumers: Vec::new(),
            leases: Vec::new(),
        }
    }

    fn time(&self) -> CoreTime {
        CoreTime::from_ms(self.now)
    }

    /// A queue, if both say that it is there.
    fn queue(&self, name: &str) -> Option<(Arc<Queue>, Id)> {
        let (core, id) = (self.vhost.queue(name).ok(), self.reference.id_of(name));
        assert_eq!(core.is_some(), id.is_some(), "{name}");
        Some((core?, id?))
    }

    fn operate(&mut self, operation: &Operation) {
        match operation {
            Operation::Declare { queue, settings } => self.declare(QUEUES[*queue], settings),
            Operation::Update { queue, settings } => self.update(QUEUES[*queue], settings),
            Operation::Delete {
                queue,
                only_empty,
                only_unused,
            } => {
                let only = DeleteIf {
                    unused: *only_unused,
                    empty: *only_empty,
                };
                self.delete(QUEUES[*queue], only);
            }
            Operation::Purge { queue, all } => self.purge(QUEUES[*queue], *all),
            Operation::DeclareExchange(at) => self.declare_exchange(*at),
            Operation::DeleteExchange(at) => self.delete_exchange(EXCHANGES[*at].0),
            Operation::Bind {
                exchange,
                queue,
                key,
            } => {
                self.bind(TARGETS[*exchange], QUEUES[*queue], KEYS[*key], true);
            }
            Operation::Unbind {
                exchange,
                queue,
                key,
            } => {
                self.bind(TARGETS[*exchange], QUEUES[*queue], KEYS[*key], false);
            }
            Operation::Publish {
                exchange,
                key,
                messages,
            } => {
                self.publish(TARGETS[*exchange], KEYS[*key], messages);
            }
            Operation::Subscribe { queue } => self.subscribe(QUEUES[*queue]),
            Operation::Unsubscribe { consumer } => self.unsubscribe(*consumer),
            Operation::Take { consumer, want } => self.take(*consumer, *want),
            Operation::TakeOnce { queue, want } => {
                self.take_once(QUEUES[*queue], *want);
            }
            Operation::Settle { lease, count, how } => self.settle(*lease, *count, *how),
            Operation::LinkLost { queue } => self.link_lost(QUEUES[*queue]),
            Operation::Advance { ms } => self.advance(*ms),
            Operation::Hold => self.hold(),
            Operation::ReleaseHold => {
                self.store.release();
                self.held = None;
            }
            Operation::Checkpoint => self.core.checkpoint().unwrap(),
            Operation::Restart { clean } => self.restart(*clean),
        }
    }

    fn declare(&mut self, name: &'static str, settings: &QueueSettings) {
        let known = self.queue(name);
        let parsed = QueueName::parse(name).unwrap();
        let written = self
            .core
            .declare_queue(&self.vhost, &parsed, || settings.clone(), self.time())
            .unwrap();
        match (written.value, known) {
            (Declared::Created(_), None) => {
                assert_eq!(written.lsn.is_some(), settings.durable);
                self.reference.declare(name, settings.clone());
            }
            (Declared::Existing(_), Some(_)) => {}
            (declared, _) => panic!("{declared:?}"),
        }
    }

    fn update(&mut self, name: &str, settings: &QueueSettings) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let before = self.reference.settings(id);
        // No door takes durability away, and what expires how was decided when it came.
        let settings = QueueSettings {
            durable: before.durable || settings.durable,
            retention_ms: before.retention_ms,
            ..settings.clone()
        };
        let change = |changed: &mut QueueSettings| *changed = settings.clone();
        self.core.update_queue(&queue, change, self.time()).unwrap();
        self.reference.update(id, settings.clone(), self.now);
    }

    fn delete(&mut self, name: &str, only: DeleteIf) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let deleted = self
            .core
            .delete_queue(&self.vhost, &queue, only, self.time());
        if only.unused
            && self
                .consumers
                .iter()
                .any(|tap| tap.queue == id && tap.visible)
        {
            assert!(matches!(deleted, Err(CoreError::InUse(_))));
            return;
        }
        if only.empty && self.reference.holds(id).ready > 0 {
            assert!(matches!(deleted, Err(CoreError::NotEmpty(_))));
            return;
        }
        assert_eq!(deleted.unwrap().value, self.reference.delete(id));
        self.leases.retain(|held| held.queue != id);
        for tap in self.consumers.extract_if(.., |tap| tap.queue == id) {
            assert_eq!(tap.inbox.try_next(), Some(Event::Cancelled(tap.id as u64)));
        }
    }

    fn purge(&mut self, name: &str, all: bool) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        let purge = if all { Purge::All } else { Purge::Ready };
        let purged = self.core.purge(&queue, purge, self.time()).unwrap();
        assert_eq!(purged.value, self.reference.purge(id, purge));
    }

    fn declare_exchange(&mut self, at: usize) {
        let (name, kind, durable) = EXCHANGES[at];
        let settings = || ExchangeSettings {
            kind: ExchangeKind::parse(kind).unwrap(),
            durable,
            internal: false,
            auto_delete: false,
            vocabulary: BTreeMap::new(),
        };
        let parsed = ExchangeName::parse(name).unwrap();
        let declared = self
            .core
            .declare_exchange(&self.vhost, &parsed, settings, self.time())
            .unwrap();
        let is_new = matches!(declared.value, Declared::Created(_));
        assert_eq!(is_new, !self.reference.has_exchange(name));
        self.reference.declare_exchange(name, kind, durable);
    }

    fn delete_exchange(&mut self, name: &str) {
        let parsed = ExchangeName::parse(name).unwrap();
        let only = DeleteIf::default();
        let deleted = self
            .core
            .delete_exchange(&self.vhost, &parsed, only, self.time());
        assert_eq!(deleted.is_ok(), self.reference.has_exchange(name));
        self.reference.delete_exchange(name);
    }

    fn bind(&mut self, exchange: &str, name: &str, key: &str, bind: bool) {
        let (parsed, queue) = (
            ExchangeName::parse(exchange).unwrap(),
            QueueName::parse(name).unwrap(),
        );
        let (key_bytes, none) = (key.as_bytes(), BindingArguments::default());
        let (core, vhost) = (&self.core, &self.vhost);
        let answer = match bind {
            true => core.bind(vhost, &parsed, &queue, key_bytes, &none, self.time()),
            false => core.unbind(vhost, &parsed, &queue, key_bytes, &none, self.time()),
        };
        let id = self.reference.id_of(name).filter(|_| !exchange.is_empty());
        match id.filter(|_| self.reference.has_exchange(exchange)) {
            None => assert!(answer.is_err()),
            Some(id) => {
                answer.unwrap();
                match bind {
                    true => self.reference.bind(exchange, id, key),
                    false => self.reference.unbind(exchange, id, key),
                }
            }
        }
    }

    fn publish(&mut self, exchange: &str, key: &str, messages: &[Spec]) {
        let properties = Properties::default();
        let route = self
            .vhost
            .route(exchange, key.as_bytes(), &mut || &properties);
        let Some(ids) = self.reference.route(exchange, key) else {
            assert!(matches!(route, Err(CoreError::ExchangeNotFound { .. })));
            return;
        };
        let route = route.unwrap();
        let found = route
            .queues()
            .iter()
            .map(|queue| self.reference.id_of(queue.name().as_str()));
        assert_eq!(
            found.collect::<Vec<_>>(),
            ids.iter().copied().map(Some).collect::<Vec<_>>()
        );
        let mut builder = BatchBuilder::new();
        let mut expected = Vec::new();
        for spec in messages {
            self.number += 1;
            let mut body = self.number.to_be_bytes().to_vec();
            body.resize(spec.bytes, 0);
            builder.push(Draft {
                body: DraftBody::Copied(&body),
                durable: spec.durable,
                expiration_ms: spec.expiration_ms,
                delay_ms: spec.delay_ms,
                ..Draft::new(FormatId(1), b"head", exchange, key.as_bytes())
            });
            expected.push(Rc::new(Message {
                number: self.number,
                bytes: spec.bytes as u64,
                durable: spec.durable,
                exchange: exchange.to_owned(),
                key: key.to_owned(),
                expiration_ms: spec.expiration_ms,
                delay_ms: spec.delay_ms,
                enqueued_at: self.now,
            }));
        }
        let producer = Arc::new(Producer::default());
        let batch = builder.finish(&producer, self.time(), self.core.budget());
        let published = self
            .core
            .publish(&batch, 0..messages.len(), &route, self.time())
            .unwrap();
        let (logged, refused) = self.reference.publish(&expected, &ids, self.now);
        assert_eq!(published.lsn.is_some(), logged);
        assert_eq!(published.refused.to_vec(), refused);
    }

    fn subscribe(&mut self, name: &'static str) {
        let Some((queue, id)) = self.queue(name) else {
            return;
        };
        self.last_consumer += 1;
        let consumer = self.last_consumer;
        // A waiting SQS poll is a consumer that clients do not see.
        let visible = !consumer.is_multiple_of(3);
        let inbox = Inbox::new();
        self.consumers.push(Tap {
            id: consumer,
            queue: id,
            name,
            visible,
            consumer: self
                .core
                .subscribe(&queue, &inbox, consumer as u64, visible)
                .unwrap(),
            inbox,
            woken: false,
        });
    }

    fn unsubscribe(&mut self, consumer: usize) {
        if self.consumers.is_empty() {
            return;
        }
        let tap = self.consumers.remove(consumer % self.consumers.len());
        self.core.unsubscribe(tap.consumer);
        self.reference.unsubscribe(tap.queue, tap.id);
    }

    fn terms(&self, want: Want) -> Terms {
        Terms {
            lease: match want.lease {
                Kind::Link => Lease::Link,
                Kind::Deadline { ms } => Lease::Deadline(self.time() + ms),
                Kind::Settled => Lease::Settled,
            },
            entries: want.entries,
            bytes: want.bytes,
            wait: want.wait,
        }
    }

    fn take(&mut self, consumer: usize, want: Want) {
        if self.consumers.is_empty() {
            return;
        }
        let (terms, now) = (self.terms(want), self.time());
        let at = consumer % self.consumers.len();
        let tap = &mut self.consumers[at];
        let mut out = Vec::new();
        let took = self.core.take(&tap.consumer, terms, now, &mut out).unwrap();
        tap.woken = false;
        let (id, queue, name) = (tap.id, tap.queue, tap.name);
        self.took(queue, name, Some(id), terms, took, &out);
    }

    /// Takes without a consumer, and says whether something came.
    fn take_once(&mut self, name: &'static str, want: Want) -> bool {
        let Some((queue, id)) = self.queue(name) else {
            return false;
        };
        let (terms, now) = (self.terms(want), self.time());
        let mut out = Vec::new();
        let took = self.core.take_once(&queue, terms, now, &mut out).unwrap();
        self.took(id, name, None, terms, took, &out);
        !out.is_empty()
    }

    fn took(
        &mut self,
        queue: Id,
        name: &'static str,
        consumer: Option<usize>,
        terms: Terms,
        took: Took,
        out: &[Delivery],
    ) {
        let taken = self.reference.take(queue, consumer, terms, self.now);
        let by_core: Vec<_> = out.iter().map(Seen::by_core).collect();
        let by_reference: Vec<_> = taken.iter().map(Seen::by_reference).collect();
        assert_eq!(by_core, by_reference, "taken from {name}");
        assert_eq!(out.len(), taken.len(), "taken from {name}");
        assert_eq!(matches!(took, Took::Entries { .. }), !out.is_empty());
        if terms.lease == Lease::Settled {
            return;
        }
        let leases = out.iter().zip(&taken).map(|(delivery, taken)| Held {
            queue,
            name,
            core: LeaseRef {
                seq: delivery.seq,
                attempt: delivery.attempt,
            },
            reference: (taken.seq, taken.attempt),
            lsn: delivery.lsn,
            log: taken.log,
            by_link: terms.lease == Lease::Link,
        });
        self.leases.extend(leases);
    }

    fn settle(&mut self, lease: usize, count: usize, how: How) {
        if self.leases.is_empty() {
            return;
        }
        let at = lease % self.leases.len();
        let queue = self.leases[at].queue;
        let here = self
            .leases
            .iter()
            .skip(at)
            .filter(|held| held.queue == queue);
        let held: Vec<Held> = here.take(count).cloned().collect();
        let outcome = match how {
            How::Accept => Outcome::Accept,
            How::Reject => Outcome::Reject,
            How::Release { counted } => Outcome::Release { counted },
            How::Extend { ms } => Outcome::Extend(self.time() + ms),
        };
        self.settle_all(&held, outcome);
        // Some are named again later, when they have ended.
        let ends = !matches!(how, How::Extend { .. });
        if ends && !lease.is_multiple_of(4) {
            self.forget(&held);
        }
    }

    fn settle_all(&mut self, held: &[Held], outcome: Outcome) {
        let Some(first) = held.first() else { return };
        let queue = self.vhost.queue(first.name).unwrap();
        let by_core: Vec<_> = held.iter().map(|held| held.core).collect();
        let settled = self
            .core
            .settle(&queue, &by_core, outcome, self.time())
            .unwrap();
        let by_reference: Vec<_> = held.iter().map(|held| held.reference).collect();
        let expected = self
            .reference
            .settle(first.queue, &by_reference, outcome, self.now);
        assert_eq!((settled.settled, settled.lapsed, settled.gone), expected);
    }

    fn forget(&mut self, gone: &[Held]) {
        let is_gone = |held: &Held| {
            gone.iter()
                .any(|g| g.queue == held.queue && g.core == held.core)
        };
        self.leases.retain(|held| !is_gone(held));
    }

    fn link_lost(&mut self, name: &str) {
        let here = self
            .leases
            .iter()
            .filter(|held| held.by_link && held.name == name);
        let mut held: Vec<Held> = here.cloned().collect();
        held.sort_by_key(|held| held.core.seq);
        let Some((oldest, others)) = held.split_first() else {
            return;
        };
        self.settle_all(
            std::slice::from_ref(oldest),
            Outcome::Release { counted: true },
        );
        self.settle_all(others, Outcome::Release { counted: false });
        self.forget(&held);
    }

    /// Time passes, with a tick whenever the core asks for one.
    fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        let mut ticks = 0;
        while let Some(due) = self
            .core
            .next_due()
            .map(CoreTime::as_ms)
            .filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            self.core.tick(self.time()).unwrap();
            self.reference.tick(self.now);
            self.compare();
            ticks += 1;
            assert!(ticks < 10_000, "the core asks for ticks without end");
        }
        self.now = end;
    }

    fn hold(&mut self) {
        if self.held.is_none() {
            self.store.hold();
            self.held = Some(self.reference.clone());
        }
    }

    fn restart(&mut self, clean: bool) {
        if clean {
            self.core.close(self.time()).unwrap();
            self.held = None;
        }
        if let Some(held) = self.held.take() {
            self.reference = held;
        }
        self.store = self.store.reopened();
        (self.core, self.metrics, self.vhost) = open(&self.store, self.now);
        self.reference.restart(clean, self.now);
        self.consumers.clear();
        // Leases without a holder go on; who has one names it by its entry's record.
        let leases = std::mem::take(&mut self.leases);
        for mut held in leases.into_iter().filter(|held| !held.by_link) {
            let (Some((queue, id)), Some(lsn)) = (self.queue(held.name), held.lsn) else {
                continue;
            };
            let is_same = id == held.queue;
            let by_core = self.core.restored(&queue, lsn).filter(|_| is_same);
            let by_reference = held.log.filter(|_| is_same);
            let by_reference = by_reference.and_then(|log| self.reference.leased_at(id, log));
            assert_eq!(by_core.is_some(), by_reference.is_some(), "lease of {lsn}");
            if let (Some(seq), Some(reference)) = (by_core, by_reference) {
                held.core.seq = seq;
                held.reference.0 = reference;
                self.leases.push(held);
            }
        }
    }

    /// Compares all that both say about themselves.
    fn compare(&mut self) {
        let queues = self.vhost.queues_from("", 100);
        let names: Vec<_> = queues
            .iter()
            .map(|queue| queue.name().to_string())
            .collect();
        assert_eq!(names, self.reference.names());
        for queue in &queues {
            let id = self.reference.id_of(queue.name().as_str()).unwrap();
            let holds = self.reference.holds(id);
            let consumers = self
                .consumers
                .iter()
                .filter(|tap| tap.queue == id && tap.visible);
            let expected = Counts {
                ready: holds.ready,
                ready_bytes: holds.ready_bytes,
                leased: holds.leased,
                delayed: holds.delayed,
                consumers: consumers.count() as u64,
            };
            assert_eq!(queue.counts(), expected, "{}", queue.name());
            assert_eq!(*queue.settings(), *self.reference.settings(id));
            self.compare_wakes(id, holds.ready);
        }
        for reason in DropReason::ALL {
            let dropped = self.metrics.dropped.of(*reason).get();
            assert_eq!(dropped, self.reference.drops().of(*reason), "{reason}");
        }
        // What nobody refers to gives its segment back; what somebody does must not.
        if self.held.is_none() {
            let references = self.store.space().references;
            assert_eq!(
                references,
                self.reference.references(),
                "references to the log"
            );
        }
        if let Some(due) = self.reference.next_due() {
            let asked = self.core.next_due().map(CoreTime::as_ms);
            assert!(
                asked.is_some_and(|asked| asked <= due),
                "due {due}, asked {asked:?}"
            );
        }
    }

    /// Only those who wait are woken, the longest waiting first; and where something is ready, nobody
    /// waits unless somebody else was woken.
    fn compare_wakes(&mut self, queue: Id, ready: u64) {
        let parked = self.reference.parked(queue);
        let mut woken = Vec::new();
        for tap in self.consumers.iter_mut().filter(|tap| tap.queue == queue) {
            while let Some(event) = tap.inbox.try_next() {
                assert_eq!(event, Event::Ready(tap.id as u64));
                assert!(!tap.woken, "woken twice");
                tap.woken = true;
                woken.push(tap.id);
            }
        }
        let is_woken = |id: &usize| self.consumers.iter().any(|tap| tap.id == *id && tap.woken);
        let waited: Vec<_> = parked
            .iter()
            .filter(|id| !is_woken(id) || woken.contains(id))
            .collect();
        let first: Vec<_> = waited.into_iter().take(woken.len()).copied().collect();
        woken.sort_by_key(|id| parked.iter().position(|parked| parked == id));
        assert_eq!(woken, first, "woken, of those who waited");
        if ready > 0 && !parked.is_empty() {
            assert!(
                parked.iter().any(is_woken),
                "entries, waiters, and nobody was woken"
            );
        }
    }

    /// Gives every lease back and takes everything out, which shows the order of what is left.
    fn empty(&mut self) {
        for held in std::mem::take(&mut self.leases) {
            self.settle_all(&[held], Outcome::Release { counted: false });
        }
        for ms in [0, 100, 3_000] {
            self.advance(ms);
            for name in QUEUES {
                let want = Want {
                    lease: Kind::Settled,
                    entries: 1,
                    bytes: usize::MAX,
                    wait: false,
                };
                while self.take_once(name, want) {
                    self.compare();
                }
            }
        }
        self.compare();
    }
}
