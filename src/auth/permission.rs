//! Configure, write and read: what a user may do with the resources of a virtual host.
//!
//! Three regular expressions per (user, virtual host), matched the way RabbitMQ does: *unanchored*
//! (`orders` matches `old-orders-2`), except that the empty pattern matches only the empty name, so
//! that "nothing" can be said. The dialect is that of the `regex` crate: linear time, hence without
//! look-around and back-references.

use std::fmt;

use regex::Regex;
use regex::RegexBuilder;
use serde::Deserialize;
use serde::Serialize;

use super::error::AuthError;

/// The name that stands for the default exchange when permissions are asked: its own name is empty.
pub const DEFAULT_EXCHANGE: &str = "amq.default";

/// Most memory that one compiled pattern may take.
const PATTERN_MAX_BYTES: usize = 1 << 20;

/// What somebody wants to do with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Create, delete or change it.
    Configure,
    /// Put messages into it.
    Write,
    /// Get messages out of it.
    Read,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configure => "configure",
            Self::Write => "write",
            Self::Read => "read",
        })
    }
}

/// A compiled pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    /// The empty pattern: nothing but the empty name.
    Nothing,
    /// `.*`, which is what nearly everybody has: no search at all.
    Everything,
    Search(Regex),
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// [`AuthError::Pattern`] with the compiler's words.
    pub fn compile(action: Action, text: &str) -> Result<Self, AuthError> {
        let matcher = match text {
            "" => Matcher::Nothing,
            ".*" => Matcher::Everything,
            _ => Matcher::Search(
                RegexBuilder::new(text)
                    .size_limit(PATTERN_MAX_BYTES)
                    .dfa_size_limit(PATTERN_MAX_BYTES)
                    .build()
                    .map_err(|source| AuthError::Pattern {
                        action,
                        pattern: text.to_owned(),
                        source,
                    })?,
            ),
        };
        Ok(Self { matcher })
    }

    /// Whether the pattern covers the name.
    pub fn matches(&self, name: &str) -> bool {
        match &self.matcher {
            Matcher::Nothing => name.is_empty(),
            Matcher::Everything => true,
            Matcher::Search(regex) => regex.is_match(name),
        }
    }
}

/// The three patterns as an operator writes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionTexts {
    /// What may be created, deleted or changed.
    pub configure: String,
    /// What may be written to.
    pub write: String,
    /// What may be read from.
    pub read: String,
}

impl PermissionTexts {
    /// Everything in the virtual host.
    pub fn everything() -> Self {
        Self {
            configure: ".*".to_owned(),
            write: ".*".to_owned(),
            read: ".*".to_owned(),
        }
    }
}

/// The three patterns compiled, with their texts for whoever asks.
#[derive(Clone, Debug)]
pub(super) struct Permissions {
    pub(super) texts: PermissionTexts,
    configure: Pattern,
    write: Pattern,
    read: Pattern,
}

impl Permissions {
    pub(super) fn compile(texts: PermissionTexts) -> Result<Self, AuthError> {
        Ok(Self {
            configure: Pattern::compile(Action::Configure, &texts.configure)?,
            write: Pattern::compile(Action::Write, &texts.write)?,
            read: Pattern::compile(Action::Read, &texts.read)?,
            texts,
        })
    }

    pub(super) fn allow(&self, action: Action, name: &str) -> bool {
        match action {
            Action::Configure => self.configure.matches(name),
            Action::Write => self.write.matches(name),
            Action::Read => self.read.matches(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(pattern: &str, name: &str) -> bool {
        Pattern::compile(Action::Read, pattern)
            .unwrap()
            .matches(name)
    }

    #[test]
    fn patterns_match_anywhere_in_the_name() {
        assert!(covers("orders", "old-orders-2"));
        assert!(!covers("^orders$", "old-orders-2"));
        assert!(covers("^(amq\\.gen.*|amq\\.default)$", "amq.gen-x"));
    }

    #[test]
    fn the_empty_pattern_covers_the_empty_name_only() {
        assert!(covers("", ""));
        assert!(!covers("", "a"));
        assert!(covers("^$", ""));
        assert!(!covers("^$", "a"));
    }

    #[test]
    fn a_pattern_that_would_take_long_or_much_is_refused() {
        assert!(Pattern::compile(Action::Write, "(?=a)b").is_err());
        assert!(Pattern::compile(Action::Write, "(").is_err());
        assert!(Pattern::compile(Action::Write, "((a{100}){100}){100}").is_err());
    }
}
