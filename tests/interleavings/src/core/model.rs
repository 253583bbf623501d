//! Names and numbers, as they are.

#[path = "../../../../src/core/model/ids.rs"]
pub mod ids;
