//! Names from the environments of other products' images: what each becomes here.
//!
//! Whoever replaces an image keeps the environment that he wrote for it. A name that says something
//! which a key of ours says, too, sets that key, which is told at the start. The other names of the
//! tables are told about with the reason, and in one line whatever else begins with a prefix that
//! only those images use. They rank above the file and below our own names.

mod localstack;
mod rabbitmq;
mod reader;

use std::fmt;

use reader::Reader;

use super::Config;
use super::error::Problem;
use super::source::Entry;
use super::source::Origin;
use super::source::Sources;

/// Start names that are read for the sake of those images only.
const PREFIXES: [&str; 2] = ["RABBITMQ_", localstack::PREFIX];

/// Something that another image's environment can say.
pub(super) struct Alias {
    /// The variables, which say it together.
    pub(super) names: &'static [&'static str],
    /// Whose they are.
    pub(super) image: &'static str,
    /// The key that they set; empty for none.
    pub(super) sets: &'static str,
    /// What they mean here, or why they mean nothing.
    pub(super) help: &'static str,
    /// Reads them.
    read: fn(&mut Reader<'_>, &Alias),
}

/// Whoever takes a login from two variables: its help and its `_FILE` twins go with it.
const LOGIN: &str = "auth.users.<name>";

/// The user of whom nobody has to say anything; another image's user takes its place.
const GUEST: &str = "guest";

/// Variables that were set and set nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The variables, at least one.
    pub names: Vec<String>,
    /// Why, to follow "not used: ".
    pub why: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.names.join(", ");
        let why = &self.why;
        match self.names.len() {
            1 => write!(f, "environment variable {names} is not used: {why}"),
            _ => write!(f, "environment variables {names} are not used: {why}"),
        }
    }
}

/// A variable that says something which one of our keys says, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The variable.
    pub name: String,
    /// The key.
    pub key: String,
    /// Which of the two counts.
    pub rank: Rank,
}

/// What becomes of a variable that says what a key says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rank {
    /// It sets the key.
    Counts,
    /// It does not: this source says it, too, and ranks higher.
    Outranked(Origin),
    /// It sets the key although this source says something else, which would make no sense beside it.
    Overrides(Origin),
}

/// All of them.
pub(super) fn aliases() -> impl Iterator<Item = &'static Alias> {
    rabbitmq::ALIASES.iter().chain(localstack::ALIASES)
}

impl Alias {
    /// Whether the variable is one of this row's, with what may stand before or behind its names.
    fn knows(&self, variable: &str) -> bool {
        let has_files = self.sets == LOGIN;
        let twin = variable.strip_suffix("_FILE").filter(|_| has_files);
        let has_prefix = self.image == localstack::LOCALSTACK;
        let bare = variable
            .strip_prefix(localstack::PREFIX)
            .filter(|_| has_prefix);
        [Some(variable), twin, bare]
            .into_iter()
            .flatten()
            .any(|name| self.names.contains(&name))
    }
}

/// What the other images' names said.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Each with the variable that says it.
    pub(super) entries: Vec<(String, Entry)>,
    pub(super) unused: Vec<Unused>,
    pub(super) faults: Vec<Fault>,
    /// The user who takes guest's place, and the variable that says so.
    pub(super) instead_of_guest: Option<(String, String)>,
    /// The virtual host that clients of the image enter.
    pub(super) vhost: Option<String>,
}

/// Something wrong with a variable, unless a source of higher rank sets the key.
#[derive(Debug)]
pub(super) struct Fault {
    /// The key; empty where none would help.
    pub(super) path: Vec<String>,
    /// Whether a source of lower rank helps, too: the variable left something open.
    pub(super) is_gap: bool,
    pub(super) problem: Problem,
}

/// Reads them all. `config` is what holds without them.
pub(super) fn read(sources: &Sources, config: &Config) -> Taken {
    let mut reader = Reader {
        sources,
        config,
        taken: Taken::default(),
    };
    for alias in aliases() {
        (alias.read)(&mut reader, alias);
    }
    reader.taken.unused.extend(strangers(sources));
    reader.taken
}

/// Names that look like another image's and that no row knows, in one line.
fn strangers(sources: &Sources) -> Option<Unused> {
    let mut names: Vec<_> = sources
        .env
        .iter()
        .filter(|(name, value)| {
            PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                && !value.is_empty()
                && !is_of_a_service(name, value)
                && !aliases().any(|alias| alias.knows(name))
        })
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    (!names.is_empty()).then(|| Unused {
        names,
        why: "this version knows no such name".to_owned(),
    })
}

/// Whether Kubernetes sets the variable for a service: `RABBITMQ_SERVICE_HOST`,
/// `RABBITMQ_SERVICE_PORT_AMQP`, `RABBITMQ_PORT=tcp://10.0.0.1:5672`, `RABBITMQ_PORT_5672_TCP_ADDR`.
fn is_of_a_service(name: &str, value: &str) -> bool {
    let is_of_a_port = || {
        let (_, port) = name.split_once("_PORT_")?;
        let (number, protocol) = port.split_once('_')?;
        let is_protocol = ["TCP", "UDP", "SCTP"]
            .iter()
            .any(|known| protocol.starts_with(known));
        Some(is_protocol && number.parse::<u16>().is_ok())
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_SERVICE_PORT")
        || name.contains("_SERVICE_PORT_")
        || (name.ends_with("_PORT") && value.contains("://"))
        || is_of_a_port() == Some(true)
}

#[cfg(test)]
mod tests;
