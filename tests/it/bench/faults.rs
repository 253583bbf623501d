//! What the bench says of a broker that goes wrong.

use serde_json::Value;

use crate::process::outcome;

use super::bench;
use super::fake;
use super::fake::Act;
use super::fake::Plan;

/// A run of 100 messages: its exit code, report and text.
fn run(act: fn(u64) -> Act, deletes: bool, flags: &str) -> (i32, Value, String) {
    let broker = fake::serve(Plan { act, deletes });
    let flags = format!("{flags} --rate 500 --warmup 0 --duration 0.2 --json -");
    let (code, out, error) = outcome(&mut bench(&format!("amqp://{broker}/"), &flags));
    let report = serde_json::from_str(&out);
    assert!(report.is_ok(), "{out} {error}");
    (code, report.unwrap(), error)
}

#[test]
fn messages_that_are_redelivered_elsewhere_do_not_end_the_wait_for_others() {
    let act = |number| match number {
        0..20 => Act::Again,
        90.. => Act::Late,
        _ => Act::Deliver,
    };
    let (code, report, error) = run(act, true, "--consumers 2");
    assert_eq!(code, 0, "{error}");
    assert_eq!(report["lost"], 0);
    assert_eq!(report["redelivered"], 20);
    assert_eq!(report["total"]["received"], 100);
    assert_eq!(report["drained"], true);
}

#[test]
fn refused_messages_hide_no_loss() {
    let act = |number| match number {
        10 | 20 => Act::Nack,
        30..=32 => Act::Lose,
        _ => Act::Deliver,
    };
    let (code, report, error) = run(act, true, "--confirm-window 10");
    assert_eq!(code, 1);
    assert_eq!(
        (&report["refused"], &report["lost"]),
        (&2.into(), &3.into())
    );
    assert_eq!(report["missing"], 0);
    assert_eq!(report["total"]["confirmed"], 98);
    assert!(error.contains("3 lost, 0 duplicated"), "{error}");
}

#[test]
fn a_broker_that_blocks_publishers_is_not_called_lossy() {
    let act = |number| {
        if number < 40 {
            Act::Deliver
        } else {
            Act::Block
        }
    };
    let (code, report, error) = run(act, true, "--in-flight 50");
    assert_eq!(code, 1);
    assert_eq!(report["blocked"], "low on memory");
    assert_eq!(
        (&report["lost"], &report["missing"]),
        (&0.into(), &50.into())
    );
    assert_eq!(report["unsent"], 10);
    let told = "blocked     the broker blocked publishers: low on memory\n";
    assert!(error.contains(told), "{error}");
}

#[test]
fn a_queue_that_cannot_be_deleted_does_not_take_the_report_away() {
    let (code, report, error) = run(|_| Act::Deliver, false, "--size 10000");
    assert_eq!(code, 1);
    assert_eq!(report["total"]["received"], 100);
    assert_eq!(report["blocked"], Value::Null);
    assert!(error.contains("viaduct: cannot clean up: "), "{error}");
}
