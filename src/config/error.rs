//! What can be wrong with a configuration: all of it at once, each with its place.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::Origin;

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The file that was asked for cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is no TOML.
    #[error("{origin}: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser said.
        message: String,
    },
    /// There is no such key.
    #[error("{origin}: unknown key '{key}'{}", suggestion(*.nearest))]
    Unknown {
        /// Where.
        origin: Origin,
        /// What was written.
        key: String,
        /// What may have been meant.
        nearest: Option<&'static str>,
    },
    /// The value is none that the key takes.
    #[error("{origin}: bad value {value} for '{key}': allowed is {allowed}")]
    Bad {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
        /// What was written; `…` for a secret.
        value: String,
        /// What could have been written.
        allowed: String,
    },
    /// The design names this listener and this version doesn't have its door.
    #[error("{origin}: '{key}' cannot be served: there is no such door yet in this version")]
    NoDoorYet {
        /// Where.
        origin: Origin,
        /// The key.
        key: String,
    },
    /// `--set` without a value.
    #[error("--set '{0}': write it as key=value")]
    NotAnAssignment(String),
    /// A key and its `_FILE` twin are both set.
    #[error("{0} and {0}_FILE are both set: which one counts?")]
    Twins(String),
    /// Two keys contradict each other.
    #[error("{origin}: {what}")]
    Conflict {
        /// Where the second of them is.
        origin: Origin,
        /// What cannot be.
        what: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean '{nearest}'?")
    })
}

/// Everything that is wrong with a configuration.
#[derive(Debug)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
