//! Logging in, by password or by access key.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::OnceLock;

use super::directory::Auth;
use super::error::LoginError;
use super::password::Verifiers;
use super::sasl::Credentials;
use super::secret::Secret;
use super::seed::DefaultUsers;
use super::user::AccessKey;
use super::user::Identity;
use super::user::Proof;
use super::user::User;

impl Auth {
    /// Logs in with a password, if that needs no hashing: it was right before, or it is a default
    /// user's. `None` means: only [`Self::login`] can tell.
    pub fn login_now(
        &self,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Option<Result<Identity, LoginError>> {
        let user = self.stored_user(credentials.user.as_str())?;
        match &user.proof {
            Proof::WellKnown => Some(self.well_known(&user, &credentials.password, peer)),
            Proof::None => Some(Err(LoginError::NoPassword)),
            Proof::Password(_) => {
                let is_verified = self
                    .verified
                    .contains(&credentials.user, &credentials.password);
                is_verified.then(|| Ok(identity(&user)))
            }
        }
    }

    /// Logs in with a password. Hashing runs off the async threads, as many at a time as there are
    /// cores; an unknown user takes as long as a wrong password.
    ///
    /// # Errors
    /// [`LoginError`] for the log; the client learns only that it was refused.
    ///
    /// # Cancel safety
    /// May be dropped at any time; a hash that has begun ends on its thread and is forgotten.
    pub async fn login(
        &self,
        credentials: &Credentials,
        peer: IpAddr,
    ) -> Result<Identity, LoginError> {
        if let Some(answer) = self.login_now(credentials, peer) {
            return answer;
        }
        let user = self.stored_user(credentials.user.as_str());
        let is_right = self
            .check_hash(user.clone(), credentials.password.clone())
            .await?;
        let Some(user) = user else {
            return Err(LoginError::UnknownUser);
        };
        if !is_right {
            return Err(LoginError::WrongPassword);
        }
        self.remember(&user, &credentials.password);
        Ok(identity(&user))
    }

    /// The access key of this id, with the secret to check a signature against.
    ///
    /// # Errors
    /// [`LoginError::UnknownKey`], or a default key from where it may not be used.
    pub fn access_key(&self, id: &str, peer: IpAddr) -> Result<Arc<AccessKey>, LoginError> {
        let key = self.raw_key(id).ok_or(LoginError::UnknownKey)?;
        if key.is_default {
            self.default_from(peer)?;
        }
        Ok(key)
    }

    /// Who stands behind an access key that was verified.
    ///
    /// # Errors
    /// [`LoginError::UnknownUser`] if the user was deleted meanwhile.
    pub fn identity_of(&self, key: &AccessKey) -> Result<Identity, LoginError> {
        let user = self
            .stored_user(key.user.as_str())
            .ok_or(LoginError::UnknownUser)?;
        Ok(identity(&user))
    }

    fn well_known(
        &self,
        user: &User,
        password: &Secret,
        peer: IpAddr,
    ) -> Result<Identity, LoginError> {
        if *password != Secret::new(user.name.as_str()) {
            return Err(LoginError::WrongPassword);
        }
        self.default_from(peer)?;
        Ok(identity(user))
    }

    fn default_from(&self, peer: IpAddr) -> Result<(), LoginError> {
        match self.default_users {
            DefaultUsers::Off => Err(LoginError::DefaultUsersOff),
            // An IPv4 peer of a dual-stack socket looks like ::ffff:127.0.0.1.
            DefaultUsers::Loopback if !peer.to_canonical().is_loopback() => {
                Err(LoginError::LoopbackOnly)
            }
            DefaultUsers::Loopback | DefaultUsers::Anywhere => Ok(()),
        }
    }

    async fn check_hash(
        &self,
        user: Option<Arc<User>>,
        password: Secret,
    ) -> Result<bool, LoginError> {
        let hashing = Arc::clone(&self.hashing).acquire_owned().await;
        let permit = hashing.map_err(|_| LoginError::Unavailable)?;
        let (decoy, cost) = (Arc::clone(&self.decoy), self.cost);
        let check = move || {
            let _until_done = permit;
            match user.as_deref().map(|user| &user.proof) {
                Some(Proof::Password(verifiers)) => verifiers.verify(&password),
                Some(Proof::WellKnown | Proof::None) | None => {
                    let make = || Verifiers::make(&Secret::new("decoy"), cost).ok();
                    if let Some(verifiers) = made_once(&decoy, make) {
                        verifiers.verify(&password);
                    }
                    false
                }
            }
        };
        tokio::task::spawn_blocking(check)
            .await
            .map_err(|_| LoginError::Unavailable)
    }
}

/// What the cell holds, made if it is empty. Making it takes longer than using it, so making it at
/// every login of an unknown user would tell them from known ones.
fn made_once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Option<T>) -> Option<&T> {
    if cell.get().is_none()
        && let Some(made) = make()
    {
        return Some(cell.get_or_init(|| made));
    }
    cell.get()
}

fn identity(user: &User) -> Identity {
    Identity {
        user: user.name.clone(),
        tags: user.tags.as_slice().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::Cost;
    use super::super::records::MemoryRecords;
    use super::super::seed::AuthConfig;
    use super::super::user::UserName;
    use super::*;
    use std::net::Ipv4Addr;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const REMOTE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

    fn auth(default_users: DefaultUsers) -> Auth {
        let cost = Cost {
            argon2_kib: 8,
            argon2_passes: 1,
            scram_rounds: 2,
        };
        let config = AuthConfig {
            default_users,
            cost,
            ..AuthConfig::default()
        };
        Auth::open(Arc::<MemoryRecords>::default(), &config, &["/".to_owned()]).unwrap()
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials {
            user: UserName::parse(user).unwrap(),
            password: Secret::new(password),
        }
    }

    async fn login(
        auth: &Auth,
        user: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<(), LoginError> {
        auth.login(&credentials(user, password), peer)
            .await
            .map(|_| ())
    }

    #[tokio::test]
    async fn guest_works_from_loopback_only() {
        let auth = auth(DefaultUsers::Loopback);
        let mapped = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(login(&auth, "guest", "guest", LOCAL).await, Ok(()));
        assert_eq!(login(&auth, "guest", "guest", mapped).await, Ok(()));
        assert_eq!(
            login(&auth, "guest", "guest", REMOTE).await,
            Err(LoginError::LoopbackOnly)
        );
        assert_eq!(
            login(&auth, "guest", "wrong", LOCAL).await,
            Err(LoginError::WrongPassword)
        );
        assert!(auth.access_key("test", LOCAL).is_ok());
        assert_eq!(
            auth.access_key("test", REMOTE),
            Err(LoginError::LoopbackOnly)
        );
        assert_eq!(auth.access_key("other", LOCAL), Err(LoginError::UnknownKey));
    }

    #[tokio::test]
    async fn default_users_can_be_opened_and_switched_off() {
        assert_eq!(
            login(&auth(DefaultUsers::Anywhere), "guest", "guest", REMOTE).await,
            Ok(())
        );
        let off = auth(DefaultUsers::Off);
        assert_eq!(
            login(&off, "guest", "guest", LOCAL).await,
            Err(LoginError::DefaultUsersOff)
        );
        assert_eq!(
            off.access_key("guest", LOCAL),
            Err(LoginError::DefaultUsersOff)
        );
    }

    #[tokio::test]
    async fn a_guest_with_a_password_of_its_own_is_nobodys_default() {
        let auth = auth(DefaultUsers::Loopback);
        auth.set_password(&UserName::parse("guest").unwrap(), &Secret::new("s3cret"))
            .unwrap();
        assert_eq!(login(&auth, "guest", "s3cret", REMOTE).await, Ok(()));
        assert_eq!(
            login(&auth, "guest", "guest", LOCAL).await,
            Err(LoginError::WrongPassword)
        );
    }

    #[tokio::test]
    async fn a_verified_login_needs_no_hash_until_the_password_changes() {
        let auth = auth(DefaultUsers::Off);
        let alice = UserName::parse("alice").unwrap();
        auth.add_user(&alice, Some(&Secret::new("old")), &[])
            .unwrap();
        assert!(
            auth.login_now(&credentials("alice", "old"), REMOTE)
                .is_none()
        );
        assert_eq!(login(&auth, "alice", "old", REMOTE).await, Ok(()));
        assert!(
            auth.login_now(&credentials("alice", "old"), REMOTE)
                .is_some()
        );

        auth.set_password(&alice, &Secret::new("new")).unwrap();
        assert!(
            auth.login_now(&credentials("alice", "old"), REMOTE)
                .is_none()
        );
        assert_eq!(
            login(&auth, "alice", "old", REMOTE).await,
            Err(LoginError::WrongPassword)
        );
        assert_eq!(login(&auth, "alice", "new", REMOTE).await, Ok(()));
    }

    #[test]
    fn the_decoy_of_unknown_users_is_made_once() {
        let cell = OnceLock::new();
        assert_eq!(made_once(&cell, || None), None);
        assert_eq!(made_once(&cell, || Some(1)), Some(&1));
        assert_eq!(made_once(&cell, || unreachable!("made again")), Some(&1));
    }

    #[tokio::test]
    async fn unknown_users_and_users_without_password_are_refused() {
        let auth = auth(DefaultUsers::Off);
        auth.add_user(&UserName::parse("robot").unwrap(), None, &[])
            .unwrap();
        assert_eq!(
            login(&auth, "nobody", "x", LOCAL).await,
            Err(LoginError::UnknownUser)
        );
        assert_eq!(
            login(&auth, "robot", "", LOCAL).await,
            Err(LoginError::NoPassword)
        );
    }
}
