//! AMQP 0-9-1 as RabbitMQ's clients speak it; `README.md` holds the choices and deviations.

pub mod codec;
