//! `viaduct config`.

use hyper::Method;

use crate::config;
use crate::config::Sources;

use super::Exit;
use super::Outcome;
use super::args::PrintArgs;
use super::block_on;
use super::control::ask_running;
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
    for unused in &loaded.unused {
        say(unused.to_string());
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
        PrintArgs { running: true, .. } => {
            let data_dir = load(sources)?.config.data_dir;
            let reply = block_on(ask_running(&data_dir, Method::GET, "/api/viaduct/config"))??;
            reply.check()?;
            print_text(String::from_utf8_lossy(&reply.body));
        }
        PrintArgs { .. } => print_text(config::effective(&load(sources)?)),
    }
    Ok(Exit::Clean)
}
