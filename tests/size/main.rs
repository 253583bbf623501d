//! What things cost that there may be very many of: memory and time, by the piece.
//!
//! Memory is counted by the allocator rather than read from the system, so that a bound holds on any machine and in any
//! build. Sizes are a tenth of what the figures ask for; with `VIADUCT_LONG` set (`tests/run --long`) they are the whole.

#![allow(clippy::unwrap_used, clippy::panic)] // a test says no by panicking
#![allow(clippy::disallowed_methods)] // what runs for a while looks at the clock
#![allow(unreachable_pub)] // a test binary has no outside

mod bindings;
mod broker;
mod fanout;
mod queues;

use std::alloc::System;

use stats_alloc::INSTRUMENTED_SYSTEM;
use stats_alloc::StatsAlloc;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
