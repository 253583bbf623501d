//! Where values come from, and who wins: flag over environment over file over default. Within the
//! environment our own names win over those of other images, and an image's defaults lose to the file.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use super::Config;
use super::alias;
use super::error::ConfigError;
use super::error::Problem;
use super::file;
use super::loaded::Loaded;
use super::path::env_path;
use super::path::find;
use super::path::split_path;
use super::rule::Raw;

/// Starts the environment variables that set keys: `VIADUCT__LISTENERS__AMQP`.
const ENV_PREFIX: &str = "VIADUCT__";

/// Starts the variables with which an image or a package sets what holds when nobody says anything:
/// unlike [`ENV_PREFIX`], a file that a user mounts wins over them.
const DEFAULT_PREFIX: &str = "VIADUCT_DEFAULT__";

/// Names the file, if the command line doesn't.
const ENV_FILE: &str = "VIADUCT_CONFIG";

/// Ends the variable that names a file with the secret in it.
const FILE_SUFFIX: &str = "_FILE";

/// Where a file is looked for when nobody names one; the first found counts.
const SEARCHED: [&str; 2] = ["./viaduct.toml", "/etc/viaduct/viaduct.toml"];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A place in the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// An environment variable.
    Env(String),
    /// `--set`.
    Set,
    /// `--data-dir`.
    DataDir,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Set => f.write_str("--set"),
            Self::DataDir => f.write_str("--data-dir"),
        }
    }
}

/// A value that a source has for a key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) raw: Raw,
    pub(super) origin: Origin,
}

/// Everything that may say something about the configuration.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--config`.
    pub file: Option<PathBuf>,
    /// `--set`, in order: the last wins.
    pub set: Vec<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Files to look for when nobody names one.
    pub searched: Vec<PathBuf>,
}

impl Sources {
    /// The environment of this process and the usual places of the file.
    pub fn of_process() -> Self {
        let env = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self {
            env: env.collect(),
            searched: SEARCHED.iter().map(PathBuf::from).collect(),
            ..Self::default()
        }
    }

    /// Reads all sources.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong, not only the first.
    pub fn load(&self) -> Result<Loaded, ConfigError> {
        let mut problems = Vec::new();
        let mut loaded = Loaded::from(Config::default());
        let mut entries = Vec::new();
        self.read_env(DEFAULT_PREFIX, &mut entries, &mut problems);
        loaded.file = self.find_file();
        if let Some(path) = &loaded.file {
            match read_file(path) {
                Ok(found) => entries.extend(found),
                Err(problem) => problems.push(problem),
            }
        }
        loaded.apply_all(entries, &mut problems);
        let mut entries = Vec::new();
        self.read_env(ENV_PREFIX, &mut entries, &mut problems);
        self.read_flags(&mut entries, &mut problems);
        let taken = alias::read(self, &loaded.config);
        loaded.take_over(taken, entries, &mut problems);
        loaded.cross_check(&mut problems);
        if problems.is_empty() {
            Ok(loaded)
        } else {
            Err(ConfigError(problems))
        }
    }

    pub(super) fn env(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn find_file(&self) -> Option<PathBuf> {
        let named = self.file.clone().or_else(|| {
            self.env(ENV_FILE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        });
        named.or_else(|| self.searched.iter().find(|path| path.exists()).cloned())
    }

    fn read_env(&self, prefix: &str, entries: &mut Vec<Entry>, problems: &mut Vec<Problem>) {
        for (name, value) in &self.env {
            let Some(rest) = name.strip_prefix(prefix) else {
                continue;
            };
            let origin = Origin::Env(name.clone());
            let twin = rest.strip_suffix(FILE_SUFFIX).map(env_path);
            match twin.filter(|path| find(path).is_some_and(|(key, _)| key.is_secret)) {
                None => entries.push(Entry {
                    path: env_path(rest),
                    raw: Raw::Untyped(value.clone()),
                    origin,
                }),
                Some(_) if self.env(name.trim_end_matches(FILE_SUFFIX)).is_some() => {
                    problems.push(Problem::Twins(
                        name.trim_end_matches(FILE_SUFFIX).to_owned(),
                    ));
                }
                Some(path) => match read_secret(value) {
                    Ok(secret) => entries.push(Entry {
                        path,
                        raw: Raw::Untyped(secret),
                        origin,
                    }),
                    Err(problem) => problems.push(problem),
                },
            }
        }
    }

    fn read_flags(&self, entries: &mut Vec<Entry>, problems: &mut Vec<Problem>) {
        for assignment in &self.set {
            match assignment.split_once('=') {
                Some((key, value)) => entries.push(Entry {
                    path: split_path(key.trim()),
                    raw: Raw::Untyped(value.trim().to_owned()),
                    origin: Origin::Set,
                }),
                None => problems.push(Problem::NotAnAssignment(assignment.clone())),
            }
        }
        if let Some(path) = &self.data_dir {
            let raw = Raw::Untyped(path.to_string_lossy().into_owned());
            entries.push(Entry {
                path: vec!["data_dir".to_owned()],
                raw,
                origin: Origin::DataDir,
            });
        }
    }
}

/// The secret in a file, of which editors and `echo` end the line: their line feed is no part of it.
pub(super) fn read_secret(path: &str) -> Result<String, Problem> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(source) => Err(Problem::Unreadable {
            path: path.into(),
            source,
        }),
    }
}

fn read_file(path: &Path) -> Result<Vec<Entry>, Problem> {
    let text = std::fs::read_to_string(path).map_err(|source| Problem::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    file::read(path, &text)
}

#[cfg(test)]
mod tests;
