//! Paths of keys: as the table writes them, as TOML does, and as the environment does.

use super::keys::KEYS;
use super::keys::Key;

pub(super) fn known_paths() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path)
}

/// The key of a path, and the name in place of its `*`.
pub(super) fn find(path: &[String]) -> Option<(&'static Key, String)> {
    KEYS.iter()
        .find_map(|key| Some((key, matched(key.path, path)?)))
}

fn matched(pattern: &str, path: &[String]) -> Option<String> {
    let mut name = String::new();
    let mut parts = pattern.split('.');
    for segment in path {
        match parts.next()? {
            "*" => name.clone_from(segment),
            part if part == segment => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(name)
}

/// Whether keys lie below the path.
pub(super) fn is_section(path: &[String]) -> bool {
    known_paths().any(|known| {
        let mut parts = known.split('.');
        let fits = path.iter().all(|segment| {
            parts
                .next()
                .is_some_and(|part| part == "*" || part == segment)
        });
        fits && parts.next().is_some()
    })
}

/// Turns `LISTENERS__AMQP` into a path. Fixed parts are written in upper case by custom, names as
/// they are.
pub(super) fn env_path(name: &str) -> Vec<String> {
    let segments: Vec<&str> = name.split("__").collect();
    let lower: Vec<String> = segments
        .iter()
        .map(|segment| segment.to_lowercase())
        .collect();
    let pattern = known_paths().find(|known| matched(known, &lower).is_some());
    let names = pattern
        .into_iter()
        .flat_map(|pattern| pattern.split('.'))
        .map(|part| part == "*");
    let is_name = names.chain(std::iter::repeat(false));
    segments
        .iter()
        .zip(lower)
        .zip(is_name)
        .map(|((as_is, lower), is_name)| if is_name { (*as_is).to_owned() } else { lower })
        .collect()
}

/// Splits `vhosts."a.b".account` at the dots outside of quotes.
pub(super) fn split_path(key: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut is_quoted = false;
    for character in key.chars() {
        match character {
            '"' => is_quoted = !is_quoted,
            '.' if !is_quoted => segments.push(String::new()),
            _ => {
                if let Some(last) = segments.last_mut() {
                    last.push(character);
                }
            }
        }
    }
    segments
}

/// Joins a path, with quotes where TOML needs them.
pub(super) fn join(path: &[String]) -> String {
    let is_bare = |segment: &str| {
        !segment.is_empty()
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    let segments = path.iter().map(|segment| {
        if is_bare(segment) {
            segment.clone()
        } else {
            super::rule::quoted(segment)
        }
    });
    segments.collect::<Vec<_>>().join(".")
}
