//! The session as a table of steps: bytes and time in, bytes out, over the memory store.

mod any_methods;

mod busy;

mod client;

mod confirms;

mod consuming;

mod contents;

mod declaring;

mod ending;

mod handshake;

mod large;

mod quarantine;

mod refusals;

mod smoke;
