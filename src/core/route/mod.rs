//! Routing: from an exchange and a key to the destinations that are bound.
//!
//! Plain data, generic over what a destination is: no locks, no IO, no names of queues. The core facade
//! keeps one [`exchange::Router`] an exchange behind its own lock.

pub mod exchange;

pub mod binding;

pub mod topic;

mod destinations;

mod tree;

mod headers;
