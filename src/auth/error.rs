//! What can go wrong with users, logins and permissions.

use super::permission::Action;
use super::records::RecordsError;

/// Why a change to the directory was refused.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The name breaks the rule of its kind.
    #[error("{kind} has {bytes} bytes: 1 to {max} without NUL are allowed")]
    Name {
        /// What was named: `user name`, `access key id`.
        kind: &'static str,
        /// Length of what was given.
        bytes: usize,
        /// Longest that is allowed.
        max: usize,
    },
    /// A password that no login could ever present.
    #[error("the password has {bytes} bytes: 1 to {max} are allowed")]
    PasswordLength {
        /// Length of what was given.
        bytes: usize,
        /// Longest that is allowed.
        max: usize,
    },
    /// No user of this name.
    #[error("there is no user '{0}'")]
    UserNotFound(String),
    /// The name is taken.
    #[error("user '{0}' exists already")]
    UserExists(String),
    /// No access key of this id.
    #[error("there is no access key '{0}'")]
    KeyNotFound(String),
    /// A tag that means nothing.
    #[error(
        "unknown tag '{0}': administrator, monitoring, policymaker, management and impersonator are known"
    )]
    UnknownTag(String),
    /// The pattern is not a regular expression of the supported kind.
    #[error("bad {action} pattern '{pattern}': {source}")]
    Pattern {
        /// Which of the three patterns.
        action: Action,
        /// Its text.
        pattern: String,
        /// What the compiler said.
        #[source]
        source: regex::Error,
    },
    /// The hash function failed: no memory, or no random numbers.
    #[error("cannot hash the password: {0}")]
    Hash(String),
    /// The catalog didn't take or give the record.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A stored record cannot be read.
    #[error("record '{key}' is damaged: {source}")]
    Damaged {
        /// Key of the record.
        key: String,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
}

/// Why a login was refused. The client sees none of this, the log sees all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No such user.
    #[error("unknown user")]
    UnknownUser,
    /// The user exists and the password is another one.
    #[error("wrong password")]
    WrongPassword,
    /// The user has no password and can log in by access key or certificate only.
    #[error("user has no password")]
    NoPassword,
    /// No such access key.
    #[error("unknown access key")]
    UnknownKey,
    /// A default user came over the network; `auth.default_users` decides.
    #[error("default user from a remote address: only loopback is allowed (auth.default_users)")]
    LoopbackOnly,
    /// The default users are switched off.
    #[error("default users are off (auth.default_users)")]
    DefaultUsersOff,
    /// The process is shutting down, or has no memory for a hash.
    #[error("the password could not be checked")]
    Unavailable,
}

impl LoginError {
    /// The reason as a word for the log: bounded and without anything that the client sent.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown user",
            Self::WrongPassword => "wrong password",
            Self::NoPassword => "no password",
            Self::UnknownKey => "unknown access key",
            Self::LoopbackOnly => "default user from a remote address (auth.default_users)",
            Self::DefaultUsersOff => "default users are off (auth.default_users)",
            Self::Unavailable => "unavailable",
        }
    }
}

/// A permission that the user lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The user has no permissions in the virtual host at all.
    #[error("user '{user}' may not enter vhost '{vhost}'")]
    Vhost {
        /// Who asked.
        user: String,
        /// Where.
        vhost: String,
    },
    /// The pattern doesn't match the resource's name.
    #[error("user '{user}' has no {action} permission for '{name}' in vhost '{vhost}'")]
    Resource {
        /// Who asked.
        user: String,
        /// Where.
        vhost: String,
        /// For what.
        action: Action,
        /// On what.
        name: String,
    },
}
