//! Files of the broker's core.

pub(crate) mod sync;

pub mod model;

pub mod log;

#[path = "../../../../src/core/budget.rs"]
pub mod budget;

#[path = "../../../../src/core/inbox.rs"]
pub mod inbox;

#[path = "../../../../src/core/alarms.rs"]
pub mod alarms;

#[path = "../../../../src/core/generation.rs"]
mod generation;

#[path = "../../../../src/core/paging/tight.rs"]
mod tight;

pub mod models;
