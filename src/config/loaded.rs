//! A configuration that was put together from its sources: each value applied with where it came
//! from, and checked against the others at the end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::auth::DefaultUsers;
use crate::auth::UserName;

use super::Config;
use super::DEFAULT_VHOST;
use super::alias::Fault;
use super::alias::Rank;
use super::alias::Taken;
use super::alias::Unused;
use super::alias::Used;
use super::error::Problem;
use super::keys::DOORS_TO_COME;
use super::nearest::nearest;
use super::path::find;
use super::path::is_section;
use super::path::join;
use super::path::known_paths;
use super::rule::Raw;
use super::source::Entry;
use super::source::Origin;

/// A configuration with where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Key path → where its value came from; keys that are missing have their default.
    pub origins: BTreeMap<String, Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// Names of other images that were set and set nothing.
    pub unused: Vec<Unused>,
    /// Names of other images that were set and say what a key of ours says.
    pub used: Vec<Used>,
    /// The virtual host that clients are shown first.
    pub vhost: String,
}

impl From<Config> for Loaded {
    /// A configuration that somebody made instead of reading it.
    fn from(config: Config) -> Self {
        Self {
            config,
            origins: BTreeMap::new(),
            file: None,
            unused: Vec::new(),
            used: Vec::new(),
            vhost: DEFAULT_VHOST.0.to_owned(),
        }
    }
}

impl Loaded {
    pub(super) fn apply_all(&mut self, entries: Vec<Entry>, problems: &mut Vec<Problem>) {
        let faults = entries
            .into_iter()
            .filter_map(|entry| self.apply(entry).err());
        problems.extend(faults);
    }

    fn apply(&mut self, entry: Entry) -> Result<(), Problem> {
        let Entry { path, raw, origin } = entry;
        let shown = join(&path);
        if let [section, door] = path.as_slice()
            && section == "listeners"
            && DOORS_TO_COME.contains(&door.as_str())
        {
            // "Off" is true already.
            let is_off = matches!(&raw, Raw::Text(text) | Raw::Untyped(text) if text.is_empty());
            return if is_off {
                Ok(())
            } else {
                Err(Problem::NoDoorYet { origin, key: shown })
            };
        }
        match find(&path) {
            Some((key, name)) => {
                let Some(()) = (key.set)(&mut self.config, &name, &raw) else {
                    let value = if key.is_secret {
                        "…".to_owned()
                    } else {
                        raw.shown()
                    };
                    return Err(Problem::Bad {
                        origin,
                        key: shown,
                        value,
                        allowed: (key.allowed)(),
                    });
                };
                self.origins.insert(shown, origin);
                Ok(())
            }
            None => match (path.as_slice(), &raw) {
                // A virtual host of which only the name is said.
                ([section, name], Raw::Other("table")) if section == "vhosts" => {
                    self.config.vhosts.entry(name.clone()).or_default();
                    self.origins.insert(shown, origin);
                    Ok(())
                }
                (_, Raw::Other("table")) if is_section(&path) => Ok(()),
                _ => Err(Problem::Unknown {
                    origin,
                    nearest: nearest(&shown, known_paths()),
                    key: shown,
                }),
            },
        }
    }

    /// Applies what other images' names said and then `ours`, which rank above them: what they said of
    /// a key that is set there doesn't count, nor what was wrong with it.
    pub(super) fn take_over(
        &mut self,
        taken: Taken,
        ours: Vec<Entry>,
        problems: &mut Vec<Problem>,
    ) {
        let of_ours = |path: &[String]| {
            let last = ours.iter().rev().find(|entry| entry.path == path);
            last.map(|entry| entry.origin.clone())
        };
        let (mut counts, mut faults) = (Vec::new(), taken.faults);
        faults.retain(|fault| of_ours(&fault.path).is_none());
        for (name, entry) in taken.entries {
            let outranked = of_ours(&entry.path);
            if outranked.is_none() {
                counts.push(entry.clone());
            }
            self.used.push(Used {
                name,
                key: join(&entry.path),
                rank: outranked.map_or(Rank::Counts, Rank::Outranked),
            });
        }
        self.apply_all(counts, problems);
        self.apply_all(ours, problems);
        let holds = |fault: &Fault| !fault.is_gap || !self.origins.contains_key(&join(&fault.path));
        problems.extend(faults.into_iter().filter(holds).map(|fault| fault.problem));
        self.unused = taken.unused;
        if let Some(vhost) = taken.vhost {
            self.vhost = vhost;
        }
        if let Some((user, variable)) = taken.instead_of_guest {
            self.replace_guest(&user, &variable);
        }
    }

    /// Lets the user whom `variable` names take the place of the default one, who may exist in the
    /// data dir already: whoever names a user does so to keep the one out whom everybody knows.
    fn replace_guest(&mut self, user: &str, variable: &str) {
        let Ok(user) = UserName::parse(user) else {
            // Told already: it cannot be a part of a key.
            return;
        };
        let auth = &mut self.config.auth;
        let asked = auth.default_users != DefaultUsers::Off;
        auth.default_users = DefaultUsers::Off;
        auth.is_guest_replaced = true;
        for key in &mut auth.keys {
            let place = join(&["auth", "keys", &key.id, "user"].map(str::to_owned));
            if !self.origins.contains_key(&place) {
                key.user = user.clone();
            }
        }
        let key = "auth.default_users".to_owned();
        let origin = Origin::Env(variable.to_owned());
        let before = self.origins.insert(key.clone(), origin);
        let rank = match before {
            Some(before) if asked => Rank::Overrides(before),
            Some(_) | None => Rank::Counts,
        };
        let name = variable.to_owned();
        self.used.push(Used { name, key, rank });
    }

    pub(super) fn cross_check(&self, problems: &mut Vec<Problem>) {
        let origin = |path: &str| self.origins.get(path).cloned().unwrap_or(Origin::Default);
        let mut accounts = BTreeMap::new();
        for (name, vhost) in &self.config.vhosts {
            let Some(account) = &vhost.account else {
                continue;
            };
            if let Some(other) = accounts.insert(account, name) {
                let what = format!(
                    "account {account} belongs to vhost '{other}' already, it cannot be that of '{name}'"
                );
                let path = join(&["vhosts".to_owned(), name.clone(), "account".to_owned()]);
                problems.push(Problem::Conflict {
                    origin: origin(&path),
                    what,
                });
            }
        }
        for key in &self.config.auth.keys {
            let place = |leaf: &str| {
                join(&[
                    "auth".to_owned(),
                    "keys".to_owned(),
                    key.id.clone(),
                    leaf.to_owned(),
                ])
            };
            if key.secret.is_empty() {
                let what = format!("access key '{}' has no secret", key.id);
                problems.push(Problem::Conflict {
                    origin: origin(&place("user")),
                    what,
                });
            }
            if !self.config.vhosts.contains_key(&key.vhost) {
                let what = format!(
                    "access key '{}' leads to vhost '{}', which is not configured",
                    key.id, key.vhost
                );
                problems.push(Problem::Conflict {
                    origin: origin(&place("vhost")),
                    what,
                });
            }
        }
    }
}
