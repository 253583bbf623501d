//! The broker as a library: started in-process on port 0.

use std::time::Duration;

use viaduct::auth::Credentials;
use viaduct::auth::DeclaredUser;
use viaduct::auth::LoginError;
use viaduct::auth::Secret;
use viaduct::auth::UserName;
use viaduct::config::Config;
use viaduct::config::Listeners;
use viaduct::server::Broker;
use viaduct::server::StartError;

/// A configuration with free ports and a data dir of its own.
fn config(folder: &tempfile::TempDir) -> Config {
    let free = || vec![std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    Config {
        data_dir: folder.path().join("data"),
        listeners: Listeners {
            amqp: free(),
            aws: free(),
            metrics: free(),
        },
        ..Config::default()
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .is_ok(),
        "not in time: {what}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_starts_in_process_and_tells_its_real_ports() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start(config(&folder)).await.unwrap();
    for door in [
        &broker.listening().amqp,
        &broker.listening().aws,
        &broker.listening().metrics,
    ] {
        assert_ne!(door[0].port(), 0);
        assert!(tokio::net::TcpStream::connect(door[0]).await.is_ok());
    }
    let second = Broker::start(config(&folder)).await;
    assert!(matches!(second, Err(StartError::Store(_))), "{second:?}");
    broker.stop().await.unwrap();
    Broker::start(config(&folder))
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_user_follows_the_configuration_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    let alice = UserName::parse("alice").unwrap();
    for password in ["first", "second", "second"] {
        let declared = DeclaredUser {
            name: alice.clone(),
            password: Some(Secret::new(password)),
            tags: Vec::new(),
        };
        config.auth.users = vec![declared];
        let broker = Broker::start(config.clone()).await.unwrap();
        let anywhere = "192.0.2.1".parse().unwrap();
        let with = |password: &str| Credentials {
            user: alice.clone(),
            password: Secret::new(password),
        };
        assert!(broker.auth().login(&with(password), anywhere).await.is_ok());
        assert_eq!(
            broker.auth().login(&with("other"), anywhere).await,
            Err(LoginError::WrongPassword)
        );
        assert!(broker.auth().enter(&alice, "/").is_ok());
        broker.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_alarm_comes_at_the_budget_and_goes_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder);
    config.limits.memory_budget_bytes = Some(16 << 20);
    let broker = Broker::start(config).await.unwrap();
    let alarms = || broker.operator().health().alarms;
    assert_eq!(alarms(), [""; 0]);
    let charge = broker.core().budget().charge(16 << 20);
    until("the alarm", || alarms() == ["memory"]).await;
    drop(charge);
    until("its end", || alarms().is_empty()).await;
    broker.stop().await.unwrap();
}
