//! A disk that is simulated from a seed: what was written and not synced is lost, kept or reordered in
//! sectors when the power goes, names that were not synced with their directory may be gone, reads and writes
//! fail when they are told to, and bits flip.
//!
//! It promises what POSIX does and no more. A test that fails prints its seed, and the seed alone brings the
//! same run again, as long as one thread drives the store.

mod disk;
mod file;
mod names;
mod random;

pub(crate) use disk::SimDisk;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod whole;
