//! `viaduct user`.

use std::path::PathBuf;

use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use hyper::header::IF_MATCH;
use hyper::header::IF_NONE_MATCH;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Map;
use serde_json::Value;

use crate::auth::PermissionTexts;
use crate::auth::Secret;
use crate::auth::UserView;
use crate::config::Loaded;
use crate::server::MissingDataDir;

use super::Exit;
use super::Failure;
use super::Outcome;
use super::args::UserCommand;
use super::block_on;
use super::control::Reply;
use super::control::ask;
use super::control::request;
use super::password;
use super::say::say;

/// Carries out a command on users.
pub(super) fn user(loaded: &Loaded, command: UserCommand) -> Outcome {
    match command {
        UserCommand::Add {
            name,
            tags,
            no_password,
            password_file,
        } => {
            let password = if no_password {
                None
            } else {
                Some(read_password(&name, password_file)?)
            };
            put(loaded, &name, password.as_ref(), Some(&tags), IF_NONE_MATCH)?;
            let permit = format!("viaduct user set-permissions '{name}' '.*' '.*' '.*'");
            say(format!(
                "user '{name}' added; let it do something: {permit}"
            ));
            Ok(Exit::Clean)
        }
        UserCommand::SetPassword {
            name,
            password_file,
        } => {
            let password = read_password(&name, password_file)?;
            put(loaded, &name, Some(&password), None, IF_MATCH)?;
            Ok(Exit::Clean)
        }
        UserCommand::List { json } => list(loaded, json),
        UserCommand::Delete { name } => {
            call(loaded, Method::DELETE, &user_path(&name), Bytes::new())?.check()?;
            Ok(Exit::Clean)
        }
        UserCommand::SetPermissions {
            name,
            configure,
            write,
            read,
            vhost,
        } => {
            let texts = PermissionTexts {
                configure,
                write,
                read,
            };
            set_permissions(loaded, &name, &vhost, &texts)
        }
    }
}

fn read_password(user: &str, file: Option<PathBuf>) -> Result<Secret, Failure> {
    let password = file.map_or_else(|| password::ask(user), |path| password::from_file(&path));
    password.map_err(|error| Failure::new(Exit::Usage, error))
}

/// Creates a user (`If-None-Match`) or changes one (`If-Match`).
fn put(
    loaded: &Loaded,
    name: &str,
    password: Option<&Secret>,
    tags: Option<&[String]>,
    precondition: HeaderName,
) -> Result<(), Failure> {
    let mut body = Map::new();
    if let Some(password) = password {
        body.insert(
            "password".to_owned(),
            String::from_utf8_lossy(password.expose()).into(),
        );
    }
    if let Some(tags) = tags {
        body.insert("tags".to_owned(), tags.into());
    }
    let mut request = request(Method::PUT, &user_path(name), encoded(&body))?;
    // The first user may come before the first start; one that is to be changed cannot.
    let missing = if precondition == IF_NONE_MATCH {
        MissingDataDir::Create
    } else {
        MissingDataDir::Refuse
    };
    request
        .headers_mut()
        .insert(precondition, HeaderValue::from_static("*"));
    block_on(ask(&loaded.config, request, missing))??.check()
}

fn list(loaded: &Loaded, as_json: bool) -> Outcome {
    let reply = call(loaded, Method::GET, "/api/users", Bytes::new())?;
    if as_json {
        reply.check()?;
        say(String::from_utf8_lossy(&reply.body));
        return Ok(Exit::Clean);
    }
    let users: Vec<UserView> = reply.parse()?;
    say(format!(
        "{:<24} {:<24} {:<12} permissions in",
        "user", "tags", "password"
    ));
    for user in users {
        let tags: Vec<_> = user
            .tags
            .iter()
            .map(|tag| format!("{tag:?}").to_lowercase())
            .collect();
        let password = match (user.is_default, user.has_password) {
            (true, _) => "default",
            (false, true) => "set",
            (false, false) => "none",
        };
        let vhosts: Vec<_> = user.permissions.keys().map(String::as_str).collect();
        say(format!(
            "{:<24} {:<24} {password:<12} {}",
            user.name.as_str(),
            tags.join(","),
            vhosts.join(" ")
        ));
    }
    Ok(Exit::Clean)
}

fn set_permissions(loaded: &Loaded, name: &str, vhost: &str, texts: &PermissionTexts) -> Outcome {
    let path = format!("/api/permissions/{}/{}", segment(vhost), segment(name));
    let reply = call(loaded, Method::PUT, &path, encoded(texts))?;
    if reply.status == hyper::StatusCode::NOT_FOUND {
        let what = anyhow::anyhow!("there is no user '{name}', or no vhost '{vhost}'");
        return Err(Failure::new(Exit::Failed, what));
    }
    reply.check()?;
    Ok(Exit::Clean)
}

fn call(loaded: &Loaded, method: Method, path: &str, body: Bytes) -> Result<Reply, Failure> {
    let request = request(method, path, body)?;
    block_on(ask(&loaded.config, request, MissingDataDir::Refuse))?
}

fn user_path(name: &str) -> String {
    format!("/api/users/{}", segment(name))
}

fn segment(name: &str) -> String {
    utf8_percent_encode(name, NON_ALPHANUMERIC).to_string()
}

fn encoded(value: &impl serde::Serialize) -> Bytes {
    serde_json::to_value(value)
        .as_ref()
        .map(Value::to_string)
        .unwrap_or_default()
        .into()
}
