//! How records are written: format 1, the same in every store (`docs/format.md` has it byte by byte).

mod decode;
mod encode;
mod kind;
mod varint;

pub(crate) use decode::decode;
pub(crate) use decode::split;
pub(crate) use encode::TOMBSTONE;
pub(crate) use encode::encode;

#[cfg(test)]
pub(crate) mod arbitrary;

#[cfg(test)]
pub(crate) mod every_kind;

#[cfg(test)]
mod tests;
