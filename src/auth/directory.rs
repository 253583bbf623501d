//! The directory of users, permissions and access keys: in memory for whoever asks, in the catalog
//! for the next start.
//!
//! A change is written first and shown afterwards, so what was answered survives. Changes run one
//! at a time under their own lock; nobody who only asks waits for a disk.

use std::sync::Arc;
use std::sync::OnceLock;

use parking_lot::Mutex;
use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::cache::VerifiedLogins;
use super::error::AuthError;
use super::error::Denied;
use super::password::Cost;
use super::password::Verifiers;
use super::permission::Action;
use super::permission::Permissions;
use super::records::Records;
use super::secret::Secret;
use super::seed;
use super::seed::AuthConfig;
use super::seed::DefaultUsers;
use super::state::State;
use super::user::AccessKey;
use super::user::User;
use super::user::UserName;
use super::user::UserView;

/// The one directory that every door asks.
pub struct Auth {
    pub(super) state: RwLock<State>,
    /// Serialises changes; never held while somebody asks.
    pub(super) changes: Mutex<()>,
    pub(super) records: Arc<dyn Records>,
    pub(super) default_users: DefaultUsers,
    pub(super) verified: VerifiedLogins,
    /// As many password checks at a time as the machine has cores; the others wait in line.
    pub(super) hashing: Arc<Semaphore>,
    /// What unknown users are checked against, so that they take as long as known ones.
    pub(super) decoy: Arc<OnceLock<Verifiers>>,
    pub(super) cost: Cost,
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
        let (state, orphans) = State::read(records.as_ref())?;
        for record in &orphans {
            // Or a new user of the same name would inherit it.
            records.put(record, None)?;
        }
        let auth = Self {
            state: RwLock::new(state),
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
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Auth")
            .field("users", &self.state.read().users.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::permission::PermissionTexts;
    use super::super::records::MemoryRecords;
    use super::super::user::Tag;
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
    fn what_a_crash_leaves_of_a_deleted_user_does_not_come_back_with_its_name() {
        let records = Arc::new(MemoryRecords::default());
        let alice = name("alice");
        let auth = open(&records);
        auth.add_user(&alice, None, &[]).unwrap();
        auth.set_permissions(&alice, "/", PermissionTexts::everything())
            .unwrap();
        auth.put_key(AccessKey {
            id: "AKIA1".to_owned(),
            secret: Secret::new("s"),
            user: alice.clone(),
            vhost: "/".to_owned(),
            is_default: false,
        })
        .unwrap();
        // A deletion that gets no further than the user's own record.
        records.put("auth/user/alice", None).unwrap();
        open(&records).add_user(&alice, None, &[]).unwrap();
        let auth = open(&records);
        assert!(auth.raw_key("AKIA1").is_none());
        assert!(auth.enter(&alice, "/").is_err());
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
