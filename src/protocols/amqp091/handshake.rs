//! From the protocol header to the open virtual host (0-9-1 §2.2.4).

use bytes::Buf;
use bytes::BytesMut;

use crate::auth::Credentials;
use crate::auth::Identity;
use crate::auth::LoginError;
use crate::auth::sasl;
use crate::core::model::time::CoreTime;
use crate::protocols::amqp091::codec::CodecError;
use crate::protocols::amqp091::codec::FieldTable;
use crate::protocols::amqp091::codec::FieldValue;
use crate::protocols::amqp091::codec::FrameKind;
use crate::protocols::amqp091::codec::Greeting;
use crate::protocols::amqp091::codec::LongStr;
use crate::protocols::amqp091::codec::Method;
use crate::protocols::amqp091::codec::PROTOCOL_HEADER;
use crate::protocols::amqp091::codec::RawTable;
use crate::protocols::amqp091::codec::ReplyCode;
use crate::protocols::amqp091::codec::ShortStr;
use crate::protocols::amqp091::codec::frame::FRAME_MIN_BYTES;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::connection as wire;
use crate::protocols::amqp091::codec::method::connection::ConnectionMethod;
use crate::protocols::amqp091::codec::next_frame;
use crate::protocols::amqp091::codec::write_method;
use crate::protocols::amqp091::connection::Fault;
use crate::protocols::amqp091::connection::Phase;
use crate::protocols::amqp091::connection::Step;
use crate::protocols::amqp091::errors;
use crate::protocols::amqp091::errors::Refusal;
use crate::protocols::amqp091::heartbeat::Heartbeat;
use crate::protocols::amqp091::link::Capabilities;
use crate::protocols::amqp091::link::DOOR;
use crate::protocols::amqp091::link::Link;
use crate::protocols::amqp091::link::connection_name;
use crate::protocols::amqp091::live::Live;
use crate::transport::FirstBytes;
use crate::transport::buffer::WriteBuf;

/// The level of RabbitMQ that clients may rely on; they compare it.
const EMULATED_VERSION: &str = "3.13.7";

/// What is waited for.
pub(super) enum Handshake {
    /// The protocol header.
    Greeting,
    /// connection.start-ok.
    StartOk,
    /// The check of a login; the credentials are taken out once.
    Login {
        mechanism: &'static str,
        credentials: Option<Credentials>,
        user: String,
    },
    /// connection.tune-ok.
    TuneOk(Identity),
    /// connection.open.
    Open(Identity),
}

impl Handshake {
    /// Nothing is read while a login is checked.
    pub(super) fn wants_bytes(&self) -> bool {
        !matches!(self, Self::Login { .. })
    }

    pub(super) fn take_login(&mut self) -> Option<Credentials> {
        match self {
            Self::Login { credentials, .. } => credentials.take(),
            Self::Greeting | Self::StartOk | Self::TuneOk(_) | Self::Open(_) => None,
        }
    }
}

/// Takes the next part of the handshake, if it is whole.
pub(super) fn on_bytes(
    state: &mut Handshake,
    link: &mut Link,
    heart: &mut Heartbeat,
    input: &mut BytesMut,
    now: CoreTime,
    out: &mut WriteBuf,
) -> Result<Step, Fault> {
    if matches!(state, Handshake::Greeting) {
        return greeting(link, input, out);
    }
    if !state.wants_bytes() {
        return Ok(Step::Stay);
    }
    loop {
        let Some(frame) = next_frame(input, link.frame_max)? else {
            return Ok(Step::Stay);
        };
        let len = frame.wire_len();
        let step = match (frame.kind, frame.channel) {
            (FrameKind::Heartbeat, _) => None,
            (FrameKind::Method, 0) => {
                let method = Method::decode_from_client(frame.payload)?;
                let ids = (method.class_id(), method.method_id());
                let step = on_method(state, link, heart, method, now, out);
                Some(step.map_err(|refusal| Fault::new(refusal, ids))?)
            }
            (FrameKind::Method | FrameKind::Header | FrameKind::Body, channel) => {
                let text = format!("frame on channel {channel} before the connection is open");
                return Err(Refusal::new(ReplyCode::ChannelError, text).into());
            }
        };
        input.advance(len);
        if let Some(step) = step {
            return Ok(step);
        }
    }
}

fn greeting(link: &Link, input: &mut BytesMut, out: &mut WriteBuf) -> Result<Step, Fault> {
    match Greeting::recognize(input) {
        None => Ok(Step::Stay),
        Some(Greeting::Amqp091) => {
            input.advance(Greeting::BYTES);
            start(out)?;
            Ok(Step::Next(Phase::Handshake(Handshake::StartOk)))
        }
        Some(_) => {
            let looks_like = FirstBytes::guess(input);
            tracing::warn!(conn = link.conn, protocol = %DOOR, peer = %link.peer, %looks_like, hint = looks_like.hint(), "not the protocol of this listener (listeners.amqp)");
            // 0-9-1 §4.2.2: say which version would do, and close.
            out.buf().extend_from_slice(&PROTOCOL_HEADER);
            Ok(Step::Close)
        }
    }
}

fn start(out: &mut WriteBuf) -> Result<(), CodecError> {
    let properties = server_properties().to_bytes()?;
    let start = wire::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: RawTable::parse(&properties)?,
        mechanisms: LongStr::new(b"PLAIN AMQPLAIN")?,
        locales: LongStr::new(b"en_US")?,
    };
    write_method(out.buf(), 0, &start);
    Ok(())
}

/// What the broker says about itself. Capabilities are true or not announced as true.
fn server_properties() -> FieldTable {
    let capabilities = [
        ("publisher_confirms", true),
        ("exchange_exchange_bindings", false),
        ("basic.nack", true),
        ("consumer_cancel_notify", true),
        ("connection.blocked", true),
        ("consumer_priorities", false),
        ("authentication_failure_close", true),
        ("per_consumer_qos", true),
        ("direct_reply_to", false),
    ];
    let capabilities = capabilities
        .into_iter()
        .fold(FieldTable::new(), |table, (name, has)| {
            table.with(name, FieldValue::Bool(has))
        });
    FieldTable::new()
        .with("capabilities", FieldValue::Table(capabilities))
        .with("cluster_name", FieldValue::text("viaduct"))
        .with(
            "copyright",
            FieldValue::text("Licensed under the Apache License 2.0"),
        )
        .with(
            "information",
            FieldValue::text("RabbitMQ clients and AWS SDKs meet in the same queues"),
        )
        .with("platform", FieldValue::text("Rust"))
        .with("product", FieldValue::text("Viaduct"))
        .with("version", FieldValue::text(EMULATED_VERSION))
        .with(
            "viaduct_version",
            FieldValue::text(env!("CARGO_PKG_VERSION")),
        )
}

fn on_method(
    state: &mut Handshake,
    link: &mut Link,
    heart: &mut Heartbeat,
    method: Method<'_>,
    now: CoreTime,
    out: &mut WriteBuf,
) -> Result<Step, Refusal> {
    match (state, method) {
        (_, Method::Connection(ConnectionMethod::Close(_))) => {
            write_method(out.buf(), 0, &wire::CloseOk {});
            Ok(Step::Close)
        }
        (Handshake::StartOk, Method::Connection(ConnectionMethod::StartOk(start))) => {
            start_ok(link, &start)
        }
        (Handshake::TuneOk(user), Method::Connection(ConnectionMethod::TuneOk(tune))) => {
            tune_ok(link, &tune)?;
            *heart = Heartbeat::new(tune.heartbeat, now);
            Ok(Step::Next(Phase::Handshake(Handshake::Open(user.clone()))))
        }
        (Handshake::Open(user), Method::Connection(ConnectionMethod::Open(open))) => {
            let live = open_vhost(link, user, open.virtual_host)?;
            write_method(out.buf(), 0, &wire::OpenOk::default());
            Ok(Step::Next(Phase::Live(Box::new(live))))
        }
        (_, method) => Err(errors::out_of_place(method.name())),
    }
}

fn start_ok(link: &mut Link, start: &wire::StartOk<'_>) -> Result<Step, Refusal> {
    link.client = Capabilities::of(start.client_properties);
    link.name = connection_name(start.client_properties);
    let response = start.response.as_bytes();
    let (mechanism, credentials) = match start.mechanism.as_bytes() {
        b"PLAIN" => ("PLAIN", sasl::plain(response)),
        b"AMQPLAIN" => ("AMQPLAIN", sasl::amqplain(response)),
        _ => {
            let text = format!(
                "unknown authentication mechanism '{}'",
                start.mechanism.lossy()
            );
            return Err(Refusal::new(ReplyCode::CommandInvalid, text));
        }
    };
    match credentials {
        Ok(credentials) => Ok(Step::Next(Phase::Handshake(Handshake::Login {
            mechanism,
            user: credentials.user.to_string(),
            credentials: Some(credentials),
        }))),
        Err(error) => refuse_login(link, "", mechanism, &error.to_string()),
    }
}

/// The client learns only that it was refused, and that only if it understands (RabbitMQ).
fn refuse_login(link: &Link, user: &str, mechanism: &str, reason: &str) -> Result<Step, Refusal> {
    tracing::warn!(conn = link.conn, protocol = %DOOR, peer = %link.peer, user, mechanism, reason, "login refused");
    link.core.metrics().logins_failed.of(DOOR).inc();
    if !link.client.authentication_failure_close {
        return Ok(Step::Close);
    }
    let text = format!(
        "Login was refused using authentication mechanism {mechanism}. For details see the broker logfile."
    );
    Err(Refusal::new(ReplyCode::AccessRefused, text))
}

/// A login was checked.
pub(super) fn on_login(
    state: &mut Handshake,
    link: &Link,
    login: Result<Identity, LoginError>,
    out: &mut WriteBuf,
) -> Result<Step, Fault> {
    let Handshake::Login {
        mechanism, user, ..
    } = &*state
    else {
        return Ok(Step::Stay);
    };
    match login {
        Ok(identity) => {
            let seconds = link.limits.heartbeat.as_secs();
            let tune = wire::Tune {
                channel_max: link.limits.channels_max,
                frame_max: link.limits.frame_max_bytes,
                heartbeat: u16::try_from(seconds).unwrap_or(u16::MAX),
            };
            write_method(out.buf(), 0, &tune);
            *state = Handshake::TuneOk(identity);
            Ok(Step::Stay)
        }
        Err(error) => refuse_login(link, user, mechanism, error.reason()).map_err(Fault::from),
    }
}

/// What the client settles on; 0 leaves it to us, as the clients of old mean it.
fn tune_ok(link: &mut Link, tune: &wire::TuneOk) -> Result<(), Refusal> {
    let refuse = |text: String| Err(Refusal::new(ReplyCode::NotAllowed, text));
    let (most, min) = (link.limits.frame_max_bytes, FRAME_MIN_BYTES);
    link.frame_max = match tune.frame_max {
        0 => most,
        size if size > most => return refuse(format!("frame_max={size} > {most} max size")),
        size if size < min => return refuse(format!("frame_max={size} < {min} min size")),
        size => size,
    };
    let most = link.limits.channels_max;
    link.channel_max = match tune.channel_max {
        0 => most,
        channels if channels > most => {
            return refuse(format!("channel_max={channels} > {most} max value"));
        }
        channels => channels,
    };
    Ok(())
}

fn open_vhost(link: &Link, user: &Identity, name: ShortStr<'_>) -> Result<Live, Refusal> {
    let name = name.as_str("virtual-host")?;
    let vhost = link
        .core
        .vhost(name)
        .map_err(|error| errors::refusal(&error, ""))?;
    link.auth.enter(&user.user, name).map_err(|error| {
        link.core.metrics().permissions_denied.of(DOOR).inc();
        errors::denied(&error, "")
    })?;
    tracing::debug!(conn = link.conn, protocol = %DOOR, peer = %link.peer, user = %user.user, vhost = name, client = &*link.name, "connection open");
    Ok(Live::new(vhost, user.clone(), &link.name))
}
