//! Environments as people wrote them for the images that they replace.

mod addresses;
mod logins;
mod table;

use super::*;
use crate::auth::DefaultUsers;
use crate::config::Loaded;
use crate::config::address;
use crate::config::effective;

fn sources(pairs: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        env: pairs.iter().map(owned).collect(),
        ..Sources::default()
    }
}

fn loaded(pairs: &[(&str, &str)]) -> Loaded {
    sources(pairs).load().unwrap()
}

fn line(loaded: &Loaded, key: &str) -> String {
    let text = effective(loaded);
    let line = text.lines().find(|line| line.starts_with(key));
    line.unwrap_or_else(|| panic!("no {key} in\n{text}"))
        .to_owned()
}

#[test]
fn an_alias_that_is_outranked_cannot_be_at_fault() {
    for (alias, ours, key) in [
        (
            ("RABBITMQ_NODE_IP_ADDRESS", "no address"),
            ("VIADUCT__LISTENERS__AMQP", "*:1"),
            "listeners.amqp",
        ),
        (
            ("GATEWAY_LISTEN", "no address:1"),
            ("VIADUCT__LISTENERS__AWS", "*:1"),
            "listeners.aws",
        ),
        (
            ("SQS_DELAY_PURGE_RETRY", "perhaps"),
            ("VIADUCT__AWS__PURGE_IN_PROGRESS", "true"),
            "aws.purge_in_progress",
        ),
        (
            ("RABBITMQ_DEFAULT_PASS_FILE", "/no/such/file"),
            ("VIADUCT__AUTH__USERS__guest__PASSWORD", "pw"),
            "auth.users.guest.password",
        ),
    ] {
        assert!(sources(&[alias]).load().is_err(), "{alias:?}");
        let loaded = loaded(&[alias, ours]);
        let told = format!("# environment variable {}", ours.0);
        assert!(line(&loaded, key).ends_with(&told), "{alias:?}");
        let outranked = Rank::Outranked(Origin::Env(ours.0.to_owned()));
        let is_told = loaded.used.iter().any(|used| used.rank == outranked);
        // The file was not read, so nothing stands in its place.
        assert!(is_told || alias.0.ends_with("_FILE"), "{:?}", loaded.used);
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let error = sources(&[
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("ARTEMIS_USER", "art"),
        ("VIADUCT__LIMITS__CHANNELS_MAX", "0"),
    ])
    .load()
    .unwrap_err()
    .to_string();
    for told in [
        "RABBITMQ_DEFAULT_PASS, too",
        "ARTEMIS_PASSWORD, too",
        "limits.channels_max",
    ] {
        assert!(error.contains(told), "{told} in {error}");
    }
}

#[test]
fn each_alias_that_counts_is_told_without_its_value() {
    let loaded = loaded(&[
        ("DEBUG", "1"),
        ("RABBITMQ_DEFAULT_PASS", "hunter2"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
        ("LOCALSTACK_HOST", "aws"),
        ("USE_SSL", "1"),
    ]);
    let told: Vec<_> = loaded
        .used
        .iter()
        .map(|used| (used.name.as_str(), used.key.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("RABBITMQ_DEFAULT_PASS", "auth.users.guest.tags"),
            ("RABBITMQ_DEFAULT_PASS", "auth.users.guest.password"),
            ("RABBITMQ_DEFAULT_VHOST", "vhosts.shop"),
            ("USE_SSL", "aws.public_url"),
            ("LOCALSTACK_HOST", "aws.public_url"),
            ("DEBUG", "log.level"),
        ]
    );
    assert!(loaded.used.iter().all(|used| used.rank == Rank::Counts));
    assert_eq!(loaded.vhost, "shop");
}

#[test]
fn switches_and_levels_are_translated() {
    let loaded = loaded(&[
        ("DEBUG", "1"),
        ("SQS_DELAY_PURGE_RETRY", "1"),
        ("LOCALSTACK_SQS_DELAY_RECENTLY_DELETED", "true"),
    ]);
    assert_eq!(loaded.config.log.level, "debug");
    assert!(loaded.config.aws.purge_in_progress && loaded.config.aws.queue_deleted_recently);
    for (name, text, level) in [
        ("LS_LOG", "trace-internal", "trace"),
        ("LS_LOG", " Warning ", "warn"),
        ("RABBITMQ_LOG", "warning", "warn"),
        ("DEBUG", "express:*", "info"),
        ("DEBUG", "", "info"),
    ] {
        let loaded = super::tests::loaded(&[(name, text)]);
        assert_eq!(loaded.config.log.level, level, "{name}={text}");
        assert_eq!(loaded.unused, []);
    }
}

#[test]
fn a_bad_level_does_not_take_the_place_of_debug() {
    let loaded = loaded(&[("LS_LOG", "loud"), ("DEBUG", "1")]);
    assert_eq!(loaded.config.log.level, "debug");
    assert_eq!(loaded.unused.len(), 1);
}

#[test]
fn what_means_nothing_here_is_told_with_the_reason() {
    let loaded = loaded(&[
        ("SERVICES", "sqs,sns,s3:4572"),
        ("PERSISTENCE", "0"),
        ("SQS_ENDPOINT_STRATEGY", "path"),
        ("GATEWAY_LISTEN", "0.0.0.0:443"),
        ("RABBITMQ_ERLANG_COOKIE", "secret cookie"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ]);
    let text = effective(&loaded);
    for told in [
        "# environment variable SERVICES is not used: not in this version: sns, s3\n",
        "# environment variable PERSISTENCE is not used: what was confirmed is on the disk always\n",
        "# environment variable SQS_ENDPOINT_STRATEGY is not used: queue URLs are host/account/name here, never as with 'path'\n",
        "# environment variable GATEWAY_LISTEN is not used: port 443 would have to speak TLS\n",
        "# environment variable RABBITMQ_ERLANG_COOKIE is not used: there are no nodes with names",
    ] {
        assert!(text.contains(told), "{told} in\n{text}");
    }
    assert_eq!(loaded.unused.len(), 5, "{:?}", loaded.unused);
    assert!(!text.contains("secret cookie"));
}

#[test]
fn our_own_names_win_over_foreign_ones_and_those_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viaduct.toml");
    std::fs::write(
        &file,
        "log = { level = \"warn\" }\n[listeners]\naws = \"*:1\"\n",
    )
    .unwrap();
    let mut sources = sources(&[
        ("VIADUCT__LOG__LEVEL", "error"),
        ("VIADUCT_DEFAULT__LISTENERS__AWS", "*:2"),
        ("VIADUCT_DEFAULT__LISTENERS__AMQP", "*:3"),
        ("DEBUG", "1"),
        ("EDGE_PORT", "4"),
        ("VIADUCT_DEFAULT__READY_LINES", "true"),
    ]);
    sources.file = Some(file.clone());
    let loaded = sources.load().unwrap();
    assert_eq!(
        line(&loaded, "log.level"),
        "log.level = \"error\"  # environment variable VIADUCT__LOG__LEVEL"
    );
    assert_eq!(
        line(&loaded, "listeners.aws"),
        "listeners.aws = \"*:4\"  # environment variable EDGE_PORT"
    );
    assert_eq!(
        line(&loaded, "listeners.amqp"),
        "listeners.amqp = \"*:3\"  # environment variable VIADUCT_DEFAULT__LISTENERS__AMQP"
    );
    assert!(loaded.config.ready_lines);

    sources.env.retain(|(name, _)| name != "EDGE_PORT");
    let told = line(&sources.load().unwrap(), "listeners.aws");
    assert_eq!(
        told,
        format!("listeners.aws = \"*:1\"  # {}:3:1", file.display())
    );
}

#[test]
fn a_misspelt_default_of_an_image_is_no_secret() {
    let wrong = sources(&[("VIADUCT_DEFAULT__LISTENERS__AMPQ", "*:1")]).load();
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "environment variable VIADUCT_DEFAULT__LISTENERS__AMPQ: unknown key 'listeners.ampq'; did you mean 'listeners.amqp'?"
    );
}
