//! What holds for the crate as a whole, and the broker as one process: one binary, so that it links once.

#![allow(clippy::unwrap_used)]

mod aws;
mod core;
mod errors;
mod first_contact;
mod layers;
mod process;
