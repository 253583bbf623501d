//! The log as core sees it: records, and the store that keeps them.

pub mod bodies;

pub mod record;

pub mod read;

pub mod watermark;

pub mod store;
