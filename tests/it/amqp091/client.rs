//! A client without a socket: it encodes methods, drives a session as the driver does, and prints what
//! comes back, one line a frame.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;

use viaduct::auth::Auth;
use viaduct::auth::AuthConfig;
use viaduct::auth::MemoryRecords;
use viaduct::core::Core;
use viaduct::core::Settings;
use viaduct::core::formats::Formats;
use viaduct::core::log::store::Store;
use viaduct::core::model::time::CoreTime;
use viaduct::protocols::amqp091::Amqp091;
use viaduct::protocols::amqp091::codec::FieldTable;
use viaduct::protocols::amqp091::codec::FieldValue;
use viaduct::protocols::amqp091::codec::FrameKind;
use viaduct::protocols::amqp091::codec::LongStr;
use viaduct::protocols::amqp091::codec::Method;
use viaduct::protocols::amqp091::codec::PROTOCOL_HEADER;
use viaduct::protocols::amqp091::codec::PropertyFields;
use viaduct::protocols::amqp091::codec::RawTable;
use viaduct::protocols::amqp091::codec::ShortStr;
use viaduct::protocols::amqp091::codec::frame::Frames;
use viaduct::protocols::amqp091::codec::method::MethodFrame;
use viaduct::protocols::amqp091::codec::method::basic;
use viaduct::protocols::amqp091::codec::method::basic::BasicMethod;
use viaduct::protocols::amqp091::codec::method::channel;
use viaduct::protocols::amqp091::codec::method::channel::ChannelMethod;
use viaduct::protocols::amqp091::codec::method::confirm;
use viaduct::protocols::amqp091::codec::method::connection;
use viaduct::protocols::amqp091::codec::method::connection::ConnectionMethod;
use viaduct::protocols::amqp091::codec::method::queue;
use viaduct::protocols::amqp091::codec::method::queue::QueueMethod;
use viaduct::protocols::amqp091::codec::write_body_frames;
use viaduct::protocols::amqp091::codec::write_content_header;
use viaduct::protocols::amqp091::codec::write_method;
use viaduct::protocols::amqp091::mapping;
use viaduct::protocols::session::End;
use viaduct::protocols::session::Flow;
use viaduct::protocols::session::Session;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::Metrics;
use viaduct::transport::Limits;
use viaduct::transport::buffer::WriteBuf;

/// Where time starts.
pub(super) const START: CoreTime = CoreTime::from_ms(1_700_000_000_000);

/// A broker in memory.
pub(super) struct Broker {
    pub(super) store: Arc<MemoryStore>,
    pub(super) core: Core,
    pub(super) auth: Arc<Auth>,
    pub(super) limits: Limits,
}

impl Broker {
    pub(super) fn new() -> Self {
        Self::with_budget(1 << 30)
    }

    pub(super) fn with_budget(memory_budget_bytes: u64) -> Self {
        let store = MemoryStore::new(1);
        Self::over(Arc::clone(&store), store, memory_budget_bytes)
    }

    /// A broker on a store that stands before the memory store.
    pub(super) fn over(
        store: Arc<MemoryStore>,
        front: Arc<dyn Store>,
        memory_budget_bytes: u64,
    ) -> Self {
        let formats = Formats::new().with(mapping::FORMAT, Arc::new(mapping::Amqp091Head));
        let settings = Settings::new(memory_budget_bytes);
        let metrics = Arc::new(Metrics::new());
        let (core, _) = Core::open(front, formats, metrics, &settings, START).unwrap();
        let records = Arc::<MemoryRecords>::default();
        let auth = Auth::open(records, &AuthConfig::default(), &["/".to_owned()]).unwrap();
        Self {
            store,
            core,
            auth: Arc::new(auth),
            limits: Limits::default(),
        }
    }

    /// A client that has sent nothing yet.
    pub(super) fn accept(&self) -> Client {
        let peer = SocketAddr::from(([127, 0, 0, 1], 5671));
        let session = Amqp091::new(
            self.core.clone(),
            Arc::clone(&self.auth),
            Arc::new(self.limits.clone()),
            peer,
            1,
            START,
        );
        Client {
            session,
            auth: Arc::clone(&self.auth),
            peer,
            input: BytesMut::new(),
            out: WriteBuf::new(),
            now: START,
            flow: Flow::Continue,
            high_water: 0,
        }
    }

    /// A client with an open connection.
    pub(super) fn connect(&self) -> Client {
        let mut client = self.accept();
        client.log_in("guest", 131_072);
        client
    }

    /// A client with channel 1 open.
    pub(super) fn channel(&self) -> Client {
        let mut client = self.connect();
        client.open(1);
        client
    }
}

/// One end of a conversation.
pub(super) struct Client {
    pub(super) session: Amqp091,
    auth: Arc<Auth>,
    peer: SocketAddr,
    pub(super) input: BytesMut,
    pub(super) out: WriteBuf,
    pub(super) now: CoreTime,
    pub(super) flow: Flow,
    /// Most bytes that ever waited to be written.
    pub(super) high_water: usize,
}

/// Short for a short string.
pub(super) fn s(text: &str) -> ShortStr<'_> {
    ShortStr::try_from(text).unwrap()
}

impl Client {
    /// Hands bytes in, and goes on as the driver does until nothing more happens.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.input.extend_from_slice(bytes);
        if self.session.wants_bytes() {
            self.flow = self
                .session
                .on_bytes(&mut self.input, self.now, &mut self.out);
        }
        self.settle()
    }

    /// Events, login and takes, until nothing more happens or the output is full.
    pub(super) fn settle(&mut self) -> &mut Self {
        loop {
            if self.flow == Flow::Close {
                return self;
            }
            let mut busy = false;
            while let Some(event) = self.session.inbox().try_next() {
                self.flow = self.session.on_event(event, self.now, &mut self.out);
                busy = true;
            }
            if let Some(credentials) = self.session.take_login() {
                let login = self.auth.login_now(&credentials, self.peer.ip()).unwrap();
                self.flow = self.session.on_login(login, self.now, &mut self.out);
                busy = true;
            }
            busy |= self.session.pull(self.now, &mut self.out);
            self.high_water = self.high_water.max(self.out.pending().len());
            let before = self.input.len();
            if self.flow == Flow::Continue && before > 0 && self.session.wants_bytes() {
                self.flow = self
                    .session
                    .on_bytes(&mut self.input, self.now, &mut self.out);
                busy |= self.input.len() != before;
            }
            if !busy || self.out.room() == 0 {
                return self;
            }
        }
    }

    /// What came out by now, without going on.
    pub(super) fn drain(&mut self) -> Vec<u8> {
        let bytes = self.out.pending().to_vec();
        self.out.advance(bytes.len());
        bytes
    }

    /// Everything that comes, as lines.
    pub(super) fn lines(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            self.settle();
            let bytes = self.drain();
            if bytes.is_empty() {
                return show(&all);
            }
            all.extend(bytes);
        }
    }

    /// Time passes, and a deadline that is due is told.
    pub(super) fn after(&mut self, ms: u64) -> &mut Self {
        self.now = self.now + ms;
        if self.session.deadline().is_some_and(|due| due <= self.now) {
            self.flow = self.session.on_deadline(self.now, &mut self.out);
        }
        self.settle()
    }

    pub(super) fn end(mut self, end: End) {
        self.session.on_end(end, self.now);
    }

    pub(super) fn send(&mut self, channel: u16, method: &impl MethodFrame) -> &mut Self {
        let mut bytes = Vec::new();
        write_method(&mut bytes, channel, method);
        self.bytes(&bytes)
    }

    /// Sends a method and says what came back.
    pub(super) fn ask(&mut self, channel: u16, method: &impl MethodFrame) -> Vec<String> {
        self.send(channel, method).lines()
    }

    pub(super) fn start_ok(&mut self, mechanism: &str, response: &[u8]) -> &mut Self {
        let capabilities = FieldTable::new()
            .with("authentication_failure_close", FieldValue::Bool(true))
            .with("consumer_cancel_notify", FieldValue::Bool(true))
            .with("connection.blocked", FieldValue::Bool(true));
        let properties = FieldTable::new()
            .with("capabilities", FieldValue::Table(capabilities))
            .to_bytes()
            .unwrap();
        let start_ok = connection::StartOk {
            client_properties: RawTable::parse(&properties).unwrap(),
            mechanism: s(mechanism),
            response: LongStr::new(response).unwrap(),
            locale: s("en_US"),
        };
        self.send(0, &start_ok)
    }

    pub(super) fn log_in(&mut self, password: &str, frame_max: u32) {
        self.bytes(&PROTOCOL_HEADER);
        self.start_ok("PLAIN", format!("\0guest\0{password}").as_bytes());
        let tune_ok = connection::TuneOk {
            channel_max: 2047,
            frame_max,
            heartbeat: 0,
        };
        self.send(0, &tune_ok);
        let open = connection::Open {
            virtual_host: s("/"),
            ..connection::Open::default()
        };
        self.send(0, &open);
        let lines = self.lines();
        assert_eq!(lines.last().unwrap(), "0 connection.open-ok", "{lines:?}");
    }

    pub(super) fn open(&mut self, channel: u16) {
        let lines = self.ask(channel, &channel::Open::default());
        assert_eq!(lines, [format!("{channel} channel.open-ok")]);
    }

    pub(super) fn confirm(&mut self, channel: u16) {
        let lines = self.ask(channel, &confirm::Select { nowait: false });
        assert_eq!(lines, [format!("{channel} confirm.select-ok")]);
    }

    pub(super) fn declare(&mut self, name: &str) -> Vec<String> {
        self.declare_with(name, &FieldTable::new())
    }

    /// Declares a durable queue.
    pub(super) fn declare_with(&mut self, name: &str, arguments: &FieldTable) -> Vec<String> {
        let arguments = arguments.to_bytes().unwrap();
        let declare = queue::Declare {
            queue: s(name),
            durable: true,
            arguments: RawTable::parse(&arguments).unwrap(),
            ..queue::Declare::default()
        };
        self.ask(1, &declare)
    }

    /// Publishes durable messages to a queue, all in one read.
    pub(super) fn publish(&mut self, queue: &str, bodies: &[&[u8]]) -> &mut Self {
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.extend(message(1, queue, body, true));
        }
        self.bytes(&bytes)
    }

    pub(super) fn consume(&mut self, queue: &str, no_ack: bool) -> Vec<String> {
        let consume = basic::Consume {
            queue: s(queue),
            consumer_tag: s("t"),
            no_ack,
            ..basic::Consume::default()
        };
        self.ask(1, &consume)
    }

    pub(super) fn qos(&mut self, prefetch_count: u16, global: bool) {
        let qos = basic::Qos {
            prefetch_size: 0,
            prefetch_count,
            global,
        };
        assert_eq!(self.ask(1, &qos), ["1 basic.qos-ok"]);
    }

    pub(super) fn get(&mut self, queue: &str) -> Vec<String> {
        let get = basic::Get {
            queue: s(queue),
            ..basic::Get::default()
        };
        self.ask(1, &get)
    }

    pub(super) fn ack(&mut self, delivery_tag: u64, multiple: bool) -> Vec<String> {
        let ack = basic::Ack {
            delivery_tag,
            multiple,
        };
        self.ask(1, &ack)
    }

    pub(super) fn nack(&mut self, delivery_tag: u64, requeue: bool) -> Vec<String> {
        let nack = basic::Nack {
            delivery_tag,
            multiple: false,
            requeue,
        };
        self.ask(1, &nack)
    }
}

/// A mandatory publish through the default exchange, as bytes.
pub(super) fn message(channel: u16, queue: &str, body: &[u8], durable: bool) -> Vec<u8> {
    let properties = PropertyFields {
        delivery_mode: Some(if durable { 2 } else { 1 }),
        ..PropertyFields::default()
    };
    content(channel, ("", queue), body, &properties.to_bytes(), 131_072)
}

/// A mandatory publish, as bytes.
pub(super) fn content(
    channel: u16,
    (exchange, key): (&str, &str),
    body: &[u8],
    properties: &[u8],
    frame_max: u32,
) -> Vec<u8> {
    let publish = basic::Publish {
        exchange: s(exchange),
        routing_key: s(key),
        mandatory: true,
        ..basic::Publish::default()
    };
    let mut bytes = Vec::new();
    write_method(&mut bytes, channel, &publish);
    write_content_header(&mut bytes, channel, body.len() as u64, properties);
    write_body_frames(&mut bytes, channel, [body], frame_max);
    bytes
}

/// Frames as lines: channel, method, and the arguments that tests look at.
pub(super) fn show(bytes: &[u8]) -> Vec<String> {
    Frames::new(bytes, 131_072)
        .map(|frame| {
            let frame = frame.unwrap();
            let text = match frame.kind {
                FrameKind::Method => show_method(&Method::decode(frame.payload).unwrap()),
                FrameKind::Header => format!("header {}", size_of_content(frame.payload)),
                FrameKind::Body if frame.payload.len() <= 32 => {
                    format!("body {}", frame.payload.escape_ascii())
                }
                FrameKind::Body => format!("body of {}", frame.payload.len()),
                FrameKind::Heartbeat => "heartbeat".to_owned(),
            };
            format!("{} {text}", frame.channel)
        })
        .collect()
}

fn size_of_content(header: &[u8]) -> u64 {
    u64::from_be_bytes(header[4..12].try_into().unwrap())
}

fn show_method(method: &Method<'_>) -> String {
    let all = |multiple| if multiple { "*" } else { "" };
    let again = |redelivered| if redelivered { " again" } else { "" };
    let detail = match method {
        Method::Basic(BasicMethod::Ack(m)) => format!("{}{}", m.delivery_tag, all(m.multiple)),
        Method::Basic(BasicMethod::Nack(m)) => format!("{}{}", m.delivery_tag, all(m.multiple)),
        Method::Basic(BasicMethod::Deliver(m)) => format!(
            "{} {}{}",
            m.consumer_tag.lossy(),
            m.delivery_tag,
            again(m.redelivered)
        ),
        Method::Basic(BasicMethod::GetOk(m)) => format!(
            "{}{} left {}",
            m.delivery_tag,
            again(m.redelivered),
            m.message_count
        ),
        Method::Basic(BasicMethod::Return(m)) => {
            format!("{} {}", m.reply_code, m.reply_text.lossy())
        }
        Method::Basic(BasicMethod::Cancel(m)) => m.consumer_tag.lossy().into_owned(),
        Method::Basic(BasicMethod::ConsumeOk(m)) => m.consumer_tag.lossy().into_owned(),
        Method::Queue(QueueMethod::DeclareOk(m)) => {
            let (messages, consumers) = (m.message_count, m.consumer_count);
            format!("{} {messages} {consumers}", m.queue.lossy())
        }
        Method::Queue(QueueMethod::PurgeOk(m)) => m.message_count.to_string(),
        Method::Queue(QueueMethod::DeleteOk(m)) => m.message_count.to_string(),
        Method::Channel(ChannelMethod::Close(m)) => {
            format!("{}.{} {}", m.class_id, m.method_id, m.reply_text.lossy())
        }
        Method::Connection(ConnectionMethod::Close(m)) => {
            format!("{}.{} {}", m.class_id, m.method_id, m.reply_text.lossy())
        }
        Method::Connection(ConnectionMethod::Blocked(m)) => m.reason.lossy().into_owned(),
        Method::Connection(_)
        | Method::Channel(_)
        | Method::Access(_)
        | Method::Exchange(_)
        | Method::Queue(_)
        | Method::Basic(_)
        | Method::Confirm(_)
        | Method::Tx(_) => String::new(),
    };
    format!("{} {detail}", method.name()).trim_end().to_owned()
}
