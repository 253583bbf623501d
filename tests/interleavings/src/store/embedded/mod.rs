//! Files of the embedded log.

#[path = "../../../../../src/store/embedded/segment_file.rs"]
pub(crate) mod segment_file;

#[path = "../../../../../src/store/embedded/filled.rs"]
mod filled;

#[path = "../../../../../src/store/embedded/bell.rs"]
mod bell;

#[path = "../../../../../src/store/embedded/rest.rs"]
mod rest;

pub mod models;
