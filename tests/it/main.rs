//! The crate as a whole, and the broker from outside it: one binary, a module per subject.

#![allow(clippy::unwrap_used)]

mod core;
mod layers;
