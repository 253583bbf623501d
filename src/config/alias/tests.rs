//! Environments as people wrote them for the images that they replace.

use super::*;
use crate::auth::DefaultUsers;
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
            "localhost:4570",
        ),
        // No port alone opens a broker to the network.
        (
            [("RABBITMQ_NODE_PORT", "1"), ("GATEWAY_LISTEN", "4570")],
            "localhost:1",
            "localhost:4570",
        ),
        (
            [("RABBITMQ_NODE_PORT", "1"), ("GATEWAY_LISTEN", " ")],
            "localhost:1",
            "localhost:4566",
        ),
        (
            [
                ("RABBITMQ_NODE_PORT", " 1"),
                ("GATEWAY_LISTEN", "127.0.0.1:44570,"),
            ],
            "localhost:1",
            "127.0.0.1:44570",
        ),
        (
            [
                ("VIADUCT_DEFAULT__LISTENERS__AWS", "*:4566"),
                ("GATEWAY_LISTEN", "4570, 127.0.0.1"),
            ],
            "localhost:5672",
            "*:4570,127.0.0.1:4566",
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
        let printed = address::print(&loaded.config.listeners.aws).join(",");
        assert_eq!(printed, aws, "{pairs:?}");
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_is_no_port() {
    let loaded = loaded(&[
        ("RABBITMQ_NODE_PORT", "tcp://10.0.0.1:5672"),
        ("LOCALSTACK_EDGE_PORT", "tcp://10.0.0.1:80"),
    ]);
    assert_eq!(loaded.config.listeners, Config::default().listeners);
    assert_eq!(loaded.used, []);
    let text = effective(&loaded);
    for told in [
        "RABBITMQ_NODE_PORT is not used: 'tcp://10.0.0.1:5672' is no port number\n",
        "LOCALSTACK_EDGE_PORT is not used: 'tcp://10.0.0.1:80' is no port number\n",
    ] {
        assert_eq!(text.matches(told).count(), 1, "{told} in\n{text}");
    }
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
fn the_password_of_a_user_may_come_from_any_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viaduct.toml");
    std::fs::write(&file, "[auth.users.app]\npassword = \"pw\"\n").unwrap();
    let mut from_file = sources(&[("RABBITMQ_DEFAULT_USER", "app")]);
    from_file.file = Some(file);
    let mut from_flag = sources(&[("RABBITMQ_DEFAULT_USER", "app")]);
    from_flag.set = vec!["auth.users.app.password=pw".to_owned()];
    let from_env = sources(&[
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("VIADUCT__AUTH__USERS__app__PASSWORD", "pw"),
    ]);
    for sources in [from_file, from_flag, from_env] {
        let user = sources.load().unwrap().config.auth.users.remove(0);
        assert_eq!(user.password, Some(crate::auth::Secret::new("pw")));
        assert_eq!(user.tags, [crate::auth::Tag::Administrator]);
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
fn another_user_takes_the_place_of_guest_and_the_keys_that_have_none() {
    let pairs = [
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("RABBITMQ_DEFAULT_PASS", "pw"),
        ("VIADUCT__AUTH__DEFAULT_USERS", "anywhere"),
        ("VIADUCT__AUTH__KEYS__MINE__SECRET", "s"),
        ("VIADUCT__AUTH__KEYS__GUESTS__SECRET", "s"),
        ("VIADUCT__AUTH__KEYS__GUESTS__USER", "guest"),
    ];
    let replaced = loaded(&pairs);
    assert_eq!(replaced.config.auth.default_users, DefaultUsers::Off);
    assert!(replaced.config.auth.is_guest_replaced);
    let mut users: Vec<_> = replaced.config.auth.keys.iter().collect();
    users.sort_by(|a, b| a.id.cmp(&b.id));
    let users: Vec<_> = users.iter().map(|key| key.user.as_str()).collect();
    assert_eq!(users, ["guest", "app"]);
    assert!(replaced.used.contains(&Used {
        name: "RABBITMQ_DEFAULT_USER".to_owned(),
        key: "auth.default_users".to_owned(),
        rank: Rank::Overrides(Origin::Env("VIADUCT__AUTH__DEFAULT_USERS".to_owned())),
    }));
    assert_eq!(
        line(&replaced, "auth.default_users"),
        "auth.default_users = \"off\"  # environment variable RABBITMQ_DEFAULT_USER"
    );
    let guest = [("RABBITMQ_DEFAULT_USER", "guest"), pairs[1], pairs[2]];
    let auth = loaded(&guest).config.auth;
    assert!(!auth.is_guest_replaced && auth.default_users == DefaultUsers::Anywhere);
}

#[test]
fn each_alias_that_counts_is_told_without_its_value() {
    let loaded = loaded(&[
        ("DEBUG", "1"),
        ("RABBITMQ_DEFAULT_PASS", "hunter2"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
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
            ("DEBUG", "log.level"),
        ]
    );
    assert!(loaded.used.iter().all(|used| used.rank == Rank::Counts));
    assert_eq!(loaded.vhost, "shop");
}

#[test]
fn what_no_row_knows_is_named_in_one_line_unless_kubernetes_set_it() {
    let loaded = loaded(&[
        ("RABBITMQ_USE_LONGNAME", "true"),
        ("LOCALSTACK_LAMBDA_EXECUTOR", "docker"),
        ("RABBITMQ_DEFAULT_VHOST_FILE", "/no/such/file"),
        ("RABBITMQ_EMPTY", ""),
        ("LOCALSTACK_AWS_DEFAULT_REGION", "eu-west-1"),
        ("RABBITMQ_SERVICE_HOST", "10.0.0.1"),
        ("RABBITMQ_SERVICE_PORT", "5672"),
        ("RABBITMQ_SERVICE_PORT_AMQP", "5672"),
        ("RABBITMQ_PORT", "tcp://10.0.0.1:5672"),
        ("RABBITMQ_PORT_5672_TCP", "tcp://10.0.0.1:5672"),
        ("RABBITMQ_PORT_5672_TCP_ADDR", "10.0.0.1"),
        ("RABBITMQMINE", "1"),
    ]);
    let told: Vec<_> = loaded.unused.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "environment variables LOCALSTACK_LAMBDA_EXECUTOR, RABBITMQ_DEFAULT_VHOST_FILE, RABBITMQ_USE_LONGNAME are not used: they mean nothing here"
        ]
    );
}

/// Names that ask for what is so anyway: silence is right.
const HOLD_ALREADY: [&str; 2] = ["AWS_DEFAULT_REGION", "DEFAULT_REGION"];

/// Values that must do something, where `1` does not.
const TELLING: [(&str, &str); 3] = [
    ("SERVICES", "s3"),
    ("PERSISTENCE", "0"),
    ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
];

#[test]
fn every_name_of_the_table_is_read() {
    for alias in aliases() {
        for &name in alias.names {
            let telling = TELLING.iter().find(|(known, _)| *known == name);
            let value = telling.map_or("1", |(_, value)| value);
            let mut variables = vec![name.to_owned()];
            if alias.image == localstack::LOCALSTACK && !name.starts_with(localstack::PREFIX) {
                variables.push(format!("{}{name}", localstack::PREFIX));
            }
            for variable in variables {
                let is_told = match sources(&[(&variable, value)]).load() {
                    Err(error) => error.to_string().contains(&variable),
                    Ok(loaded) => {
                        loaded.used.iter().any(|used| used.name == variable)
                            || loaded.unused.iter().any(|unused| {
                                unused.names == [variable.as_str()]
                                    && unused.why != "they mean nothing here"
                            })
                    }
                };
                let holds_already = HOLD_ALREADY.contains(&name);
                assert_eq!(is_told, !holds_already, "{variable}={value}");
            }
        }
    }
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
                ("HOSTNAME_EXTERNAL", "aws"),
                ("GATEWAY_LISTEN", "0.0.0.0:443,0.0.0.0:4571"),
            ],
            "http://aws:4571",
        ),
        (
            &[
                ("HOSTNAME_EXTERNAL", "aws"),
                ("EDGE_PORT", "tcp://10.0.0.1:80"),
            ],
            "http://aws:4566",
        ),
        (
            &[
                ("HOSTNAME_EXTERNAL", "aws"),
                ("LOCALSTACK_HOSTNAME_EXTERNAL", "prefixed"),
            ],
            "http://prefixed:4566",
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

#[test]
fn no_variable_stands_in_the_table_twice() {
    let names: Vec<_> = aliases().flat_map(|alias| alias.names).collect();
    let once: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(names.len(), once.len());
}
