//! One folder per wire protocol, the session trait, and the one loop that drives every session.

pub mod session;

pub mod driver;

pub mod amqp091;
