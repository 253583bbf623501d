//! A client that writes ready bytes, looks at no more of what comes than it must, and allocates nothing once it is set up.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::basic::BasicMethod;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::ids;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::next_frame;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;

const FRAME_MAX: u32 = 131_072;
const CHANNEL: u16 = 1;
const INPUT_BYTES: usize = 256 * 1024;
/// Nothing that a test waits for takes so long, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Deliveries, each with its whole body.
    pub deliveries: u64,
    /// Tag of the last delivery.
    pub delivery_tag: u64,
    /// Highest confirmed publish.
    pub confirmed: u64,
}

/// A connection with one channel.
pub struct Client {
    socket: TcpStream,
    input: Box<[u8]>,
    /// Bytes of `input` that were read and are not used yet.
    filled: usize,
    /// What it writes at once.
    output: Vec<u8>,
    pub seen: Seen,
}

impl Client {
    /// Logs in and opens the channel.
    pub fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self {
            socket,
            input: vec![0; INPUT_BYTES].into(),
            filled: 0,
            output: Vec::with_capacity(INPUT_BYTES),
            seen: Seen::default(),
        };
        client.write(&PROTOCOL_HEADER);
        client.expect((10, 10));
        let start_ok = connection::StartOk {
            mechanism: short("PLAIN"),
            response: LongStr::new(b"\0guest\0guest").unwrap(),
            locale: short("en_US"),
            ..connection::StartOk::default()
        };
        client.ask(0, &start_ok, (10, 30));
        let tune_ok = connection::TuneOk {
            channel_max: 1,
            frame_max: FRAME_MAX,
            heartbeat: 600,
        };
        client.send(0, &tune_ok);
        let open = connection::Open {
            virtual_host: short("/"),
            ..connection::Open::default()
        };
        client.ask(0, &open, (10, 41));
        client.ask(CHANNEL, &channel::Open::default(), (20, 11));
        client
    }

    /// Declares a durable queue.
    pub fn declare(&mut self, name: &str) {
        let declare = queue::Declare {
            queue: short(name),
            durable: true,
            ..queue::Declare::default()
        };
        self.ask(CHANNEL, &declare, (50, 11));
    }

    /// From now on publishes are confirmed.
    pub fn confirm(&mut self) {
        self.ask(CHANNEL, &confirm::Select { nowait: false }, (85, 11));
    }

    /// Consumes from a queue.
    pub fn consume(&mut self, queue: &str, no_ack: bool) {
        let consume = basic::Consume {
            queue: short(queue),
            consumer_tag: short("c"),
            no_ack,
            ..basic::Consume::default()
        };
        self.ask(CHANNEL, &consume, (60, 21));
    }

    /// Writes ready bytes.
    pub fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Acknowledges deliveries one by one, in one write.
    pub fn ack_each(&mut self, tags: std::ops::RangeInclusive<u64>) {
        self.output.clear();
        for delivery_tag in tags {
            let ack = basic::Ack {
                delivery_tag,
                multiple: false,
            };
            write_method(&mut self.output, CHANNEL, &ack);
        }
        self.socket.write_all(&self.output).unwrap();
    }

    /// Reads until `enough` holds of what was seen.
    pub fn read_until(&mut self, enough: impl Fn(&Seen) -> bool) {
        while !enough(&self.seen) {
            self.read();
        }
    }

    /// Reads once, and looks at every whole frame.
    pub fn read(&mut self) {
        let read = self.socket.read(&mut self.input[self.filled..]).unwrap();
        assert_ne!(read, 0, "the broker closed the connection");
        self.filled += read;
        let mut at = 0;
        while let Some(frame) = next_frame(&self.input[at..self.filled], FRAME_MAX).unwrap() {
            at += frame.wire_len();
            match frame.kind {
                FrameKind::Method => see(&mut self.seen, frame.payload),
                FrameKind::Body => self.seen.deliveries += 1,
                FrameKind::Header | FrameKind::Heartbeat => {}
            }
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
    }

    fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        self.output.clear();
        write_method(&mut self.output, channel, method);
        self.socket.write_all(&self.output).unwrap();
    }

    fn ask(&mut self, channel: u16, method: &impl MethodFrame, answer: (u16, u16)) {
        self.send(channel, method);
        self.expect(answer);
    }

    /// Reads one method, before anything else may come.
    fn expect(&mut self, method: (u16, u16)) {
        loop {
            let input = &self.input[..self.filled];
            if let Some(frame) = next_frame(input, FRAME_MAX).unwrap() {
                assert_eq!(ids(frame.payload), Some(method));
                let len = frame.wire_len();
                self.input.copy_within(len..self.filled, 0);
                self.filled -= len;
                return;
            }
            let read = self.socket.read(&mut self.input[self.filled..]).unwrap();
            assert_ne!(read, 0, "the broker closed the connection");
            self.filled += read;
        }
    }
}

fn see(seen: &mut Seen, payload: &[u8]) {
    let method = Method::decode(payload).unwrap();
    if let Method::Basic(BasicMethod::Deliver(deliver)) = &method {
        seen.delivery_tag = deliver.delivery_tag;
    } else if let Method::Basic(BasicMethod::Ack(ack)) = &method {
        seen.confirmed = seen.confirmed.max(ack.delivery_tag);
    } else {
        panic!("{method:?}");
    }
}

/// So many publishes to a queue, as bytes.
pub fn publishes(queue: &str, count: u64, body_bytes: usize, durable: bool) -> Vec<u8> {
    let properties = PropertyFields {
        content_type: Some(short("application/json")),
        delivery_mode: Some(if durable { 2 } else { 1 }),
        ..PropertyFields::default()
    };
    let properties = properties.to_bytes();
    let body = vec![b'x'; body_bytes];
    let publish = basic::Publish {
        routing_key: short(queue),
        ..basic::Publish::default()
    };
    let mut bytes = Vec::new();
    for _ in 0..count {
        write_method(&mut bytes, CHANNEL, &publish);
        write_content_header(&mut bytes, CHANNEL, body_bytes as u64, &properties);
        write_body_frames(&mut bytes, CHANNEL, [&body[..]], FRAME_MAX);
    }
    bytes
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::try_from(text).unwrap()
}
