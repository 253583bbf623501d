//! Names from the environments of other products' images: what each becomes here.
//!
//! Whoever replaces an image keeps the environment that he wrote for it. A name that says something
//! which a key of ours says, too, sets that key; every other one is told about, never dropped in
//! silence. They rank above the file and below our own names.

mod localstack;
mod rabbitmq;

use std::fmt;

use crate::transport::ListenAddress;

use super::Config;
use super::address;
use super::error::Problem;
use super::rule::Raw;
use super::source::Entry;
use super::source::Origin;
use super::source::Sources;
use super::source::read_secret;

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

/// A variable that was set and sets nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// The variable.
    pub name: String,
    /// Why, to follow "not used: ".
    pub why: String,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, why } = self;
        write!(f, "environment variable {name} is not used: {why}")
    }
}

/// All of them.
pub(super) fn aliases() -> impl Iterator<Item = &'static Alias> {
    rabbitmq::ALIASES.iter().chain(localstack::ALIASES)
}

/// What the other images' names said.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) entries: Vec<Entry>,
    pub(super) unused: Vec<Unused>,
    pub(super) problems: Vec<Problem>,
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
    reader.taken
}

/// The environment, the configuration so far, and what came of them.
struct Reader<'a> {
    sources: &'a Sources,
    config: &'a Config,
    taken: Taken,
}

impl<'a> Reader<'a> {
    /// The value of a variable. Compose files pass on what is not set as an empty text.
    fn value(&self, name: &str) -> Option<&'a str> {
        self.sources.env(name).filter(|value| !value.is_empty())
    }

    /// The value of a variable, or the content of the file that its `_FILE` twin names, with the name
    /// of the one that counted.
    fn value_or_file(&mut self, name: &str) -> Option<(String, String)> {
        let twin = format!("{name}_FILE");
        match (self.value(name), self.value(&twin)) {
            (Some(_), Some(_)) => {
                self.taken.problems.push(Problem::Twins(name.to_owned()));
                None
            }
            (Some(value), None) => Some((name.to_owned(), value.to_owned())),
            (None, Some(path)) => match read_secret(path) {
                Ok(value) => Some((twin, value)),
                Err(problem) => {
                    self.taken.problems.push(problem);
                    None
                }
            },
            (None, None) => None,
        }
    }

    fn set(&mut self, name: &str, path: &[&str], value: impl Into<String>) {
        self.put(name, path, Raw::Untyped(value.into()));
    }

    fn put(&mut self, name: &str, path: &[&str], raw: Raw) {
        self.taken.entries.push(Entry {
            path: path.iter().map(|&part| part.to_owned()).collect(),
            raw,
            origin: Origin::Env(name.to_owned()),
        });
    }

    fn leave(&mut self, name: &str, why: impl Into<String>) {
        self.taken.unused.push(Unused {
            name: name.to_owned(),
            why: why.into(),
        });
    }

    /// A user from two variables, as an administrator. `default_user` is whom the image means when
    /// only a password is given.
    fn login(&mut self, user: &str, password: &str, default_user: &str) {
        let name = self.value_or_file(user);
        let secret = self.value_or_file(password);
        match (name, secret) {
            (Some((origin, name)), Some((secret_origin, secret))) => {
                self.set(&origin, &["auth", "users", &name, "tags"], "administrator");
                self.set(
                    &secret_origin,
                    &["auth", "users", &name, "password"],
                    secret,
                );
            }
            (None, Some((origin, secret))) => {
                self.set(
                    &origin,
                    &["auth", "users", default_user, "tags"],
                    "administrator",
                );
                self.set(
                    &origin,
                    &["auth", "users", default_user, "password"],
                    secret,
                );
            }
            // The image would take a password that everybody knows.
            (Some((origin, _)), None) if self.taken.problems.is_empty() => {
                self.taken.problems.push(Problem::Conflict {
                    origin: Origin::Env(origin),
                    what: format!("a user without a password: set {password}, too"),
                });
            }
            (Some(_) | None, None) => {}
        }
    }
}

/// Addresses with another host or port, as a key takes them.
fn moved(addresses: &[ListenAddress], host: Option<&str>, port: Option<&str>) -> String {
    let texts = address::print(addresses);
    let moved = texts.iter().map(|text| {
        let (old_host, old_port) = text.rsplit_once(':').unwrap_or((text, ""));
        format!("{}:{}", host.unwrap_or(old_host), port.unwrap_or(old_port))
    });
    let mut moved: Vec<_> = moved.collect();
    moved.dedup();
    moved.join(",")
}

/// For names that mean nothing here: each that is set is told about, with the help of its row.
fn unused(reader: &mut Reader<'_>, alias: &Alias) {
    for name in alias.names {
        if reader.value(name).is_some() {
            reader.leave(name, alias.help);
        }
    }
}

/// For names that ask for what is so anyway.
fn holds_already(_: &mut Reader<'_>, _: &Alias) {}

#[cfg(test)]
mod tests;
