//! The AWS gateway: SigV4, the wire formats once, and each service by operation family.
//!
//! A request goes `route` → `sigv4` → `wire` (into a neutral JSON value) → the service's operation →
//! `wire` (out of a neutral JSON value). An operation is written once and serves both AWS JSON 1.0 and
//! AWS Query with XML.

pub mod config;

pub mod gateway;

pub mod route;

pub mod health;

pub mod sigv4;

pub mod sqs;

pub mod wire;
