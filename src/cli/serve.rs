//! `viaduct serve`.

use crate::config::Sources;
use crate::server;
use crate::server::RunError;
use crate::server::StartError;

use super::Exit;
use super::Failure;
use super::Outcome;
use super::load;

/// Runs the broker until a signal ends it.
pub(super) fn serve(sources: Sources) -> Outcome {
    let loaded = load(&sources)?;
    let log = loaded
        .config
        .log
        .install()
        .map_err(|error| Failure::new(Exit::Usage, error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Failed, error))?;
    match runtime.block_on(server::run(loaded, sources, Some(log))) {
        Ok(()) => Ok(Exit::Clean),
        Err(error) => Err(Failure::new(exit_of_run(&error), error)),
    }
}

fn exit_of_run(error: &RunError) -> Exit {
    match error {
        RunError::Start(error) => exit_of_start(error),
        RunError::Stop(_) | RunError::LogFailed | RunError::Signals(_) => Exit::Failed,
    }
}

/// The exit code for a broker that didn't start.
pub(super) fn exit_of_start(error: &StartError) -> Exit {
    match error {
        StartError::NotWritable { .. } | StartError::DataDir { .. } | StartError::Store(_) => {
            Exit::DataDir
        }
        StartError::Listen(_) => Exit::Listener,
        StartError::Vhost { .. } | StartError::Auth(_) => Exit::Usage,
        StartError::Core(_) | StartError::Interrupted => Exit::Failed,
    }
}
