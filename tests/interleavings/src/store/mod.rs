//! Files of the store.

#[path = "../../../../src/store/handles.rs"]
mod handles;

#[path = "../../../../src/store/watermark.rs"]
mod watermark;

#[path = "../../../../src/store/work.rs"]
mod work;

mod journal;

mod embedded;

pub mod models;
