//! The bench over SQS, with an endpoint that is too busy at times.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serde_json::Value;

use crate::process::Broker;
use crate::process::outcome;
use crate::process::viaduct;

fn run(address: SocketAddr, flags: &str) -> (i32, Value, String) {
    let mut command = viaduct();
    command
        .args(["bench", "sqs", &format!("http://{address}"), "--json", "-"])
        .args(flags.split_whitespace());
    let (code, out, error) = outcome(&mut command);
    let report = serde_json::from_str(&out);
    assert!(report.is_ok(), "{out} {error}");
    (code, report.unwrap(), error)
}

#[test]
fn every_message_is_received_and_deleted() {
    let broker = Broker::start(&[]);
    for flags in [
        "--producers 2 --consumers 2 --queues 2 --warmup 0.1 --duration 0.5",
        "--long-poll --warmup 0.1 --duration 0.5",
        "--rate 200 --warmup 0 --duration 0.5",
    ] {
        let (code, report, error) = run(broker.address("aws"), flags);
        assert_eq!(code, 0, "{error}");
        let total = &report["total"];
        assert!(total["sent"].as_u64().unwrap() > 0, "{report}");
        assert_eq!(total["sent"], total["received"], "{report}");
        assert_eq!(total["sent"], total["confirmed"], "{report}");
        assert!(report["confirm_us"]["p50"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_busy_endpoint_is_borne_and_told() {
    let broker = Broker::start(&[]);
    let busy = Busy::serve(broker.address("aws"));
    let flags = "--rate 100 --warmup 0 --duration 1 --batch 1";
    let (code, report, error) = run(busy, flags);
    assert_eq!(code, 1, "{error}");
    let count = |name: &str| report[name].as_u64().unwrap();
    // Every fifth call of each kind.
    assert_eq!(count("refused"), 20, "{report}");
    assert!(count("refused_calls") > 0, "{report}");
    assert_eq!(
        (count("lost"), count("missing"), count("unsent")),
        (0, 0, 0)
    );
    assert_eq!(report["total"]["sent"], 100);
    assert_eq!(report["total"]["received"], 80);
    assert_eq!(report["drained"], true);
    assert!(error.contains(", 20 refused, "), "{error}");
}

#[test]
fn a_session_token_is_sent_and_signed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let call = message(&mut BufReader::new(client.try_clone().unwrap())).unwrap();
        let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 3\r\n\r\nno!";
        client.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(call).unwrap()
    });
    let mut command = viaduct();
    command
        .args(["bench", "sqs", &format!("http://{address}")])
        .env("AWS_SESSION_TOKEN", "lent");
    let (code, _, error) = outcome(&mut command);
    assert_eq!(code, 1);
    assert_eq!(
        error,
        "viaduct: CreateQueue was refused with 403 Forbidden: no!\n"
    );
    let call = server.join().unwrap();
    assert!(call.contains("x-amz-security-token: lent\r\n"), "{call}");
    assert!(call.contains(";x-amz-security-token;"), "{call}");
}

/// Hands calls on, and refuses every fifth SendMessageBatch and ReceiveMessage.
struct Busy {
    broker: SocketAddr,
    sends: AtomicU64,
    receives: AtomicU64,
}

impl Busy {
    fn serve(broker: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let busy = Arc::new(Self {
            broker,
            sends: AtomicU64::new(0),
            receives: AtomicU64::new(0),
        });
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let busy = Arc::clone(&busy);
                // A client that goes away ends its thread with an error.
                std::thread::spawn(move || busy.hand_on(client.unwrap()));
            }
        });
        address
    }

    fn hand_on(&self, mut client: TcpStream) -> std::io::Result<()> {
        let mut broker = TcpStream::connect(self.broker)?;
        let mut calls = BufReader::new(client.try_clone()?);
        let mut answers = BufReader::new(broker.try_clone()?);
        loop {
            let call = message(&mut calls)?;
            if self.is_refused(&call) {
                client
                    .write_all(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")?;
            } else {
                broker.write_all(&call)?;
                client.write_all(&message(&mut answers)?)?;
            }
        }
    }

    fn is_refused(&self, call: &[u8]) -> bool {
        let call = String::from_utf8_lossy(call);
        let count = if call.contains("AmazonSQS.SendMessageBatch") {
            &self.sends
        } else if call.contains("AmazonSQS.ReceiveMessage") {
            &self.receives
        } else {
            return false;
        };
        count.fetch_add(1, Relaxed) % 5 == 4
    }
}

/// Reads one HTTP message whole.
fn message(input: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    let mut length = 0;
    loop {
        let start = whole.len();
        if input.read_until(b'\n', &mut whole)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&whole[start..]).to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    input.take(length).read_to_end(&mut whole)?;
    Ok(whole)
}
