//! Numbers that name things in the log.

use std::fmt;
use std::num::NonZeroU64;

use serde::Deserialize;
use serde::Serialize;

/// A part of the log with an order of its own: one on a single node, several over a cluster.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Shard(pub u8);

/// Place of a record in the log: a shard and a number that grows by one with every record.
///
/// Core names records by LSN only; the store owns where they lie.
///
/// INVARIANT: the shard takes the top 8 bits, the number (from 1) the other 56, so LSNs of one shard
/// compare in log order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lsn(NonZeroU64);

impl Lsn {
    const NUMBER_BITS: u32 = 56;
    const NUMBER_MASK: u64 = (1 << Self::NUMBER_BITS) - 1;

    /// The LSN of record `number` in `shard`; none for number 0 or one above 56 bits.
    pub fn new(shard: Shard, number: u64) -> Option<Self> {
        if number == 0 || number > Self::NUMBER_MASK {
            return None;
        }
        NonZeroU64::new((u64::from(shard.0) << Self::NUMBER_BITS) | number).map(Self)
    }

    /// Reads what [`Lsn::get`] returned.
    pub fn from_raw(raw: u64) -> Option<Self> {
        if raw & Self::NUMBER_MASK == 0 {
            return None;
        }
        NonZeroU64::new(raw).map(Self)
    }

    /// Shard and number in one integer.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The shard that this record is in.
    pub fn shard(self) -> Shard {
        Shard(self.0.get().to_be_bytes()[0])
    }

    /// The record's number in its shard, from 1.
    pub fn number(self) -> u64 {
        self.0.get() & Self::NUMBER_MASK
    }

    /// The LSN `n` records later in the same shard; saturates at the last number.
    pub fn plus(self, n: u64) -> Self {
        let number = self.number().saturating_add(n).min(Self::NUMBER_MASK);
        Self::new(self.shard(), number).unwrap_or(self)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.shard().0, self.number())
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Names a queue in the log for ever: a deleted queue's id is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u64);

/// What the store says about itself: who it is, and how often it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random, made with the data dir.
    pub uuid: u128,
    /// Grows by one with every start, so that what one start handed out is not taken for another's.
    pub incarnation: u64,
}
