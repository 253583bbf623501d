//! What a client cannot see of a connection: the memory that it keeps. All else is in `tests/it/amqp091`.

mod publisher;
