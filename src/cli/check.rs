//! `viaduct config`.

use crate::config;
use crate::config::Sources;

use super::Exit;
use super::Outcome;
use super::args::PrintArgs;
use super::load;
use super::say::print_text;
use super::say::say;

/// Loads the configuration and says where it came from.
pub(super) fn check(sources: &Sources) -> Outcome {
    let loaded = load(sources)?;
    match loaded.file {
        Some(path) => say(format!(
            "{}: no problems, {} keys set",
            path.display(),
            loaded.origins.len()
        )),
        None => say(format!(
            "no configuration file, {} keys set otherwise, no problems",
            loaded.origins.len()
        )),
    }
    Ok(Exit::Clean)
}

/// Prints what was asked for.
pub(super) fn print(sources: &Sources, what: &PrintArgs) -> Outcome {
    match what {
        PrintArgs { sample: true, .. } => print_text(config::sample()),
        PrintArgs {
            reference: true, ..
        } => print_text(config::reference()),
        PrintArgs { .. } => print_text(config::effective(&load(sources)?)),
    }
    Ok(Exit::Clean)
}
