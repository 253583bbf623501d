//! The AWS gateway over the memory store, by real HTTP on port 0.

mod amqp;

mod any_credentials;

mod crossing;

mod harness;

mod large;

mod mapping;

mod messages;

mod queues;

mod signatures;

mod wires;
