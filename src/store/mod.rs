//! Durability: what `core::store` asks for, kept in memory or in the embedded log.

mod format;

mod journal;

mod watermark;

mod work;

mod reading;

pub mod memory;

pub mod embedded;

#[cfg(test)]
mod contract;
