//! `viaduct config`.

use crate::config;
use crate::config::Sources;

use super::Exit;
use super::Outcome;
use super::args::PrintArgs;
use super::load;

/// Loads the configuration and says where it came from.
pub(super) fn check(sources: &Sources) -> Outcome {
    let loaded = load(sources)?;
    match loaded.file {
        Some(path) => println!(
            "{}: no problems, {} keys set",
            path.display(),
            loaded.origins.len()
        ),
        None => println!(
            "no configuration file, {} keys set otherwise, no problems",
            loaded.origins.len()
        ),
    }
    Ok(Exit::Clean)
}

/// Prints what was asked for.
pub(super) fn print(sources: &Sources, what: &PrintArgs) -> Outcome {
    match what {
        PrintArgs { sample: true, .. } => print!("{}", config::sample()),
        PrintArgs {
            reference: true, ..
        } => print!("{}", config::reference()),
        PrintArgs { .. } => print!("{}", config::effective(&load(sources)?)),
    }
    Ok(Exit::Clean)
}
