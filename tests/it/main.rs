//! What holds for the crate as a whole, and the broker as one process: one binary, so that it links once.

#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_methods)] // tests wait for real processes, with deadlines in real time
#![allow(unreachable_pub)] // a test binary has no outside

mod amqp091;
mod amqp_door;
mod aws;
mod bench;
mod core;
mod errors;
mod first_contact;
mod layers;
mod library;
mod mapping_page;
mod process;
mod quarantine;
