//! What a key's value may be: how it is read, how it is printed, what an error says is allowed.

use std::fmt::Debug;
use std::path::PathBuf;

use crate::auth::Secret;
use crate::auth::Tag;
use crate::transport::ListenAddress;

use super::address;

/// A value as a source gave it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Raw {
    /// A TOML boolean.
    Bool(bool),
    /// A TOML integer.
    Whole(i64),
    /// A TOML string.
    Text(String),
    /// A TOML array.
    List(Vec<Raw>),
    /// From the environment or the command line: text that becomes whatever the key wants.
    Untyped(String),
    /// A TOML float, date or table, which no key takes.
    Other(&'static str),
}

impl Raw {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Untyped(text) => Some(text),
            Self::Bool(_) | Self::Whole(_) | Self::List(_) | Self::Other(_) => None,
        }
    }

    /// The items of a list, or the one item that stands for a list of one. Untyped text is split at
    /// commas.
    fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text.trim()]),
            Self::Untyped(text) => Some(text.split(',').map(str::trim).collect()),
            Self::List(items) => items.iter().map(Self::text).collect(),
            Self::Bool(_) | Self::Whole(_) | Self::Other(_) => None,
        }
    }

    /// As the error shows it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Whole(value) => value.to_string(),
            Self::Text(text) | Self::Untyped(text) => quoted(text),
            Self::List(items) => format!(
                "[{}]",
                items.iter().map(Self::shown).collect::<Vec<_>>().join(", ")
            ),
            Self::Other(kind) => format!("of type {kind}"),
        }
    }
}

/// A TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// How the values of a key are read and written.
pub(super) trait Rule {
    /// What the configuration holds.
    type Value;
    /// Reads a value; `None` is a bad one.
    fn read(&self, raw: &Raw) -> Option<Self::Value>;
    /// Writes a value as TOML.
    fn print(&self, value: &Self::Value) -> String;
    /// What is allowed, to follow "allowed is".
    fn allowed(&self) -> String;
}

/// `true` or `false`.
pub(super) struct Switch;

impl Rule for Switch {
    type Value = bool;

    fn read(&self, raw: &Raw) -> Option<bool> {
        match raw {
            Raw::Bool(value) => Some(*value),
            Raw::Untyped(text) => text.parse().ok(),
            Raw::Whole(_) | Raw::Text(_) | Raw::List(_) | Raw::Other(_) => None,
        }
    }

    fn print(&self, value: &bool) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
}

/// One of some words.
pub(super) struct Choice<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + PartialEq + Debug> Rule for Choice<T> {
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let text = raw.text()?;
        self.0
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }

    fn print(&self, value: &T) -> String {
        let word = self
            .0
            .iter()
            .find(|(_, known)| known == value)
            .map(|(word, _)| *word);
        quoted(word.unwrap_or_default())
    }

    fn allowed(&self) -> String {
        self.0
            .iter()
            .map(|(word, _)| quoted(word))
            .collect::<Vec<_>>()
            .join(" or ")
    }
}

/// Text that passes a check.
pub(super) struct Text {
    /// Whether the text will do.
    pub check: fn(&str) -> bool,
    /// What will do.
    pub allowed: &'static str,
}

impl Rule for Text {
    type Value = String;

    fn read(&self, raw: &Raw) -> Option<String> {
        raw.text()
            .filter(|text| (self.check)(text))
            .map(str::to_owned)
    }

    fn print(&self, value: &String) -> String {
        quoted(value)
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}

/// Text that may be empty for "none".
pub(super) struct OptionalText(pub Text);

impl Rule for OptionalText {
    type Value = Option<String>;

    fn read(&self, raw: &Raw) -> Option<Option<String>> {
        match raw.text()? {
            "" => Some(None),
            _ => self.0.read(raw).map(Some),
        }
    }

    fn print(&self, value: &Option<String>) -> String {
        quoted(value.as_deref().unwrap_or_default())
    }

    fn allowed(&self) -> String {
        format!("{}, or empty", self.0.allowed)
    }
}

/// A path.
pub(super) struct Folder;

impl Rule for Folder {
    type Value = PathBuf;

    fn read(&self, raw: &Raw) -> Option<PathBuf> {
        raw.text()
            .filter(|text| !text.is_empty() && !text.contains('\0'))
            .map(PathBuf::from)
    }

    fn print(&self, value: &PathBuf) -> String {
        quoted(&value.to_string_lossy())
    }

    fn allowed(&self) -> String {
        "a path".to_owned()
    }
}

/// Listener addresses.
pub(super) struct Addresses;

impl Rule for Addresses {
    type Value = Vec<ListenAddress>;

    fn read(&self, raw: &Raw) -> Option<Vec<ListenAddress>> {
        if raw.text() == Some("") {
            return Some(Vec::new());
        }
        let addresses: Option<Vec<_>> = raw.texts()?.into_iter().map(address::parse).collect();
        Some(addresses?.concat())
    }

    fn print(&self, value: &Vec<ListenAddress>) -> String {
        match address::print(value).as_slice() {
            [] => quoted(""),
            [one] => quoted(one),
            many => format!(
                "[{}]",
                many.iter()
                    .map(|text| quoted(text))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }

    fn allowed(&self) -> String {
        address::ALLOWED.to_owned()
    }
}

/// Tags of a user.
pub(super) struct Tags;

impl Rule for Tags {
    type Value = Vec<Tag>;

    fn read(&self, raw: &Raw) -> Option<Vec<Tag>> {
        let texts = raw.texts()?;
        texts
            .into_iter()
            .filter(|text| !text.is_empty())
            .map(|text| Tag::parse(text).ok())
            .collect()
    }

    fn print(&self, value: &Vec<Tag>) -> String {
        let words = value
            .iter()
            .map(|tag| format!("\"{}\"", format!("{tag:?}").to_lowercase()));
        format!("[{}]", words.collect::<Vec<_>>().join(", "))
    }

    fn allowed(&self) -> String {
        "a list of administrator, monitoring, policymaker, management, impersonator".to_owned()
    }
}

/// Words.
pub(super) struct Words;

impl Rule for Words {
    type Value = Vec<String>;

    fn read(&self, raw: &Raw) -> Option<Vec<String>> {
        let words = raw.texts()?.into_iter().filter(|word| !word.is_empty());
        Some(words.map(str::to_owned).collect())
    }

    fn print(&self, value: &Vec<String>) -> String {
        format!(
            "[{}]",
            value
                .iter()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(", ")
        )
    }

    fn allowed(&self) -> String {
        "a list of words".to_owned()
    }
}

/// A secret: read, and never printed.
pub(super) struct Hidden;

impl Rule for Hidden {
    type Value = Secret;

    fn read(&self, raw: &Raw) -> Option<Secret> {
        raw.text().filter(|text| !text.is_empty()).map(Secret::new)
    }

    fn print(&self, _: &Secret) -> String {
        quoted("…")
    }

    fn allowed(&self) -> String {
        "a text that is not empty".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(text: &str) -> Raw {
        Raw::Untyped(text.to_owned())
    }

    #[test]
    fn a_list_may_be_one_item_or_text_with_commas() {
        let one = Addresses
            .read(&Raw::Text("127.0.0.1:1".to_owned()))
            .unwrap();
        let list = Addresses
            .read(&Raw::List(vec![Raw::Text("127.0.0.1:1".to_owned())]))
            .unwrap();
        assert_eq!(one, list);
        assert_eq!(
            Addresses
                .read(&untyped("127.0.0.1:1, [::1]:1"))
                .unwrap()
                .len(),
            2
        );
        assert_eq!(Addresses.read(&untyped("")), Some(Vec::new()));
        assert_eq!(Addresses.read(&Raw::Whole(5672)), None);
    }
}
