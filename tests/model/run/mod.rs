//! Runs operations against both, and compares.

mod compare;

mod messages;

mod seen;

mod topology;

use std::sync::Arc;

use parking_lot::Mutex;

use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::declare::DeleteIf;
use viaduct::core::events::CoreEvent;
use viaduct::core::events::Observer;
use viaduct::core::formats::Formats;
use viaduct::core::inbox::Inbox;
use viaduct::core::log::store::Store;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::names::VhostName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::Consumer;
use viaduct::core::queue::Queue;
use viaduct::core::queue::paging::sizes::PageSizes;
use viaduct::core::queue::settle::LeaseRef;
use viaduct::core::queue::settle::Outcome;
use viaduct::core::queue::take::Took;
use viaduct::core::topology::Vhost;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;

use crate::operation::EXCHANGES;
use crate::operation::KEYS;
use crate::operation::Kind;
use crate::operation::Operation;
use crate::operation::QUEUES;
use crate::operation::TARGETS;
use crate::operation::Want;
use crate::reference::Id;
use crate::reference::Reference;

/// Where core time starts, so that nothing is due at zero.
const START_MS: u64 = 1_000_000;

/// So few that segments are recycled all the time.
const SEGMENT_BYTES: usize = 512;

/// Runs a sequence; panics where core and reference differ.
pub(crate) fn run(shards: u8, memory: Memory, operations: &[Operation]) {
    let mut world = World::new(shards, memory);
    for operation in operations {
        let before = world.loads_and_dead_letters();
        world.operate(operation);
        if !operation.leaves_reads_open() {
            world.quiesce();
        }
        if world.is_later_than(before) {
            world.drain();
            return;
        }
        world.compare();
        if !operation.leaves_reads_open() {
            world.compare_references();
        }
    }
    world.empty();
}

/// How much memory the core has for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Memory {
    /// Everything stays, but what a restart brings back.
    Ample,
    /// Nothing that is not taken next.
    None,
}

impl Memory {
    fn settings(self) -> Settings {
        match self {
            Self::Ample => Settings::new(1 << 30),
            Self::None => Settings {
                cache_bytes: 0,
                pages: PageSizes {
                    chunk_entries: 3,
                    chunk_bytes: 40,
                    window_entries: 2,
                    window_bytes: 20,
                    piece_entries: 2,
                    piece_bytes: 20,
                    sweep_ms: 0,
                },
                ..Settings::new(1 << 30)
            },
        }
    }
}

struct World {
    memory: Memory,
    store: Arc<MemoryStore>,
    core: Core,
    metrics: Arc<Metrics>,
    /// Reads before the last restart.
    reads_before: u64,
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
    /// What the core told its observer, and what it should have.
    told: Arc<Told>,
    events: Vec<CoreEvent>,
}

/// An observer that writes down what it hears.
#[derive(Default)]
struct Told(Mutex<Vec<CoreEvent>>);

impl Observer for Told {
    fn event(&self, _number: u64, event: &CoreEvent) {
        self.0.lock().push(event.clone());
    }
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

fn open(memory: Memory, store: &Arc<MemoryStore>, now: u64) -> (Core, Arc<Metrics>, Arc<Vhost>) {
    let metrics = Arc::new(Metrics::new());
    let settings = memory.settings();
    let store = Arc::clone(store) as Arc<dyn Store>;
    let now = CoreTime::from_ms(now);
    let (core, _) =
        Core::open(store, Formats::new(), Arc::clone(&metrics), &settings, now).unwrap();
    let vhost = core.vhost("/").unwrap();
    (core, metrics, vhost)
}

impl World {
    fn new(shards: u8, memory: Memory) -> Self {
        let store = MemoryStore::with_segments(shards, SEGMENT_BYTES);
        store.answer_by_hand();
        let (core, metrics, vhost) = open(memory, &store, START_MS);
        let told = Arc::new(Told::default());
        core.observe(Arc::clone(&told) as Arc<dyn Observer>);
        Self {
            memory,
            store,
            core,
            metrics,
            reads_before: 0,
            vhost,
            reference: Reference::default(),
            held: None,
            now: START_MS,
            number: 0,
            last_consumer: 0,
            consumers: Vec::new(),
            leases: Vec::new(),
            told,
            events: Vec::new(),
        }
    }

    /// An event about a queue or an exchange of the vhost.
    fn expect<N>(&mut self, event: impl FnOnce(VhostName, N) -> CoreEvent, name: N) {
        self.events.push(event(self.vhost.name().clone(), name));
    }

    /// The consumers that clients see have changed.
    fn expect_consumers(&mut self, queue: Id, name: &str) {
        let here = self
            .consumers
            .iter()
            .filter(|tap| tap.queue == queue && tap.visible);
        let count = here.count();
        let name = QueueName::parse(name).unwrap();
        self.expect(|vhost, name| CoreEvent::Consumers(vhost, name, count), name);
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
            Operation::Squeeze => self.core.squeeze(),
            Operation::Answer => {
                self.store.answer_reads();
            }
            Operation::Restart { clean } => self.restart(*clean),
        }
    }

    /// Time passes, with a tick whenever the core asks for one.
    fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        let (reads, _) = self.loads_and_dead_letters();
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
            self.quiesce();
            if self.loads_and_dead_letters().0 == reads {
                self.compare();
            }
            ticks += 1;
            assert!(ticks < 10_000, "the core asks for ticks without end");
        }
        self.now = end;
    }

    fn hold(&mut self) {
        // A read waits for the disk: without memory nothing could be taken.
        if self.held.is_none() && self.memory == Memory::Ample {
            self.store.hold();
            self.held = Some(self.reference.clone());
        }
    }

    fn restart(&mut self, clean: bool) {
        let before = self.loads_and_dead_letters();
        if clean {
            self.core.close(self.time()).unwrap();
            self.held = None;
        }
        if let Some(held) = self.held.take() {
            let buried = self.reference.buried;
            self.reference = held;
            self.reference.buried = buried;
        }
        self.reads_before += self.metrics.page_reads.get();
        self.store = self.store.reopened();
        (self.core, self.metrics, self.vhost) = open(self.memory, &self.store, self.now);
        self.core
            .observe(Arc::clone(&self.told) as Arc<dyn Observer>);
        self.reference.restart(clean, self.now);
        self.consumers.clear();
        self.quiesce();
        if self.is_later_than(before) {
            self.leases.clear();
            return;
        }
        // Leases without a holder go on; who has one names it by its entry's record.
        let leases = std::mem::take(&mut self.leases);
        for mut held in leases.into_iter().filter(|held| !held.by_link) {
            let (Some((queue, id)), Some(lsn)) = (self.queue(held.name), held.lsn) else {
                continue;
            };
            let is_same = id == held.queue;
            let by_core = self.core.restored(&queue, lsn).filter(|_| is_same);
            let by_reference = held.log.filter(|_| is_same);
            let by_reference = by_reference.and_then(|log| self.reference.named_at(id, log));
            assert_eq!(by_core.is_some(), by_reference.is_some(), "lease of {lsn}");
            if let (Some(seq), Some(reference)) = (by_core, by_reference) {
                held.core.seq = seq;
                held.reference.0 = reference;
                self.leases.push(held);
            }
        }
    }

    fn loads_and_dead_letters(&self) -> (u64, u64) {
        let reads = self.reads_before + self.metrics.page_reads.get();
        (reads, self.reference.buried)
    }

    /// Whether there were reads and dead letters since. One whose message had to be read arrives later than
    /// others: not what the reference says, which knows of no disk.
    fn is_later_than(&self, before: (u64, u64)) -> bool {
        let after = self.loads_and_dead_letters();
        after.0 > before.0 && after.1 > before.1
    }

    /// Answers reads and gives turns until nothing is under way.
    fn quiesce(&mut self) {
        let mut rounds = 0;
        loop {
            let answered = self.store.answer_reads();
            let is_due = self.core.next_due().is_some_and(|due| due <= self.time());
            if is_due {
                self.core.tick(self.time()).unwrap();
                self.reference.tick(self.now);
            }
            if !self.core.reap() && answered == 0 && !is_due {
                return;
            }
            rounds += 1;
            assert!(rounds < 10_000, "no end of reads");
        }
    }

    /// Takes everything out, without a look at the order.
    fn drain(&mut self) {
        self.consumers.clear();
        for name in QUEUES {
            let Ok(queue) = self.vhost.queue(name) else {
                continue;
            };
            let terms = self.terms(Want {
                lease: Kind::Settled,
                entries: 3,
                bytes: usize::MAX,
                wait: false,
            });
            let mut rounds = 0;
            loop {
                let mut out = Vec::new();
                let took = self.core.take_once(&queue, terms, self.time(), &mut out);
                match took.unwrap() {
                    Took::Nothing | Took::Gone => break,
                    Took::Entries { .. } => {}
                    Took::Loading => {
                        self.store.answer_reads();
                    }
                }
                rounds += 1;
                assert!(rounds < 10_000, "{name} is never empty");
            }
        }
    }

    /// Gives every lease back and takes everything out, which shows the order of what is left.
    fn empty(&mut self) {
        for held in std::mem::take(&mut self.leases) {
            self.settle_all(&[held], Outcome::Release { counted: false });
        }
        for ms in [0, 100, 3_000] {
            let before = self.loads_and_dead_letters();
            self.advance(ms);
            self.quiesce();
            if self.is_later_than(before) {
                return self.drain();
            }
            for name in QUEUES {
                let want = Want {
                    lease: Kind::Settled,
                    entries: 1,
                    bytes: usize::MAX,
                    wait: false,
                };
                let before = self.loads_and_dead_letters();
                let mut is_left = true;
                while is_left {
                    is_left = self.take_once(name, want);
                    self.quiesce();
                    if self.is_later_than(before) {
                        return self.drain();
                    }
                    self.compare();
                }
            }
        }
        self.compare();
        self.compare_references();
    }
}
