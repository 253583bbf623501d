//! AMQP 0-9-1 as RabbitMQ's clients speak it; `README.md` holds the choices and deviations.
//!
//! ```text
//! connection  greeting → start → login → tune → open → live → closing     (connection, handshake)
//! live        frames to channels, one batch of publishes, takes           (live, publisher, consumers, settles)
//! channel     answers in order, content, confirms, unacknowledged         (channel)
//! ```

pub mod codec;

pub mod connection;

pub mod mapping;

mod link;

mod heartbeat;

mod handshake;

mod live;

mod pull;

mod channel;

mod methods;

mod publisher;

mod consumers;

mod delivery;

mod streams;

mod settles;

mod arguments;

mod errors;

pub use connection::Amqp091;

#[cfg(test)]
mod tests;
