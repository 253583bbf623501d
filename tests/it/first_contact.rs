//! What somebody sees who starts the broker for the first time, and what a service manager needs.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;

use crate::process::Broker;
use crate::process::eventually;
use crate::process::outcome;
use crate::process::viaduct;

/// Tries of a promised time: the machine may be busy, the broker may not be slow each time.
const TRIES: usize = 20;

pub fn get(broker: &Broker, door: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(broker.address(door)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_first_start_shows_doors_urls_and_lines_to_paste() {
    let broker = Broker::start(&[]);
    let port = broker.address("amqp").port();
    let out = eventually("the banner", || {
        Some(broker.out()).filter(|out| out.contains("metrics     curl"))
    });
    assert!(out.contains(&format!("127.0.0.1:{port}")), "{out}");
    assert!(out.contains("listeners.amqp"), "{out}");
    assert!(
        out.contains(&format!("amqp://guest:guest@localhost:{port}/%2F")),
        "{out}"
    );
    assert!(
        out.contains("aws --endpoint-url http://localhost:"),
        "{out}"
    );
    assert!(!out.contains("Ready."), "{out}");
    broker.logged("ready");
}

#[test]
fn localhost_is_both_loopback_addresses_on_one_port() {
    let mut command = viaduct();
    command.env("VIADUCT__LISTENERS__AMQP", "localhost:0");
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    broker.spawn(&mut command);
    let port = broker.address("amqp").port();
    let text = std::fs::read_to_string(broker.data_dir().join("listeners.json")).unwrap();
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    assert_eq!(text.contains(&format!("[::1]:{port}")), has_v6, "{text}");
}

#[test]
fn ready_lines_are_those_that_testcontainers_wait_for() {
    let broker = Broker::start(&["--set", "ready_lines=true"]);
    let out = eventually("the ready lines", || {
        Some(broker.out()).filter(|out| out.ends_with("Ready.\n"))
    });
    assert!(out.contains("Server startup complete\n"), "{out}");
    assert!(
        out.lines()
            .any(|line| line.starts_with("Apache ActiveMQ") && line.ends_with("started")),
        "{out}"
    );
    assert!(out.contains("HTTP Server started\n"), "{out}");
}

#[test]
fn an_empty_data_dir_is_ready_in_200_ms() {
    let mut took = Vec::new();
    let is_fast = (0..TRIES).any(|_| {
        let start = Instant::now();
        let _broker = Broker::start(&[]);
        took.push(start.elapsed());
        start.elapsed() < Duration::from_millis(200)
    });
    assert!(is_fast, "{took:?}");
}

#[test]
fn sigterm_and_ctrl_c_end_an_idle_broker_within_a_second() {
    for signal in [Signal::TERM, Signal::INT] {
        let is_fast = (0..TRIES).any(|_| {
            let mut broker = Broker::start(&[]);
            let (status, took) = broker.stop(signal);
            assert_eq!(status.code(), Some(0), "{}", broker.log());
            assert!(!broker.data_dir().join("listeners.json").exists());
            assert!(!broker.data_dir().join("control.sock").exists());
            took < Duration::from_secs(1)
        });
        assert!(is_fast, "no stop by {signal:?} took less than a second");
    }
}

#[test]
fn open_http_connections_do_not_hold_the_end_up() {
    let mut broker = Broker::start(&[]);
    let idle = TcpStream::connect(broker.address("aws")).unwrap();
    let mut kept = TcpStream::connect(broker.address("aws")).unwrap();
    write!(kept, "GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    let (status, took) = broker.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{}", broker.log());
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop((idle, kept));
}

/// As PID 1 a process has no default action for SIGTERM: without a handler a container's stop would
/// take its whole grace time.
#[test]
fn sigterm_ends_pid_1() {
    let mut command = Command::new("unshare");
    // An unprivileged user may make a process namespace only inside a user namespace of its own.
    let flags = if rustix::process::geteuid().is_root() {
        "-pf"
    } else {
        "-Urpf"
    };
    command.args([flags, "--", env!("CARGO_BIN_EXE_viaduct")]);
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    broker.spawn(&mut command);
    let unshare = broker.pid().as_raw_nonzero();
    let children =
        std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).unwrap();
    let init = Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", init.as_raw_nonzero())).unwrap();
    let ids = status
        .lines()
        .find(|line| line.starts_with("NSpid:"))
        .unwrap();
    assert!(ids.ends_with("\t1"), "not PID 1 in its namespace: {ids}");
    kill_process(init, Signal::TERM).unwrap();
    assert_eq!(broker.wait().code(), Some(0), "{}", broker.log());
}

#[test]
fn users_are_managed_on_a_running_and_on_a_stopped_broker() {
    let mut broker = Broker::start(&[]);
    let secret = broker.folder().join("secret");
    std::fs::write(&secret, "s3cret\n").unwrap();
    let add = [
        "user",
        "add",
        "alice",
        "--tag",
        "monitoring",
        "--password-file",
        "secret",
    ];
    assert_eq!(outcome(&mut broker.command(&add)).0, 0);
    let (code, _, error) = outcome(&mut broker.command(&add));
    assert_eq!(
        (code, error.as_str()),
        (1, "viaduct: user 'alice' exists already\n")
    );
    let permit = ["user", "set-permissions", "alice", "^a", "", ".*"];
    assert_eq!(outcome(&mut broker.command(&permit)).0, 0);
    let set = |name| ["user", "set-password", name, "--password-file", "secret"];
    assert_eq!(outcome(&mut broker.command(&set("alice"))).0, 0);
    assert_eq!(
        outcome(&mut broker.command(&set("nobody"))).2,
        "viaduct: there is no user 'nobody'\n"
    );
    let (_, running, _) = outcome(&mut broker.command(&["user", "list", "--json"]));
    assert!(
        running.contains(r#""permissions":{"/":{"configure":"^a","write":"","read":".*"}}"#),
        "{running}"
    );

    broker.stop(Signal::TERM);
    let (_, stopped, _) = outcome(&mut broker.command(&["user", "list", "--json"]));
    assert_eq!(running, stopped);
    assert_eq!(
        outcome(&mut broker.command(&["user", "delete", "alice"])).0,
        0
    );
    let (code, _, error) = outcome(&mut broker.command(&["user", "delete", "alice"]));
    assert_eq!(
        (code, error.as_str()),
        (1, "viaduct: there is no user 'alice'\n")
    );
    broker.start_again(&[]);
    let (_, list, _) = outcome(&mut broker.command(&["user", "list"]));
    assert!(list.contains("guest") && !list.contains("alice"), "{list}");
}

#[test]
fn a_password_may_be_piped_in_and_is_never_shown() {
    let broker = Broker::start(&["--set", "log.level=trace"]);
    let mut command = broker.command(&["user", "add", "bob"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"correct-horse\n")
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!broker.log().contains("correct-horse"));
}

#[test]
fn everything_in_the_data_dir_is_for_its_owner() {
    let broker = Broker::start(&[]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&broker.data_dir()), 0);
    for entry in std::fs::read_dir(broker.data_dir()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0, "{}", path.display());
    }
}

#[test]
fn health_tells_by_its_exit_code() {
    let mut broker = Broker::start(&[]);
    let (code, out, _) = outcome(&mut broker.command(&["health"]));
    assert_eq!(code, 0);
    assert!(out.starts_with("ok: viaduct "), "{out}");
    broker.stop(Signal::TERM);
    let (code, _, error) = outcome(&mut broker.command(&["health"]));
    assert_eq!(
        (code, error.as_str()),
        (1, "viaduct: no broker runs on ./data\n")
    );
}

#[test]
fn an_alarm_shows_in_health_and_metrics_and_does_not_end_health() {
    let broker = Broker::start(&["--set", "limits.disk_free_floor=1024 GiB"]);
    broker.logged("free disk space is below the floor");
    let (code, out, _) = outcome(&mut broker.command(&["health"]));
    assert_eq!(code, 0);
    assert!(out.starts_with("alarm: publishers wait (disk)"), "{out}");
    let metrics = get(&broker, "metrics", "/metrics");
    assert!(metrics.contains("viaduct_alarms{alarm=\"disk\"} 1\n"));
    assert!(metrics.contains("viaduct_alarms_raised_total{alarm=\"disk\"} 1\n"));
}

/// Sends a message of 1 MiB through the SQS door; the status that it answers.
fn send_a_mebibyte(broker: &Broker) -> u16 {
    let body = format!(
        r#"{{"QueueUrl":"http://localhost/000000000000/full","MessageBody":"{}"}}"#,
        "x".repeat(1024 * 1024)
    );
    post(broker, "SendMessage", &body)
}

/// Calls an SQS operation; the status that it answers.
fn post(broker: &Broker, operation: &str, body: &str) -> u16 {
    let mut stream = TcpStream::connect(broker.address("aws")).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.{operation}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer[9..12].parse().unwrap()
}

#[test]
fn a_publisher_that_uses_up_the_memory_budget_is_told_of_in_the_log() {
    let broker = Broker::start(&[
        "--set",
        "limits.memory_budget=16 MiB",
        // What is queued stays in memory.
        "--set",
        "limits.message_cache=1 GiB",
        "--set",
        "aws.credentials=any",
    ]);
    let name = r#"{"QueueName":"full"}"#;
    assert_eq!(post(&broker, "CreateQueue", name), 200);
    let answers: Vec<u16> = (0..40).map(|_| send_a_mebibyte(&broker)).collect();
    assert!(
        answers.contains(&200) && answers.ends_with(&[503]),
        "{answers:?}"
    );
    broker.logged("memory budget used up");
    let metrics = get(&broker, "metrics", "/metrics");
    assert!(metrics.contains("viaduct_alarms_raised_total{alarm=\"memory\"} 1\n"));
    let url = r#"{"QueueUrl":"http://localhost/000000000000/full"}"#;
    assert_eq!(post(&broker, "PurgeQueue", url), 200);
    broker.logged("memory is below the budget again");
    assert_eq!(send_a_mebibyte(&broker), 200);
}

#[test]
fn metrics_are_served_as_text() {
    let broker = Broker::start(&[]);
    let answer = get(&broker, "metrics", "/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.contains("viaduct_build_info{version=\""), "{answer}");
    assert!(get(&broker, "metrics", "/nothing").starts_with("HTTP/1.1 404 "));
}

#[test]
fn sighup_takes_the_log_level_over_and_names_what_needs_a_restart() {
    let mut broker = Broker::start(&[]);
    broker.stop(Signal::TERM);
    let file = broker.folder().join("viaduct.toml");
    std::fs::write(&file, "log.level = \"info\"\n").unwrap();
    broker.start_again(&[]);
    std::fs::write(&file, "log.level = \"debug\"\nlimits.channels_max = 7\n").unwrap();
    broker.signal(Signal::HUP);
    let line = broker.logged("changed, but needs a restart");
    assert!(line.contains("limits.channels_max"), "{line}");
    assert!(broker.logged("reloaded").contains("log.level"));

    std::fs::write(&file, "log.levle = \"debug\"\n").unwrap();
    broker.signal(Signal::HUP);
    assert!(
        broker
            .logged("configuration not reloaded")
            .contains("did you mean 'log.level'?")
    );
    let (code, _, error) = outcome(
        broker
            .command(&["reload"])
            .env("VIADUCT_CONFIG", "/dev/null"),
    );
    assert_eq!(code, 2);
    assert!(
        error.contains("viaduct.toml:1:5: unknown key 'log.levle'"),
        "{error}"
    );
    assert_eq!(broker.stop(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_gateway_that_verifies_nothing_says_so_at_its_start() {
    const WARNING: &str = "aws.credentials = \"any\": requests are not verified, every key is good";
    let open = Broker::start(&["--set", "aws.credentials=any"]);
    assert!(open.logged(WARNING).contains("WARN"));
    let closed = Broker::start(&[]);
    closed.logged("ready");
    assert!(!closed.log().contains(WARNING));
}

#[test]
fn the_log_can_be_json() {
    let broker = Broker::start(&["--set", "log.format=json"]);
    let line: serde_json::Value = serde_json::from_str(&broker.logged("ready")).unwrap();
    assert_eq!(
        (line["level"].as_str(), line["message"].as_str()),
        (Some("INFO"), Some("ready"))
    );
}
