//! The command line.

mod args;
mod bench;
mod check;
mod clock;
mod control;
mod data;
mod exit;
mod health;
mod password;
mod say;
mod serve;
mod user;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use rustix::fs::Mode;

use crate::config::Loaded;
use crate::config::Sources;

use args::Args;
use args::Command;
use args::ConfigCommand;
pub use exit::Exit;
use say::complain;
use say::say;

/// Runs the command line and says how it ended. What went wrong stands on standard error.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = match Args::try_parse_from(args) {
        Ok(args) => args,
        Err(help_or_error) => {
            // Help goes to standard output with code 0, a usage error to standard error with 2. Nobody
            // is left to tell when neither can be written.
            let _ = help_or_error.print();
            return if help_or_error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Clean.into()
            };
        }
    };
    match execute(args) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            // Our own errors name their cause themselves.
            for line in failure.error.to_string().lines() {
                complain(format!("viaduct: {line}"));
            }
            failure.exit.into()
        }
    }
}

/// A command that could not be carried out.
struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }
}

type Outcome = Result<Exit, Failure>;

fn execute(args: Args) -> Outcome {
    // The data dir holds messages and the secrets of access keys: whatever we make is for its owner.
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let sources = args.sources();
    match args.command.unwrap_or(Command::Serve) {
        Command::Serve => serve::serve(sources),
        Command::Health => health::health(&load(&sources)?),
        Command::Reload => health::reload(&load(&sources)?),
        Command::Config(ConfigCommand::Check) => check::check(&sources),
        Command::Config(ConfigCommand::Print(what)) => check::print(&sources, &what),
        Command::User(command) => user::user(&load(&sources)?, command),
        Command::Check { json } => data::check(&load(&sources)?, json),
        Command::Repair { yes } => data::repair(&load(&sources)?, yes),
        Command::Backup { folder } => data::backup(&load(&sources)?, &folder),
        Command::Restore { backup } => data::restore(&load(&sources)?, &backup),
        Command::Bench(command) => bench::bench(command),
        Command::Version => {
            say(format!("viaduct {}", env!("CARGO_PKG_VERSION")));
            Ok(Exit::Clean)
        }
    }
}

fn load(sources: &Sources) -> Result<Loaded, Failure> {
    sources
        .load()
        .map_err(|error| Failure::new(Exit::Usage, error))
}

/// Runs a short command on a runtime of its own.
fn block_on<F: Future>(command: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, error))?;
    Ok(runtime.block_on(command))
}
