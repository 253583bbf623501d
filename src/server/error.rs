//! Why a broker doesn't start, and why one ends badly.

use std::io;
use std::path::PathBuf;

use crate::auth::AuthError;
use crate::core::error::CoreError;
use crate::core::log::store::StoreError;
use crate::transport::ListenError;

/// Why a broker doesn't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data dir cannot be written.
    #[error(
        "data dir {} is not writable by uid {uid}: give it to that user with `chown -R {uid}:{gid} {}`, \
         or choose another one with --data-dir",
        path.display(),
        path.display()
    )]
    NotWritable {
        /// The data dir, as an absolute path where possible.
        path: PathBuf,
        /// User of this process.
        uid: u32,
        /// Group of this process.
        gid: u32,
    },
    /// There is no data dir, and it is not to be made.
    #[error(
        "data dir {} does not exist: no broker has run on it; choose the broker's with --data-dir",
        path.display()
    )]
    NoDataDir {
        /// The data dir.
        path: PathBuf,
    },
    /// The data dir cannot be made or used.
    #[error("cannot use data dir {}: {source}", path.display())]
    DataDir {
        /// The data dir.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process has the data dir, or what is in it cannot be read.
    #[error("{}{}", .0, cause(.0))]
    Store(#[source] StoreError),
    /// Core could not take the log up.
    #[error("cannot read the broker's state: {0}")]
    Core(#[source] CoreError),
    /// The directory of users is unusable, or a configured user or key is.
    #[error("users and keys: {0}")]
    Auth(#[from] AuthError),
    /// A virtual host has a name that is none.
    #[error("vhost '{name}' in the configuration: {reason}")]
    Vhost {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A listener could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The process is going down.
    #[error("start was interrupted")]
    Interrupted,
}

/// What helps, or the system's words behind an IO error; the other ones say it all.
fn cause(error: &StoreError) -> String {
    if matches!(error, StoreError::Locked { .. }) {
        return ": stop it, or choose another --data-dir".to_owned();
    }
    let source = std::error::Error::source(error);
    source.map_or_else(String::new, |source| format!(": {source}"))
}

impl From<CoreError> for StartError {
    fn from(error: CoreError) -> Self {
        // No wildcard: a store's error has its own exit code, everything else is a broken start.
        match error {
            CoreError::Store(error) => Self::Store(error),
            error @ (CoreError::VhostNotFound(_)
            | CoreError::QueueNotFound { .. }
            | CoreError::ExchangeNotFound { .. }
            | CoreError::DefaultExchange
            | CoreError::InUse(_)
            | CoreError::NotEmpty(_)
            | CoreError::BadBinding(_)
            | CoreError::Quarantined(_)
            | CoreError::Busy
            | CoreError::Full
            | CoreError::LogFailed) => Self::Core(error),
        }
    }
}

/// Why a broker ended badly.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The last sync failed: what was not confirmed before may be lost.
    #[error("the log could not be closed: {0}")]
    Close(#[source] CoreError),
    /// The disk did not finish within the time-out: what was confirmed is safe, the rest is not.
    #[error("the log could not be closed in time: what was confirmed is safe")]
    TooSlow,
    /// The process is going down.
    #[error("the stop was interrupted")]
    Interrupted,
}
