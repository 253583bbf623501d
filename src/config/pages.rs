//! The pages that are made from the table of keys: the sample file and the reference.

use std::fmt::Write as _;

use super::Config;
use super::alias::aliases;
use super::keys::DOORS_TO_COME;
use super::keys::KEYS;
use super::keys::Key;

/// A name to show in the place of a `*`, by section.
const EXAMPLE_NAMES: [(&str, &str); 4] = [
    ("aws.scopes", "sqs"),
    ("auth.users", "alice"),
    ("auth.keys", "AKIAEXAMPLE"),
    ("vhosts", "tenant"),
];

/// A value to show for a key that has none by default.
const EXAMPLE_VALUES: [(&str, &str); 7] = [
    ("aws.scopes.*", "[]"),
    ("auth.users.*.password", "\"change-me\""),
    ("auth.users.*.tags", "[\"administrator\"]"),
    ("auth.keys.*.secret", "\"change-me\""),
    ("auth.keys.*.user", "\"alice\""),
    ("auth.keys.*.vhost", "\"/\""),
    ("vhosts.*.account", "\"111111111111\""),
];

/// Width of a comment in the sample file.
const LINE_WIDTH: usize = 98;

/// The documented sample, with every key at its default and commented out.
pub fn sample() -> String {
    let mut text = String::from(
        "# Viaduct works without any configuration; this file shows every key with its default.\n\
         # It is read from --config, VIADUCT_CONFIG, ./viaduct.toml or /etc/viaduct/viaduct.toml, the first found.\n\
         # A key is also set by --set listeners.amqp=127.0.0.1:5672 or VIADUCT__LISTENERS__AMQP=127.0.0.1:5672:\n\
         # flag beats environment beats file. `viaduct config check` tells what is wrong with it.\n",
    );
    let mut section = "";
    for key in KEYS {
        let (parent, leaf) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        let leaf = if leaf == "*" {
            example_name(parent)
        } else {
            leaf
        };
        if parent != section {
            section = parent;
            let (open, header) = header(parent);
            let _ = writeln!(text, "\n{open}[{header}]");
        }
        for line in wrapped(key.help)
            .into_iter()
            .chain(wrapped(&format!("Allowed: {}.", (key.allowed)())))
        {
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "#{leaf} = {}", default_of(key));
    }
    text
}

/// The table of keys for the reference page, in Markdown.
pub fn reference() -> String {
    let mut text =
        String::from("| key | default | allowed | meaning |\n| --- | --- | --- | --- |\n");
    for key in KEYS {
        let default = if key.path.contains('*') {
            String::new()
        } else {
            format!("`{}`", default_of(key))
        };
        let twin = if key.is_secret {
            " In the environment also as a `_FILE`."
        } else {
            ""
        };
        let (allowed, help) = (
            (key.allowed)().replace('|', "\\|"),
            key.help.replace('|', "\\|"),
        );
        let _ = writeln!(
            text,
            "| `{}` | {default} | {allowed} | {help}{twin} |",
            key.path.replace('*', "<name>")
        );
    }
    let doors: Vec<_> = DOORS_TO_COME
        .iter()
        .map(|door| format!("`{door}`"))
        .collect();
    let _ = writeln!(
        text,
        "\nListeners without a door in this version, refused unless they are empty: {}.",
        doors.join(", ")
    );
    text.push_str(
        "\n### Variables of other images\n\n| variable | of the images of | sets | meaning |\n| --- | --- | --- | --- |\n",
    );
    for alias in aliases() {
        let names: Vec<_> = alias.names.iter().map(|name| format!("`{name}`")).collect();
        let sets = if alias.sets.is_empty() {
            "nothing".to_owned()
        } else {
            format!("`{}`", alias.sets)
        };
        let _ = writeln!(
            text,
            "| {} | {} | {sets} | {} |",
            names.join(", "),
            alias.image,
            alias.help
        );
    }
    text
}

/// A section's header; one with a name to choose is only an example and commented out.
fn header(parent: &str) -> (&'static str, String) {
    let example = EXAMPLE_NAMES
        .iter()
        .find(|(section, _)| parent.strip_suffix(".*") == Some(section));
    match example {
        Some((section, name)) => ("#", format!("{section}.{name}")),
        None => ("", parent.to_owned()),
    }
}

fn example_name(section: &str) -> &'static str {
    EXAMPLE_NAMES
        .iter()
        .find(|(known, _)| *known == section)
        .map_or("name", |(_, name)| name)
}

fn default_of(key: &Key) -> String {
    let example = EXAMPLE_VALUES.iter().find(|(path, _)| *path == key.path);
    match example {
        Some((_, value)) => (*value).to_owned(),
        None => (key.get)(&Config::default())
            .into_iter()
            .map(|(_, value)| value)
            .next()
            .unwrap_or_default(),
    }
}

fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < LINE_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::Sources;
    use super::*;

    /// Where the reference page holds the table.
    const MARKS: (&str, &str) = ("<!-- keys -->\n", "<!-- end of keys -->\n");

    fn committed(path: &str) -> String {
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
            .unwrap()
    }

    #[test]
    fn the_sample_file_shows_every_key() {
        assert!(
            committed("config/viaduct.toml") == sample(),
            "run: viaduct config print --sample > config/viaduct.toml"
        );
    }

    #[test]
    fn the_reference_page_shows_every_key() {
        let page = committed("docs/configuration.md");
        let table = page
            .split_once(MARKS.0)
            .and_then(|(_, rest)| rest.split_once(MARKS.1))
            .map(|(table, _)| table);
        assert!(
            table == Some(&reference()),
            "put the text of `viaduct config print --reference` between the marks"
        );
    }

    #[test]
    fn the_sample_says_what_is_so_already() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("viaduct.toml");
        // Names to choose are examples; everything else is the default.
        let uncommented: String = sample()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|first: char| first.is_ascii_lowercase()) => {
                    format!("{rest}\n")
                }
                _ => format!(
                    "{}\n",
                    line.strip_prefix("#[")
                        .map_or(line.to_owned(), |rest| format!("[{rest}"))
                ),
            })
            .collect();
        std::fs::write(&path, uncommented).unwrap();
        let loaded = Sources {
            file: Some(path),
            ..Sources::default()
        }
        .load()
        .unwrap();
        assert_eq!(loaded.origins.len(), KEYS.len());
        let mut config = loaded.config;
        config.auth.users.clear();
        config.auth.keys.clear();
        config.aws.scopes.clear();
        config.vhosts.remove("tenant");
        assert_eq!(config, Config::default());
    }
}
