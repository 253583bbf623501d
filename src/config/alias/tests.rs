//! Environments as people wrote them for the images that they replace.

use super::*;
use crate::config::Loaded;
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
fn a_rabbitmq_environment_makes_its_user_and_virtual_host() {
    let loaded = loaded(&[
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("RABBITMQ_DEFAULT_PASS", "secret"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
    ]);
    assert_eq!(
        line(&loaded, "auth.users.app.password"),
        "auth.users.app.password = \"…\"  # environment variable RABBITMQ_DEFAULT_PASS"
    );
    assert_eq!(
        line(&loaded, "auth.users.app.tags"),
        "auth.users.app.tags = [\"administrator\"]  # environment variable RABBITMQ_DEFAULT_USER"
    );
    assert_eq!(
        line(&loaded, "vhosts.shop.account"),
        "vhosts.shop.account = \"\"  # environment variable RABBITMQ_DEFAULT_VHOST"
    );
    assert!(loaded.config.vhosts.contains_key("/"));
    assert_eq!(loaded.unused, []);
}

#[test]
fn a_secret_may_stand_in_a_file_but_not_in_both() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "from-file\n").unwrap();
    let path = path.to_str().unwrap();
    let with_file = [
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("RABBITMQ_DEFAULT_PASS_FILE", path),
    ];
    let user = &loaded(&with_file).config.auth.users[0];
    assert_eq!(user.password, Some(crate::auth::Secret::new("from-file")));
    let both = [
        with_file[0],
        with_file[1],
        ("RABBITMQ_DEFAULT_PASS", "other"),
    ];
    assert_eq!(
        sources(&both).load().unwrap_err().to_string(),
        "RABBITMQ_DEFAULT_PASS and RABBITMQ_DEFAULT_PASS_FILE are both set: which one counts?"
    );
}

#[test]
fn half_a_login_is_a_user_of_the_image_or_an_error() {
    let users = |pairs| loaded(pairs).config.auth.users;
    assert_eq!(
        users(&[("RABBITMQ_DEFAULT_PASS", "pw")])[0].name.as_str(),
        "guest"
    );
    assert_eq!(
        users(&[("ARTEMIS_PASSWORD", "pw")])[0].name.as_str(),
        "artemis"
    );
    assert_eq!(
        sources(&[("RABBITMQ_DEFAULT_USER", "app")])
            .load()
            .unwrap_err()
            .to_string(),
        "environment variable RABBITMQ_DEFAULT_USER: a user without a password: set RABBITMQ_DEFAULT_PASS, too"
    );
}

#[test]
fn ports_and_addresses_move_what_is_configured_otherwise() {
    for (pairs, amqp, aws) in [
        (
            [("RABBITMQ_NODE_PORT", "5673"), ("EDGE_PORT", "4567")],
            "localhost:5673",
            "localhost:4567",
        ),
        (
            [
                ("RABBITMQ_NODE_IP_ADDRESS", "::1"),
                ("GATEWAY_LISTEN", "0.0.0.0:4566,0.0.0.0:443"),
            ],
            "[::1]:5672",
            "0.0.0.0:4566",
        ),
        (
            [("LOCALSTACK_GATEWAY_LISTEN", ":4570"), ("EDGE_PORT", "1")],
            "localhost:5672",
            "0.0.0.0:4570",
        ),
    ] {
        let loaded = loaded(&pairs);
        let value = |key: &str| {
            line(&loaded, key)
                .split("  # ")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(
            value("listeners.amqp"),
            format!("listeners.amqp = {amqp:?}")
        );
        assert_eq!(value("listeners.aws"), format!("listeners.aws = {aws:?}"));
    }
    let wrong = sources(&[("RABBITMQ_NODE_PORT", "tcp://10.0.0.1:5672")]).load();
    let text = wrong.unwrap_err().to_string();
    assert!(
        text.starts_with("environment variable RABBITMQ_NODE_PORT: bad value "),
        "{text}"
    );
}

#[test]
fn queue_urls_are_those_that_localstack_would_make() {
    for (pairs, url) in [
        (
            &[("LOCALSTACK_HOST", "queues.local:4000")][..],
            "http://queues.local:4000",
        ),
        (
            &[("HOSTNAME_EXTERNAL", "aws"), ("EDGE_PORT", "4570")],
            "http://aws:4570",
        ),
        (
            &[("LOCALSTACK_HOST", "aws"), ("USE_SSL", "1")],
            "https://aws:4566",
        ),
        (
            &[
                ("LOCALSTACK_HOST", "aws"),
                ("SQS_ENDPOINT_STRATEGY", "dynamic"),
            ],
            "",
        ),
    ] {
        let config = loaded(pairs).config;
        assert_eq!(config.aws.public_url.unwrap_or_default(), url, "{pairs:?}");
    }
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

#[test]
fn no_variable_stands_in_the_table_twice() {
    let names: Vec<_> = aliases().flat_map(|alias| alias.names).collect();
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), once.len());
}
