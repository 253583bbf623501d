//! Requests as the command line and RabbitMQ's tools send them.

use std::sync::Arc;

use super::super::Health;
use super::super::Operator;
use super::super::Reloaded;
use super::super::Task;
use super::super::Work;
use super::*;
use crate::auth::Auth;
use crate::auth::AuthConfig;
use crate::auth::Cost;
use crate::auth::MemoryRecords;

struct Running;

impl Operator for Running {
    fn health(&self) -> Health {
        let alarms = vec!["disk".to_owned()];
        Health {
            status: "alarm".to_owned(),
            version: "1".to_owned(),
            pid: 7,
            uptime_ms: 5,
            alarms,
            damages: 0,
            quarantined: Vec::new(),
            quarantined_total: 0,
        }
    }

    fn effective_config(&self) -> String {
        "data_dir = \"x\"\n".to_owned()
    }

    fn reload(&self) -> Reloaded {
        Reloaded::default()
    }

    fn begin(&self, task: Task) -> Result<(), String> {
        match task {
            Task::Check => Ok(()),
            Task::Backup(folder) => Err(format!("busy, not to {}", folder.display())),
        }
    }

    fn work(&self) -> Option<Work> {
        Some(Work {
            task: "check".to_owned(),
            is_running: true,
            done: 5,
            total: 9,
            ..Work::default()
        })
    }

    fn give_up(&self) {}
}

fn management(operator: Option<Arc<dyn Operator>>) -> Management {
    let cost = Cost {
        argon2_kib: 8,
        argon2_passes: 1,
        scram_rounds: 2,
    };
    let config = AuthConfig {
        cost,
        ..AuthConfig::default()
    };
    let vhosts = ["/".to_owned(), "tenant".to_owned()];
    let auth = Auth::open(Arc::<MemoryRecords>::default(), &config, &vhosts).unwrap();
    Management::new(Arc::new(auth), &vhosts, operator)
}

/// Status and body of the answer.
async fn ask(management: &Management, method: Method, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Bytes::from(body.to_owned()))
        .unwrap();
    let response = management.answer(request).await;
    (
        response.status().as_u16(),
        String::from_utf8(response.body().to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn a_user_lives_from_put_to_delete() {
    let m = management(None);
    assert_eq!(
        ask(
            &m,
            Method::PUT,
            "/api/users/a%2Fb",
            r#"{"password":"p","tags":"monitoring"}"#
        )
        .await
        .0,
        201
    );
    assert_eq!(
        ask(
            &m,
            Method::PUT,
            "/api/users/a%2Fb",
            r#"{"password":"q","tags":["management"]}"#
        )
        .await
        .0,
        204
    );
    let (status, user) = ask(&m, Method::GET, "/api/users/a%2Fb", "").await;
    assert_eq!(status, 200);
    assert!(
        user.contains(r#""name":"a/b""#) && user.contains(r#""tags":["management"]"#),
        "{user}"
    );
    assert!(!user.contains("argon2"), "{user}");
    assert_eq!(ask(&m, Method::DELETE, "/api/users/a%2Fb", "").await.0, 204);
    let gone = (
        404,
        r#"{"error":"Object Not Found","reason":"Not Found"}"#.to_owned(),
    );
    assert_eq!(ask(&m, Method::GET, "/api/users/a%2Fb", "").await, gone);
}

#[tokio::test]
async fn a_user_that_must_be_new_is_not_replaced() {
    let m = management(None);
    let request = Request::put("/api/users/guest").header("if-none-match", "*");
    let response = m
        .answer(request.body(Bytes::from(r#"{"password":"p"}"#)).unwrap())
        .await;
    assert_eq!(response.status().as_u16(), 412);
    assert!(m.auth.user("guest").unwrap().is_default);
}

#[tokio::test]
async fn permissions_need_their_user_and_vhost() {
    let m = management(None);
    let body = r#"{"configure":"^a","write":"","read":".*"}"#;
    assert_eq!(
        ask(&m, Method::PUT, "/api/permissions/%2F/guest", body)
            .await
            .0,
        204
    );
    let (_, shown) = ask(&m, Method::GET, "/api/permissions/%2F/guest", "").await;
    assert_eq!(
        shown,
        r#"{"user":"guest","vhost":"/","configure":"^a","write":"","read":".*"}"#
    );
    assert_eq!(
        ask(&m, Method::PUT, "/api/permissions/%2F/nobody", body)
            .await
            .0,
        404
    );
    assert_eq!(
        ask(&m, Method::PUT, "/api/permissions/nowhere/guest", body)
            .await
            .0,
        404
    );
    let bad = r#"{"configure":"(","write":"","read":""}"#;
    assert_eq!(
        ask(&m, Method::PUT, "/api/permissions/%2F/guest", bad)
            .await
            .0,
        400
    );
    assert_eq!(
        ask(&m, Method::DELETE, "/api/permissions/%2F/guest", "")
            .await
            .0,
        204
    );
    assert_eq!(
        ask(&m, Method::GET, "/api/permissions/%2F/guest", "")
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn health_and_config_need_a_broker() {
    let m = management(Some(Arc::new(Running)));
    let (status, health) = ask(&m, Method::GET, "/health", "").await;
    assert_eq!(status, 200);
    assert!(health.contains(r#""alarms":["disk"]"#), "{health}");
    assert_eq!(
        ask(&m, Method::GET, "/api/viaduct/config", "").await,
        (200, "data_dir = \"x\"\n".to_owned())
    );
    assert_eq!(
        ask(&m, Method::POST, "/api/viaduct/reload", "").await.0,
        200
    );
    assert_eq!(
        ask(&management(None), Method::GET, "/health", "").await.0,
        503
    );
}

#[tokio::test]
async fn other_paths_methods_and_bodies_are_refused() {
    let m = management(None);
    assert_eq!(ask(&m, Method::GET, "/", "").await.0, 404);
    assert_eq!(ask(&m, Method::POST, "/api/users", "").await.0, 405);
    assert_eq!(ask(&m, Method::PUT, "/api/users/x", "{").await.0, 400);
    assert_eq!(
        ask(&m, Method::PUT, "/api/users/x", r#"{"tags":"god"}"#)
            .await
            .0,
        400
    );
    assert_eq!(ask(&m, Method::GET, "/api/users/%ff", "").await.0, 400);
}

#[tokio::test]
async fn what_takes_long_is_begun_asked_after_and_given_up() {
    let m = management(Some(Arc::new(Running)));
    let work = "/api/viaduct/work";
    assert_eq!(ask(&m, Method::POST, "/api/viaduct/check", "").await.0, 202);
    let (status, body) = ask(&m, Method::GET, work, "").await;
    assert_eq!(status, 200);
    assert!(body.contains(r#""done":5,"total":9"#), "{body}");
    let backup = "/api/viaduct/backup";
    let (status, body) = ask(&m, Method::POST, backup, r#"{"folder":"/x"}"#).await;
    assert_eq!(status, 409);
    assert!(body.contains("not to /x"), "{body}");
    assert_eq!(
        ask(&m, Method::POST, backup, r#"{"folder":"x"}"#).await.0,
        400
    );
    assert_eq!(ask(&m, Method::DELETE, work, "").await.0, 204);
    assert_eq!(ask(&m, Method::POST, work, "").await.0, 405);
    assert_eq!(ask(&management(None), Method::GET, work, "").await.0, 503);
}
