//! What the directory knows, in memory and as the records of the catalog.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use serde::Serialize;

use super::error::AuthError;
use super::permission::PermissionTexts;
use super::permission::Permissions;
use super::records::Records;
use super::secret::Secret;
use super::user::AccessKey;
use super::user::Proof;
use super::user::User;
use super::user::UserName;
use super::user::UserView;

const USERS: &str = "auth/user/";
const PERMISSIONS: &str = "auth/permission/";
const KEYS: &str = "auth/key/";

/// Users, permissions and keys by name.
#[derive(Default)]
pub(super) struct State {
    pub(super) users: HashMap<UserName, Arc<User>>,
    pub(super) permissions: HashMap<UserName, HashMap<String, Arc<Permissions>>>,
    pub(super) keys: HashMap<String, Arc<AccessKey>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct PermissionRecord {
    pub(super) user: UserName,
    pub(super) vhost: String,
    #[serde(flatten)]
    pub(super) texts: PermissionTexts,
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    id: String,
    secret: String,
    user: UserName,
    vhost: String,
    #[serde(default)]
    is_default: bool,
}

impl State {
    /// Reads all records. What belongs to a user that is none is left out, and the names of its
    /// records are returned too: a crash can leave it behind when a user is deleted.
    pub(super) fn read(records: &dyn Records) -> Result<(Self, Vec<String>), AuthError> {
        let (mut state, mut orphans) = (Self::default(), Vec::new());
        for (key, value) in records.scan(USERS) {
            let user: User = decode(&key, &value)?;
            state.users.insert(user.name.clone(), Arc::new(user));
        }
        for (key, value) in records.scan(PERMISSIONS) {
            let record: PermissionRecord = decode(&key, &value)?;
            if state.users.contains_key(&record.user) {
                let permissions = Arc::new(Permissions::compile(record.texts)?);
                state
                    .permissions
                    .entry(record.user)
                    .or_default()
                    .insert(record.vhost, permissions);
            } else {
                orphans.push(key);
            }
        }
        for (name, value) in records.scan(KEYS) {
            let record: KeyRecord = decode(&name, &value)?;
            if state.users.contains_key(&record.user) {
                let KeyRecord {
                    id,
                    secret,
                    user,
                    vhost,
                    is_default,
                } = record;
                let key = AccessKey {
                    id: id.clone(),
                    secret: Secret::new(secret),
                    user,
                    vhost,
                    is_default,
                };
                state.keys.insert(id, Arc::new(key));
            } else {
                orphans.push(name);
            }
        }
        Ok((state, orphans))
    }

    pub(super) fn view(&self, user: &User) -> UserView {
        let (_, mut access_keys) = self.belongings(user);
        access_keys.sort();
        let permissions = self.permissions.get(&user.name).into_iter().flatten();
        UserView {
            name: user.name.clone(),
            tags: user.tags.clone(),
            has_password: user.proof != Proof::None,
            is_default: user.proof == Proof::WellKnown,
            access_keys,
            permissions: permissions
                .map(|(vhost, permissions)| (vhost.clone(), permissions.texts.clone()))
                .collect::<BTreeMap<_, _>>(),
        }
    }

    /// Virtual hosts with permissions of the user, and ids of its access keys.
    pub(super) fn belongings(&self, user: &User) -> (Vec<String>, Vec<String>) {
        let vhosts = self
            .permissions
            .get(&user.name)
            .into_iter()
            .flat_map(|vhosts| vhosts.keys().cloned());
        let keys = self
            .keys
            .values()
            .filter(|key| key.user == user.name)
            .map(|key| key.id.clone());
        (vhosts.collect(), keys.collect())
    }
}

pub(super) fn user_record(name: &UserName) -> String {
    format!("{USERS}{name}")
}

/// User and virtual host are separated by NUL, which no user name contains.
pub(super) fn permission_record(name: &UserName, vhost: &str) -> String {
    format!("{PERMISSIONS}{name}\0{vhost}")
}

pub(super) fn key_record(id: &str) -> String {
    format!("{KEYS}{id}")
}

pub(super) fn encode_key(key: &AccessKey) -> Vec<u8> {
    encode(&KeyRecord {
        id: key.id.clone(),
        secret: String::from_utf8_lossy(key.secret.expose()).into_owned(),
        user: key.user.clone(),
        vhost: key.vhost.clone(),
        is_default: key.is_default,
    })
}

pub(super) fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain structs with text keys")
}

pub(super) fn decode<T: serde::de::DeserializeOwned>(
    key: &str,
    value: &[u8],
) -> Result<T, AuthError> {
    serde_json::from_slice(value).map_err(|source| AuthError::Damaged {
        key: key.to_owned(),
        source,
    })
}
