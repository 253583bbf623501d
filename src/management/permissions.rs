//! `/api/permissions`.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Serialize;

use crate::auth::PermissionTexts;
use crate::auth::UserName;
use crate::transport::http;

use super::Management;
use super::answer::Answer;
use super::answer::Refusal;
use super::answer::json;
use super::answer::parse;
use super::answer::put;

/// Permissions of a user in a virtual host, as RabbitMQ shows them.
#[derive(Serialize)]
struct PermissionView<'a> {
    user: &'a str,
    vhost: &'a str,
    #[serde(flatten)]
    texts: &'a PermissionTexts,
}

impl Management {
    pub(super) fn list_permissions(&self) -> Answer {
        let users = self.auth.users();
        let views: Vec<_> = users
            .iter()
            .flat_map(|user| {
                let name = user.name.as_str();
                user.permissions
                    .iter()
                    .map(move |(vhost, texts)| PermissionView {
                        user: name,
                        vhost,
                        texts,
                    })
            })
            .collect();
        Ok(json(StatusCode::OK, &views))
    }

    pub(super) fn get_permissions(&self, vhost: &str, user: &str) -> Answer {
        let view = self.auth.user(user).ok_or_else(Refusal::not_found)?;
        let texts = view.permissions.get(vhost).ok_or_else(Refusal::not_found)?;
        Ok(json(StatusCode::OK, &PermissionView { user, vhost, texts }))
    }

    pub(super) fn put_permissions(&self, vhost: &str, user: &str, body: &Bytes) -> Answer {
        let user = UserName::parse(user)?;
        if !self.vhosts.iter().any(|known| known == vhost) {
            return Err(Refusal::not_found());
        }
        let texts: PermissionTexts = parse(body)?;
        let is_new = self.auth.enter(&user, vhost).is_err();
        self.auth.set_permissions(&user, vhost, texts)?;
        Ok(put(is_new))
    }

    pub(super) fn delete_permissions(&self, vhost: &str, user: &str) -> Answer {
        let user = UserName::parse(user)?;
        self.auth
            .enter(&user, vhost)
            .map_err(|_| Refusal::not_found())?;
        self.auth.clear_permissions(&user, vhost)?;
        Ok(http::empty(StatusCode::NO_CONTENT))
    }
}
