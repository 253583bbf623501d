//! What a connection holds while it waits.

use bytes::Buf;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;

use crate::auth::AuthConfig;
use crate::auth::Credentials;
use crate::auth::MemoryRecords;
use crate::core::inbox::Inbox;
use crate::telemetry::Protocol;

use super::*;

/// Answers each byte but the last, which it leaves as if more had to come.
struct Half(Arc<Inbox>);

impl Session for Half {
    fn protocol(&self) -> Protocol {
        Protocol::Amqp091
    }

    fn inbox(&self) -> &Arc<Inbox> {
        &self.0
    }

    fn on_bytes(&mut self, input: &mut BytesMut, _: CoreTime, out: &mut WriteBuf) -> Flow {
        let whole = input.len() - 1;
        out.buf().extend_from_slice(&input[..whole]);
        input.advance(whole);
        Flow::Continue
    }

    fn wants_bytes(&self) -> bool {
        true
    }

    fn heard(&mut self, _: CoreTime) {}

    fn on_event(&mut self, _: Event, _: CoreTime, _: &mut WriteBuf) -> Flow {
        Flow::Continue
    }

    fn pull(&mut self, _: CoreTime, _: &mut WriteBuf) -> bool {
        false
    }

    fn on_deadline(&mut self, _: CoreTime, _: &mut WriteBuf) -> Flow {
        Flow::Continue
    }

    fn deadline(&self) -> Option<CoreTime> {
        None
    }

    fn take_login(&mut self) -> Option<Credentials> {
        None
    }

    fn on_login(&mut self, _: Result<Identity, LoginError>, _: CoreTime, _: &mut WriteBuf) -> Flow {
        Flow::Continue
    }

    fn on_shutdown(&mut self, _: CoreTime, _: &mut WriteBuf) -> Flow {
        Flow::Close
    }

    fn on_end(&mut self, _: End, _: CoreTime) {}
}

fn connection(io: DuplexStream) -> Connection<Half, DuplexStream> {
    let records = Arc::<MemoryRecords>::default();
    let auth = Auth::open(records, &AuthConfig::default(), &["/".to_owned()]).unwrap();
    let stop = CancellationToken::new();
    Connection {
        io,
        session: Half(Inbox::new()),
        shared: Shared {
            clock: Arc::new(Clock::start()),
            auth: Arc::new(auth),
            metrics: Arc::new(Metrics::new()),
            stop: stop.clone(),
        },
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        input: BytesMut::new(),
        held: false,
        out: WriteBuf::new(),
        again: false,
        read_first: false,
        login: None,
        timer: None,
        stop: Some(Box::pin(stop.cancelled_owned())),
        end: End::Lost,
        ended: false,
    }
}

/// Polls once.
async fn poll(connection: &mut Connection<Half, DuplexStream>) -> Poll<Step> {
    poll_fn(|cx| Poll::Ready(connection.poll_step(cx))).await
}

/// Reads what came, and lets the session answer.
async fn hear(connection: &mut Connection<Half, DuplexStream>) {
    let step = poll(connection).await;
    assert!(matches!(step, Poll::Ready(Step::Read(_))));
    let now = connection.now();
    connection.on_bytes(now);
}

#[tokio::test]
async fn a_connection_that_waits_in_the_middle_of_a_message_holds_no_output() {
    let (io, mut peer) = tokio::io::duplex(64);
    let mut connection = connection(io);
    peer.write_all(b"answer.").await.unwrap();
    hear(&mut connection).await;
    assert!(connection.out.holds_memory());
    assert!(!connection.write_now());
    connection.again = false;
    assert!(poll(&mut connection).await.is_pending());
    assert_eq!(&connection.input[..], b".");
    assert!(!connection.out.holds_memory());
}

#[tokio::test]
async fn an_output_that_the_peer_has_not_taken_stays_while_it_waits() {
    let (io, mut peer) = tokio::io::duplex(4);
    let mut connection = connection(io);
    peer.write_all(b"abc.").await.unwrap();
    hear(&mut connection).await;
    assert!(!connection.write_now());
    peer.write_all(b"def.").await.unwrap();
    hear(&mut connection).await;
    assert!(!connection.write_now());
    assert!(poll(&mut connection).await.is_pending());
    // Four bytes fit between the two: "abc" and the first of ".def".
    assert_eq!(connection.out.pending(), b"def");
}
