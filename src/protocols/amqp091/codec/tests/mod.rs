//! Golden frames, properties of all input, and a second codec as oracle.

mod golden;
mod oracle;
mod property;
