//! Remembers which passwords were right.
//!
//! A thousand devices that reconnect at once would cost 20 s of a core in argon2. What was verified
//! once is remembered as a keyed hash, until the password changes. Wrong passwords are not
//! remembered: whoever guesses pays each time.

use std::collections::HashMap;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::error::AuthError;
use super::password::hmac_sha256;
use super::secret::Secret;
use super::user::UserName;

/// Most logins remembered: about 2 MiB. Beyond it the oldest is forgotten and hashed again.
const LOGINS_MAX: usize = 16_384;

/// The logins that were verified since the start.
pub(super) struct VerifiedLogins {
    /// Random for this process, so that the hashes tell nothing to whoever reads a core dump later.
    key: [u8; 32],
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    users: HashMap<[u8; 32], UserName>,
    by_age: VecDeque<[u8; 32]>,
}

impl VerifiedLogins {
    pub(super) fn new() -> Result<Self, AuthError> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| AuthError::Hash(error.to_string()))?;
        Ok(Self {
            key,
            known: Mutex::default(),
        })
    }

    pub(super) fn contains(&self, user: &UserName, password: &Secret) -> bool {
        let digest = self.digest(user, password);
        self.known.lock().users.contains_key(&digest)
    }

    pub(super) fn insert(&self, user: &UserName, password: &Secret) {
        let digest = self.digest(user, password);
        let mut known = self.known.lock();
        if known.users.insert(digest, user.clone()).is_none() {
            known.by_age.push_back(digest);
        }
        while known.by_age.len() > LOGINS_MAX {
            if let Some(oldest) = known.by_age.pop_front() {
                known.users.remove(&oldest);
            }
        }
    }

    /// Forgets a user whose password changed.
    pub(super) fn forget(&self, user: &UserName) {
        let mut known = self.known.lock();
        let Known { users, by_age } = &mut *known;
        users.retain(|_, name| name != user);
        by_age.retain(|digest| users.contains_key(digest));
    }

    fn digest(&self, user: &UserName, password: &Secret) -> [u8; 32] {
        // A user name has no NUL, so the pair is unambiguous.
        let text =
            zeroize::Zeroizing::new([user.as_str().as_bytes(), b"\0", password.expose()].concat());
        hmac_sha256(&self.key, &text)
    }
}

impl std::fmt::Debug for VerifiedLogins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedLogins")
            .field("logins", &self.known.lock().users.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_logins_are_forgotten_first() {
        let logins = VerifiedLogins::new().unwrap();
        let user = UserName::parse("device").unwrap();
        for n in 0..=LOGINS_MAX {
            logins.insert(&user, &Secret::new(n.to_string()));
        }
        assert!(!logins.contains(&user, &Secret::new("0")));
        assert!(logins.contains(&user, &Secret::new(LOGINS_MAX.to_string())));
        logins.forget(&user);
        assert!(!logins.contains(&user, &Secret::new(LOGINS_MAX.to_string())));
        assert!(logins.known.lock().by_age.is_empty());
    }
}
