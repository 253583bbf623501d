//! The model of the core: random operations against the real [`Core`](viaduct::core::Core) on the store
//! in memory, and against a reference that is too plain to be wrong.
//!
//! After every operation both must agree on what the operation answered, on what every queue holds, on
//! what was dropped and why, and on who was woken; at the end the queues are emptied, which shows the
//! order of everything that is left. A failure prints the shortest sequence that proptest finds, and its
//! seed goes to `tests/model/regressions.txt`, which is run first from then on. `PROPTEST_CASES=20000
//! cargo test --test model` looks longer.
//!
//! A new feature of queues comes with its operation, in the same commit:
//! 1. `operation.rs`: a variant of `Operation` (or a field of a specification) and its strategy, with
//!    numbers small enough that sequences meet each other's limits.
//! 2. `reference/`: what it does to vectors of entries. Written from SEMANTICS, not from the code of the
//!    core; no index, no cache, no clever order.
//! 3. `run/`: the call to the core next to the call to the reference, and the comparison of what both
//!    say. What an entry has more goes into `run/seen.rs`.
//! 4. If it survives a restart, `reference/restart.rs` says how much of it.
//! 5. `together.rs`: into the mix of what threads do at once, if it takes locks of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says no by panicking"
)]

mod operation;

mod reference;

mod run;

mod together;

use proptest::prelude::*;
use proptest::test_runner::Config;
use proptest::test_runner::FileFailurePersistence;

use viaduct::core::queue::settings::QueueSettings;

use crate::operation::Operation;
use crate::operation::operations;
use crate::run::Memory;

fn config() -> Config {
    let cases = match std::env::var("PROPTEST_CASES") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 400,
    };
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "tests/model/regressions.txt",
        ))),
        max_shrink_iters: 20_000,
        ..Config::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_core_on_one_shard_does_what_the_reference_does(
        operations in operations(),
    ) {
        run::run(1, Memory::Ample, &operations);
    }

    #[test]
    fn the_core_on_sixteen_shards_does_what_the_reference_does(
        operations in operations(),
    ) {
        run::run(16, Memory::Ample, &operations);
    }

    #[test]
    fn the_core_without_memory_does_what_the_reference_does(
        operations in operations(),
    ) {
        run::run(1, Memory::None, &operations);
    }
}

/// Found by the above: what a segment held for the catalog was forgotten by a start, when the rest of it was absorbed.
#[test]
fn what_was_declared_survives_two_restarts() {
    let declare = |queue, durable| Operation::Declare {
        queue,
        settings: QueueSettings {
            durable,
            ..QueueSettings::default()
        },
    };
    let bind = |queue| Operation::Bind {
        exchange: 4,
        queue,
        key: 0,
    };
    let lasts = Operation::Update {
        queue: 0,
        settings: QueueSettings {
            durable: true,
            ..QueueSettings::default()
        },
    };
    for clean in [true, false] {
        let mut operations: Vec<Operation> = (0..4).map(|n| declare(n, n == 3)).collect();
        operations.extend((0..4).map(bind));
        operations.push(lasts.clone());
        operations.push(Operation::Restart { clean });
        operations.push(Operation::Restart { clean: false });
        run::run(1, Memory::Ample, &operations);
        run::run(16, Memory::Ample, &operations);
    }
}
