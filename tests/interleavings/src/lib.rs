//! The broker's own files, compiled against a model checker's locks and atomics.
//!
//! The modules lie as they do in the broker, so that `crate::core::sync` in a file of `src/` means [`core::sync`] here,
//! which is loom's. What stands in `models` beside them says what must hold however threads take turns: no wake-up is
//! missed, nothing is confirmed that is not on disk, no alarm is lost. A thread that sleeps for good is a deadlock to
//! loom, and time never passes here: a timer that would come to the rescue does not.
//!
//! loom 0.7 remembers the last access to an atomic only. Where a thread reads one and then writes it, it forgets that
//! another has read it before, and does not try what had happened had that one come later. So the broker's files write
//! such atomics in one go (`fetch_max`, `swap`), or keep what they read under the lock that they hold anyway.

#![expect(dead_code, reason = "the files have more in them than the models call")]

pub mod core;

pub mod store;

pub mod bench;
