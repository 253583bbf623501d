//! The driver and a session over a real socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::client::Broker;
use super::client::message;
use super::client::s;
use super::client::show;
use viaduct::core::model::time::CoreTime;
use viaduct::protocols::amqp091::Amqp091;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::next_frame;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::driver;
use viaduct::transport::Clock;

/// A client's end of a socket.
struct Socket {
    stream: TcpStream,
    /// Read, and not asked for yet.
    bytes: BytesMut,
}

impl Socket {
    /// Sends methods, one behind the other, without waiting for answers.
    async fn send(&mut self, parts: &[Vec<u8>]) {
        self.stream.write_all(&parts.concat()).await.unwrap();
    }

    /// Reads one frame.
    async fn frame(&mut self) -> BytesMut {
        loop {
            if let Some(frame) = next_frame(&self.bytes, 131_072).unwrap() {
                let len = frame.wire_len();
                return self.bytes.split_to(len);
            }
            self.bytes.reserve(65_536);
            assert!(self.stream.read_buf(&mut self.bytes).await.unwrap() > 0);
        }
    }

    /// Reads frames until the bodies in them have this many bytes.
    async fn bodies(&mut self, bytes: usize) {
        let mut got = 0;
        while got < bytes {
            let frame = self.frame().await;
            let frame = next_frame(&frame, 131_072).unwrap().unwrap();
            if frame.kind == FrameKind::Body {
                got += frame.payload.len();
            }
        }
        assert_eq!(got, bytes);
    }

    /// Reads frames up to one whose line starts like this, and returns the lines of all.
    async fn until(&mut self, line: &str) -> Vec<String> {
        let mut lines = Vec::new();
        let reading = async {
            while lines
                .last()
                .is_none_or(|last: &String| !last.starts_with(line))
            {
                lines.extend(show(&self.frame().await));
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(20), reading).await;
        assert!(done.is_ok(), "no '{line}' in {lines:?}");
        lines
    }
}

fn method(channel: u16, method: &impl MethodFrame) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_method(&mut bytes, channel, method);
    bytes
}

async fn served(broker: &Broker) -> (Socket, tokio_util::task::TaskTracker, driver::Shared) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (client, accepted) = tokio::join!(connecting, listener.accept());
    let (io, peer) = accepted.unwrap();
    let clock = Arc::new(Clock::start());
    let now = CoreTime::from_ms(clock.now_ms());
    let limits = Arc::new(broker.limits.clone());
    let (core, auth) = (broker.core.clone(), Arc::clone(&broker.auth));
    let session = Amqp091::new(core, Arc::clone(&auth), limits, peer, 1, now);
    let shared = driver::Shared {
        clock,
        auth,
        metrics: Arc::clone(broker.core.metrics()),
        stop: tokio_util::sync::CancellationToken::new(),
    };
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(driver::drive(io, session, peer, shared.clone()));
    let socket = Socket {
        stream: client.unwrap(),
        bytes: BytesMut::new(),
    };
    (socket, tasks, shared)
}

async fn log_in(socket: &mut Socket) {
    let start_ok = connection::StartOk {
        mechanism: s("PLAIN"),
        response: LongStr::new(b"\0guest\0guest").unwrap(),
        ..connection::StartOk::default()
    };
    let open = connection::Open {
        virtual_host: s("/"),
        ..connection::Open::default()
    };
    socket.send(&[PROTOCOL_HEADER.to_vec()]).await;
    socket.until("0 connection.start").await;
    // All of it at once: what stands behind the login waits for its check.
    let tune_ok = connection::TuneOk::default();
    let parts = [
        method(0, &start_ok),
        method(0, &tune_ok),
        method(0, &open),
        method(1, &channel::Open::default()),
    ];
    socket.send(&parts).await;
    socket.until("1 channel.open-ok").await;
}

#[tokio::test]
async fn publish_consume_and_close_over_a_socket() {
    let broker = Broker::new();
    let (mut socket, tasks, _) = served(&broker).await;
    log_in(&mut socket).await;
    let declare = queue::Declare {
        queue: s("q"),
        durable: true,
        ..queue::Declare::default()
    };
    let consume = basic::Consume {
        queue: s("q"),
        consumer_tag: s("t"),
        ..basic::Consume::default()
    };
    let large = vec![5; 1_000_000];
    let parts = [
        method(1, &confirm::Select { nowait: true }),
        method(1, &declare),
        message(1, "q", b"small", true),
        message(1, "q", &large, true),
        method(1, &consume),
    ];
    socket.send(&parts).await;
    let mut lines = socket.until("1 basic.deliver t 2").await;
    let ack = basic::Ack {
        delivery_tag: 2,
        multiple: true,
    };
    socket
        .send(&[method(1, &ack), method(0, &connection::Close::default())])
        .await;
    lines.extend(socket.until("0 connection.close-ok").await);
    assert!(
        lines
            .iter()
            .any(|line| line == "1 basic.ack 2*" || line == "1 basic.ack 2"),
        "{lines:?}"
    );
    tasks.close();
    tasks.wait().await;
    let counts = broker.core.vhost("/").unwrap().queue("q").unwrap().counts();
    assert_eq!((counts.ready, counts.leased, counts.consumers), (0, 0, 0));
}

#[tokio::test]
async fn large_answers_in_a_row_do_not_stop_the_reading() {
    let broker = Broker::new();
    let (mut socket, tasks, _) = served(&broker).await;
    log_in(&mut socket).await;
    let declare = queue::Declare {
        queue: s("q"),
        ..queue::Declare::default()
    };
    let get = basic::Get {
        queue: s("q"),
        no_ack: true,
        ..basic::Get::default()
    };
    let large = vec![5; 100_000];
    let mut parts = vec![method(1, &declare)];
    parts.extend((0..5).map(|_| message(1, "q", &large, false)));
    parts.extend((0..6).map(|_| method(1, &get)));
    socket.send(&parts).await;
    let lines = socket.until("1 basic.get-empty").await;
    let got = lines
        .iter()
        .filter(|line| line.starts_with("1 basic.get-ok"));
    assert_eq!(got.count(), 5);
    drop(socket);
    tasks.close();
    tasks.wait().await;
}

/// Reads one large body with basic.get. The client asked for no heartbeat, so nothing else wakes the
/// connection: a body that stops on its way stays there.
async fn large_body_is_got_at_once(bytes: usize) {
    let broker = Broker::new();
    let (mut socket, tasks, _) = served(&broker).await;
    log_in(&mut socket).await;
    let declare = queue::Declare {
        queue: s("q"),
        durable: true,
        ..queue::Declare::default()
    };
    let get = basic::Get {
        queue: s("q"),
        ..basic::Get::default()
    };
    let parts = [
        method(1, &confirm::Select { nowait: true }),
        method(1, &declare),
        message(1, "q", &vec![5; bytes], true),
    ];
    socket.send(&parts).await;
    socket.until("1 basic.ack 1").await;
    socket.send(&[method(1, &get)]).await;
    let got = async {
        socket.until("1 basic.get-ok").await;
        socket.bodies(bytes).await;
    };
    let done = tokio::time::timeout(Duration::from_secs(4), got).await;
    assert!(done.is_ok(), "the body stopped on its way");
    drop(socket);
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn a_body_of_two_frames_is_got_at_once() {
    large_body_is_got_at_once(140_000).await;
}

#[tokio::test]
async fn a_body_larger_than_every_buffer_is_got_at_once() {
    large_body_is_got_at_once(4 * 1024 * 1024).await;
}

#[tokio::test]
async fn a_stop_is_told_to_the_client() {
    let broker = Broker::new();
    let (mut socket, tasks, shared) = served(&broker).await;
    log_in(&mut socket).await;
    shared.stop.cancel();
    socket
        .until("0 connection.close 0.0 CONNECTION_FORCED")
        .await;
    socket.send(&[method(0, &connection::CloseOk {})]).await;
    tasks.close();
    tasks.wait().await;
}

/// A queue with more in it than sockets and buffers hold, and a consumer that reads nothing of it.
async fn backlog(broker: &Broker, socket: &mut Socket, no_ack: bool) -> usize {
    let declare = queue::Declare {
        queue: s("q"),
        ..queue::Declare::default()
    };
    socket.send(&[method(1, &declare)]).await;
    socket.until("1 queue.declare-ok").await;
    let body = vec![7; 32 * 1024];
    let count = 2_000;
    for _ in 0..count {
        socket.send(&[message(1, "q", &body, false)]).await;
    }
    let queue = broker.core.vhost("/").unwrap().queue("q").unwrap();
    within(|| queue.counts().ready == count as u64).await;
    let consume = basic::Consume {
        queue: s("q"),
        consumer_tag: s("t"),
        no_ack,
        ..basic::Consume::default()
    };
    socket.send(&[method(1, &consume)]).await;
    count
}

/// Polls until something holds.
async fn within(mut holds: impl FnMut() -> bool) {
    let polling = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let done = tokio::time::timeout(Duration::from_secs(20), polling).await;
    assert!(done.is_ok(), "it does not come to hold");
}

#[tokio::test]
async fn acks_of_a_client_that_does_not_read_are_heard() {
    let broker = Broker::new();
    let (mut socket, tasks, _) = served(&broker).await;
    log_in(&mut socket).await;
    let count = backlog(&broker, &mut socket, false).await as u64;
    socket.until("1 basic.deliver t 3").await;
    let queue = broker.core.vhost("/").unwrap().queue("q").unwrap();
    // From here on it only writes, as a client does that is blocked in sending.
    for delivery_tag in 1..=3 {
        let ack = basic::Ack {
            delivery_tag,
            multiple: false,
        };
        socket.send(&[method(1, &ack)]).await;
    }
    within(|| queue.counts().ready + queue.counts().leased == count - 3).await;
    drop(socket);
    tasks.close();
    tasks.wait().await;
    assert_eq!(queue.counts().ready, count - 3);
}

#[tokio::test]
async fn a_cancel_does_not_wait_for_the_backlog() {
    let broker = Broker::new();
    let (mut socket, tasks, _) = served(&broker).await;
    log_in(&mut socket).await;
    let count = backlog(&broker, &mut socket, true).await;
    socket.until("1 basic.deliver t 3").await;
    let cancel = basic::Cancel {
        consumer_tag: s("t"),
        nowait: false,
    };
    socket.send(&[method(1, &cancel)]).await;
    let lines = socket.until("1 basic.cancel-ok").await;
    let delivered = lines
        .iter()
        .filter(|line| line.starts_with("1 basic.deliver"));
    assert!(delivered.count() < count / 2, "the backlog came first");
    drop(socket);
    tasks.close();
    tasks.wait().await;
}
