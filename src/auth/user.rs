//! Users, their tags and their access keys.

use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::error::AuthError;
use super::password::Verifiers;
use super::secret::Secret;

/// Name of a user.
///
/// INVARIANT: 1 to 255 bytes, no NUL: NUL separates the fields of SASL PLAIN, and 255 is all that
/// the `user-id` property of AMQP 0-9-1 carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

impl UserName {
    /// Longest name in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Parses a name that came from a client or a file.
    ///
    /// # Errors
    /// [`AuthError::Name`] if the invariant is broken.
    pub fn parse(name: &str) -> Result<Self, AuthError> {
        check_name("user name", name)?;
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks what user names and access key ids have in common.
pub(super) fn check_name(kind: &'static str, name: &str) -> Result<(), AuthError> {
    if name.is_empty() || name.len() > UserName::MAX_BYTES || name.contains('\0') {
        return Err(AuthError::Name {
            kind,
            bytes: name.len(),
            max: UserName::MAX_BYTES,
        });
    }
    Ok(())
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for UserName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = AuthError;

    fn try_from(name: String) -> Result<Self, AuthError> {
        Self::parse(&name)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// What a user may do outside of virtual hosts; the words are RabbitMQ's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tag {
    /// Everything.
    Administrator,
    /// Sees all connections and node figures.
    Monitoring,
    /// Sets policies.
    Policymaker,
    /// Uses the management API for its own virtual hosts.
    Management,
    /// May publish with a foreign `user-id`.
    Impersonator,
}

impl Tag {
    /// Parses a tag's name.
    ///
    /// # Errors
    /// [`AuthError::UnknownTag`] names it.
    pub fn parse(tag: &str) -> Result<Self, AuthError> {
        match tag {
            "administrator" => Ok(Self::Administrator),
            "monitoring" => Ok(Self::Monitoring),
            "policymaker" => Ok(Self::Policymaker),
            "management" => Ok(Self::Management),
            "impersonator" => Ok(Self::Impersonator),
            _ => Err(AuthError::UnknownTag(tag.to_owned())),
        }
    }
}

/// How a user proves who it is, as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Proof {
    /// The password's verifiers.
    Password(Verifiers),
    /// A default user that nobody has given a password: the password is the name, as everybody
    /// knows, so there is nothing to hash at the first start.
    WellKnown,
    /// No password: access keys only.
    None,
}

/// A user as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) name: UserName,
    pub(super) tags: Vec<Tag>,
    pub(super) proof: Proof,
}

/// An access key of the AWS doors.
///
/// The secret must be readable by the broker: a signature can only be checked by making it again.
/// It lies in the catalog, whose files have mode 0600, and is never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Public part, `AKIA…` at AWS; any text here.
    pub id: String,
    /// What signatures are made with.
    pub secret: Secret,
    /// Whose permissions hold.
    pub user: UserName,
    /// The one virtual host that the key leads to.
    pub vhost: String,
    /// Made by the broker, not by an operator: `auth.default_users` rules over it.
    pub is_default: bool,
}

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the user.
    pub user: UserName,
    /// Its tags.
    pub tags: Arc<[Tag]>,
}

impl Identity {
    /// Whether the user carries the tag; an administrator carries all of them except the
    /// impersonator's, which RabbitMQ keeps apart too.
    pub fn has(&self, tag: Tag) -> bool {
        self.tags.contains(&tag)
            || (tag != Tag::Impersonator && self.tags.contains(&Tag::Administrator))
    }
}

/// What an operator sees of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Its name.
    pub name: UserName,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Whether it can log in with a password.
    pub has_password: bool,
    /// Whether it is a default user that nobody gave a password.
    pub is_default: bool,
    /// Ids of its access keys.
    pub access_keys: Vec<String>,
    /// Its permissions by virtual host.
    pub permissions: std::collections::BTreeMap<String, super::permission::PermissionTexts>,
}
