//! How many instructions a message takes from bytes to bytes: a session publishes, another one consumes, over the store in
//! memory; no sockets, no threads, no clock.
//!
//! Instructions are the same on a busy machine as on an idle one, so a change of a few per cent shows. Run with
//! `benches/instructions.sh`, which runs this under callgrind and divides; by itself it only prints how many messages went
//! through. Arguments: the kind of traffic, and how many rounds are counted.

#![allow(clippy::unwrap_used, clippy::panic)] // a measurement that cannot go on must stop

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use viaduct::auth::Auth;
use viaduct::auth::AuthConfig;
use viaduct::auth::MemoryRecords;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::formats::Formats;
use viaduct::core::model::time::CoreTime;
use viaduct::protocols::amqp091::Amqp091;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::amqp091::mapping;
use viaduct::protocols::session::Flow;
use viaduct::protocols::session::Session;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;
use viaduct::transport::Limits;
use viaduct::transport::buffer::WriteBuf;

const NOW: CoreTime = CoreTime::from_ms(1_700_000_000_000);
const FRAME_MAX: u32 = 131_072;
const CHANNEL: u16 = 1;
const QUEUE: &str = "orders";
/// What the broker reads at once.
const READ_BYTES: usize = 64 * 1024;
/// Rounds before anything is counted, so that nothing grows any more.
const WARM_UP_ROUNDS: u64 = 50;

/// A kind of traffic.
#[derive(Clone, Copy)]
struct Traffic {
    name: &'static str,
    body_bytes: usize,
    /// Persistent and confirmed.
    durable: bool,
    /// Each delivery is acknowledged by itself.
    acks: bool,
}

const TRAFFIC: [Traffic; 4] = [
    Traffic {
        name: "transient",
        body_bytes: 1024,
        durable: false,
        acks: false,
    },
    Traffic {
        name: "acks",
        body_bytes: 1024,
        durable: false,
        acks: true,
    },
    Traffic {
        name: "durable",
        body_bytes: 1024,
        durable: true,
        acks: true,
    },
    Traffic {
        name: "tiny",
        body_bytes: 16,
        durable: false,
        acks: false,
    },
];

fn main() {
    // Cargo adds `--bench`, which says nothing here.
    let mut arguments = std::env::args().skip(1).filter(|word| word != "--bench");
    let name = arguments.next().unwrap_or_else(|| "transient".to_owned());
    let rounds = arguments.next().map_or(200, |text| text.parse().unwrap());
    let known = TRAFFIC.iter().find(|traffic| traffic.name == name);
    let mut replay = Replay::new(*known.unwrap_or_else(|| panic!("no traffic is called {name}")));
    for _ in 0..WARM_UP_ROUNDS {
        replay.round();
    }
    replay.publisher.is_counted = true;
    replay.consumer.is_counted = true;
    let before = replay.delivered;
    counted(&mut replay, rounds);
    println!("{}", replay.delivered - before);
}

/// What callgrind counts: the script names it, and [`feed`], which is left out.
#[inline(never)]
fn counted(replay: &mut Replay, rounds: u64) {
    for _ in 0..rounds {
        replay.round();
    }
}

/// What the kernel does for a broker: it ends the count and begins it again, so nothing else may call it.
#[inline(never)]
fn feed(input: &mut BytesMut, bytes: &[u8]) {
    input.extend_from_slice(bytes);
}

/// A publisher and a consumer, and the bytes between them and the broker.
struct Replay {
    traffic: Traffic,
    publisher: Client,
    consumer: Client,
    publishes: Vec<u8>,
    messages: u64,
    acks: Vec<u8>,
    delivered: u64,
}

impl Replay {
    fn new(traffic: Traffic) -> Self {
        let formats = Formats::new().with(mapping::FORMAT, Arc::new(mapping::Amqp091Head));
        let settings = Settings::new(1 << 30);
        let metrics = Arc::new(Metrics::new());
        let (core, _) = Core::open(MemoryStore::new(1), formats, metrics, &settings, NOW).unwrap();
        let records = Arc::<MemoryRecords>::default();
        let auth = Auth::open(records, &AuthConfig::default(), &["/".to_owned()]).unwrap();
        let auth = Arc::new(auth);
        let mut publisher = Client::connect(&core, &auth);
        let declare = queue::Declare {
            queue: short(QUEUE),
            durable: true,
            ..queue::Declare::default()
        };
        publisher.send(CHANNEL, &declare);
        if traffic.durable {
            publisher.send(CHANNEL, &confirm::Select { nowait: false });
        }
        let mut consumer = Client::connect(&core, &auth);
        let consume = basic::Consume {
            queue: short(QUEUE),
            consumer_tag: short("ctag1.0"),
            no_ack: !traffic.acks,
            ..basic::Consume::default()
        };
        consumer.send(CHANNEL, &consume);
        let one = publish(traffic);
        let messages = READ_BYTES / one.len();
        Self {
            traffic,
            publisher,
            consumer,
            publishes: one.repeat(messages),
            messages: messages as u64,
            acks: Vec::with_capacity(READ_BYTES),
            delivered: 0,
        }
    }

    /// One read of publishes, and everything that follows from it.
    fn round(&mut self) {
        self.publisher.bytes(&self.publishes);
        self.consumer.bytes(&[]);
        if self.traffic.acks {
            self.acks.clear();
            for n in 1..=self.messages {
                let ack = basic::Ack {
                    delivery_tag: self.delivered + n,
                    multiple: false,
                };
                write_method(&mut self.acks, CHANNEL, &ack);
            }
            self.consumer.bytes(&self.acks);
        }
        self.delivered += self.messages;
    }
}

/// A session, driven as the driver does it.
struct Client {
    session: Amqp091,
    auth: Arc<Auth>,
    input: BytesMut,
    out: WriteBuf,
    written: usize,
    is_counted: bool,
}

impl Client {
    /// Logs in and opens the channel.
    fn connect(core: &Core, auth: &Arc<Auth>) -> Self {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5672));
        let limits = Arc::new(Limits::default());
        let session = Amqp091::new(core.clone(), Arc::clone(auth), limits, peer, 1, NOW);
        let mut client = Self {
            session,
            auth: Arc::clone(auth),
            input: BytesMut::with_capacity(2 * READ_BYTES),
            out: WriteBuf::new(),
            written: 0,
            is_counted: false,
        };
        client.bytes(&PROTOCOL_HEADER);
        let start_ok = connection::StartOk {
            mechanism: short("PLAIN"),
            response: LongStr::new(b"\0guest\0guest").unwrap(),
            locale: short("en_US"),
            ..connection::StartOk::default()
        };
        client.send(0, &start_ok);
        let tune_ok = connection::TuneOk {
            channel_max: 1,
            frame_max: FRAME_MAX,
            heartbeat: 0,
        };
        client.send(0, &tune_ok);
        let open = connection::Open {
            virtual_host: short("/"),
            ..connection::Open::default()
        };
        client.send(0, &open);
        client.send(CHANNEL, &channel::Open::default());
        client
    }

    fn send(&mut self, channel: u16, method: &impl MethodFrame) {
        let mut bytes = Vec::new();
        write_method(&mut bytes, channel, method);
        self.bytes(&bytes);
    }

    /// Reads bytes, and goes on until nothing more happens. What comes out is taken as a socket does.
    fn bytes(&mut self, bytes: &[u8]) {
        if self.is_counted {
            feed(&mut self.input, bytes);
        } else {
            self.input.extend_from_slice(bytes);
        }
        if !self.input.is_empty() {
            let flow = self.session.on_bytes(&mut self.input, NOW, &mut self.out);
            assert_eq!(flow, Flow::Continue);
        }
        loop {
            while let Some(event) = self.session.inbox().try_next() {
                let flow = self.session.on_event(event, NOW, &mut self.out);
                assert_eq!(flow, Flow::Continue);
            }
            if let Some(credentials) = self.session.take_login() {
                let login = self.auth.login_now(&credentials, [127, 0, 0, 1].into());
                self.session.on_login(login.unwrap(), NOW, &mut self.out);
            }
            self.session.pull(NOW, &mut self.out);
            let written = self.out.pending().len();
            if written == 0 {
                return;
            }
            self.out.advance(written);
            self.written += written;
        }
    }
}

/// One publish, as bytes.
fn publish(traffic: Traffic) -> Vec<u8> {
    let properties = PropertyFields {
        content_type: Some(short("application/octet-stream")),
        delivery_mode: Some(if traffic.durable { 2 } else { 1 }),
        ..PropertyFields::default()
    };
    let body = vec![b'x'; traffic.body_bytes];
    let publish = basic::Publish {
        routing_key: short(QUEUE),
        ..basic::Publish::default()
    };
    let mut bytes = Vec::new();
    write_method(&mut bytes, CHANNEL, &publish);
    write_content_header(
        &mut bytes,
        CHANNEL,
        body.len() as u64,
        &properties.to_bytes(),
    );
    write_body_frames(&mut bytes, CHANNEL, [&body[..]], FRAME_MAX);
    bytes
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::try_from(text).unwrap()
}
