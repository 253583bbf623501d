//! From method and path to a handler.

use bytes::Bytes;
use hyper::Method;
use hyper::Request;
use hyper::Response;
use hyper::header::IF_MATCH;
use hyper::header::IF_NONE_MATCH;
use percent_encoding::percent_decode_str;

use super::Management;
use super::answer::Answer;
use super::answer::Refusal;

impl Management {
    /// Answers one request. Runs what blocks (hashing, syncs) off the async threads.
    pub async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let management = self.clone();
        let routed = tokio::task::spawn_blocking(move || management.route(&request)).await;
        match routed {
            Ok(Ok(response)) => response,
            Ok(Err(refusal)) => refusal.into_response(),
            // The task panicked or the runtime is going down; the caller gets an answer all the same.
            Err(_) => crate::transport::http::empty(hyper::StatusCode::INTERNAL_SERVER_ERROR),
        }
    }

    fn route(&self, request: &Request<Bytes>) -> Answer {
        // A name may contain an encoded slash, so the path is split before it is decoded.
        let segments: Option<Vec<String>> = request
            .uri()
            .path()
            .split('/')
            .skip(1)
            .map(decoded)
            .collect();
        let segments = segments.ok_or_else(|| Refusal::bad_request("the path is not UTF-8"))?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let body = request.body();
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["health"]) => self.health(),
            (&Method::GET, ["api", "viaduct", "config"]) => self.config(),
            (&Method::POST, ["api", "viaduct", "reload"]) => self.reload(),
            (&Method::POST, ["api", "viaduct", "check"]) => self.begin_check(),
            (&Method::POST, ["api", "viaduct", "backup"]) => self.begin_backup(body),
            (&Method::GET, ["api", "viaduct", "work"]) => self.work(),
            (&Method::DELETE, ["api", "viaduct", "work"]) => self.give_up(),
            (&Method::GET, ["api", "users"]) => self.list_users(),
            (&Method::GET, ["api", "users", name]) => self.get_user(name),
            (&Method::PUT, ["api", "users", name]) => {
                self.put_user(name, body, Precondition::of(request))
            }
            (&Method::DELETE, ["api", "users", name]) => self.delete_user(name),
            (&Method::GET, ["api", "permissions"]) => self.list_permissions(),
            (&Method::GET, ["api", "permissions", vhost, user]) => {
                self.get_permissions(vhost, user)
            }
            (&Method::PUT, ["api", "permissions", vhost, user]) => {
                self.put_permissions(vhost, user, body)
            }
            (&Method::DELETE, ["api", "permissions", vhost, user]) => {
                self.delete_permissions(vhost, user)
            }
            (
                _,
                ["health"]
                | [
                    "api",
                    "viaduct",
                    "config" | "reload" | "check" | "backup" | "work",
                ]
                | ["api", "users" | "permissions"]
                | ["api", "users", _]
                | ["api", "permissions", _, _],
            ) => Err(Refusal::not_allowed()),
            _ => Err(Refusal::not_found()),
        }
    }
}

/// What a PUT asks for to be so (RFC 9110 §13.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precondition {
    /// Nothing: create or change.
    None,
    /// `If-None-Match: *`: create, and don't change.
    New,
    /// `If-Match: *`: change, and don't create.
    Exists,
}

impl Precondition {
    fn of(request: &Request<Bytes>) -> Self {
        let is_star = |name| {
            request
                .headers()
                .get(name)
                .is_some_and(|value| value == "*")
        };
        match (is_star(IF_NONE_MATCH), is_star(IF_MATCH)) {
            (true, _) => Self::New,
            (false, true) => Self::Exists,
            (false, false) => Self::None,
        }
    }
}

fn decoded(segment: &str) -> Option<String> {
    percent_decode_str(segment)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests;
