//! Users that other images' variables name.

use super::super::*;
use super::*;

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
