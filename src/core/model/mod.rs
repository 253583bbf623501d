//! The nouns: what a message, a name, an instant is.

pub mod ids;

pub mod time;

pub mod names;

pub mod value;

pub mod message;

pub mod batch;

mod builder;

pub mod overlay;
