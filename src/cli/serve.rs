//! `viaduct serve`.

use std::time::Duration;

use crate::auth::AuthError;
use crate::config::Sources;
use crate::server;
use crate::server::RunError;
use crate::server::StartError;

use super::Exit;
use super::Failure;
use super::Outcome;
use super::load;

/// Time for blocking calls that are still running at the end.
const LAST_CALLS: Duration = Duration::from_millis(500);

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
    let ended = runtime.block_on(server::run(loaded, sources, Some(log)));
    // A blocking call that hangs (a hash, a scan of a dead disk) must not hold the process.
    runtime.shutdown_timeout(LAST_CALLS);
    match ended {
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
        StartError::NotWritable { .. }
        | StartError::NoDataDir { .. }
        | StartError::DataDir { .. }
        | StartError::Store(_) => Exit::DataDir,
        StartError::Listen(_) => Exit::Listener,
        StartError::Vhost { .. } => Exit::Usage,
        StartError::Auth(error) => exit_of_auth(error),
        StartError::Core(_) | StartError::Interrupted => Exit::Failed,
    }
}

/// Users and keys come from the configuration and from the data dir: whose fault it is decides.
fn exit_of_auth(error: &AuthError) -> Exit {
    match error {
        AuthError::Name { .. }
        | AuthError::PasswordLength { .. }
        | AuthError::UserNotFound(_)
        | AuthError::UserExists(_)
        | AuthError::KeyNotFound(_)
        | AuthError::UnknownTag(_)
        | AuthError::Pattern { .. } => Exit::Usage,
        AuthError::Damaged { .. } => Exit::DataDir,
        AuthError::Hash(_) | AuthError::Records(_) => Exit::Failed,
    }
}
