//! The frames of `tests/frames/amqp091/*.hex`: read, understood and written back, byte for byte.
//!
//! A file holds frames under `[name]`, or `[name code]` when the frame is to be refused with that
//! reply code; `#` starts a comment, spaces group.

use std::fs;
use std::path::Path;

use super::super::content::ContentHeader;
use super::super::content::write_body_frames;
use super::super::content::write_content_header;
use super::super::error::CodecError;
use super::super::field::FieldTable;
use super::super::field::FieldValue;
use super::super::field::RawTable;
use super::super::frame::FrameKind;
use super::super::frame::RawFrame;
use super::super::frame::next_frame;
use super::super::frame::write_heartbeat;
use super::super::method::Method;
use super::super::method::MethodFrame;
use super::super::method::access;
use super::super::method::basic;
use super::super::method::channel;
use super::super::method::confirm;
use super::super::method::connection;
use super::super::method::exchange;
use super::super::method::queue;
use super::super::method::tx;
use super::super::method::write_method;
use super::super::properties::PropertyFields;
use super::super::text::LongStr;
use super::super::text::ShortStr;

pub(super) const FRAME_MAX: u32 = 131_072;

/// One frame of a file.
pub(super) struct Golden {
    pub(super) name: String,
    /// The reply code that refuses it.
    pub(super) refused: Option<u16>,
    pub(super) bytes: Vec<u8>,
}

/// Every frame of every file.
pub(super) fn all() -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frames/amqp091");
    let mut frames = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "hex") {
            frames.extend(parse(&fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(!frames.is_empty(), "no frames in {}", folder.display());
    frames
}

fn parse(text: &str) -> Vec<Golden> {
    let mut frames: Vec<Golden> = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap().trim();
        if let Some(head) = line.strip_prefix('[') {
            let mut words = head.strip_suffix(']').unwrap().split(' ');
            frames.push(Golden {
                name: words.next().unwrap().to_owned(),
                refused: words.next().map(|code| code.parse().unwrap()),
                bytes: Vec::new(),
            });
        } else if !line.is_empty() {
            let digits: String = line.split(' ').collect();
            assert_eq!(digits.len() % 2, 0, "{line}");
            let pairs = (0..digits.len()).step_by(2);
            let bytes = pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap());
            frames.last_mut().unwrap().bytes.extend(bytes);
        }
    }
    frames
}

fn golden(name: &str) -> Vec<u8> {
    let found = all().into_iter().find(|frame| frame.name == name);
    found.unwrap_or_else(|| panic!("no frame [{name}]")).bytes
}

/// Reads a frame to the last field, as a session does.
fn read_all(bytes: &[u8]) -> Result<RawFrame<'_>, CodecError> {
    let frame = next_frame(bytes, FRAME_MAX)?.expect("a whole frame");
    match frame.kind {
        FrameKind::Method => drop(Method::decode(frame.payload)?),
        FrameKind::Header => drop(ContentHeader::decode(frame.payload)?),
        FrameKind::Body | FrameKind::Heartbeat => {}
    }
    Ok(frame)
}

/// Holds that the frame of this name is the method, and the method this frame.
fn check(name: &str, expected: Method<'_>) {
    check_on(1, name, expected);
}

fn check_on(channel: u16, name: &str, expected: Method<'_>) {
    let bytes = golden(name);
    let frame = next_frame(&bytes, FRAME_MAX).unwrap().unwrap();
    assert_eq!(frame.wire_len(), bytes.len(), "{name}");
    assert_eq!(frame.channel, channel, "{name}");
    assert_eq!(Method::decode(frame.payload), Ok(expected));
    if !name.ends_with("latin1") {
        assert_eq!(expected.name(), name);
    }
    let mut out = Vec::new();
    write_method(&mut out, channel, &expected);
    assert_eq!(out, bytes, "{name}");
}

fn short(text: &str) -> ShortStr<'_> {
    ShortStr::try_from(text).unwrap()
}

fn long(bytes: &[u8]) -> LongStr<'_> {
    LongStr::new(bytes).unwrap()
}

fn text(text: &str) -> FieldValue {
    FieldValue::text(text)
}

#[test]
fn golden_connection_login() {
    use connection::ConnectionMethod as C;
    let capabilities = FieldTable::new().with("basic.nack", FieldValue::Bool(true));
    let server = FieldTable::new()
        .with("product", text("Viaduct"))
        .with("capabilities", FieldValue::Table(capabilities))
        .to_bytes()
        .unwrap();
    let start = connection::Start {
        version_major: 0,
        version_minor: 9,
        server_properties: RawTable::parse(&server).unwrap(),
        mechanisms: long(b"PLAIN AMQPLAIN"),
        locales: long(b"en_US"),
    };
    check_on(0, "connection.start", Method::Connection(C::Start(start)));

    let capabilities = FieldTable::new()
        .with("authentication_failure_close", FieldValue::Bool(true))
        .with("connection.blocked", FieldValue::Bool(true));
    let client = FieldTable::new()
        .with("product", text("Pika Python Client Library"))
        .with("capabilities", FieldValue::Table(capabilities))
        .to_bytes()
        .unwrap();
    let start_ok = connection::StartOk {
        client_properties: RawTable::parse(&client).unwrap(),
        mechanism: short("PLAIN"),
        response: long(b"\0guest\0guest"),
        locale: short("en_US"),
    };
    let start_ok = Method::Connection(C::StartOk(start_ok));
    check_on(0, "connection.start-ok", start_ok);

    let secure = connection::Secure {
        challenge: long(b"who?"),
    };
    check_on(
        0,
        "connection.secure",
        Method::Connection(C::Secure(secure)),
    );
    let secure_ok = connection::SecureOk {
        response: long(b"me"),
    };
    let secure_ok = Method::Connection(C::SecureOk(secure_ok));
    check_on(0, "connection.secure-ok", secure_ok);
}

#[test]
fn golden_connection_tune_and_open() {
    use connection::ConnectionMethod as C;
    let tune = connection::Tune {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat: 60,
    };
    check_on(0, "connection.tune", Method::Connection(C::Tune(tune)));
    let tune_ok = connection::TuneOk {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat: 60,
    };
    check_on(
        0,
        "connection.tune-ok",
        Method::Connection(C::TuneOk(tune_ok)),
    );
    let open = connection::Open {
        virtual_host: short("/"),
        capabilities: short(""),
        insist: true,
    };
    check_on(0, "connection.open", Method::Connection(C::Open(open)));
    let open_ok = C::OpenOk(connection::OpenOk::default());
    check_on(0, "connection.open-ok", Method::Connection(open_ok));
}

#[test]
fn golden_connection_end_and_extensions() {
    use connection::ConnectionMethod as C;
    let close = connection::Close {
        reply_code: 320,
        reply_text: short("CONNECTION_FORCED - broker is stopping"),
        class_id: 0,
        method_id: 0,
    };
    check_on(0, "connection.close", Method::Connection(C::Close(close)));
    let close_ok = C::CloseOk(connection::CloseOk {});
    check_on(0, "connection.close-ok", Method::Connection(close_ok));
    let blocked = C::Blocked(connection::Blocked {
        reason: short("low on memory"),
    });
    check_on(0, "connection.blocked", Method::Connection(blocked));
    let unblocked = C::Unblocked(connection::Unblocked {});
    check_on(0, "connection.unblocked", Method::Connection(unblocked));
    let update = C::UpdateSecret(connection::UpdateSecret {
        new_secret: long(b"token"),
        reason: short("expired"),
    });
    check_on(0, "connection.update-secret", Method::Connection(update));
    let updated = C::UpdateSecretOk(connection::UpdateSecretOk {});
    check_on(
        0,
        "connection.update-secret-ok",
        Method::Connection(updated),
    );
}

#[test]
fn golden_channel() {
    use channel::ChannelMethod as C;
    let check = |name, method| check(name, Method::Channel(method));
    check("channel.open", C::Open(channel::Open::default()));
    check("channel.open-ok", C::OpenOk(channel::OpenOk::default()));
    check("channel.flow", C::Flow(channel::Flow { active: true }));
    check(
        "channel.flow-ok",
        C::FlowOk(channel::FlowOk { active: false }),
    );
    check("channel.close-ok", C::CloseOk(channel::CloseOk {}));
    let close = channel::Close {
        reply_code: 404,
        reply_text: short("NOT_FOUND - no queue 'q' in vhost '/'"),
        class_id: 50,
        method_id: 10,
    };
    check_on(65_535, "channel.close", Method::Channel(C::Close(close)));
}

#[test]
fn golden_access() {
    use access::AccessMethod as A;
    let request = access::Request {
        realm: short("/data"),
        exclusive: false,
        passive: true,
        active: true,
        write: false,
        read: true,
    };
    check("access.request", Method::Access(A::Request(request)));
    let ok = access::RequestOk { ticket: 1 };
    check("access.request-ok", Method::Access(A::RequestOk(ok)));
}

#[test]
fn golden_exchange() {
    use exchange::ExchangeMethod as E;
    let check = |name, method| check(name, Method::Exchange(method));
    let lost = FieldTable::new().with("alternate-exchange", text("lost"));
    let lost = lost.to_bytes().unwrap();
    let declare = exchange::Declare {
        exchange: short("orders"),
        kind: short("topic"),
        durable: true,
        internal: true,
        arguments: RawTable::parse(&lost).unwrap(),
        ..exchange::Declare::default()
    };
    check("exchange.declare", E::Declare(declare));
    check("exchange.declare-ok", E::DeclareOk(exchange::DeclareOk {}));
    let delete = exchange::Delete {
        exchange: short("orders"),
        if_unused: true,
        ..exchange::Delete::default()
    };
    check("exchange.delete", E::Delete(delete));
    check("exchange.delete-ok", E::DeleteOk(exchange::DeleteOk {}));
    let bind = exchange::Bind {
        destination: short("to"),
        source: short("from"),
        routing_key: short("a.#"),
        ..exchange::Bind::default()
    };
    check("exchange.bind", E::Bind(bind));
    check("exchange.bind-ok", E::BindOk(exchange::BindOk {}));
    let unbind = exchange::Unbind {
        destination: short("to"),
        source: short("from"),
        routing_key: short("a.#"),
        nowait: true,
        ..exchange::Unbind::default()
    };
    check("exchange.unbind", E::Unbind(unbind));
    check("exchange.unbind-ok", E::UnbindOk(exchange::UnbindOk {}));
}

#[test]
fn golden_queue_declare_and_bind() {
    use queue::QueueMethod as Q;
    let check = |name, method| check(name, Method::Queue(method));
    let arguments = FieldTable::new()
        .with("x-message-ttl", FieldValue::I32(60_000))
        .with("x-queue-type", text("classic"))
        .to_bytes()
        .unwrap();
    let declare = queue::Declare {
        queue: short("orders"),
        durable: true,
        arguments: RawTable::parse(&arguments).unwrap(),
        ..queue::Declare::default()
    };
    check("queue.declare", Q::Declare(declare));
    let declare_ok = queue::DeclareOk {
        queue: short("orders"),
        message_count: 7,
        consumer_count: 2,
    };
    check("queue.declare-ok", Q::DeclareOk(declare_ok));
    let arguments = FieldTable::new()
        .with("x-match", text("any"))
        .with("size", FieldValue::I8(5))
        .to_bytes()
        .unwrap();
    let bind = queue::Bind {
        queue: short("orders"),
        exchange: short("amq.headers"),
        routing_key: short("k"),
        arguments: RawTable::parse(&arguments).unwrap(),
        ..queue::Bind::default()
    };
    check("queue.bind", Q::Bind(bind));
    check("queue.bind-ok", Q::BindOk(queue::BindOk {}));
    let unbind = queue::Unbind {
        queue: short("orders"),
        exchange: short("amq.topic"),
        routing_key: short("a.*"),
        ..queue::Unbind::default()
    };
    check("queue.unbind", Q::Unbind(unbind));
    check("queue.unbind-ok", Q::UnbindOk(queue::UnbindOk {}));
}

#[test]
fn golden_queue_purge_and_delete() {
    use queue::QueueMethod as Q;
    let check = |name, method| check(name, Method::Queue(method));
    let purge = queue::Purge {
        queue: short("orders"),
        nowait: true,
        ..queue::Purge::default()
    };
    check("queue.purge", Q::Purge(purge));
    let purge_ok = queue::PurgeOk { message_count: 7 };
    check("queue.purge-ok", Q::PurgeOk(purge_ok));
    let delete = queue::Delete {
        queue: short("orders"),
        if_unused: true,
        if_empty: true,
        ..queue::Delete::default()
    };
    check("queue.delete", Q::Delete(delete));
    let delete_ok = queue::DeleteOk { message_count: 7 };
    check("queue.delete-ok", Q::DeleteOk(delete_ok));
}

#[test]
fn golden_basic_consumers() {
    use basic::BasicMethod as B;
    let check = |name, method| check(name, Method::Basic(method));
    let qos = basic::Qos {
        prefetch_size: 0,
        prefetch_count: 100,
        global: true,
    };
    check("basic.qos", B::Qos(qos));
    check("basic.qos-ok", B::QosOk(basic::QosOk {}));
    let priority = FieldTable::new().with("x-priority", FieldValue::I32(10));
    let priority = priority.to_bytes().unwrap();
    let consumer_tag = short("c1");
    let consume = basic::Consume {
        queue: short("orders"),
        consumer_tag,
        no_ack: true,
        exclusive: true,
        arguments: RawTable::parse(&priority).unwrap(),
        ..basic::Consume::default()
    };
    check("basic.consume", B::Consume(consume));
    let consume_ok = basic::ConsumeOk { consumer_tag };
    check("basic.consume-ok", B::ConsumeOk(consume_ok));
    let cancel = basic::Cancel {
        consumer_tag,
        nowait: true,
    };
    check("basic.cancel", B::Cancel(cancel));
    let cancel_ok = basic::CancelOk { consumer_tag };
    check("basic.cancel-ok", B::CancelOk(cancel_ok));
}

#[test]
fn golden_basic_messages() {
    use basic::BasicMethod as B;
    let check = |name, method| check(name, Method::Basic(method));
    let publish = basic::Publish {
        exchange: short("amq.topic"),
        routing_key: short("orders.new"),
        mandatory: true,
        ..basic::Publish::default()
    };
    check("basic.publish", B::Publish(publish));
    let latin1 = basic::Publish {
        routing_key: ShortStr::new(b"caf\xe9").unwrap(),
        ..basic::Publish::default()
    };
    check("basic.publish-latin1", B::Publish(latin1));
    let returned = basic::Return {
        reply_code: 312,
        reply_text: short("NO_ROUTE"),
        exchange: short("amq.topic"),
        routing_key: short("lost"),
    };
    check("basic.return", B::Return(returned));
    let deliver = basic::Deliver {
        consumer_tag: short("c1"),
        delivery_tag: 0x0102_0304_0506_0708,
        redelivered: true,
        exchange: short("amq.topic"),
        routing_key: short("orders.new"),
    };
    check("basic.deliver", B::Deliver(deliver));
    let get = basic::Get {
        queue: short("orders"),
        no_ack: true,
        ..basic::Get::default()
    };
    check("basic.get", B::Get(get));
    let get_ok = basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: short(""),
        routing_key: short("orders"),
        message_count: 6,
    };
    check("basic.get-ok", B::GetOk(get_ok));
    check("basic.get-empty", B::GetEmpty(basic::GetEmpty::default()));
}

#[test]
fn golden_basic_settling() {
    use basic::BasicMethod as B;
    let check = |name, method| check(name, Method::Basic(method));
    let ack = basic::Ack {
        delivery_tag: 9,
        multiple: true,
    };
    check("basic.ack", B::Ack(ack));
    let reject = basic::Reject {
        delivery_tag: 9,
        requeue: true,
    };
    check("basic.reject", B::Reject(reject));
    let nack = basic::Nack {
        delivery_tag: 9,
        multiple: false,
        requeue: true,
    };
    check("basic.nack", B::Nack(nack));
    let recover_async = basic::RecoverAsync { requeue: true };
    check("basic.recover-async", B::RecoverAsync(recover_async));
    let recover = basic::Recover { requeue: true };
    check("basic.recover", B::Recover(recover));
    check("basic.recover-ok", B::RecoverOk(basic::RecoverOk {}));
}

#[test]
fn golden_confirm_and_tx() {
    use confirm::ConfirmMethod as C;
    use tx::TxMethod as T;
    let select = C::Select(confirm::Select { nowait: false });
    check("confirm.select", Method::Confirm(select));
    let select_ok = C::SelectOk(confirm::SelectOk {});
    check("confirm.select-ok", Method::Confirm(select_ok));
    let check = |name, method| check(name, Method::Tx(method));
    check("tx.select", T::Select(tx::Select {}));
    check("tx.select-ok", T::SelectOk(tx::SelectOk {}));
    check("tx.commit", T::Commit(tx::Commit {}));
    check("tx.commit-ok", T::CommitOk(tx::CommitOk {}));
    check("tx.rollback", T::Rollback(tx::Rollback {}));
    check("tx.rollback-ok", T::RollbackOk(tx::RollbackOk {}));
}

/// Holds that the header frame of this name has these fields, and the fields this frame.
fn check_header(name: &str, body_size: u64, fields: &PropertyFields<'_>) {
    let bytes = golden(name);
    let frame = next_frame(&bytes, FRAME_MAX).unwrap().unwrap();
    let header = ContentHeader::decode(frame.payload).unwrap();
    assert_eq!(header.body_size, body_size);
    assert_eq!(header.properties.fields(), *fields);
    let mut out = Vec::new();
    write_content_header(&mut out, 1, body_size, &fields.to_bytes());
    assert_eq!(out, bytes, "{name}");
}

#[test]
fn golden_content_headers() {
    check_header("header.none", 0, &PropertyFields::default());
    let persistent = PropertyFields {
        delivery_mode: Some(2),
        ..PropertyFields::default()
    };
    check_header("header.small", 5, &persistent);
    let retries = FieldTable::new().with("retries", FieldValue::I32(3));
    let retries = retries.to_bytes().unwrap();
    let all = PropertyFields {
        content_type: Some(short("application/json")),
        content_encoding: Some(short("gzip")),
        headers: Some(RawTable::parse(&retries).unwrap()),
        delivery_mode: Some(2),
        priority: Some(9),
        correlation_id: Some(short("corr")),
        reply_to: Some(short("replies")),
        expiration: Some(short("60000")),
        message_id: Some(short("m-1")),
        timestamp: Some(1_700_000_000),
        kind: Some(short("order")),
        user_id: Some(short("guest")),
        app_id: Some(short("shop")),
        cluster_id: Some(short("c")),
    };
    check_header("header.all", 1_048_576, &all);
}

#[test]
fn golden_header_table_of_every_tag() {
    let nested = FieldValue::Array(vec![
        FieldValue::I32(1),
        text("two"),
        FieldValue::Array(vec![FieldValue::Void]),
        FieldValue::Table(FieldTable::new()),
    ]);
    let void = FieldTable::new().with("void", FieldValue::Void);
    let headers = FieldTable::new()
        .with("bool", FieldValue::Bool(true))
        .with("i8", FieldValue::I8(i8::MIN))
        .with("u8", FieldValue::U8(u8::MAX))
        .with("i16", FieldValue::I16(i16::MIN))
        .with("i16-spec", FieldValue::I16Spec(-2))
        .with("u16", FieldValue::U16(u16::MAX))
        .with("i32", FieldValue::I32(i32::MIN))
        .with("u32", FieldValue::U32(u32::MAX))
        .with("i64", FieldValue::I64(i64::MIN))
        .with("i64-spec", FieldValue::I64Spec(-1))
        .with("f32", FieldValue::F32(1.5))
        .with("f64", FieldValue::F64(-2.5))
        .with(
            "decimal",
            FieldValue::Decimal {
                scale: 2,
                value: 315,
            },
        )
        .with("text", text("é"))
        .with("bytes", FieldValue::Bytes([0, 0xFF].into()))
        .with("time", FieldValue::Timestamp(1_700_000_000))
        .with("array", nested)
        .with("table", FieldValue::Table(void))
        .with("bool", FieldValue::Bool(false));
    let bytes = headers.to_bytes().unwrap();
    let fields = PropertyFields {
        headers: Some(RawTable::parse(&bytes).unwrap()),
        ..PropertyFields::default()
    };
    check_header("header.every-tag", 0, &fields);
    assert_eq!(FieldTable::decode(&bytes), Ok(headers));
}

#[test]
fn golden_body_and_heartbeat() {
    let mut out = Vec::new();
    write_body_frames(&mut out, 1, [&b"hello"[..]], FRAME_MAX);
    assert_eq!(out, golden("body.hello"));
    out.clear();
    write_heartbeat(&mut out);
    assert_eq!(out, golden("heartbeat"));
    let empty = golden("body.empty");
    let frame = next_frame(&empty, FRAME_MAX).unwrap().unwrap();
    assert_eq!((frame.kind, frame.payload), (FrameKind::Body, &b""[..]));
}

#[test]
fn every_golden_frame_is_accepted_or_refused_as_it_says() {
    for Golden {
        name,
        refused,
        bytes,
    } in all()
    {
        let answer = read_all(&bytes).map(|frame| frame.wire_len());
        match refused {
            None => assert_eq!(answer, Ok(bytes.len()), "{name}"),
            Some(code) => {
                let error = answer.expect_err(&name);
                assert_eq!(error.reply_code().code(), code, "{name}: {error}");
                assert!(error.reply_code().is_hard(), "{name}");
            }
        }
    }
}

#[test]
fn a_client_may_not_send_what_only_a_server_sends() {
    let declare = golden("queue.declare");
    let payload = &declare[7..declare.len() - 1];
    assert!(Method::decode_from_client(payload).is_ok());
    let declare_ok = golden("queue.declare-ok");
    let payload = &declare_ok[7..declare_ok.len() - 1];
    let error = Method::decode_from_client(payload).unwrap_err();
    assert_eq!(error, CodecError::WrongDirection("queue.declare-ok"));
    assert_eq!(error.reply_code().code(), 503);
}

#[test]
fn only_four_methods_carry_content() {
    let with_content: Vec<String> = all()
        .into_iter()
        .filter(|frame| frame.refused.is_none() && frame.bytes[0] == 1)
        .filter(|frame| {
            let payload = &frame.bytes[7..frame.bytes.len() - 1];
            Method::decode(payload).unwrap().has_content()
        })
        .map(|frame| frame.name)
        .collect();
    let mut names: Vec<&str> = with_content.iter().map(String::as_str).collect();
    names.sort_unstable();
    let expected = [
        "basic.deliver",
        "basic.get-ok",
        "basic.publish",
        "basic.publish-latin1",
        "basic.return",
    ];
    assert_eq!(names, expected);
}
