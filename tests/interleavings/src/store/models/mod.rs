//! What must hold of what the store's threads share.

pub mod handles;

pub mod watermark;

pub mod work;

pub use crate::store::embedded::models as embedded;
