//! What a key's value may be: how it is read, how it is printed, what an error says is allowed.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

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
    fn text(&self) -> Option<&str> {
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

/// A number of things, in the type of its field.
pub(super) struct Number<T: 'static> {
    /// Smallest and largest.
    pub range: RangeInclusive<T>,
}

impl<T> Rule for Number<T>
where
    T: TryFrom<i64> + PartialOrd + std::fmt::Display,
{
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        T::try_from(whole(raw)?)
            .ok()
            .filter(|number| self.range.contains(number))
    }

    fn print(&self, value: &T) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        format!("{} to {}", self.range.start(), self.range.end())
    }
}

fn whole(raw: &Raw) -> Option<i64> {
    match raw {
        Raw::Whole(value) => Some(*value),
        Raw::Untyped(text) => text.replace('_', "").parse().ok(),
        Raw::Bool(_) | Raw::Text(_) | Raw::List(_) | Raw::Other(_) => None,
    }
}

/// A size in bytes: a number, or a text with KiB, MiB or GiB.
pub(super) struct Bytes<T: 'static> {
    /// Smallest and largest.
    pub range: RangeInclusive<T>,
}

/// Units of sizes, the largest first, so that printing takes the shortest form.
const SIZES: [(&str, i64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

impl<T> Rule for Bytes<T>
where
    T: TryFrom<i64> + PartialOrd + Copy + TryInto<i64> + std::fmt::Display,
{
    type Value = T;

    fn read(&self, raw: &Raw) -> Option<T> {
        let bytes = whole(raw).or_else(|| with_unit(raw.text()?, &SIZES))?;
        T::try_from(bytes)
            .ok()
            .filter(|number| self.range.contains(number))
    }

    fn print(&self, value: &T) -> String {
        print_with_unit(*value, &SIZES)
    }

    fn allowed(&self) -> String {
        let (least, most) = (self.print(self.range.start()), self.print(self.range.end()));
        format!("{least} to {most} (bytes, or a text with KiB, MiB or GiB)")
    }
}

/// A size that may be left to the broker with `"auto"`.
pub(super) struct AutoBytes(pub Bytes<u64>);

impl Rule for AutoBytes {
    type Value = Option<u64>;

    fn read(&self, raw: &Raw) -> Option<Option<u64>> {
        match raw.text() {
            Some("auto") => Some(None),
            _ => self.0.read(raw).map(Some),
        }
    }

    fn print(&self, value: &Option<u64>) -> String {
        value
            .as_ref()
            .map_or_else(|| quoted("auto"), |bytes| self.0.print(bytes))
    }

    fn allowed(&self) -> String {
        format!("\"auto\", or {}", self.0.allowed())
    }
}

/// A time: a text with ms, s or min.
pub(super) struct Time {
    /// Shortest and longest.
    pub range: RangeInclusive<Duration>,
}

/// Units of times in milliseconds, the largest first.
const TIMES: [(&str, i64); 3] = [("min", 60_000), ("ms", 1), ("s", 1000)];

impl Rule for Time {
    type Value = Duration;

    fn read(&self, raw: &Raw) -> Option<Duration> {
        let ms = with_unit(raw.text()?, &TIMES)?;
        let time = Duration::from_millis(u64::try_from(ms).ok()?);
        Some(time).filter(|time| self.range.contains(time))
    }

    fn print(&self, value: &Duration) -> String {
        match (value.as_secs(), value.subsec_millis()) {
            (seconds, 0) => quoted(&format!("{seconds} s")),
            _ => quoted(&format!("{} ms", value.as_millis())),
        }
    }

    fn allowed(&self) -> String {
        let (least, most) = (self.print(self.range.start()), self.print(self.range.end()));
        format!("{least} to {most} (a text with ms, s or min)")
    }
}

fn with_unit(text: &str, units: &[(&str, i64)]) -> Option<i64> {
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.trim().parse::<i64>().ok()?.checked_mul(*unit)
}

/// The largest unit that leaves no rest.
fn print_with_unit<T: TryInto<i64> + std::fmt::Display + Copy>(
    value: T,
    units: &[(&str, i64)],
) -> String {
    let number: Option<i64> = value.try_into().ok();
    let fitting = units.iter().find_map(|(name, unit)| {
        let number = number.filter(|number| *number > 0 && number % unit == 0)?;
        Some(quoted(&format!("{} {name}", number / unit)))
    });
    fitting.unwrap_or_else(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untyped(text: &str) -> Raw {
        Raw::Untyped(text.to_owned())
    }

    #[test]
    fn sizes_are_read_with_and_without_unit() {
        let rule = Bytes::<u64> {
            range: 4096..=1 << 30,
        };
        for text in ["131072", "128KiB", "128 KiB", "131_072"] {
            assert_eq!(rule.read(&untyped(text)), Some(131_072), "{text}");
        }
        assert_eq!(rule.read(&Raw::Whole(131_072)), Some(131_072));
        for text in ["", "12", "2 GiB", "-4 KiB", "128 kB", "99999999999 GiB"] {
            assert_eq!(rule.read(&untyped(text)), None, "{text}");
        }
        assert_eq!(rule.print(&131_072), "\"128 KiB\"");
        assert_eq!(rule.print(&131_073), "131073");
    }

    #[test]
    fn times_need_their_unit() {
        let rule = Time {
            range: Duration::ZERO..=Duration::from_secs(600),
        };
        assert_eq!(rule.read(&untyped("10 s")), Some(Duration::from_secs(10)));
        assert_eq!(
            rule.read(&untyped("250ms")),
            Some(Duration::from_millis(250))
        );
        assert_eq!(rule.read(&untyped("5 min")), Some(Duration::from_secs(300)));
        assert_eq!(rule.read(&untyped("10")), None);
        assert_eq!(rule.read(&untyped("11 min")), None);
        assert_eq!(rule.print(&Duration::from_millis(1500)), "\"1500 ms\"");
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
