//! The table of `docs/errors.md`, row by row: what went wrong, in words that help, with the exit code
//! that scripts rely on.

use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use rustix::process::Signal;

use crate::amqp_door::login;
use crate::process::Broker;
use crate::process::eventually;
use crate::process::outcome;
use crate::process::viaduct;

/// Where the tests of the table stand, besides here.
const SOURCES: [&str; 3] = [
    include_str!("errors.rs"),
    include_str!("amqp_door.rs"),
    include_str!("first_contact.rs"),
];

#[test]
fn every_row_of_the_error_table_has_its_test() {
    let page = include_str!("../../docs/errors.md");
    let rows: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"))
        .skip(1)
        .collect();
    assert!(rows.len() > 10, "the table is gone");
    for row in rows {
        let test = row.rsplit('|').nth(1).unwrap().trim().trim_matches('`');
        let function = format!("\nfn {test}() {{");
        assert!(
            SOURCES.iter().any(|source| source.contains(&function)),
            "no test for: {row}"
        );
    }
}

/// A user that owns nothing here; `nobody` everywhere.
const NOBODY: u32 = 65_534;

/// Exit code and standard error of a start that fails.
fn failed_start(arguments: &[&str]) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = viaduct();
    for door in ["AMQP", "AWS", "METRICS"] {
        command.env(format!("VIADUCT__LISTENERS__{door}"), "127.0.0.1:0");
    }
    let (code, _, error) = outcome(command.current_dir(folder.path()).args(arguments));
    (code, error)
}

#[test]
fn a_port_in_use_names_address_protocol_and_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for (key, protocol) in [
        ("amqp", "AMQP 0-9-1"),
        ("aws", "AWS"),
        ("metrics", "metrics"),
    ] {
        let (code, error) = failed_start(&["--set", &format!("listeners.{key}={address}")]);
        let expected = format!(
            "viaduct: cannot listen on {address} for {protocol}: another process uses the port; \
             the key listeners.{key} sets the address"
        );
        assert_eq!((code, error.lines().last()), (4, Some(expected.as_str())));
    }
}

#[test]
fn an_address_of_another_machine_is_named() {
    let (code, error) = failed_start(&["--set", "listeners.amqp=192.0.2.1:5672"]);
    assert_eq!(code, 4);
    assert!(
        error.contains("192.0.2.1:5672 for AMQP 0-9-1: this machine has no such address"),
        "{error}"
    );
}

#[test]
fn a_second_process_on_the_data_dir_is_refused() {
    let broker = Broker::start(&[]);
    let (code, error) = failed_start(&["--data-dir", broker.data_dir().to_str().unwrap()]);
    let expected = format!(
        "viaduct: data dir {} is in use by another process: stop it, or choose another --data-dir",
        broker.data_dir().display()
    );
    assert_eq!((code, error.lines().last()), (3, Some(expected.as_str())));
    assert_eq!(outcome(&mut broker.command(&["health"])).0, 0);
}

#[test]
fn a_missing_data_dir_is_made_for_a_new_user_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    let path = folder.path().join("dtaa");
    let run = |arguments: &[&str]| {
        let mut command = viaduct();
        command.current_dir(folder.path()).args(arguments);
        outcome(command.arg("--data-dir").arg(&path))
    };
    let expected = format!(
        "viaduct: data dir {} does not exist: no broker has run on it; choose the broker's with --data-dir\n",
        path.display()
    );
    for arguments in [
        &["user", "list"][..],
        &["user", "delete", "alice"],
        &["user", "set-permissions", "alice", "", "", ""],
        &["user", "set-password", "alice", "--password-file", "secret"],
    ] {
        let (code, out, error) = run(arguments);
        assert_eq!(
            (code, out, &error),
            (3, String::new(), &expected),
            "{arguments:?}"
        );
        assert!(!path.exists(), "{arguments:?} made it");
    }
    let (code, out, error) = run(&["user", "add", "alice", "--no-password"]);
    let created = format!("data dir {} created", path.display());
    assert_eq!(
        (code, out.lines().next()),
        (0, Some(created.as_str())),
        "{error}"
    );
    let (code, out, _) = run(&["user", "list"]);
    assert!(
        code == 0 && out.contains("alice") && !out.contains("created"),
        "{out}"
    );
}

#[test]
fn an_unwritable_data_dir_names_uid_path_and_chown_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::create_dir(&path).unwrap();
    // Root can write anywhere, so root takes the part of somebody else; anybody else locks itself out.
    let is_root = rustix::process::geteuid().is_root();
    let mode = if is_root { 0o755 } else { 0o555 };
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let mut command = viaduct();
    command.arg("--data-dir").arg(&path).current_dir("/");
    if is_root {
        command.uid(NOBODY).gid(NOBODY);
    }
    let uid = if is_root {
        NOBODY
    } else {
        rustix::process::getuid().as_raw()
    };
    let gid = if is_root {
        NOBODY
    } else {
        rustix::process::getgid().as_raw()
    };
    let (code, _, error) = outcome(&mut command);
    let path = path.display();
    let expected = format!(
        "viaduct: data dir {path} is not writable by uid {uid}: give it to that user with \
         `chown -R {uid}:{gid} {path}`, or choose another one with --data-dir\n"
    );
    assert_eq!((code, error), (3, expected));
}

#[test]
fn a_data_dir_of_a_newer_format_is_left_alone() {
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    let meta = broker.data_dir().join("meta");
    let text = std::fs::read_to_string(&meta)
        .unwrap()
        .replacen("format 2", "format 99", 1);
    std::fs::write(&meta, &text).unwrap();
    let (code, error) = failed_start(&["--data-dir", broker.data_dir().to_str().unwrap()]);
    let path = broker.data_dir();
    let expected = format!(
        "viaduct: data dir {} has format 99, this version reads up to 2",
        path.display()
    );
    assert_eq!((code, error.lines().last()), (3, Some(expected.as_str())));
    assert_eq!(std::fs::read_to_string(&meta).unwrap(), text);
}

#[test]
fn a_damaged_data_dir_is_named_and_left_alone() {
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    let meta = broker.data_dir().join("meta");
    let damaged = std::fs::read_to_string(&meta)
        .unwrap()
        .replace("uuid", "uuib");
    std::fs::write(&meta, &damaged).unwrap();
    let (code, error) = failed_start(&["--data-dir", broker.data_dir().to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(
        error.contains(&format!("{} is damaged: ", meta.display())),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&meta).unwrap(), damaged);
}

#[test]
fn a_hole_in_the_log_is_named_and_the_rest_is_served() {
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::KILL);
    let segment = broker.data_dir().join("log/0000000001.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    // In the records of the first frame, which is not the last one.
    bytes[4096 + 70] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    broker.start_again(&[]);
    let line = broker.logged("records of the log are lost: the queues that they may concern");
    assert!(line.contains("ERROR"), "{line}");
    assert!(
        line.contains("what=\"a frame is bad (offset 4096)\""),
        "{line}"
    );
    assert!(line.contains("queues=\"\""), "there were none: {line}");
    assert_eq!(outcome(&mut broker.command(&["health"])).0, 0);
}

#[test]
fn a_wrong_configuration_ends_with_2_and_names_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viaduct.toml");
    std::fs::write(
        &file,
        "[listeners]\nampq = \"localhost:5672\"\n\n[limits]\nchannels_max = 70000\n",
    )
    .unwrap();
    for command in [
        &["serve"][..],
        &["config", "check"],
        &["health"],
        &["user", "list"],
    ] {
        let (code, _, error) = outcome(viaduct().arg("--config").arg(&file).args(command));
        let path = file.display();
        let expected = format!(
            "viaduct: {path}:2:1: unknown key 'listeners.ampq'; did you mean 'listeners.amqp'?\n\
             viaduct: {path}:5:1: bad value 70000 for 'limits.channels_max': allowed is 1 to 65535\n"
        );
        assert_eq!((code, error), (2, expected), "{command:?}");
    }
}

#[test]
fn a_door_that_does_not_exist_yet_is_refused_plainly() {
    let (code, error) = failed_start(&["--set", "listeners.mqtt=*:1883"]);
    let expected = "viaduct: --set: 'listeners.mqtt' cannot be served: there is no such door yet in this version\n";
    assert_eq!((code, error.as_str()), (2, expected));
}

#[test]
fn what_means_nothing_of_another_images_environment_is_named_in_the_log() {
    let mut command = viaduct();
    for (name, value) in [
        ("RABBITMQ_ERLANG_COOKIE", "do-not-show"),
        ("SERVICES", "sqs,sns"),
        ("RABBITMQ_LOG", "warning"),
    ] {
        command.env(name, value);
    }
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    let (code, checked, _) = outcome(
        viaduct()
            .current_dir(broker.folder())
            .env("SERVICES", "sqs,sns")
            .args(["config", "check"]),
    );
    assert_eq!(code, 0);
    assert!(
        checked
            .ends_with("\nenvironment variable SERVICES is not used: not in this version: sns\n"),
        "{checked}"
    );
    broker.spawn(&mut command);
    broker.logged("another image's variable is not used variable=\"RABBITMQ_ERLANG_COOKIE\"");
    let line = broker.logged("variable=\"SERVICES\"");
    assert!(line.contains("not in this version: sns"), "{line}");
    let log = broker.log();
    assert!(!log.contains("RABBITMQ_LOG"), "{log}");
    // What was understood holds: at this level nobody says that he is ready.
    assert!(
        !log.contains("do-not-show") && !log.contains("INFO"),
        "{log}"
    );
}

#[test]
fn a_user_of_another_image_needs_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = viaduct();
    command
        .current_dir(folder.path())
        .env("RABBITMQ_DEFAULT_USER", "app");
    let (code, _, error) = outcome(&mut command);
    assert_eq!(code, 2);
    assert_eq!(
        error,
        "viaduct: environment variable RABBITMQ_DEFAULT_USER: a user without a password: set RABBITMQ_DEFAULT_PASS, too\n"
    );
}

#[test]
fn a_user_of_another_image_replaces_guest_and_is_named_in_the_log() {
    // Guest is in this data dir already, and would be let in from everywhere.
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    let mut command = viaduct();
    for (name, value) in [
        ("RABBITMQ_DEFAULT_USER", "app"),
        ("RABBITMQ_DEFAULT_PASS", "do-not-show"),
        ("RABBITMQ_DEFAULT_VHOST", "shop"),
        ("VIADUCT__AUTH__DEFAULT_USERS", "anywhere"),
        ("VIADUCT__AUTH__KEYS__MINE__SECRET", "do-not-show"),
    ] {
        command.env(name, value);
    }
    broker.spawn(&mut command);
    for told in [
        "another image's variable sets a key variable=\"RABBITMQ_DEFAULT_PASS\" key=\"auth.users.app.password\"",
        "another image's variable sets a key variable=\"RABBITMQ_DEFAULT_USER\" key=\"auth.default_users\" over=environment variable VIADUCT__AUTH__DEFAULT_USERS",
        "no SQS in this virtual host until the key vhosts.<name>.account is set vhost=\"shop\"",
    ] {
        broker.logged(told);
    }
    broker.logged("ready");
    let log = broker.log();
    assert!(
        !log.contains("do-not-show") && !log.contains("can log in as guest"),
        "{log}"
    );
    let out = eventually("the banner", || {
        Some(broker.out()).filter(|out| out.contains("metrics     curl"))
    });
    let url = format!(
        "amqp://USER:PASSWORD@localhost:{}/shop\n",
        broker.address("amqp").port()
    );
    assert!(out.contains(&url), "{out}");
    let methods = [("guest", "guest"), ("app", "do-not-show")].map(|(user, password)| {
        let (_stream, answer) = login(&broker, user, password, true);
        answer.map(|(class, method, _)| (class, method))
    });
    assert_eq!(methods, [Some((10, 50)), Some((10, 30))], "close, tune");
}

#[test]
fn a_wrong_command_line_ends_with_2_and_help_with_0() {
    assert_eq!(failed_start(&["--no-such-flag"]).0, 2);
    assert_eq!(failed_start(&["no-such-command"]).0, 2);
    assert_eq!(failed_start(&["--set", "listeners.amqp"]).0, 2);
    let (code, out, _) = outcome(viaduct().arg("--help"));
    assert_eq!(code, 0);
    assert!(
        out.contains("set-permissions") || out.contains("user"),
        "{out}"
    );
    let (code, out, _) = outcome(viaduct().arg("version"));
    assert_eq!(
        (code, out),
        (0, format!("viaduct {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_ends_the_broker_with_1() {
    use rustix::process::Resource;
    use rustix::process::Rlimit;
    use rustix::process::prlimit;

    let mut broker = Broker::start(&[]);
    // No file may grow beyond 32 KiB any more: the log has room for a few frames, then a write fails.
    let limit = Rlimit {
        current: Some(32 << 10),
        maximum: None,
    };
    prlimit(Some(broker.pid()), Resource::Fsize, limit).unwrap();
    let add = |n: u32| {
        outcome(&mut broker.command(&["user", "add", &format!("user-{n}"), "--no-password"])).0
    };
    assert!((0..30).any(|n| add(n) == 1), "30 users fit into 32 KiB");
    assert_eq!(broker.wait().code(), Some(1), "{}", broker.log());
    let log = broker.log();
    assert!(
        log.contains("nothing more is confirmed, the broker stops"),
        "{log}"
    );
    let last = "viaduct: the log could not be written: what was confirmed is safe, nothing more can be taken";
    assert_eq!(log.lines().last(), Some(last));
}

/// What a client of another protocol sends first.
const STRANGERS: [(&[u8], &str, &str); 4] = [
    (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "TLS",
        "TLS is not served yet",
    ),
    (
        b"AMQP\0\0\x09\x01",
        "AMQP 0-9-1",
        "AMQP 0-9-1 is on listeners.amqp",
    ),
    (
        b"\x10\x10\0\x04MQTT\x04\x02\0\x3c\0\x04test",
        "MQTT",
        "MQTT: no such door yet",
    ),
    (
        b"CONNECT\naccept-version:1.2\n\n\0",
        "STOMP",
        "STOMP: no such door yet",
    ),
];

#[test]
fn another_protocol_on_an_http_listener_is_named_in_the_log() {
    let broker = Broker::start(&[]);
    for door in ["aws", "metrics"] {
        for (bytes, name, hint) in STRANGERS {
            let mut stream = TcpStream::connect(broker.address(door)).unwrap();
            stream.write_all(bytes).unwrap();
            let line = broker.logged(&format!(
                "this looks like {name} on a plain HTTP listener (listeners.{door})"
            ));
            assert!(line.contains(hint), "{line}");
        }
    }
}
