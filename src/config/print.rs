//! The configuration as text: what is in effect, and what changed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::keys::KEYS;
use super::keys::Key;
use super::loaded::Loaded;
use super::path::join;
use super::source::Origin;

/// Every key with its value and where it came from; secrets are not shown.
pub fn effective(loaded: &Loaded) -> String {
    let mut text = String::new();
    for key in KEYS {
        for (name, value) in (key.get)(&loaded.config) {
            let path = join(&segments(key, &name));
            let origin = origin(loaded, &path);
            // Writing into a `String` cannot fail; likewise below.
            let _ = writeln!(text, "{path} = {value}  # {origin}");
        }
    }
    for unused in &loaded.unused {
        let _ = writeln!(text, "# {unused}");
    }
    text
}

/// Who set a key, or else the section that it stands in: a virtual host may be named and no more.
fn origin<'a>(loaded: &'a Loaded, path: &str) -> &'a Origin {
    let section = || loaded.origins.get(path.rsplit_once('.')?.0);
    loaded
        .origins
        .get(path)
        .or_else(section)
        .unwrap_or(&Origin::Default)
}

/// Keys whose values differ between two configurations, secrets included.
pub fn changed_keys(before: &Loaded, after: &Loaded) -> Vec<String> {
    let mut changed = Vec::new();
    for key in KEYS {
        let (old, new) = ((key.get)(&before.config), (key.get)(&after.config));
        let names: BTreeSet<_> = old.iter().chain(&new).map(|(name, _)| name).collect();
        for name in names {
            let value = |values: &[(String, String)]| {
                values.iter().find(|(known, _)| known == name).cloned()
            };
            if value(&old) != value(&new) {
                changed.push(join(&segments(key, name)));
            }
        }
    }
    // A secret prints the same whatever it is.
    let (old, new) = (&before.config.auth, &after.config.auth);
    let differs = |key: &str| key.starts_with("auth.users") || key.starts_with("auth.keys");
    if (&old.users, &old.keys) != (&new.users, &new.keys) && !changed.iter().any(|key| differs(key))
    {
        changed.push("auth.users and auth.keys (secrets)".to_owned());
    }
    changed
}

fn segments(key: &Key, name: &str) -> Vec<String> {
    key.path
        .split('.')
        .map(|part| {
            if part == "*" {
                name.to_owned()
            } else {
                part.to_owned()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    #[test]
    fn effective_tells_origins_and_hides_secrets() {
        let set = ["auth.users.alice.password=hunter2", "log.level=warn"]
            .map(str::to_owned)
            .to_vec();
        let text = effective(
            &Sources {
                set,
                ..Sources::default()
            }
            .load()
            .unwrap(),
        );
        assert!(text.contains("log.level = \"warn\"  # --set\n"), "{text}");
        assert!(
            text.contains("listeners.amqp = \"localhost:5672\"  # default\n"),
            "{text}"
        );
        assert!(
            text.contains("auth.users.alice.password = \"…\"  # --set\n"),
            "{text}"
        );
        assert!(!text.contains("hunter2"));
    }
}
