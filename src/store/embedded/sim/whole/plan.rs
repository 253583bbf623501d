//! What a seed is about: each has its own mix of work, of who gets to act, and of what goes wrong. Where everything
//! happens everywhere, nothing ever gets far.

use std::time::Duration;

use crate::store::embedded::Every;
use crate::store::embedded::sim::random::Random;

/// Number of actors.
pub(super) const ACTORS: usize = 8;

/// A mix.
pub(super) struct Plan {
    /// Turns that are taken.
    pub(super) turns: u64,
    pub(super) every: Every,
    /// How often each actor acts.
    pub(super) actors: [u64; ACTORS],
    /// How often each kind of work is done.
    pub(super) work: Vec<u64>,
    /// Power cuts and kills in ten thousand turns.
    pub(super) cuts: u64,
    /// Whether the power also goes while the store starts.
    pub(super) cuts_starts: bool,
    /// Errors of the disk in ten thousand turns.
    pub(super) errors: u64,
    /// Full disks in ten thousand turns.
    pub(super) full: u64,
    /// Largest body in a record.
    pub(super) body_bytes: u64,
}

impl Plan {
    /// A mix of a seed; `kinds` are the kinds of work and how often each is done in the usual mix.
    pub(super) fn of(random: &mut Random, kinds: &[u64]) -> Self {
        let mut weight = |usual: u64| match random.below(6) {
            0 => usual / 8,
            1 => usual * 4,
            _ => usual,
        };
        // As they are hired: spill, reader, writer, spares, bodies, reads of bodies, keeper, copies.
        let usual: [u64; ACTORS] = [8, 10, 40, 12, 12, 8, 10, 16];
        let actors = usual.map(&mut weight).map(|weight| weight.max(1));
        let work = kinds.iter().map(|usual| weight(*usual)).collect();
        let often = |random: &mut Random, percent, most| match random.chance(percent) {
            true => 1 + random.below(most),
            false => 0,
        };
        Self {
            turns: 150 + random.below(550),
            every: Every {
                log_bytes: [16 * 1024, 100 * 1024, u64::MAX][random.index(3)],
                time: Duration::from_secs(1 + random.below(30)),
                idle: Duration::from_millis(10 + random.below(4_000)),
            },
            actors,
            work,
            cuts: often(random, 80, 200),
            cuts_starts: random.chance(30),
            errors: often(random, 25, 150),
            full: often(random, 15, 100),
            body_bytes: [100, 2_000, 12_000][random.index(3)],
        }
    }
}
