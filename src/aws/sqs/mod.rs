//! SQS: queues by HTTP, in AWS' words.
//!
//! Pure parts first (addresses, receipts, digests, rules), then the operations by family.

pub mod address;

pub mod attributes;

pub mod digest;

pub mod errors;

pub mod message;

pub mod model;

pub mod receipt;

pub mod types;
