//! The directory of users, permissions and access keys: in memory for whoever asks, in the catalog
//! for the next start.
//!
//! A change is written first and shown afterwards, so what was answered survives. Changes run one
//! at a time under their own lock; nobody who only asks waits for a disk.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;
use parking_lot::RwLock;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::cache::VerifiedLogins;
use super::error::AuthError;
use super::error::Denied;
use super::password::Cost;
use super::password::Verifiers;
use super::permission::Action;
use super::permission::PermissionTexts;
use super::permission::Permissions;
use super::records::Records;
use super::secret::Secret;
use super::seed;
use super::seed::AuthConfig;
use super::seed::DefaultUsers;
use super::user::AccessKey;
use super::user::Proof;
use super::user::Tag;
use super::user::User;
use super::user::UserName;
use super::user::UserView;
use super::user::check_name;

const USERS: &str = "auth/user/";
const PERMISSIONS: &str = "auth/permission/";
const KEYS: &str = "auth/key/";

/// The one directory that every door asks.
pub struct Auth {
    state: RwLock<State>,
    /// Serialises changes; never held while somebody asks.
    changes: Mutex<()>,
    records: Arc<dyn Records>,
    pub(super) default_users: DefaultUsers,
    pub(super) verified: VerifiedLogins,
    /// As many password checks at a time as the machine has cores; the others wait in line.
    pub(super) hashing: Arc<Semaphore>,
    /// What unknown users are checked against, so that they take as long as known ones.
    pub(super) decoy: Arc<OnceLock<Verifiers>>,
    pub(super) cost: Cost,
}

#[derive(Default)]
struct State {
    users: HashMap<UserName, Arc<User>>,
    permissions: HashMap<UserName, HashMap<String, Arc<Permissions>>>,
    keys: HashMap<String, Arc<AccessKey>>,
}

#[derive(Serialize, Deserialize)]
struct PermissionRecord {
    user: UserName,
    vhost: String,
    #[serde(flatten)]
    texts: PermissionTexts,
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

impl Auth {
    /// Reads the directory and brings it to what the configuration asks for.
    ///
    /// `vhosts` are those that the configuration knows, `/` included. Blocks: it reads and writes
    /// records, and checks the password of each declared user.
    ///
    /// # Errors
    /// [`AuthError`] if a record is damaged or cannot be written, or a declared user is unusable.
    pub fn open(
        records: Arc<dyn Records>,
        config: &AuthConfig,
        vhosts: &[String],
    ) -> Result<Self, AuthError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let auth = Self {
            state: RwLock::new(State::read(records.as_ref())?),
            changes: Mutex::new(()),
            records,
            default_users: config.default_users,
            verified: VerifiedLogins::new()?,
            hashing: Arc::new(Semaphore::new(cores)),
            decoy: Arc::default(),
            cost: config.cost,
        };
        seed::seed(&auth, config, vhosts)?;
        Ok(auth)
    }

    /// Whether the user has any permissions in the virtual host.
    ///
    /// # Errors
    /// [`Denied::Vhost`] if not.
    pub fn enter(&self, user: &UserName, vhost: &str) -> Result<(), Denied> {
        match self.permissions(user, vhost) {
            Some(_) => Ok(()),
            None => Err(Denied::Vhost {
                user: user.to_string(),
                vhost: vhost.to_owned(),
            }),
        }
    }

    /// Whether the user may do this to the resource of this name: the one question of every door.
    ///
    /// Which action an operation needs, and on which name, is the door's business; the default
    /// exchange is asked for as [`super::DEFAULT_EXCHANGE`].
    ///
    /// # Errors
    /// [`Denied`] says what is missing.
    pub fn permit(
        &self,
        user: &UserName,
        vhost: &str,
        action: Action,
        name: &str,
    ) -> Result<(), Denied> {
        match self.permissions(user, vhost) {
            None => Err(Denied::Vhost {
                user: user.to_string(),
                vhost: vhost.to_owned(),
            }),
            Some(permissions) if permissions.allow(action, name) => Ok(()),
            Some(_) => Err(Denied::Resource {
                user: user.to_string(),
                vhost: vhost.to_owned(),
                action,
                name: name.to_owned(),
            }),
        }
    }

    fn permissions(&self, user: &UserName, vhost: &str) -> Option<Arc<Permissions>> {
        self.state.read().permissions.get(user)?.get(vhost).cloned()
    }

    /// All users, ordered by name.
    pub fn users(&self) -> Vec<UserView> {
        let state = self.state.read();
        let mut users: Vec<_> = state.users.values().map(|user| state.view(user)).collect();
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users
    }

    /// One user.
    pub fn user(&self, name: &str) -> Option<UserView> {
        let state = self.state.read();
        state.users.get(name).map(|user| state.view(user))
    }

    /// Adds a user; without a password it can only use access keys. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserExists`], or the password or record could not be made.
    pub fn add_user(
        &self,
        name: &UserName,
        password: Option<&Secret>,
        tags: &[Tag],
    ) -> Result<(), AuthError> {
        if self.stored_user(name.as_str()).is_some() {
            return Err(AuthError::UserExists(name.to_string()));
        }
        let proof = match password {
            Some(password) => Proof::Password(Verifiers::make(password, self.cost)?),
            None => Proof::None,
        };
        let _one_at_a_time = self.changes.lock();
        if self.stored_user(name.as_str()).is_some() {
            return Err(AuthError::UserExists(name.to_string()));
        }
        self.put_user(User {
            name: name.clone(),
            tags: tags.to_vec(),
            proof,
        })
    }

    /// Sets a user's password. Blocks. Connections that are open stay open.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or the password or record could not be made.
    pub fn set_password(&self, name: &UserName, password: &Secret) -> Result<(), AuthError> {
        let proof = Proof::Password(Verifiers::make(password, self.cost)?);
        let _one_at_a_time = self.changes.lock();
        let user = self.existing(name)?;
        self.put_user(User {
            proof,
            ..user.as_ref().clone()
        })?;
        self.verified.forget(name);
        Ok(())
    }

    /// Sets a user's tags. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or the record could not be written.
    pub fn set_tags(&self, name: &UserName, tags: &[Tag]) -> Result<(), AuthError> {
        let _one_at_a_time = self.changes.lock();
        let user = self.existing(name)?;
        self.put_user(User {
            tags: tags.to_vec(),
            ..user.as_ref().clone()
        })
    }

    /// Deletes a user with its permissions and access keys. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or the records could not be written.
    pub fn delete_user(&self, name: &UserName) -> Result<(), AuthError> {
        let _one_at_a_time = self.changes.lock();
        let user = self.existing(name)?;
        let (vhosts, keys) = self.state.read().belongings(&user);
        // The user goes first: what a crash leaves behind then belongs to nobody.
        self.records.put(&user_record(name), None)?;
        for vhost in vhosts {
            self.records.put(&permission_record(name, &vhost), None)?;
        }
        for id in &keys {
            self.records.put(&key_record(id), None)?;
        }
        let mut state = self.state.write();
        state.users.remove(name);
        state.permissions.remove(name);
        state.keys.retain(|_, key| key.user != *name);
        drop(state);
        self.verified.forget(name);
        Ok(())
    }

    /// Sets the three patterns of a user in a virtual host. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], [`AuthError::Pattern`], or the record could not be written.
    pub fn set_permissions(
        &self,
        name: &UserName,
        vhost: &str,
        texts: PermissionTexts,
    ) -> Result<(), AuthError> {
        let permissions = Permissions::compile(texts)?;
        let _one_at_a_time = self.changes.lock();
        self.existing(name)?;
        let record = PermissionRecord {
            user: name.clone(),
            vhost: vhost.to_owned(),
            texts: permissions.texts.clone(),
        };
        self.records
            .put(&permission_record(name, vhost), Some(encode(&record)))?;
        let mut state = self.state.write();
        state
            .permissions
            .entry(name.clone())
            .or_default()
            .insert(vhost.to_owned(), Arc::new(permissions));
        Ok(())
    }

    /// Takes a user's permissions in a virtual host away. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or the record could not be written.
    pub fn clear_permissions(&self, name: &UserName, vhost: &str) -> Result<(), AuthError> {
        let _one_at_a_time = self.changes.lock();
        self.existing(name)?;
        self.records.put(&permission_record(name, vhost), None)?;
        if let Some(vhosts) = self.state.write().permissions.get_mut(name) {
            vhosts.remove(vhost);
        }
        Ok(())
    }

    /// Adds or replaces an access key. Blocks.
    ///
    /// # Errors
    /// [`AuthError::UserNotFound`], or the record could not be written.
    pub fn put_key(&self, key: AccessKey) -> Result<(), AuthError> {
        check_name("access key id", &key.id)?;
        let _one_at_a_time = self.changes.lock();
        self.existing(&key.user)?;
        self.records
            .put(&key_record(&key.id), Some(encode_key(&key)))?;
        self.put_key_in_memory(key);
        Ok(())
    }

    /// Deletes an access key. Blocks.
    ///
    /// # Errors
    /// [`AuthError::KeyNotFound`], or the record could not be written.
    pub fn delete_key(&self, id: &str) -> Result<(), AuthError> {
        let _one_at_a_time = self.changes.lock();
        if self.raw_key(id).is_none() {
            return Err(AuthError::KeyNotFound(id.to_owned()));
        }
        self.records.put(&key_record(id), None)?;
        self.state.write().keys.remove(id);
        Ok(())
    }

    pub(super) fn records(&self) -> &dyn Records {
        self.records.as_ref()
    }

    pub(super) fn stored_user(&self, name: &str) -> Option<Arc<User>> {
        self.state.read().users.get(name).cloned()
    }

    /// Remembers a verified password, unless the user changed while it was hashed: the look stands
    /// under the same lock as the note, and a change forgets after it has shown itself.
    pub(super) fn remember(&self, verified: &User, password: &Secret) {
        let state = self.state.read();
        if state
            .users
            .get(&verified.name)
            .is_some_and(|user| user.as_ref() == verified)
        {
            self.verified.insert(&verified.name, password);
        }
    }

    pub(super) fn raw_key(&self, id: &str) -> Option<Arc<AccessKey>> {
        self.state.read().keys.get(id).cloned()
    }

    pub(super) fn put_user(&self, user: User) -> Result<(), AuthError> {
        self.records
            .put(&user_record(&user.name), Some(encode(&user)))?;
        self.state
            .write()
            .users
            .insert(user.name.clone(), Arc::new(user));
        Ok(())
    }

    pub(super) fn put_key_in_memory(&self, key: AccessKey) {
        self.state
            .write()
            .keys
            .insert(key.id.clone(), Arc::new(key));
    }

    fn existing(&self, name: &UserName) -> Result<Arc<User>, AuthError> {
        self.stored_user(name.as_str())
            .ok_or_else(|| AuthError::UserNotFound(name.to_string()))
    }
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("users", &self.state.read().users.len())
            .finish_non_exhaustive()
    }
}

impl State {
    fn read(records: &dyn Records) -> Result<Self, AuthError> {
        let mut state = Self::default();
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
            }
        }
        for (key, value) in records.scan(KEYS) {
            let record: KeyRecord = decode(&key, &value)?;
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
            }
        }
        Ok(state)
    }

    fn view(&self, user: &User) -> UserView {
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
    fn belongings(&self, user: &User) -> (Vec<String>, Vec<String>) {
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

fn user_record(name: &UserName) -> String {
    format!("{USERS}{name}")
}

/// User and virtual host are separated by NUL, which no user name contains.
fn permission_record(name: &UserName, vhost: &str) -> String {
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

fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records are plain structs with text keys")
}

fn decode<T: serde::de::DeserializeOwned>(key: &str, value: &[u8]) -> Result<T, AuthError> {
    serde_json::from_slice(value).map_err(|source| AuthError::Damaged {
        key: key.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::super::records::MemoryRecords;
    use super::*;

    fn open(records: &Arc<MemoryRecords>) -> Auth {
        let cost = Cost {
            argon2_kib: 8,
            argon2_passes: 1,
            scram_rounds: 2,
        };
        let config = AuthConfig {
            cost,
            ..AuthConfig::default()
        };
        Auth::open(
            Arc::clone(records) as Arc<dyn Records>,
            &config,
            &["/".to_owned()],
        )
        .unwrap()
    }

    fn name(text: &str) -> UserName {
        UserName::parse(text).unwrap()
    }

    #[test]
    fn everything_survives_a_restart() {
        let records = Arc::new(MemoryRecords::default());
        let auth = open(&records);
        let alice = name("alice");
        auth.add_user(&alice, Some(&Secret::new("pw")), &[Tag::Monitoring])
            .unwrap();
        let texts = PermissionTexts {
            configure: String::new(),
            write: "^in".to_owned(),
            read: ".*".to_owned(),
        };
        auth.set_permissions(&alice, "/", texts).unwrap();
        let key = AccessKey {
            id: "AKIA1".to_owned(),
            secret: Secret::new("s"),
            user: alice.clone(),
            vhost: "/".to_owned(),
            is_default: false,
        };
        auth.put_key(key.clone()).unwrap();
        let before = auth.users();
        drop(auth);

        let auth = open(&records);
        assert_eq!(auth.users(), before);
        assert_eq!(auth.raw_key("AKIA1").as_deref(), Some(&key));
        assert!(auth.permit(&alice, "/", Action::Write, "in.1").is_ok());
        assert!(auth.permit(&alice, "/", Action::Write, "out").is_err());
        assert!(auth.permit(&alice, "/", Action::Configure, "in.1").is_err());
    }

    #[test]
    fn another_vhost_is_closed() {
        let auth = open(&Arc::default());
        assert_eq!(auth.enter(&name("guest"), "/"), Ok(()));
        let denied = Denied::Vhost {
            user: "guest".to_owned(),
            vhost: "other".to_owned(),
        };
        assert_eq!(auth.enter(&name("guest"), "other"), Err(denied.clone()));
        assert_eq!(
            auth.permit(&name("guest"), "other", Action::Read, "q"),
            Err(denied)
        );
    }

    #[test]
    fn deleted_default_users_stay_deleted() {
        let records = Arc::new(MemoryRecords::default());
        open(&records).delete_user(&name("guest")).unwrap();
        let auth = open(&records);
        assert_eq!(auth.users(), []);
        assert!(auth.raw_key("test").is_none());
    }

    #[test]
    fn a_name_belongs_to_one_user() {
        let auth = open(&Arc::default());
        assert!(matches!(
            auth.add_user(&name("guest"), None, &[]),
            Err(AuthError::UserExists(_))
        ));
        assert!(matches!(
            auth.delete_user(&name("nobody")),
            Err(AuthError::UserNotFound(_))
        ));
    }
}
