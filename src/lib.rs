//! Viaduct: a message broker with many doors and one core.
//!
//! Legacy applications keep the protocol that they speak, cloud-native ones the AWS SDK that they
//! use, and both meet in the same queues. `ARCHITECTURE.md` is the map; this crate is the broker as a
//! library, so tests and embedders start it in-process on port 0 (see [`server`]).

pub mod telemetry;

pub mod core;

pub mod store;

pub mod auth;

pub mod transport;

pub mod protocols;

pub mod aws;

pub mod management;

pub mod config;

pub mod server;

pub mod cli;
