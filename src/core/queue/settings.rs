//! What a queue is told when it is declared.

use serde::Deserialize;
use serde::Serialize;

use crate::core::model::names::ExchangeName;
use crate::core::queue::dead_letters::DeadLetters;
use crate::core::queue::vocabulary::Vocabulary;

/// What happens to what does not fit (SEMANTICS §8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// The oldest ready entries make room.
    #[default]
    DropOldest,
    /// The new message is dropped, and its publisher told no.
    Reject,
    /// The new message is dead-lettered or dropped, and its publisher told no.
    RejectDeadLetter,
}

/// Where dead letters of some causes go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterTarget {
    /// Published to an exchange, with the message's own routing key unless another is given.
    Exchange {
        /// The exchange; the default one leads to the queue that the key names.
        exchange: ExchangeName,
        /// Replaces the message's routing key.
        routing_key: Option<Vec<u8>>,
    },
    /// Straight into a queue of the same vhost, by name.
    Queue(String),
}

/// A queue's rules. Every field is what holds now; `vocabulary` keeps what each door was told, in its
/// own words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct QueueSettings {
    /// Whether the queue and its durable messages survive a restart.
    pub durable: bool,
    /// Whether a transient message becomes durable here (queues made through the SQS door).
    pub force_durable: bool,
    /// Entries expire this many milliseconds after they were enqueued, dead-lettered as expired.
    pub message_ttl_ms: Option<u64>,
    /// Entries vanish silently this many milliseconds after the message was sent (SQS retention).
    pub retention_ms: Option<u64>,
    /// Entries cannot be taken for this many milliseconds after they were enqueued (SQS `DelaySeconds`).
    pub delay_ms: u64,
    /// Most ready entries.
    pub max_length: Option<u64>,
    /// Most bytes of ready bodies.
    pub max_length_bytes: Option<u64>,
    /// What happens to what does not fit.
    pub overflow: Overflow,
    /// Counted returns after which an entry is dead-lettered: the return that makes `failed` exceed it.
    pub delivery_limit: Option<u16>,
    /// Receives after which an entry is dead-lettered: the take that finds `failed` at it (1 to 1000).
    pub receive_limit: Option<u16>,
    /// Where dead letters go, by cause. A cause without target: dropped, counted.
    pub dead_letter: DeadLetters,
    /// What each door declared, in its own words: opaque to core, kept for equivalence and for showing.
    pub vocabulary: Vocabulary,
}

impl QueueSettings {
    /// A plain queue.
    pub fn new(durable: bool) -> Self {
        Self {
            durable,
            ..Self::default()
        }
    }

    /// When an entry that was enqueued with this message's time to live expires, in milliseconds after
    /// `enqueued`: the lesser of the message's and the queue's.
    pub fn ttl_ms(&self, message_expiration_ms: Option<u64>) -> Option<u64> {
        match (message_expiration_ms, self.message_ttl_ms) {
            (Some(message), Some(queue)) => Some(message.min(queue)),
            (one, other) => one.or(other),
        }
    }
}
