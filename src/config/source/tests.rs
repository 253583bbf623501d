//! Precedence, and every way to get a configuration wrong.

use super::*;
use crate::auth::DefaultUsers;
use crate::auth::Secret;
use std::time::Duration;

/// Sources with a file of this text, in a folder that lives as long as the guard.
fn with_file(text: &str) -> (Sources, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("viaduct.toml");
    std::fs::write(&path, text).unwrap();
    (
        Sources {
            searched: vec![folder.path().join("absent.toml"), path],
            ..Sources::default()
        },
        folder,
    )
}

fn with_env(pairs: &[(&str, &str)]) -> Sources {
    let env = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Sources {
        env,
        ..Sources::default()
    }
}

fn with_set(assignments: &[&str]) -> Sources {
    Sources {
        set: assignments.iter().map(|text| (*text).to_owned()).collect(),
        ..Sources::default()
    }
}

/// What is wrong, with the file's folder taken away.
fn wrong(sources: &Sources) -> String {
    let text = sources.load().unwrap_err().to_string();
    let folder = sources.searched.last().and_then(|path| path.parent());
    folder.map_or(text.clone(), |folder| {
        text.replace(&format!("{}/", folder.display()), "")
    })
}

#[test]
fn nothing_needs_to_be_configured() {
    let loaded = Sources::default().load().unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(
        loaded.config.aws_gateway().vhost_of("000000000000", "x"),
        Some("/")
    );
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let text = "data_dir = \"from-file\"\n[log]\nlevel = \"warn\"\n[limits]\nchannels_max = 10\n";
    let (mut sources, _folder) = with_file(text);
    sources.env = with_env(&[
        ("VIADUCT__LOG__LEVEL", "error"),
        ("VIADUCT__LIMITS__CHANNELS_MAX", "20"),
    ])
    .env;
    sources.set = with_set(&["limits.channels_max=30"]).set;
    let loaded = sources.load().unwrap();
    assert_eq!(loaded.config.data_dir, PathBuf::from("from-file"));
    assert_eq!(loaded.config.log.level, "error");
    assert_eq!(loaded.config.limits.channels_max, 30);
    assert_eq!(loaded.config.limits.heartbeat, Duration::from_secs(60));
    assert_eq!(loaded.origins["limits.channels_max"], Origin::Set);
    assert_eq!(
        loaded.origins["log.level"].to_string(),
        "environment variable VIADUCT__LOG__LEVEL"
    );
    assert!(
        loaded.origins["data_dir"]
            .to_string()
            .ends_with("viaduct.toml:1:1")
    );

    sources.data_dir = Some("from-flag".into());
    assert_eq!(
        sources.load().unwrap().config.data_dir,
        PathBuf::from("from-flag")
    );
}

#[test]
fn a_named_file_beats_the_search_and_must_exist() {
    let (mut sources, folder) = with_file("ready_lines = true");
    let other = folder.path().join("other.toml");
    std::fs::write(&other, "log.level = \"trace\"").unwrap();
    sources.env = vec![(
        "VIADUCT_CONFIG".to_owned(),
        other.to_string_lossy().into_owned(),
    )];
    assert!(!sources.load().unwrap().config.ready_lines);
    sources.file = Some("/nonexistent/viaduct.toml".into());
    assert!(wrong(&sources).starts_with("cannot read /nonexistent/viaduct.toml: "));
}

#[test]
fn a_limit_that_nothing_asks_for_is_no_key() {
    let text = wrong(&with_set(&["limits.nesting_max=5"]));
    assert!(text.contains("unknown key 'limits.nesting_max'"), "{text}");
}

#[test]
fn an_unknown_key_names_place_and_nearest() {
    let (sources, _folder) = with_file("[listeners]\n  ampq = \"127.0.0.1:1\"\n");
    assert_eq!(
        wrong(&sources),
        "viaduct.toml:2:3: unknown key 'listeners.ampq'; did you mean 'listeners.amqp'?"
    );
    let (sources, _folder) = with_file("[surprise]\n");
    assert_eq!(wrong(&sources), "viaduct.toml:1:2: unknown key 'surprise'");
    assert_eq!(
        wrong(&with_env(&[("VIADUCT__LOG__LEVLE", "info")])),
        "environment variable VIADUCT__LOG__LEVLE: unknown key 'log.levle'; did you mean 'log.level'?"
    );
    assert_eq!(
        wrong(&with_set(&["datadir=x"])),
        "--set: unknown key 'datadir'; did you mean 'data_dir'?"
    );
}

#[test]
fn a_bad_value_names_place_and_range() {
    let (sources, _folder) =
        with_file("limits.channels_max = 0\nlog.format = \"xml\"\nready_lines = \"yes\"");
    assert_eq!(
        wrong(&sources),
        "viaduct.toml:1:8: bad value 0 for 'limits.channels_max': allowed is 1 to 65535\n\
         viaduct.toml:2:5: bad value \"xml\" for 'log.format': allowed is \"text\" or \"json\"\n\
         viaduct.toml:3:1: bad value \"yes\" for 'ready_lines': allowed is true or false"
    );
}

#[test]
fn a_file_that_is_no_toml_names_the_place() {
    let (sources, _folder) = with_file("data_dir = \"x\"\nlog = [\n");
    assert!(
        wrong(&sources).starts_with("viaduct.toml:"),
        "{}",
        wrong(&sources)
    );
    let (sources, _folder) = with_file("data_dir = \"x\"\ndata_dir = \"y\"\n");
    assert!(
        wrong(&sources).starts_with("viaduct.toml:2:1: duplicate key"),
        "{}",
        wrong(&sources)
    );
}

#[test]
fn a_listener_without_a_door_is_refused_unless_it_is_off() {
    let (sources, _folder) = with_file("[listeners]\nmqtt = \"*:1883\"\nstomp = \"\"\n");
    assert_eq!(
        wrong(&sources),
        "viaduct.toml:2:1: 'listeners.mqtt' cannot be served: there is no such door yet in this version"
    );
}

#[test]
fn secrets_have_a_file_twin_and_are_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    std::fs::write(&path, "s3cret\n").unwrap();
    let path = path.to_string_lossy().into_owned();
    let twin = ("VIADUCT__AUTH__USERS__Alice__PASSWORD_FILE", path.as_str());
    let config = with_env(&[twin]).load().unwrap().config;
    assert_eq!(config.auth.users[0].name.as_str(), "Alice");
    assert_eq!(config.auth.users[0].password, Some(Secret::new("s3cret")));

    let both = with_env(&[twin, ("VIADUCT__AUTH__USERS__Alice__PASSWORD", "x")]);
    assert!(wrong(&both).contains(
        "VIADUCT__AUTH__USERS__Alice__PASSWORD and VIADUCT__AUTH__USERS__Alice__PASSWORD_FILE"
    ));
    // Only secrets have one: any other key would read files by a typo.
    assert!(
        wrong(&with_env(&[("VIADUCT__LOG__LEVEL_FILE", &path)]))
            .contains("unknown key 'log.level_file'")
    );
    let (sources, _folder) = with_file("[auth.users.alice]\npassword = 5\n");
    assert_eq!(
        wrong(&sources),
        "viaduct.toml:2:1: bad value … for 'auth.users.alice.password': allowed is a text that is not empty"
    );
}

#[test]
fn names_with_dots_and_slashes_are_quoted() {
    let text = "[vhosts.\"a.b/c\"]\naccount = \"111111111111\"\n[vhosts.bare]\n";
    let (sources, _folder) = with_file(text);
    let config = sources.load().unwrap().config;
    assert_eq!(
        config.aws_gateway().vhost_of("111111111111", "x"),
        Some("a.b/c")
    );
    assert_eq!(config.vhost_names(), ["/", "a.b/c", "bare"]);
    let config = with_set(&["vhosts.\"a.b\".account=222222222222"])
        .load()
        .unwrap()
        .config;
    assert_eq!(
        config.aws_gateway().vhost_of("222222222222", "x"),
        Some("a.b")
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let (sources, _folder) = with_file("[vhosts.tenant]\naccount = \"000000000000\"\n");
    assert_eq!(
        wrong(&sources),
        "viaduct.toml:2:1: account 000000000000 belongs to vhost '/' already, it cannot be that of 'tenant'"
    );
    let (sources, _folder) = with_file("[auth.keys.AKIA1]\nvhost = \"nowhere\"\n");
    assert!(wrong(&sources).contains("access key 'AKIA1' has no secret"));
    assert!(wrong(&sources).contains(
        "viaduct.toml:2:1: access key 'AKIA1' leads to vhost 'nowhere', which is not configured"
    ));
}

#[test]
fn an_access_key_keeps_the_case_of_its_id_in_the_environment() {
    let sources = with_env(&[
        ("VIADUCT__AUTH__KEYS__AKIAX__SECRET", "s"),
        ("VIADUCT__AUTH__DEFAULT_USERS", "anywhere"),
    ]);
    let config = sources.load().unwrap().config;
    assert_eq!(config.auth.keys[0].id, "AKIAX");
    assert_eq!(config.auth.default_users, DefaultUsers::Anywhere);
}
