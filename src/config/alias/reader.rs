//! Reading the variables of one environment: what each says is put down as an entry, as unused or as
//! a fault.

use crate::config::Config;
use crate::config::address;
use crate::config::error::Problem;
use crate::config::rule::Raw;
use crate::config::source::Entry;
use crate::config::source::Origin;
use crate::config::source::Sources;
use crate::config::source::read_secret;
use crate::transport::ListenAddress;

use super::Alias;
use super::Fault;
use super::GUEST;
use super::Taken;
use super::Unused;
use super::aliases;

/// The environment, the configuration so far, and what came of them.
pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    pub(super) config: &'a Config,
    pub(super) taken: Taken,
}

impl<'a> Reader<'a> {
    /// The value of a variable. Compose files pass on what is not set as an empty text.
    pub(super) fn value(&self, name: &str) -> Option<&'a str> {
        debug_assert!(
            aliases().any(|alias| alias.knows(name)),
            "{name} stands in no row"
        );
        self.sources.env(name).filter(|value| !value.is_empty())
    }

    /// The value of a variable, or the content of the file that its `_FILE` twin names, with the name
    /// of the one that counted.
    fn value_or_file(&self, name: &str) -> Result<Option<(String, String)>, Problem> {
        let twin = format!("{name}_FILE");
        match (self.value(name), self.value(&twin)) {
            (Some(_), Some(_)) => Err(Problem::Twins(name.to_owned())),
            (Some(value), None) => Ok(Some((name.to_owned(), value.to_owned()))),
            (None, Some(path)) => Ok(Some((twin, read_secret(path)?))),
            (None, None) => Ok(None),
        }
    }

    /// A port, unless it is none: Kubernetes sets `EDGE_PORT=tcp://10.0.0.1:80` for a service called
    /// edge, and whoever runs the broker beside it cannot help that.
    pub(super) fn port(&mut self, name: &str, text: &'a str) -> Option<&'a str> {
        let port = port_number(text);
        if port.is_none() {
            self.leave(name, format!("'{text}' is no port number"));
        }
        port
    }

    pub(super) fn set(&mut self, name: &str, path: &[&str], value: impl Into<String>) {
        self.put(name, path, Raw::Untyped(value.into()));
    }

    pub(super) fn put(&mut self, name: &str, path: &[&str], raw: Raw) {
        let entry = Entry {
            path: owned(path),
            raw,
            origin: Origin::Env(name.to_owned()),
        };
        self.taken.entries.push((name.to_owned(), entry));
    }

    pub(super) fn leave(&mut self, name: &str, why: impl Into<String>) {
        self.taken.unused.push(Unused {
            names: vec![name.to_owned()],
            why: why.into(),
        });
    }

    fn fault(&mut self, path: &[&str], is_gap: bool, problem: Problem) {
        self.taken.faults.push(Fault {
            path: owned(path),
            is_gap,
            problem,
        });
    }

    /// A user from two variables, as an administrator. `default_user` is whom the image means when
    /// only a password is given.
    pub(super) fn login(&mut self, user: &str, password: &str, default_user: &str) {
        let secret = self.value_or_file(password);
        let (origin, name) = match (self.value_or_file(user), &secret) {
            (Ok(Some(said)), _) => said,
            (Ok(None), Ok(None)) => return,
            (Ok(None), Ok(Some((origin, _)))) => (origin.clone(), default_user.to_owned()),
            (Ok(None), Err(_)) => (password.to_owned(), default_user.to_owned()),
            (Err(problem), _) => {
                self.fault(&[], false, problem);
                if let Err(problem) = secret {
                    self.fault(&[], false, problem);
                }
                return;
            }
        };
        self.set(&origin, &["auth", "users", &name, "tags"], "administrator");
        let path = ["auth", "users", &name, "password"];
        match secret {
            Ok(Some((origin, secret))) => self.set(&origin, &path, secret),
            Err(problem) => self.fault(&path, false, problem),
            // The image would take a password that everybody knows.
            Ok(None) => {
                let problem = Problem::Conflict {
                    origin: Origin::Env(origin.clone()),
                    what: format!("a user without a password: set {password}, too"),
                };
                self.fault(&path, true, problem);
            }
        }
        if name != GUEST && self.taken.instead_of_guest.is_none() {
            self.taken.instead_of_guest = Some((name, origin));
        }
    }
}

fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|&part| part.to_owned()).collect()
}

/// The text without the blanks around it, if it is a port's number.
pub(super) fn port_number(text: &str) -> Option<&str> {
    let text = text.trim();
    text.parse::<u16>().is_ok().then_some(text)
}

/// Addresses with another host or port, as a key takes them.
pub(super) fn moved(addresses: &[ListenAddress], host: Option<&str>, port: Option<&str>) -> String {
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
pub(super) fn unused(reader: &mut Reader<'_>, alias: &Alias) {
    for name in alias.names {
        if reader.value(name).is_some() {
            reader.leave(name, alias.help);
        }
    }
}

/// For names that ask for what is so anyway.
pub(super) fn holds_already(_: &mut Reader<'_>, _: &Alias) {}
