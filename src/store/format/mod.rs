//! How records are written: format 2, the same in every store (`docs/format.md` has it byte by byte). What format 1
//! wrote is read.

mod decode;
mod encode;
mod fact;
mod kind;
mod varint;

pub(crate) use decode::DecodeError;
pub(crate) use decode::decode;
pub(crate) use decode::decode_as;
pub(crate) use decode::message_of;
pub(crate) use decode::split;
pub(crate) use encode::TOMBSTONE;
pub(crate) use encode::encode;
pub(crate) use fact::BodyFact;
pub(crate) use fact::Fact;
pub(crate) use fact::MessageFact;
pub(crate) use fact::fact_of;

/// By which format's rules bytes are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Moves do not say how long their message is, a purge has no start, an expiry not why.
    One,
    /// What is written.
    Two,
}

impl Version {
    /// What is written.
    pub(crate) const NEWEST: Self = Self::Two;

    /// The format with a number, none if this version does not know it.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::One),
            2 => Some(Self::Two),
            _ => None,
        }
    }

    /// The number that stands in files.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

#[cfg(test)]
pub(crate) mod arbitrary;

#[cfg(test)]
pub(crate) mod every_kind;

#[cfg(test)]
mod tests;
