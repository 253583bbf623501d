//! The nouns: what a message, a name, an instant is.

pub mod ids;

pub mod time;
