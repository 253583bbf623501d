//! Changes to the directory. Each is written first and shown afterwards, one at a time.

use std::sync::Arc;

use super::directory::Auth;
use super::error::AuthError;
use super::password::Verifiers;
use super::permission::PermissionTexts;
use super::permission::Permissions;
use super::secret::Secret;
use super::state::PermissionRecord;
use super::state::encode;
use super::state::encode_key;
use super::state::key_record;
use super::state::permission_record;
use super::state::user_record;
use super::user::AccessKey;
use super::user::Proof;
use super::user::Tag;
use super::user::User;
use super::user::UserName;
use super::user::check_name;

impl Auth {
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
