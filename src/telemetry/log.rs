//! The log: structured events on stderr, as text for people or as JSON for machines.
//!
//! Message in lower case, values as fields (`conn`, `protocol`, `peer`, `vhost`, `user`, `queue`,
//! `error`); never a body, never a secret. Standard output stays free for the listener table.

use std::io::IsTerminal;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Level of the log unless somebody says otherwise: the life of the process, not of a connection.
const DEFAULT_LEVEL: &str = "info";

/// How an event is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// The section `log` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How an event is written.
    pub format: LogFormat,
    /// Least level that is written, or directives like `info,viaduct::aws=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: DEFAULT_LEVEL.to_owned(),
        }
    }
}

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level is none.
    #[error("bad log level '{level}': {reason}")]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The process has a log already, as an embedder may have made.
    #[error("the process has a log already")]
    InstalledBefore,
}

impl LogConfig {
    /// Checks the level without installing anything.
    ///
    /// # Errors
    /// [`LogError::Level`].
    pub fn check(&self) -> Result<(), LogError> {
        self.filter().map(|_| ())
    }

    /// Installs the log for the whole process.
    ///
    /// # Errors
    /// [`LogError`] if the level is none, or the process has a log.
    pub fn install(&self) -> Result<LogHandle, LogError> {
        let (filter, handle) = reload::Layer::new(self.filter()?);
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        let installed = match self.format {
            LogFormat::Text => registry().with(filter).with(lines).try_init(),
            LogFormat::Json => registry()
                .with(filter)
                .with(lines.json().flatten_event(true))
                .try_init(),
        };
        installed.map_err(|_| LogError::InstalledBefore)?;
        Ok(LogHandle(handle))
    }

    fn filter(&self) -> Result<EnvFilter, LogError> {
        let bad = |reason: String| LogError::Level {
            level: self.level.clone(),
            reason,
        };
        // A bare word that is no level would be taken for a module's name and silence everything.
        let is_word = !self.level.contains(['=', ',', '[']);
        if is_word && (self.level.is_empty() || LevelFilter::from_str(&self.level).is_err()) {
            return Err(bad(
                "off, error, warn, info, debug and trace are levels".to_owned()
            ));
        }
        EnvFilter::try_new(&self.level).map_err(|error| bad(error.to_string()))
    }
}

/// The installed log.
#[derive(Clone, Debug)]
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Takes over another level.
    ///
    /// # Errors
    /// [`LogError::Level`] if it is none; the old one then stays.
    pub fn set_level(&self, config: &LogConfig) -> Result<(), LogError> {
        let filter = config.filter()?;
        let gone = |error: reload::Error| LogError::Level {
            level: config.level.clone(),
            reason: error.to_string(),
        };
        self.0.reload(filter).map_err(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(level: &str) -> Result<(), LogError> {
        LogConfig {
            level: level.to_owned(),
            ..LogConfig::default()
        }
        .check()
    }

    #[test]
    fn a_level_or_directives_are_taken() {
        for level in ["info", "DEBUG", "off", "info,viaduct::aws=trace"] {
            assert!(check(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for level in ["verbose", "", "info,viaduct=loud"] {
            assert!(
                matches!(check(level), Err(LogError::Level { .. })),
                "{level}"
            );
        }
    }
}
