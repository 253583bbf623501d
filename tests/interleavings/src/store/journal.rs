//! Who waits for the log.

#[path = "../../../../src/store/journal/waiters.rs"]
mod waiters;

pub(crate) use waiters::Waiters;
