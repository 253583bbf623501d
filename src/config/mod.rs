//! The configuration: where it comes from, what it may say, what is wrong with it.
