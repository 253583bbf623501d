//! What a message costs, counted rather than timed: allocations, and how many messages share a read, a lock, a wake, a
//! write and a frame of the log.
//!
//! A broken batch shows here on any machine and in any build, where noise would hide its time. The broker is the real
//! one over loopback; its clients are plain sockets in the same process that allocate nothing once they run, so that
//! what is counted is the broker's.

#![allow(clippy::unwrap_used, clippy::panic)] // a test says no by panicking
#![allow(clippy::disallowed_methods)] // what runs for a while looks at the clock
#![allow(unreachable_pub)] // a test binary has no outside

mod allocations;
mod broker;
mod client;
mod structure;

use std::alloc::System;

use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::StatsAlloc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
