//! `viaduct bench` against a real broker: its counts add up, and what goes wrong is said.

mod fake;
mod faults;
mod nats;
mod sqs;

use std::io::Read;
use std::net::TcpListener;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;

use crate::first_contact::get;
use crate::process::Broker;
use crate::process::eventually;
use crate::process::outcome;
use crate::process::viaduct;

fn url(broker: &Broker, login: &str) -> String {
    format!("amqp://{login}@{}/", broker.address("amqp"))
}

fn bench(url: &str, flags: &str) -> Command {
    let mut command = viaduct();
    command
        .args(["bench", "amqp", url])
        .args(flags.split_whitespace());
    command
}

/// Runs a clean bench; its report.
fn report(broker: &Broker, flags: &str) -> Value {
    let pid = broker.pid().as_raw_pid();
    let flags = format!("{flags} --warmup 0.2 --duration 1 --json - --pid {pid}");
    let (code, out, error) = outcome(&mut bench(&url(broker, "guest:guest"), &flags));
    assert_eq!(code, 0, "{error}");
    assert!(
        error.contains("0 lost, 0 duplicated, 0 reordered"),
        "{error}"
    );
    serde_json::from_str(&out).unwrap()
}

fn number(report: &Value, path: &str) -> f64 {
    let value = report.pointer(path).and_then(Value::as_f64);
    assert!(value.is_some(), "{path} in {report}");
    value.unwrap()
}

/// What holds for every report.
fn check(report: &Value) {
    for zero in ["lost", "duplicated", "reordered", "redelivered", "refused"] {
        assert_eq!(report[zero], 0, "{report}");
    }
    assert_eq!(report["drained"], true);
    assert_eq!(report["total"]["sent"], report["total"]["received"]);
    for positive in [
        "/sent",
        "/received",
        "/sent_per_second",
        "/received_per_second",
        "/received_mb_per_second",
        "/broker_cpu_us_per_message",
        "/broker_peak_memory_bytes",
    ] {
        assert!(number(report, positive) > 0.0, "{positive} in {report}");
    }
    assert!(number(report, "/total/sent") >= number(report, "/sent"));
    let rate = number(report, "/received") / number(report, "/seconds");
    assert!((rate - number(report, "/received_per_second")).abs() <= rate / 100.0);
    in_order(report, "end_to_end_us");
    assert_eq!(report["peer"]["product"], "Viaduct");
    assert_eq!(report["peer"]["version"], env!("CARGO_PKG_VERSION"));
}

fn in_order(report: &Value, latency: &str) {
    let of = |name: &str| number(report, &format!("/{latency}/{name}"));
    let all = [of("p50"), of("p99"), of("p999"), of("max")];
    assert!(all[0] > 0.0 && all.is_sorted(), "{report}");
}

#[test]
fn a_durable_run_is_confirmed_and_received_to_the_last_message() {
    let broker = Broker::start(&[]);
    let report = report(
        &broker,
        "--durable --confirm-window 100 --prefetch 50 --producers 3 --consumers 2 --queues 2 \
         --size 200 --threads 2",
    );
    check(&report);
    in_order(&report, "confirm_us");
    assert_eq!(report["total"]["confirmed"], report["total"]["sent"]);
    assert!(number(&report, "/confirmed_per_second") > 0.0);
    assert_eq!(report["bench"], "amqp");
    assert_eq!(report["settings"]["confirm_window"], 100);
    assert_eq!(report["settings"]["durable"], true);
    let metrics = get(&broker, "metrics", "/metrics");
    assert!(metrics.contains("viaduct_queues 0\n"), "{metrics}");
}

#[test]
fn transient_runs_of_all_sizes_and_shapes_lose_nothing() {
    let broker = Broker::start(&[]);
    for flags in [
        "--size 16",
        "--size 300000 --in-flight 20",
        "--queues 5 --flush 1",
        "--consumers 3 --in-flight 0 --rate 3000 --flush 7",
    ] {
        let report = report(&broker, flags);
        check(&report);
        assert_eq!(report["confirm_us"], Value::Null);
    }
}

#[test]
fn a_paced_run_sends_what_was_asked_for() {
    let broker = Broker::start(&[]);
    let report = report(&broker, "--rate 500 --producers 2 --in-flight 0");
    check(&report);
    // Whatever the machine was busy with, what should have been sent is: 1.2 seconds of 500 messages.
    assert_eq!(report["total"]["sent"], 600);
}

#[test]
fn a_queue_that_holds_messages_is_refused() {
    let broker = Broker::start(&[]);
    let amqp = url(&broker, "guest:guest");
    let publish_only = "--queue kept --consumers 0 --rate 100 --warmup 0 --duration 0.3";
    let (code, out, error) = outcome(&mut bench(&amqp, publish_only));
    assert_eq!(code, 0, "{error}");
    assert!(!out.contains("received"), "{out}");
    assert!(out.contains("(30 in all), 0.1 MB/s\n"), "{out}");
    let (code, _, error) = outcome(&mut bench(&amqp, "--queue kept"));
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("queue kept-0000 has 30 messages"), "{error}");
}

#[test]
fn what_goes_wrong_at_the_begin_is_said() {
    let broker = Broker::start(&[]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("amqp://{}", free.local_addr().unwrap());
    drop(free);
    let aws = format!("amqp://{}", broker.address("aws"));
    for (url, code, expected) in [
        (nobody, 1, "cannot connect to 127.0.0.1:"),
        (url(&broker, "guest:wrong"), 1, "403 ACCESS_REFUSED"),
        (
            url(&broker, "guest:guest") + "nowhere",
            1,
            "virtual host nowhere",
        ),
        (aws, 1, "no AMQP 0-9-1"),
        ("http://127.0.0.1".to_owned(), 2, "begins with amqp://"),
        ("amqps://127.0.0.1".to_owned(), 2, "does not support yet"),
    ] {
        let (got, out, error) = outcome(&mut bench(&url, ""));
        assert_eq!(got, code, "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(out, "");
    }
}

/// A bench that would take minutes. Dropping it kills it.
struct Running(Option<Child>);

impl Running {
    /// Starts it and waits until it is at work.
    fn start(broker: &Broker) -> Self {
        let mut command = bench(&url(broker, "guest:guest"), "--duration 300 --queues 2");
        command.stderr(Stdio::piped()).stdout(Stdio::null());
        let running = Self(Some(command.spawn().unwrap()));
        eventually("messages are delivered", || {
            let metrics = get(broker, "metrics", "/metrics");
            let delivered = "viaduct_messages_delivered_total{protocol=\"amqp091\"} ";
            let count = metrics
                .lines()
                .find_map(|line| line.strip_prefix(delivered))?;
            (count != "0").then_some(())
        });
        running
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(self.0.as_ref().unwrap()), Signal::INT).unwrap();
    }

    /// Waits for its end: exit code and standard error.
    fn end(mut self) -> (Option<i32>, String) {
        let mut child = self.0.take().unwrap();
        let status = eventually("the bench ends", || child.try_wait().unwrap());
        let mut error = String::new();
        child.stderr.unwrap().read_to_string(&mut error).unwrap();
        (status.code(), error)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_broker_that_dies_ends_the_run() {
    let mut broker = Broker::start(&[]);
    let bench = Running::start(&broker);
    broker.stop(Signal::KILL);
    let (code, error) = bench.end();
    assert_eq!(code, Some(1), "{error}");
    assert!(error.starts_with("viaduct: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn an_interrupted_run_takes_its_queues_away() {
    let broker = Broker::start(&[]);
    let bench = Running::start(&broker);
    bench.interrupt();
    let (code, error) = bench.end();
    assert_eq!((code, error.as_str()), (Some(1), "viaduct: interrupted\n"));
    let metrics = get(&broker, "metrics", "/metrics");
    assert!(metrics.contains("viaduct_queues 0\n"), "{metrics}");
}

#[test]
fn limits_measure_the_machine() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = viaduct();
    command
        .args([
            "bench", "limits", "--size", "64", "--batch", "1,50", "--json", "-",
        ])
        .arg("--dir")
        .arg(folder.path());
    let (code, out, error) = outcome(&mut command);
    assert_eq!(code, 0, "{error}");
    let report: Value = serde_json::from_str(&out).unwrap();
    for path in [
        "/sink_per_second/1",
        "/sink_per_second/64",
        "/append_per_second/1",
        "/append_per_second/50",
    ] {
        assert!(number(&report, path) > 0.0, "{path} in {report}");
    }
    in_order(&report, "sync_us");
    in_order(&report, "ping_pong_us");
    assert_eq!(report["size"], 64);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn core_nats_is_spoken_to_as_well() {
    let url = format!(
        "nats://{}",
        nats::serve(nats::Faults {
            refused: 999,
            still_after: u64::MAX
        })
    );
    let bench = |flags: &str| {
        let mut command = viaduct();
        command
            .args(["bench", "nats", &url])
            .args(flags.split_whitespace());
        outcome(&mut command)
    };
    let flags = "--producers 2 --consumers 2 --queues 3 --duration 0.5 --warmup 0.1 --json -";
    let (code, out, error) = bench(flags);
    assert_eq!(code, 0, "{error}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["bench"], "nats");
    assert_eq!(report["peer"]["version"], "0.0");
    assert!(number(&report, "/total/received") > 0.0);
    assert_eq!(report["total"]["sent"], report["total"]["received"]);
    in_order(&report, "end_to_end_us");
    let (code, _, error) = bench("--size 999");
    assert_eq!(code, 1);
    assert_eq!(
        error,
        "viaduct: the server refused: Maximum Payload Violation\n"
    );
    let (code, _, error) = bench("--durable");
    assert_eq!(code, 2, "{error}");
}

#[test]
fn a_broker_that_stands_still_has_no_good_latencies() {
    let server = nats::serve(nats::Faults {
        refused: 0,
        still_after: 100,
    });
    let mut command = viaduct();
    command
        .args(["bench", "nats", &format!("nats://{server}")])
        .args("--rate 500 --in-flight 20 --warmup 0 --duration 1 --json -".split_whitespace());
    let (code, out, error) = outcome(&mut command);
    assert_eq!(code, 1, "{error}");
    let report: Value = serde_json::from_str(&out).unwrap();
    // Twenty are under way, and the 380 that were due behind them stand for four fifths of the latencies.
    assert_eq!(report["total"]["received"], 100);
    assert_eq!(report["unsent"], 380, "{report}");
    assert_eq!(report["total"]["sent"], 120);
    assert!(number(&report, "/end_to_end_us/p50") > 2e6, "{report}");
    assert!(error.contains(", 380 unsent"), "{error}");
}
