//! The broker itself: messages, routing, queues. Knows no protocol, socket, file or clock.

pub mod model;

pub mod log;

pub mod budget;

pub mod route;
