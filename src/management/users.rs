//! `/api/users`.

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;

use crate::auth::AuthError;
use crate::auth::Secret;
use crate::auth::Tag;
use crate::auth::UserName;
use crate::transport::http;

use super::Management;
use super::answer::Answer;
use super::answer::Refusal;
use super::answer::json;
use super::answer::parse;
use super::answer::put;
use super::router::Precondition;

/// The body of a PUT.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserBody {
    password: Option<String>,
    #[serde(default)]
    tags: Option<TagsBody>,
}

/// RabbitMQ takes tags as a list, or as one text with commas.
#[derive(Deserialize)]
#[serde(untagged)]
enum TagsBody {
    List(Vec<String>),
    Text(String),
}

impl TagsBody {
    fn parse(&self) -> Result<Vec<Tag>, Refusal> {
        let words: Vec<&str> = match self {
            Self::List(words) => words.iter().map(String::as_str).collect(),
            Self::Text(text) => text.split(',').map(str::trim).collect(),
        };
        let words = words.into_iter().filter(|word| !word.is_empty());
        words
            .map(|word| Tag::parse(word).map_err(Refusal::from))
            .collect()
    }
}

impl Management {
    pub(super) fn list_users(&self) -> Answer {
        Ok(json(StatusCode::OK, &self.auth.users()))
    }

    pub(super) fn get_user(&self, name: &str) -> Answer {
        self.auth
            .user(name)
            .map(|user| json(StatusCode::OK, &user))
            .ok_or_else(Refusal::not_found)
    }

    /// Creates a user, or changes what the body names of one.
    pub(super) fn put_user(&self, name: &str, body: &Bytes, precondition: Precondition) -> Answer {
        let name = UserName::parse(name)?;
        let body: UserBody = parse(body)?;
        let password = body.password.map(Secret::new);
        let tags = body.tags.as_ref().map(TagsBody::parse).transpose()?;
        if self.auth.user(name.as_str()).is_none() {
            if precondition == Precondition::Exists {
                return Err(AuthError::UserNotFound(name.to_string()).into());
            }
            self.auth
                .add_user(&name, password.as_ref(), &tags.unwrap_or_default())?;
            return Ok(put(true));
        }
        if precondition == Precondition::New {
            return Err(Refusal::exists(format!("user '{name}' exists already")));
        }
        if let Some(password) = password {
            self.auth.set_password(&name, &password)?;
        }
        if let Some(tags) = tags {
            self.auth.set_tags(&name, &tags)?;
        }
        Ok(put(false))
    }

    pub(super) fn delete_user(&self, name: &str) -> Answer {
        self.auth.delete_user(&UserName::parse(name)?)?;
        Ok(http::empty(StatusCode::NO_CONTENT))
    }
}
