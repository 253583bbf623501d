//! The log as core sees it: who waits for it, and the bodies beside it.

#[path = "../../../../src/core/log/bodies.rs"]
pub mod bodies;

#[path = "../../../../src/core/log/watermark.rs"]
pub mod watermark;

pub mod store {
    //! Where the broker's files look for both.

    pub use super::watermark::Waiter;
    pub use super::watermark::Watermark;
}
