//! A client of AMQP 0-9-1, as small as a mapping's test needs it: publish with a confirm, and get.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Buf;
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::io::DuplexStream;
use viaduct::core::model::time::CoreTime;
use viaduct::protocols::amqp091::Amqp091;
use viaduct::protocols::amqp091::codec::ContentHeader;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::basic::BasicMethod;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::next_frame;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::driver::Shared;
use viaduct::protocols::driver::drive;
use viaduct::transport::Limits;

use super::harness::Broker;

const FRAME_MAX: u32 = 131_072;

/// A channel in confirm mode on a connection of its own.
pub(super) struct Client {
    stream: DuplexStream,
    input: BytesMut,
}

/// A message as a client sees it.
#[derive(Debug)]
pub(super) struct Got {
    /// Flags and list of the content header.
    pub(super) properties: Vec<u8>,
    pub(super) body: Vec<u8>,
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::new(text.as_bytes()).unwrap()
}

impl Client {
    /// Connects as guest and opens a channel.
    pub(super) async fn connect(broker: &Broker) -> Self {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let peer: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let now = CoreTime::from_ms(broker.clock.now_ms());
        let limits = Arc::new(Limits::default());
        let session = Amqp091::new(
            broker.core.clone(),
            Arc::clone(&broker.auth),
            limits,
            peer,
            1,
            now,
        );
        let shared = Shared {
            clock: Arc::clone(&broker.clock),
            auth: Arc::clone(&broker.auth),
            metrics: Arc::clone(broker.core.metrics()),
            stop: broker.runtime.stop_token().clone(),
        };
        broker.runtime.spawn(drive(theirs, session, peer, shared));
        let mut client = Self {
            stream: ours,
            input: BytesMut::new(),
        };
        client.open().await;
        client
    }

    async fn open(&mut self) {
        self.stream.write_all(&PROTOCOL_HEADER).await.unwrap();
        self.expect("connection.start").await;
        let mut out = Vec::new();
        let login = connection::StartOk {
            mechanism: short("PLAIN"),
            response: LongStr::new(b"\0guest\0guest").unwrap(),
            locale: short("en_US"),
            ..connection::StartOk::default()
        };
        write_method(&mut out, 0, &login);
        self.send(out).await;
        self.expect("connection.tune").await;
        let mut out = Vec::new();
        let tune = connection::TuneOk {
            channel_max: 10,
            frame_max: FRAME_MAX,
            heartbeat: 0,
        };
        write_method(&mut out, 0, &tune);
        write_method(
            &mut out,
            0,
            &connection::Open {
                virtual_host: short("/"),
                ..connection::Open::default()
            },
        );
        write_method(&mut out, 1, &channel::Open::default());
        write_method(&mut out, 1, &confirm::Select::default());
        self.send(out).await;
        for name in ["connection.open-ok", "channel.open-ok", "confirm.select-ok"] {
            self.expect(name).await;
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) {
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn frame(&mut self) -> (FrameKind, Vec<u8>) {
        loop {
            if let Some(frame) = next_frame(&self.input, FRAME_MAX).unwrap() {
                let (kind, payload, len) = (frame.kind, frame.payload.to_vec(), frame.wire_len());
                self.input.advance(len);
                return (kind, payload);
            }
            let read = self.stream.read_buf(&mut self.input).await.unwrap();
            assert_ne!(read, 0, "the broker closed the connection");
        }
    }

    async fn expect(&mut self, name: &str) -> Vec<u8> {
        use viaduct::protocols::amqp091::codec::method::MethodFrame;
        let (_, payload) = self.frame().await;
        let method = Method::decode(&payload).unwrap();
        assert_eq!(method.name(), name, "{method:?}");
        payload
    }

    /// Publishes to a queue by the default exchange and waits for the confirm.
    pub(super) async fn publish(&mut self, queue: &str, properties: &[u8], body: &[u8]) {
        let mut out = Vec::new();
        write_method(
            &mut out,
            1,
            &basic::Publish {
                routing_key: short(queue),
                ..basic::Publish::default()
            },
        );
        write_content_header(&mut out, 1, body.len() as u64, properties);
        write_body_frames(&mut out, 1, [body], FRAME_MAX);
        self.send(out).await;
        self.expect("basic.ack").await;
    }

    /// Gets one message without acknowledging it.
    pub(super) async fn get(&mut self, queue: &str) -> Option<Got> {
        let mut out = Vec::new();
        write_method(
            &mut out,
            1,
            &basic::Get {
                queue: short(queue),
                no_ack: true,
                ..basic::Get::default()
            },
        );
        self.send(out).await;
        let (_, payload) = self.frame().await;
        let method = Method::decode(&payload).unwrap();
        if matches!(method, Method::Basic(BasicMethod::GetEmpty(_))) {
            return None;
        }
        assert!(
            matches!(method, Method::Basic(BasicMethod::GetOk(_))),
            "{method:?}"
        );
        let (_, header) = self.frame().await;
        let size = usize::try_from(ContentHeader::decode(&header).unwrap().body_size).unwrap();
        let mut body = Vec::new();
        while body.len() < size {
            body.extend(self.frame().await.1);
        }
        Some(Got {
            properties: header[12..].to_vec(),
            body,
        })
    }
}
