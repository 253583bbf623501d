//! Names that clients give. Parsing is the only door.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

/// What is wrong with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It has no characters.
    #[error("the name is empty")]
    Empty,
    /// It is longer than every door can carry.
    #[error("the name has {len} bytes, at most 255 are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// It has a NUL.
    #[error("the name contains a NUL byte")]
    Nul,
}

/// 255 is all that an AMQP short string carries (0-9-1 §4.2.5.3); a longer name could not be shown to
/// every client.
const MAX_BYTES: usize = 255;

fn check(name: &str, may_be_empty: bool) -> Result<(), NameError> {
    match name.len() {
        0 if !may_be_empty => Err(NameError::Empty),
        len if len > MAX_BYTES => Err(NameError::TooLong { len }),
        _ if name.contains('\0') => Err(NameError::Nul),
        _ => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $may_be_empty:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name that came from a client or a file.
            ///
            /// # Errors
            /// [`NameError`] says which rule is broken.
            pub fn parse(name: &str) -> Result<Self, NameError> {
                check(name, $may_be_empty)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// Name of a queue, as any protocol may give it.
    ///
    /// INVARIANT: 1 to 255 bytes of UTF-8, no NUL.
    QueueName,
    false
);

name!(
    /// Name of an exchange; the empty one is the default exchange.
    ///
    /// INVARIANT: 0 to 255 bytes of UTF-8, no NUL.
    ExchangeName,
    true
);

name!(
    /// Name of a virtual host.
    ///
    /// INVARIANT: 1 to 255 bytes of UTF-8, no NUL.
    VhostName,
    false
);

impl ExchangeName {
    /// The default exchange: every queue is bound to it by its own name (0-9-1 §3.1.3.1).
    pub fn default_exchange() -> Self {
        Self("".into())
    }

    /// Whether this is the default exchange.
    pub fn is_default(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_255_bytes_and_no_nul() {
        assert_eq!(QueueName::parse(""), Err(NameError::Empty));
        assert_eq!(
            QueueName::parse(&"x".repeat(256)),
            Err(NameError::TooLong { len: 256 })
        );
        assert_eq!(QueueName::parse("a\0b"), Err(NameError::Nul));
        assert_eq!(QueueName::parse("größe/a.b").unwrap().as_str(), "größe/a.b");
        assert!(ExchangeName::parse("").unwrap().is_default());
    }
}
