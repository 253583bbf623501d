//! The broker from outside its crate: one binary, a module per subject.

mod core;
