//! What an entry changes about its message: a door's encoder merges it over the origin's head.

use serde::Deserialize;
use serde::Serialize;

use crate::core::log::record::SettleKind;
use crate::core::model::names::ExchangeName;
use crate::core::model::names::QueueName;
use crate::core::model::time::CoreTime;
use crate::core::model::value::Value;

/// Changed and added properties of one entry.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Overlay {
    /// Exchange and routing key that a consumer sees instead of the message's own.
    pub routed: Option<(ExchangeName, Vec<u8>)>,
    /// Whether the sender's expiration was taken off, as a dead-lettered message's is.
    pub without_expiration: bool,
    /// Where it died, the latest first (0-9-1 `x-death`).
    pub deaths: Vec<Death>,
    /// Where and why it died first; never changes again.
    pub first_death: Option<FirstDeath>,
    /// Set or replaced application properties.
    pub properties: Vec<(Box<str>, Value)>,
    /// Moves without a delivery to a consumer in between.
    pub hops: u8,
}

/// One row of `x-death`: all deaths in one queue for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Death {
    /// Queue that it died in.
    pub queue: QueueName,
    /// Why.
    pub cause: Cause,
    /// How often.
    pub count: u64,
    /// When first.
    pub time: CoreTime,
    /// Exchange that it had been published to.
    pub exchange: ExchangeName,
    /// Routing keys that it had been published with.
    pub routing_keys: Vec<Vec<u8>>,
    /// The expiration that was taken off.
    pub original_expiration_ms: Option<u64>,
}

/// Where a message died first (0-9-1 `x-first-death-…`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FirstDeath {
    /// Queue that it died in.
    pub queue: QueueName,
    /// Why.
    pub cause: Cause,
    /// Exchange that it had been published to.
    pub exchange: ExchangeName,
}

/// Why a message is dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A consumer refused it.
    Rejected,
    /// Its time was over.
    Expired,
    /// The queue was too long.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
    /// It was received too often (SQS RedrivePolicy).
    ReceiveLimit,
    /// It is too large for whoever should get it.
    TooLarge,
}

impl Cause {
    /// What the log says of the source entry.
    pub fn settle_kind(self) -> SettleKind {
        match self {
            Self::Rejected => SettleKind::Rejected,
            Self::Expired => SettleKind::Expired,
            Self::MaxLength => SettleKind::MaxLength,
            Self::DeliveryLimit => SettleKind::DeliveryLimit,
            Self::ReceiveLimit => SettleKind::ReceiveLimit,
            Self::TooLarge => SettleKind::TooLarge,
        }
    }

    /// The word that metrics and logs use; 0-9-1 `x-death` has its own table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
            Self::ReceiveLimit => "receive_limit",
            Self::TooLarge => "too_large",
        }
    }
}
