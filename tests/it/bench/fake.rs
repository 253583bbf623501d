//! As much of an AMQP 0-9-1 broker as the bench needs, that goes wrong as it is told to.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::basic::BasicMethod;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::channel::ChannelMethod;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::confirm::ConfirmMethod;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::connection::ConnectionMethod;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::method::queue::QueueMethod;
use viaduct::protocols::amqp091::codec::next_frame;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;

const FRAME_MAX: u32 = 4096;

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// It is delivered to the first consumer.
    Deliver,
    /// It is delivered to the first consumer, and with notice to the last one again.
    Again,
    /// It is delivered a while after everything else.
    Late,
    /// It is confirmed and forgotten.
    Lose,
    /// It is refused, and not delivered.
    Nack,
    /// Nothing more is read from its producer, which is told that it is blocked.
    Block,
}

/// How a broker behaves.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    /// By the number of the producer's message, from 0.
    pub(super) act: fn(u64) -> Act,
    /// Whether it deletes queues.
    pub(super) deletes: bool,
}

struct Consumer {
    stream: TcpStream,
    tag: String,
    delivered: u64,
}

type Consumers = Arc<Mutex<Vec<Consumer>>>;

/// Serves until the test ends.
pub(super) fn serve(plan: Plan) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let consumers = Consumers::default();
        for stream in listener.incoming() {
            let mut connection = Connection {
                stream: stream.unwrap(),
                consumers: Arc::clone(&consumers),
                plan,
                published: 0,
                confirms: false,
            };
            // A client that goes away ends its thread with an error.
            std::thread::spawn(move || connection.serve());
        }
    });
    address
}

struct Connection {
    stream: TcpStream,
    consumers: Consumers,
    plan: Plan,
    published: u64,
    confirms: bool,
}

impl Connection {
    fn serve(&mut self) -> std::io::Result<()> {
        self.greet()?;
        let mut input = Vec::new();
        let mut body = Vec::new();
        let mut size = 0;
        loop {
            while let Some(frame) = next_frame(&input, FRAME_MAX).unwrap() {
                match frame.kind {
                    FrameKind::Method => self.on_method(&Method::decode(frame.payload).unwrap())?,
                    FrameKind::Header => {
                        size = u64::from_be_bytes(*frame.payload[4..].first_chunk().unwrap());
                    }
                    FrameKind::Body => {
                        body.extend_from_slice(frame.payload);
                        if body.len() as u64 == size {
                            self.on_message(&std::mem::take(&mut body))?;
                        }
                    }
                    FrameKind::Heartbeat => {}
                }
                let length = frame.wire_len();
                input.drain(..length);
            }
            let mut more = [0; 65_536];
            match self.stream.read(&mut more)? {
                0 => return Ok(()),
                count => input.extend_from_slice(&more[..count]),
            }
        }
    }

    fn greet(&mut self) -> std::io::Result<()> {
        let mut header = [0; PROTOCOL_HEADER.len()];
        self.stream.read_exact(&mut header)?;
        let properties = FieldTable::new()
            .with("product", FieldValue::text("Fake"))
            .to_bytes()
            .unwrap();
        let start = connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: RawTable::parse(&properties).unwrap(),
            mechanisms: LongStr::new(b"PLAIN").unwrap(),
            locales: LongStr::new(b"en_US").unwrap(),
        };
        send(&self.stream, 0, &start)
    }

    fn on_method(&mut self, method: &Method<'_>) -> std::io::Result<()> {
        let stream = &self.stream;
        match method {
            Method::Connection(ConnectionMethod::StartOk(_)) => {
                let tune = connection::Tune {
                    channel_max: 1,
                    frame_max: FRAME_MAX,
                    heartbeat: 0,
                };
                send(stream, 0, &tune)
            }
            Method::Connection(ConnectionMethod::Open(_)) => {
                send(stream, 0, &connection::OpenOk::default())
            }
            Method::Connection(ConnectionMethod::Close(_)) => {
                send(stream, 0, &connection::CloseOk::default())
            }
            Method::Channel(ChannelMethod::Open(_)) => send(stream, 1, &channel::OpenOk::default()),
            Method::Queue(QueueMethod::Declare(_)) => send(stream, 1, &queue::DeclareOk::default()),
            Method::Queue(QueueMethod::Delete(_)) if self.plan.deletes => {
                send(stream, 1, &queue::DeleteOk::default())
            }
            Method::Queue(QueueMethod::Delete(_)) => {
                let close = channel::Close {
                    reply_code: 406,
                    reply_text: ShortStr::try_from("PRECONDITION_FAILED").unwrap(),
                    ..channel::Close::default()
                };
                send(stream, 1, &close)
            }
            Method::Confirm(ConfirmMethod::Select(_)) => {
                self.confirms = true;
                send(stream, 1, &confirm::SelectOk::default())
            }
            Method::Basic(BasicMethod::Consume(consume)) => {
                let tag = consume.consumer_tag;
                send(stream, 1, &basic::ConsumeOk { consumer_tag: tag })?;
                self.consumers.lock().unwrap().push(Consumer {
                    stream: stream.try_clone()?,
                    tag: tag.lossy().into_owned(),
                    delivered: 0,
                });
                Ok(())
            }
            Method::Connection(_)
            | Method::Channel(_)
            | Method::Access(_)
            | Method::Exchange(_)
            | Method::Queue(_)
            | Method::Basic(_)
            | Method::Confirm(_)
            | Method::Tx(_) => Ok(()),
        }
    }

    fn on_message(&mut self, body: &[u8]) -> std::io::Result<()> {
        let act = (self.plan.act)(self.published);
        self.published += 1;
        match act {
            Act::Deliver => deliver(&self.consumers, 0, false, body)?,
            Act::Again => {
                deliver(&self.consumers, 0, false, body)?;
                let last = self.consumers.lock().unwrap().len() - 1;
                deliver(&self.consumers, last, true, body)?;
            }
            Act::Late => {
                let (consumers, body) = (Arc::clone(&self.consumers), body.to_vec());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(500));
                    deliver(&consumers, 0, false, &body)
                });
            }
            Act::Lose | Act::Nack => {}
            Act::Block => {
                let blocked = connection::Blocked {
                    reason: ShortStr::try_from("low on memory").unwrap(),
                };
                send(&self.stream, 0, &blocked)?;
                loop {
                    std::thread::park();
                }
            }
        }
        let delivery_tag = self.published;
        if !self.confirms {
            return Ok(());
        }
        if act == Act::Nack {
            let nack = basic::Nack {
                delivery_tag,
                ..basic::Nack::default()
            };
            return send(&self.stream, 1, &nack);
        }
        let ack = basic::Ack {
            delivery_tag,
            multiple: false,
        };
        send(&self.stream, 1, &ack)
    }
}

fn deliver(
    consumers: &Consumers,
    consumer: usize,
    redelivered: bool,
    body: &[u8],
) -> std::io::Result<()> {
    let mut consumers = consumers.lock().unwrap();
    let consumer = &mut consumers[consumer];
    consumer.delivered += 1;
    let deliver = basic::Deliver {
        consumer_tag: ShortStr::try_from(consumer.tag.as_str()).unwrap(),
        delivery_tag: consumer.delivered,
        redelivered,
        exchange: ShortStr::default(),
        routing_key: ShortStr::default(),
    };
    let mut out = Vec::new();
    write_method(&mut out, 1, &deliver);
    write_content_header(&mut out, 1, body.len() as u64, &[0, 0]);
    write_body_frames(&mut out, 1, [body], FRAME_MAX);
    consumer.stream.write_all(&out)
}

/// Writes a method.
fn send(mut stream: &TcpStream, channel: u16, method: &impl MethodFrame) -> std::io::Result<()> {
    let mut out = Vec::new();
    write_method(&mut out, channel, method);
    stream.write_all(&out)
}
