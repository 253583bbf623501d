//! Every method, by name.

use crate::protocols::amqp091::codec::field::FieldTable;
use crate::protocols::amqp091::codec::field::FieldValue;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::frame::next_frame;
use crate::protocols::amqp091::codec::method::Method;
use crate::protocols::amqp091::codec::method::MethodFrame;
use crate::protocols::amqp091::codec::method::access;
use crate::protocols::amqp091::codec::method::basic;
use crate::protocols::amqp091::codec::method::channel;
use crate::protocols::amqp091::codec::method::confirm;
use crate::protocols::amqp091::codec::method::connection;
use crate::protocols::amqp091::codec::method::exchange;
use crate::protocols::amqp091::codec::method::queue;
use crate::protocols::amqp091::codec::method::tx;
use crate::protocols::amqp091::codec::method::write_method;
use crate::protocols::amqp091::codec::text::LongStr;
use crate::protocols::amqp091::codec::text::ShortStr;

use super::FRAME_MAX;
use super::golden;
use super::short;
use super::text;

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

fn long(bytes: &[u8]) -> LongStr<'_> {
    LongStr::new(bytes).unwrap()
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
