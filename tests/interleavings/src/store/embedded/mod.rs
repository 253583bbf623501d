//! Files of the embedded log.

#[path = "../../../../../src/store/embedded/segment_file.rs"]
pub(crate) mod segment_file;

#[path = "../../../../../src/store/embedded/filled.rs"]
mod filled;

pub mod models;
