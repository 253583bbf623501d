//! As much of a NATS server as the bench needs: it hands each message to the first that subscribed.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;

type Subscribers = Arc<Mutex<Vec<(String, String, TcpStream)>>>;

/// When a server goes wrong.
#[derive(Clone, Copy)]
pub(super) struct Faults {
    /// Messages of so many bytes are a violation.
    pub(super) refused: usize,
    /// After so many messages of a producer the server stands still.
    pub(super) still_after: u64,
}

/// Serves until the test ends.
pub(super) fn serve(faults: Faults) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let subscribers = Subscribers::default();
        for stream in listener.incoming() {
            let subscribers = Arc::clone(&subscribers);
            // A client that goes away ends its thread with an error.
            std::thread::spawn(move || speak(stream.unwrap(), &subscribers, faults));
        }
    });
    address
}

fn speak(mut stream: TcpStream, subscribers: &Subscribers, faults: Faults) -> std::io::Result<()> {
    stream.write_all(b"INFO {\"version\":\"0.0\",\"max_payload\":1}\r\n")?;
    // As the real one does soon after the begin.
    stream.write_all(b"PING\r\n")?;
    let mut pongs = 0;
    let mut published = 0;
    let mut input = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["CONNECT", ..] => {}
            ["PING"] => stream.write_all(b"PONG\r\n")?,
            ["PONG"] => pongs += 1,
            ["SUB", subject, .., sid] => {
                let subscriber = (subject.to_owned(), sid.to_owned(), stream.try_clone()?);
                subscribers.lock().unwrap().push(subscriber);
            }
            ["PUB", subject, length] => {
                assert_eq!(pongs, 1, "a ping was not answered");
                if published == faults.still_after {
                    loop {
                        std::thread::park();
                    }
                }
                published += 1;
                let length: usize = length.parse().unwrap();
                let mut payload = vec![0; length + 2];
                input.read_exact(&mut payload)?;
                assert!(payload.ends_with(b"\r\n"));
                if length == faults.refused {
                    stream.write_all(b"-ERR 'Maximum Payload Violation'\r\n")?;
                    return Ok(());
                }
                let mut subscribers = subscribers.lock().unwrap();
                let (_, sid, to) = subscribers
                    .iter_mut()
                    .find(|(known, _, _)| known == subject)
                    .unwrap();
                let head = format!("MSG {subject} {sid} {length}\r\n");
                to.write_all(&[head.as_bytes(), &payload].concat())?;
            }
            _ => return Err(std::io::Error::other(line)),
        }
        line.clear();
    }
    Ok(())
}
