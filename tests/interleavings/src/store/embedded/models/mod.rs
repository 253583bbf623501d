//! What must hold of what the embedded log's threads share.

pub mod filled;
