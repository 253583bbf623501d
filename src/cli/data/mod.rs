//! What is done with a data dir: `viaduct check`, `repair`, `backup`, `restore`.
//!
//! A running broker does it itself and is asked over its control socket; on a stopped one it is done here, under the data
//! dir's lock.

mod backup;
mod bar;
mod check;
mod repair;
mod report;
mod running;

use std::path::Path;

use anyhow::anyhow;

use crate::core::log::store::StoreError;
use crate::server;
use crate::server::StartError;
use crate::store::embedded::Progress;

use super::Exit;
use super::Failure;
use super::serve::exit_of_start;

pub(super) use backup::backup;
pub(super) use backup::restore;
pub(super) use check::check;
pub(super) use repair::repair;

use bar::Bar;

/// Does something that takes long on a thread of its own, with a bar on the terminal.
fn with_bar<T: Send>(
    what: &str,
    work: impl FnOnce(&Progress) -> Result<T, StoreError> + Send,
) -> Result<T, Failure> {
    let progress = Progress::default();
    std::thread::scope(|scope| {
        let working = scope.spawn(|| work(&progress));
        let mut bar = Bar::new(what);
        while !working.is_finished() {
            bar.show(progress.get());
            std::thread::park_timeout(bar::PERIOD);
        }
        drop(bar);
        let done = working.join().map_err(|_| {
            Failure::new(Exit::Failed, anyhow!("it failed for a reason of its own"))
        })?;
        done.map_err(of_store)
    })
}

/// An error of the store as one of a command.
fn of_store(error: StoreError) -> Failure {
    let error = StartError::Store(error);
    Failure::new(exit_of_start(&error), error)
}

/// Makes sure that there is a data dir.
fn expect_data_dir(dir: &Path) -> Result<(), Failure> {
    server::require_data_dir(dir).map_err(|error| Failure::new(exit_of_start(&error), error))
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    let mut rest = bytes;
    while rest >= 10 * 1024 && unit + 1 < UNITS.len() {
        rest /= 1024;
        unit += 1;
    }
    format!("{rest} {}", UNITS.get(unit).copied().unwrap_or("bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(0), "0 bytes");
        assert_eq!(size(10_239), "10239 bytes");
        assert_eq!(size(10_240), "10 KiB");
        assert_eq!(size(64 << 20), "64 MiB");
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }
}
