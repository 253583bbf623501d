//! What core refuses, and why.

use crate::core::log::store::AppendError;
use crate::core::log::store::StoreError;
use crate::core::quarantine::Quarantined;

/// Why core did not do what it was asked.
///
/// Exhaustive on purpose: a new variant does not compile until every door has said what its client sees.
#[derive(Debug, thiserror::Error)]
pub enum CoreError {
    /// There is no such vhost.
    #[error("no vhost '{0}'")]
    VhostNotFound(String),
    /// There is no such queue.
    #[error("no queue '{queue}' in vhost '{vhost}'")]
    QueueNotFound {
        /// The vhost that was looked in.
        vhost: String,
        /// The queue.
        queue: String,
    },
    /// There is no such exchange.
    #[error("no exchange '{exchange}' in vhost '{vhost}'")]
    ExchangeNotFound {
        /// The vhost that was looked in.
        vhost: String,
        /// The exchange.
        exchange: String,
    },
    /// The default exchange cannot be declared, deleted or bound to.
    #[error("operation not permitted on the default exchange")]
    DefaultExchange,
    /// `if-unused`: it has consumers or bindings.
    #[error("'{0}' is in use")]
    InUse(String),
    /// `if-empty`: it has messages.
    #[error("'{0}' is not empty")]
    NotEmpty(String),
    /// A headers exchange cannot tell how to match.
    #[error("invalid binding arguments: {0}")]
    BadBinding(String),
    /// A part of the log that may concern the queue cannot be read: nothing is taken from it or put into it.
    #[error(transparent)]
    Quarantined(Box<Quarantined>),
    /// The log has too much to write: nothing was taken, try again when the watermark moves.
    #[error("the log has too much to write")]
    Busy,
    /// The disk is full: nothing was taken, publishers wait.
    #[error("no space left for the log")]
    Full,
    /// The log has failed; the process ends.
    #[error("the log has failed")]
    LogFailed,
    /// The store could not be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AppendError> for CoreError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Busy => Self::Busy,
            AppendError::Full => Self::Full,
            AppendError::Failed => Self::LogFailed,
        }
    }
}
