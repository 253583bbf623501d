//! What must hold of what the embedded log's threads share.

pub mod bell;

pub mod filled;

pub mod rest;
