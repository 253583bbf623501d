//! What stands below a name that the user chose: how it is put into the configuration and found there.

use crate::auth::DeclaredKey;
use crate::auth::DeclaredUser;
use crate::auth::Secret;
use crate::auth::Tag;
use crate::auth::UserName;

use super::Config;
use super::keys::is_name;

fn user<'a>(config: &'a mut Config, name: &str) -> Option<&'a mut DeclaredUser> {
    let users = &mut config.auth.users;
    let place = match users.iter().position(|user| user.name.as_str() == name) {
        Some(place) => place,
        None => {
            users.push(DeclaredUser {
                name: UserName::parse(name).ok()?,
                password: None,
                tags: Vec::new(),
            });
            users.len() - 1
        }
    };
    users.get_mut(place)
}

pub(super) fn put_password(config: &mut Config, name: &str, password: Secret) -> Option<()> {
    user(config, name)?.password = Some(password);
    Some(())
}

pub(super) fn passwords(config: &Config) -> Vec<(String, Secret)> {
    let users = config.auth.users.iter();
    users
        .filter_map(|user| Some((user.name.to_string(), user.password.clone()?)))
        .collect()
}

pub(super) fn put_tags(config: &mut Config, name: &str, tags: Vec<Tag>) -> Option<()> {
    user(config, name)?.tags = tags;
    Some(())
}

pub(super) fn tags(config: &Config) -> Vec<(String, Vec<Tag>)> {
    config
        .auth
        .users
        .iter()
        .map(|user| (user.name.to_string(), user.tags.clone()))
        .collect()
}

/// An access key that nobody gave a user belongs to the default one.
fn access_key<'a>(config: &'a mut Config, id: &str) -> Option<&'a mut DeclaredKey> {
    let keys = &mut config.auth.keys;
    let place = match keys.iter().position(|key| key.id == id) {
        Some(place) => place,
        None => {
            let user = UserName::parse("guest").ok()?;
            is_name(id).then_some(())?;
            keys.push(DeclaredKey {
                id: id.to_owned(),
                secret: Secret::default(),
                user,
                vhost: "/".to_owned(),
            });
            keys.len() - 1
        }
    };
    keys.get_mut(place)
}

pub(super) fn put_key_secret(config: &mut Config, id: &str, secret: Secret) -> Option<()> {
    access_key(config, id)?.secret = secret;
    Some(())
}

pub(super) fn key_secrets(config: &Config) -> Vec<(String, Secret)> {
    config
        .auth
        .keys
        .iter()
        .map(|key| (key.id.clone(), key.secret.clone()))
        .collect()
}

pub(super) fn put_key_user(config: &mut Config, id: &str, user: String) -> Option<()> {
    access_key(config, id)?.user = UserName::parse(&user).ok()?;
    Some(())
}

pub(super) fn key_users(config: &Config) -> Vec<(String, String)> {
    config
        .auth
        .keys
        .iter()
        .map(|key| (key.id.clone(), key.user.to_string()))
        .collect()
}

pub(super) fn put_key_vhost(config: &mut Config, id: &str, vhost: String) -> Option<()> {
    access_key(config, id)?.vhost = vhost;
    Some(())
}

pub(super) fn key_vhosts(config: &Config) -> Vec<(String, String)> {
    config
        .auth
        .keys
        .iter()
        .map(|key| (key.id.clone(), key.vhost.clone()))
        .collect()
}

pub(super) fn put_account(config: &mut Config, vhost: &str, account: Option<String>) -> Option<()> {
    is_name(vhost).then_some(())?;
    config.vhosts.entry(vhost.to_owned()).or_default().account = account;
    Some(())
}

pub(super) fn accounts(config: &Config) -> Vec<(String, Option<String>)> {
    config
        .vhosts
        .iter()
        .map(|(name, vhost)| (name.clone(), vhost.account.clone()))
        .collect()
}

pub(super) fn put_scopes(config: &mut Config, service: &str, names: Vec<String>) -> Option<()> {
    config.aws.scopes.insert(service.to_owned(), names);
    Some(())
}

pub(super) fn scopes(config: &Config) -> Vec<(String, Vec<String>)> {
    config
        .aws
        .scopes
        .iter()
        .map(|(service, names)| (service.clone(), names.clone()))
        .collect()
}
