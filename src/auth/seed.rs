//! What the directory holds before an operator says anything, and what the configuration adds.

use std::collections::BTreeSet;

use super::directory::Auth;
use super::error::AuthError;
use super::password::Cost;
use super::permission::PermissionTexts;
use super::secret::Secret;
use super::state::decode;
use super::state::encode;
use super::state::encode_key;
use super::state::key_record;
use super::user::AccessKey;
use super::user::Proof;
use super::user::Tag;
use super::user::User;
use super::user::UserName;

/// The user that exists out of the box; RabbitMQ's clients log in with it when told nothing.
const DEFAULT_USER: &str = "guest";

/// Access keys that exist out of the box, each with itself as secret: `guest` goes with the user,
/// `test` is what everybody writes for an emulator.
const DEFAULT_KEYS: [&str; 2] = ["guest", "test"];

/// The virtual host that always exists.
const DEFAULT_VHOST: &str = "/";

/// Present once the default users were made or replaced, so that deleting them is for good.
const SEEDED: &str = "auth/seeded";

/// Ids of the keys that the configuration declared at the last start.
const DECLARED: &str = "auth/declared";

/// From where the default users and keys may log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DefaultUsers {
    /// From this machine only: nothing is open to the network until somebody asks for it.
    #[default]
    Loopback,
    /// From everywhere: for containers and emulators.
    Anywhere,
    /// Not at all.
    Off,
}

/// A user that the configuration declares. Created at the start if it is missing; its password
/// follows the configuration, its permissions are left to operators once it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredUser {
    /// Name of the user.
    pub name: UserName,
    /// Its password; without one it logs in by access keys only.
    pub password: Option<Secret>,
    /// Its tags.
    pub tags: Vec<Tag>,
}

/// An access key that the configuration declares. It goes when the configuration declares it no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredKey {
    /// Public part.
    pub id: String,
    /// Secret part.
    pub secret: Secret,
    /// Whose permissions hold.
    pub user: UserName,
    /// The virtual host that it leads to.
    pub vhost: String,
}

/// The section `auth` of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AuthConfig {
    /// From where default users and keys may log in.
    pub default_users: DefaultUsers,
    /// Whether a declared user takes the place of the default one: a new directory then has neither
    /// guest nor the keys that everybody knows, and doesn't get them later.
    pub is_guest_replaced: bool,
    /// Users that exist from the start.
    pub users: Vec<DeclaredUser>,
    /// Access keys that exist from the start.
    pub keys: Vec<DeclaredKey>,
    /// Work of one password check.
    pub cost: Cost,
}

/// Brings the directory to what the configuration asks for.
pub(super) fn seed(auth: &Auth, config: &AuthConfig, vhosts: &[String]) -> Result<(), AuthError> {
    if auth.records().scan(SEEDED).is_empty() {
        if !config.is_guest_replaced {
            make_defaults(auth)?;
        }
        auth.records().put(SEEDED, Some(b"true".to_vec()))?;
    }
    if let Some(user) = auth.user(DEFAULT_USER).filter(|user| user.is_default) {
        grant_missing(auth, &user.name, vhosts)?;
    }
    let declared: BTreeSet<String> = config.keys.iter().map(|key| key.id.clone()).collect();
    let before = declared_before(auth)?;
    drop_undeclared(auth, before.difference(&declared))?;
    // Before the keys: a crash may leave names here without keys, but no key without its name.
    if before != declared {
        auth.records().put(DECLARED, Some(encode(&declared)))?;
    }
    for declared in &config.users {
        declare_user(auth, declared, vhosts)?;
    }
    for declared in &config.keys {
        let key = AccessKey {
            id: declared.id.clone(),
            secret: declared.secret.clone(),
            user: declared.user.clone(),
            vhost: declared.vhost.clone(),
            is_default: false,
        };
        if auth.raw_key(&key.id).as_deref() != Some(&key) {
            auth.put_key(key)?;
        }
    }
    Ok(())
}

fn declared_before(auth: &Auth) -> Result<BTreeSet<String>, AuthError> {
    let records = auth.records().scan(DECLARED);
    let record = records.iter().find(|(key, _)| key == DECLARED);
    record.map_or_else(|| Ok(BTreeSet::new()), |(key, value)| decode(key, value))
}

/// Deletes keys that only the configuration vouched for. Nothing else goes with them: a command that
/// opens a stopped broker without its configuration must not cost what no configuration brings back.
fn drop_undeclared<'a>(
    auth: &Auth,
    gone: impl Iterator<Item = &'a String>,
) -> Result<(), AuthError> {
    for id in gone {
        if auth.raw_key(id).is_some() {
            tracing::info!(
                key = id,
                "access key deleted: it is not configured any more"
            );
            auth.delete_key(id)?;
        }
    }
    Ok(())
}

fn make_defaults(auth: &Auth) -> Result<(), AuthError> {
    let name = UserName::parse(DEFAULT_USER)?;
    auth.put_user(User {
        name: name.clone(),
        tags: vec![Tag::Administrator],
        proof: Proof::WellKnown,
    })?;
    auth.set_permissions(&name, DEFAULT_VHOST, PermissionTexts::everything())?;
    for id in DEFAULT_KEYS {
        let key = AccessKey {
            id: id.to_owned(),
            secret: Secret::new(id),
            user: name.clone(),
            vhost: DEFAULT_VHOST.to_owned(),
            is_default: true,
        };
        auth.records()
            .put(&key_record(id), Some(encode_key(&key)))?;
        auth.put_key_in_memory(key);
    }
    Ok(())
}

fn declare_user(auth: &Auth, declared: &DeclaredUser, vhosts: &[String]) -> Result<(), AuthError> {
    match auth.stored_user(declared.name.as_str()) {
        None => {
            auth.add_user(&declared.name, declared.password.as_ref(), &declared.tags)?;
            grant_missing(auth, &declared.name, vhosts)
        }
        Some(user) => {
            if user.tags != declared.tags {
                auth.set_tags(&declared.name, &declared.tags)?;
            }
            match (&declared.password, &user.proof) {
                (Some(password), Proof::Password(verifiers)) if verifiers.verify(password) => {
                    Ok(())
                }
                (Some(password), Proof::Password(_) | Proof::WellKnown | Proof::None) => {
                    auth.set_password(&declared.name, password)
                }
                (None, _) => Ok(()),
            }
        }
    }
}

/// Gives a user everything in the virtual hosts in which it has no permissions yet.
fn grant_missing(auth: &Auth, user: &UserName, vhosts: &[String]) -> Result<(), AuthError> {
    for vhost in vhosts {
        if auth.enter(user, vhost).is_err() {
            auth.set_permissions(user, vhost, PermissionTexts::everything())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::records::MemoryRecords;
    use super::super::records::Records;
    use super::*;

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    /// Starts on a configuration with these users and these keys of `alice`.
    fn open(records: &Arc<MemoryRecords>, users: &[&str], keys: &[&str]) -> Auth {
        let user = |user: &&str| DeclaredUser {
            name: name(user),
            password: None,
            tags: Vec::new(),
        };
        let key = |id: &&str| DeclaredKey {
            id: (*id).to_owned(),
            secret: Secret::new("s"),
            user: name("alice"),
            vhost: "/".to_owned(),
        };
        let config = AuthConfig {
            users: users.iter().map(user).collect(),
            keys: keys.iter().map(key).collect(),
            ..AuthConfig::default()
        };
        let records = Arc::clone(records) as Arc<dyn Records>;
        Auth::open(records, &config, &["/".to_owned()]).unwrap()
    }

    fn operators_key(auth: &Auth) {
        auth.put_key(AccessKey {
            id: "operator".to_owned(),
            secret: Secret::new("s"),
            user: name("alice"),
            vhost: "/".to_owned(),
            is_default: false,
        })
        .unwrap();
    }

    #[test]
    fn a_key_goes_with_its_declaration_and_an_operators_key_stays() {
        let records = Arc::default();
        operators_key(&open(&records, &["alice"], &["one", "two"]));
        let auth = open(&records, &["alice"], &["two"]);
        assert!(auth.raw_key("one").is_none());
        for id in ["two", "operator", "test"] {
            assert!(auth.raw_key(id).is_some(), "{id}");
        }
    }

    #[test]
    fn a_replaced_guest_is_not_made_and_does_not_come_later() {
        let records: Arc<MemoryRecords> = Arc::default();
        let replaced = AuthConfig {
            is_guest_replaced: true,
            ..AuthConfig::default()
        };
        for config in [replaced, AuthConfig::default()] {
            let records = Arc::clone(&records) as Arc<dyn Records>;
            let auth = Auth::open(records, &config, &["/".to_owned()]).unwrap();
            assert!(auth.users().is_empty() && auth.raw_key("test").is_none());
        }
    }

    #[test]
    fn a_start_without_the_configuration_costs_nothing_that_it_does_not_bring_back() {
        let records = Arc::default();
        operators_key(&open(&records, &["alice"], &["one"]));
        assert!(open(&records, &[], &[]).raw_key("one").is_none());
        let auth = open(&records, &["alice"], &["one"]);
        for id in ["one", "operator", "test"] {
            assert!(auth.raw_key(id).is_some(), "{id}");
        }
    }
}
