//! What can happen, and how often.
//!
//! Numbers name things modulo how many there are, so that every sequence makes sense and shrinks well.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use viaduct::core::model::names::ExchangeName;
use viaduct::core::model::overlay::Cause;
use viaduct::core::queue::dead_letters::DeadLetters;
use viaduct::core::queue::settings::DeadLetterTarget;
use viaduct::core::queue::settings::Overflow;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::core::queue::vocabulary::Vocabulary;

/// Names of queues: few, so that dead letters and bindings meet.
pub(crate) const QUEUES: [&str; 4] = ["q0", "q1", "q2", "q3"];

/// Exchanges that are declared and deleted: name, AMQP type, whether durable.
pub(crate) const EXCHANGES: [(&str, &str, bool); 3] = [
    ("direct", "direct", true),
    ("topic", "topic", true),
    ("fleeting", "fanout", false),
];

/// Exchanges that messages are published to and queues are bound to.
pub(crate) const TARGETS: [&str; 6] = ["", "direct", "topic", "fleeting", "amq.fanout", "missing"];

/// The standard exchange among them, which leads everywhere at first.
const FANOUT: usize = 4;

/// Routing keys, and filters of the topic exchange.
pub(crate) const KEYS: [&str; 8] = ["q0", "q1", "q2", "q3", "k.a", "k.b", "*.a", "k.#"];

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Declare {
        queue: usize,
        settings: QueueSettings,
    },
    Update {
        queue: usize,
        settings: QueueSettings,
    },
    Delete {
        queue: usize,
        only_empty: bool,
        only_unused: bool,
    },
    Purge {
        queue: usize,
        all: bool,
    },
    DeclareExchange(usize),
    DeleteExchange(usize),
    Bind {
        exchange: usize,
        queue: usize,
        key: usize,
    },
    Unbind {
        exchange: usize,
        queue: usize,
        key: usize,
    },
    Publish {
        exchange: usize,
        key: usize,
        messages: Vec<Spec>,
    },
    Subscribe {
        queue: usize,
    },
    Unsubscribe {
        consumer: usize,
    },
    /// A consumer takes.
    Take {
        consumer: usize,
        want: Want,
    },
    /// Somebody takes without a consumer.
    TakeOnce {
        queue: usize,
        want: Want,
    },
    /// Settles `count` leases of one queue from the `lease`th on.
    Settle {
        lease: usize,
        count: usize,
        how: How,
    },
    /// The link that holds all leases by link of a queue breaks: its oldest is counted, the others are
    /// not.
    LinkLost {
        queue: usize,
    },
    Advance {
        ms: u64,
    },
    /// From now on nothing reaches the disk: an unclean restart will find what is there now.
    Hold,
    ReleaseHold,
    Checkpoint,
    /// Queues let go of what is not taken next.
    Squeeze,
    /// What was asked of the store is answered, once.
    Answer,
    Restart {
        clean: bool,
    },
}

impl Operation {
    /// Whether reads that it started, or that were under way, may go on into the next operation: nothing that both
    /// say about themselves hangs on them.
    pub(crate) fn leaves_reads_open(&self) -> bool {
        matches!(
            self,
            Self::Take { .. }
                | Self::TakeOnce { .. }
                | Self::Subscribe { .. }
                | Self::Unsubscribe { .. }
                | Self::Purge { .. }
                | Self::Delete { .. }
                | Self::Squeeze
                | Self::Answer
        )
    }
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) durable: bool,
    pub(crate) bytes: usize,
    pub(crate) expiration_ms: Option<u64>,
    pub(crate) delay_ms: Option<u64>,
}

/// What a taker wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) lease: Kind,
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Link,
    Deadline { ms: u64 },
    Settled,
}

/// How leases are settled.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Accept,
    Reject,
    Release { counted: bool },
    Extend { ms: u64 },
}

/// All queues are there at first, and bound: what is published to nowhere shows little.
pub(crate) fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let declare =
        |queue: usize| settings().prop_map(move |settings| Operation::Declare { queue, settings });
    let declares: Vec<_> = (0..QUEUES.len()).map(declare).collect();
    (declares, vec(operation(), 1..120)).prop_map(|(mut all, more)| {
        let everywhere = (0..QUEUES.len()).map(|queue| Operation::Bind {
            exchange: FANOUT,
            queue,
            key: 0,
        });
        all.extend(everywhere);
        all.extend(more);
        all
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        20 => topology(),
        22 => (target(), key(), vec(spec(), 1..5))
            .prop_map(|(exchange, key, messages)| Operation::Publish { exchange, key, messages }),
        40 => consuming(),
        10 => prop_oneof![0..8u64, 0..60u64, Just(1_000)].prop_map(|ms| Operation::Advance { ms }),
        8 => log(),
    ]
}

fn topology() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (queue(), settings()).prop_map(|(queue, settings)| Operation::Declare { queue, settings }),
        1 => (queue(), settings()).prop_map(|(queue, settings)| Operation::Update { queue, settings }),
        1 => (queue(), any::<bool>(), any::<bool>()).prop_map(|(queue, only_empty, only_unused)| {
            Operation::Delete { queue, only_empty, only_unused }
        }),
        2 => (queue(), any::<bool>()).prop_map(|(queue, all)| Operation::Purge { queue, all }),
        2 => (0..EXCHANGES.len()).prop_map(Operation::DeclareExchange),
        1 => (0..EXCHANGES.len()).prop_map(Operation::DeleteExchange),
        6 => (0..TARGETS.len(), queue(), 0..KEYS.len())
            .prop_map(|(exchange, queue, key)| Operation::Bind { exchange, queue, key }),
        1 => (0..TARGETS.len(), queue(), 0..KEYS.len())
            .prop_map(|(exchange, queue, key)| Operation::Unbind { exchange, queue, key }),
    ]
}

fn consuming() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => queue().prop_map(|queue| Operation::Subscribe { queue }),
        1 => any::<usize>().prop_map(|consumer| Operation::Unsubscribe { consumer }),
        14 => (any::<usize>(), want()).prop_map(|(consumer, want)| Operation::Take { consumer, want }),
        7 => (queue(), want()).prop_map(|(queue, want)| Operation::TakeOnce { queue, want }),
        14 => (any::<usize>(), 1..4usize, how())
            .prop_map(|(lease, count, how)| Operation::Settle { lease, count, how }),
        1 => queue().prop_map(|queue| Operation::LinkLost { queue }),
    ]
}

fn log() -> impl Strategy<Value = Operation> {
    prop_oneof![
        1 => Just(Operation::Hold),
        1 => Just(Operation::ReleaseHold),
        1 => Just(Operation::Checkpoint),
        2 => Just(Operation::Squeeze),
        1 => Just(Operation::Answer),
        4 => any::<bool>().prop_map(|clean| Operation::Restart { clean }),
    ]
}

/// Mostly the first one: what meets nothing shows little.
fn queue() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 2 => 0..QUEUES.len()]
}

/// Mostly the default exchange.
fn target() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0), 1 => Just(FANOUT), 3 => 0..TARGETS.len()]
}

/// Mostly the name of a queue.
fn key() -> impl Strategy<Value = usize> {
    prop_oneof![4 => queue(), 1 => 0..KEYS.len()]
}

fn spec() -> impl Strategy<Value = Spec> {
    let lasting = prop::bool::weighted(0.7);
    let expiration = option::weighted(0.2, 0..40u64);
    let delay = option::weighted(0.15, 0..30u64);
    (lasting, 4..24usize, expiration, delay).prop_map(
        |(durable, bytes, expiration_ms, delay_ms)| Spec {
            durable,
            bytes,
            expiration_ms,
            delay_ms,
        },
    )
}

fn want() -> impl Strategy<Value = Want> {
    let lease = prop_oneof![
        4 => Just(Kind::Link),
        3 => (1..40u64).prop_map(|ms| Kind::Deadline { ms }),
        1 => Just(Kind::Settled),
    ];
    let bytes = prop_oneof![3 => Just(usize::MAX), 1 => 0..40usize];
    (lease, 0..5usize, bytes, prop::bool::weighted(0.8)).prop_map(
        |(lease, entries, bytes, wait)| Want {
            lease,
            entries,
            bytes,
            wait,
        },
    )
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        3 => Just(How::Accept),
        2 => Just(How::Reject),
        3 => any::<bool>().prop_map(|counted| How::Release { counted }),
        2 => (0..40u64).prop_map(|ms| How::Extend { ms }),
    ]
}

fn settings() -> impl Strategy<Value = QueueSettings> {
    let lasting = (prop::bool::weighted(0.8), prop::bool::weighted(0.2));
    let times = (
        option::weighted(0.2, 0..50u64),
        option::weighted(0.15, 5..80u64),
        prop_oneof![5 => Just(0), 1 => 1..20u64],
    );
    let length = (
        option::weighted(0.3, 0..5u64),
        option::weighted(0.15, 10..60u64),
        prop::sample::select(vec![
            Overflow::DropOldest,
            Overflow::DropOldest,
            Overflow::Reject,
            Overflow::RejectDeadLetter,
        ]),
    );
    let limits = (
        option::weighted(0.3, 0..3u16),
        option::weighted(0.3, 1..4u16),
    );
    (lasting, times, length, limits, dead_letters()).prop_map(
        |(lasting, times, length, limits, dead_letter)| QueueSettings {
            durable: lasting.0,
            force_durable: lasting.1,
            message_ttl_ms: times.0,
            retention_ms: times.1,
            delay_ms: times.2,
            max_length: length.0,
            max_length_bytes: length.1,
            overflow: length.2,
            delivery_limit: limits.0,
            receive_limit: limits.1,
            dead_letter,
            vocabulary: Vocabulary::default(),
        },
    )
}

/// As doors set them: an exchange for four causes, a queue for receives.
fn dead_letters() -> impl Strategy<Value = DeadLetters> {
    let exchange = (target(), option::weighted(0.7, key())).prop_map(|(exchange, key)| {
        DeadLetterTarget::Exchange {
            exchange: ExchangeName::parse(TARGETS[exchange]).unwrap(),
            routing_key: key.map(|key| KEYS[key].into()),
        }
    });
    let redrive = queue().prop_map(|queue| DeadLetterTarget::Queue(QUEUES[queue].to_owned()));
    (
        option::weighted(0.6, exchange),
        option::weighted(0.4, redrive),
    )
        .prop_map(|(exchange, redrive)| {
            let causes = [
                Cause::Rejected,
                Cause::Expired,
                Cause::MaxLength,
                Cause::DeliveryLimit,
            ];
            let exchange = exchange.into_iter();
            exchange
                .flat_map(|target| causes.map(|cause| (cause, target.clone())))
                .chain(redrive.map(|target| (Cause::ReceiveLimit, target)))
                .collect()
        })
}
