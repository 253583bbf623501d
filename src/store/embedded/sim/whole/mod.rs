//! The whole store on a simulated disk: a seed decides what is done, who of the store's actors acts when, when time goes
//! on, and what goes wrong. After each end, whatever it was, a start must tell exactly what was said before it.
//!
//! ```text
//! cargo test --lib whole_store                         the seeds that CI runs
//! VIADUCT_SEEDS=100000 cargo test --lib whole_store    so many
//! VIADUCT_SEED=17 cargo test --lib whole_store         one, and what happens in it
//! ```

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;

mod aside;
mod cases;
mod check;
mod flips;
mod life;
mod model;
mod plan;
mod readers;
mod work;
mod world;

use crate::store::embedded::crew::Acted;

use world::Seen;
use world::World;

/// Seeds that are tried if nobody says how many.
const SEEDS: u64 = 2_000;

/// Says how to see a failure again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!(
                "seed {seed} fails: VIADUCT_SEED={seed} cargo test --lib whole_store -- --nocapture"
            );
        }
    }
}

impl World {
    /// Takes one turn.
    fn turn(&mut self) {
        match self.random.below(10) {
            0..=3 => {
                let at = self.random.weighted(&self.plan.actors);
                self.act(at);
            }
            4 => {
                let at = self.random.weighted(&self.plan.actors);
                self.act_on(at, 30);
            }
            5..=8 => self.work(),
            _ => self.pass_time(),
        }
        self.notice();
        self.disturb();
    }

    /// Lets an actor take a step; false if there was nothing to do.
    fn act(&mut self, at: usize) -> bool {
        let now = self.now;
        let life = self.life.as_mut().expect("it runs");
        let acted = life.step(at, now);
        self.say(|| format!("  {} {acted:?}", self.life().name(at)));
        self.notice();
        acted == Acted::Done
    }

    /// Lets an actor take steps, as long as there is something to do.
    fn act_on(&mut self, at: usize, most: u64) {
        for _ in 0..most {
            if !self.act(at) {
                return;
            }
        }
    }

    fn pass_time(&mut self) {
        let most = [10, 100, 2_000, 20_000][self.random.index(4)];
        let time = Duration::from_millis(self.random.below(most));
        self.wait(time);
    }

    /// Lets something go wrong, now and then.
    fn disturb(&mut self) {
        if self.random.below(10_000) < self.plan.cuts {
            match self.random.below(6) {
                0 => self.stop(),
                1 => self.end(false),
                2 => self.end(true),
                _ => return self.disk.fail_power(self.random.below(60)),
            }
            self.start();
        }
        if self.random.below(10_000) < self.plan.errors {
            let nth = self.random.below(20);
            match self.random.below(3) {
                0 => self.disk.fail_write(nth),
                1 => self.disk.fail_sync(nth),
                _ => self.disk.fail_read(nth),
            }
        }
        if self.random.below(10_000) < self.plan.full {
            self.disk
                .set_capacity(self.disk.used() + self.random.below(100_000));
        }
        if self.random.below(100) < 3 {
            self.disk.set_capacity(u64::MAX);
        }
    }

    /// Nothing goes wrong any more: everything is done, and a stop and a start change nothing.
    fn calm_down(&mut self) {
        self.disk.heal();
        self.disk.set_capacity(u64::MAX);
        while !self.model.dead.is_empty() {
            self.tell_dead();
        }
        for _ in 0..40 {
            for at in 0..plan::ACTORS {
                self.act_on(at, 100);
            }
            // What changed in the catalog holds its segment until core has it saved.
            self.checkpoint();
            self.wait(Duration::from_secs(2));
        }
        assert_eq!(
            self.model.durable,
            self.model.last(),
            "nothing waits for ever"
        );
        self.read_everything();
        self.check_room();
        self.stop();
        self.start();
    }
}

/// Runs a seed: what it did to the disk, and what happened.
fn run(seed: u64, is_loud: bool) -> ((u64, u64), Seen) {
    let _replay = Replay(seed);
    let mut world = World::new(seed, start(), is_loud);
    world.start();
    for _ in 0..world.plan.turns {
        world.turn();
    }
    world.calm_down();
    (world.disk.history(), world.seen)
}

#[expect(
    clippy::disallowed_methods,
    reason = "where the simulation's time starts"
)]
fn start() -> Instant {
    Instant::now()
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().expect("a number"))
}

#[test]
fn the_whole_store_keeps_what_it_promises() {
    if let Some(seed) = number("VIADUCT_SEED") {
        eprintln!("{:#?}", run(seed, true).1);
        return;
    }
    let seeds = number("VIADUCT_SEEDS").unwrap_or(SEEDS);
    let (next, all) = (AtomicU64::new(0), Mutex::new(Seen::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let (_, seen) = run(seed, false);
                    let mut all = all.lock();
                    for (what, times) in seen {
                        *all.entry(what).or_default() += times;
                    }
                }
            });
        }
    });
    let all = all.into_inner();
    eprintln!("{seeds} seeds: {all:#?}");
    let missing: Vec<_> = all.iter().filter(|(_, times)| **times == 0).collect();
    assert!(
        seeds < SEEDS || missing.is_empty(),
        "nothing is proved about {missing:?}"
    );
}

/// The same until something flips bits.
fn run_flipped(seed: u64) -> Seen {
    let _replay = Replay(seed);
    let mut world = World::new(seed, start(), number("VIADUCT_SEED").is_some());
    world.plan.errors = 0;
    world.plan.full = 0;
    world.start();
    for _ in 0..world.plan.turns {
        world.turn();
    }
    world.flip();
    world.seen
}

#[test]
fn the_whole_store_never_takes_a_flipped_bit_for_what_was_written() {
    let seeds = match number("VIADUCT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("VIADUCT_SEEDS").unwrap_or(SEEDS) / 8,
    };
    let mut all = Seen::new();
    for seed in seeds {
        for (what, times) in run_flipped(seed) {
            *all.entry(what).or_default() += times;
        }
    }
    eprintln!("{all:#?}");
}

#[test]
fn a_seed_of_the_whole_store_brings_the_same_again() {
    for seed in 0..10 {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}
