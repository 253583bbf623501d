//! What must hold of core's flags and inboxes.

pub mod alarms;

pub mod generation;

pub mod inbox;

pub mod tight;
