//! lapin, the AMQP 0-9-1 client for Rust: the ten steps.
//!
//! lapin names every field-table type, so this is where each of the seventeen that it has is shown to come back as it went.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use lapin::BasicProperties;
use lapin::Channel;
use lapin::Confirmation;
use lapin::Connection;
use lapin::ConnectionProperties;
use lapin::ExchangeKind;
use lapin::message::BasicGetMessage;
use lapin::options::*;
use lapin::types::AMQPValue;
use lapin::types::DecimalValue;
use lapin::types::FieldArray;
use lapin::types::FieldTable;
use lapin::types::ShortString;
use viaduct_peers::Broker;
use viaduct_peers::End;

const COUNT: usize = 1000;
const PERSISTENT: u8 = 2;
const DURABLE: QueueDeclareOptions = QueueDeclareOptions {
    passive: false,
    durable: true,
    exclusive: false,
    auto_delete: false,
    nowait: false,
};

async fn connect(broker: &Broker) -> (Connection, Channel) {
    let connection = Connection::connect(&broker.amqp_url(), ConnectionProperties::default())
        .await
        .expect("the broker accepts lapin");
    let channel = connection.create_channel().await.unwrap();
    channel
        .confirm_select(ConfirmSelectOptions::default())
        .await
        .unwrap();
    (connection, channel)
}

async fn declare(channel: &Channel, queue: &str) {
    channel
        .queue_declare(queue.into(), DURABLE, FieldTable::default())
        .await
        .unwrap();
}

/// Publishes to the default exchange and returns what the broker confirmed.
async fn publish(
    channel: &Channel,
    queue: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Confirmation {
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    channel
        .basic_publish("".into(), queue.into(), options, body, properties)
        .await
        .unwrap()
        .await
        .unwrap()
}

async fn publish_durable(channel: &Channel, queue: &str, body: &[u8]) {
    let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
    let confirmed = publish(channel, queue, body, properties).await;
    assert_eq!(confirmed, Confirmation::Ack(None));
}

async fn get(channel: &Channel, queue: &str) -> BasicGetMessage {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let got = channel
            .basic_get(queue.into(), BasicGetOptions::default())
            .await
            .unwrap();
        if let Some(message) = got {
            return message;
        }
        assert!(Instant::now() < deadline, "no message in {queue}");
    }
}

#[tokio::test]
async fn connect_and_close_in_order() {
    let broker = Broker::start();
    let (connection, _channel) = connect(&broker).await;
    assert!(connection.status().connected());
    connection.close(200, "bye".into()).await.unwrap();
}

#[tokio::test]
async fn declare_bind_and_mandatory_return() {
    let broker = Broker::start();
    let (_connection, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare(
            "x".into(),
            ExchangeKind::Topic,
            durable,
            FieldTable::default(),
        )
        .await
        .unwrap();
    channel
        .queue_bind(
            "q".into(),
            "x".into(),
            "a.*".into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    for (key, is_routed) in [("a.b", true), ("b.a", false)] {
        let confirmed = channel
            .basic_publish(
                "x".into(),
                key.into(),
                mandatory,
                b"m",
                BasicProperties::default(),
            )
            .await
            .unwrap()
            .await
            .unwrap();
        match confirmed {
            Confirmation::Ack(None) => assert!(is_routed, "{key} is confirmed without a return"),
            Confirmation::Ack(Some(returned)) => {
                assert!(!is_routed);
                assert_eq!(returned.reply_code, 312);
                assert_eq!(returned.reply_text.as_str(), "NO_ROUTE");
            }
            other => unreachable!("{key}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_thousand_are_confirmed_and_consumed_in_order() {
    let broker = Broker::start();
    let (_connection, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    let mut confirms = Vec::with_capacity(COUNT);
    for n in 0..COUNT {
        let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let confirm = channel
            .basic_publish(
                "".into(),
                "q".into(),
                BasicPublishOptions::default(),
                n.to_string().as_bytes(),
                properties,
            )
            .await
            .unwrap();
        confirms.push(confirm);
    }
    for confirm in confirms {
        assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    }

    channel
        .basic_qos(50, BasicQosOptions::default())
        .await
        .unwrap();
    let mut consumer = channel
        .basic_consume(
            "q".into(),
            "tag".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    for n in 0..COUNT {
        let delivery = tokio::time::timeout(Duration::from_secs(10), consumer.next());
        let delivery = delivery.await.expect("it arrives").unwrap().unwrap();
        assert_eq!(delivery.data, n.to_string().as_bytes());
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn ack_nack_and_redelivery() {
    let broker = Broker::start();
    let (_connection, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    publish_durable(&channel, "q", b"1").await;
    publish_durable(&channel, "q", b"2").await;
    let (first, second) = (get(&channel, "q").await, get(&channel, "q").await);
    assert!(!first.delivery.redelivered);
    let requeue = BasicNackOptions {
        multiple: false,
        requeue: true,
    };
    first.nack(requeue).await.unwrap();
    second.ack(BasicAckOptions::default()).await.unwrap();
    let again = get(&channel, "q").await;
    assert_eq!(
        (again.delivery.redelivered, &again.data[..]),
        (true, &b"1"[..])
    );
    again
        .reject(BasicRejectOptions { requeue: false })
        .await
        .unwrap();
    let left = channel
        .basic_get("q".into(), BasicGetOptions::default())
        .await
        .unwrap();
    assert!(left.is_none());
}

#[tokio::test]
async fn a_large_body_crosses_many_frames() {
    let broker = Broker::start();
    let (_connection, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    let body: Vec<u8> = (0..=255).cycle().take(4 * 1024 * 1024).collect();
    publish_durable(&channel, "q", &body).await;
    assert!(get(&channel, "q").await.data == body, "the body comes back");
}

/// One value of each field-table type, nested ones included.
fn every_type() -> FieldTable {
    let mut inner = FieldTable::default();
    inner.insert("deep".into(), AMQPValue::LongString("value".into()));
    let list = FieldArray::from(vec![
        AMQPValue::ShortInt(1),
        AMQPValue::LongString("two".into()),
        AMQPValue::FieldTable(inner.clone()),
    ]);
    let decimal = DecimalValue {
        scale: 5,
        value: 314_159,
    };
    let values = [
        ("t", AMQPValue::Boolean(true)),
        ("b", AMQPValue::ShortShortInt(-7)),
        ("B", AMQPValue::ShortShortUInt(200)),
        ("s", AMQPValue::ShortInt(-30_000)),
        ("u", AMQPValue::ShortUInt(60_000)),
        ("I", AMQPValue::LongInt(-2_000_000_000)),
        ("i", AMQPValue::LongUInt(4_000_000_000)),
        ("l", AMQPValue::LongLongInt(i64::MIN)),
        ("f", AMQPValue::Float(0.5)),
        ("d", AMQPValue::Double(0.1)),
        ("D", AMQPValue::DecimalValue(decimal)),
        ("S", AMQPValue::LongString("grüße, 世界".into())),
        ("A", AMQPValue::FieldArray(list)),
        ("T", AMQPValue::Timestamp(1_709_209_815)),
        ("F", AMQPValue::FieldTable(inner)),
        ("x", AMQPValue::ByteArray(vec![0, 255, 254].into())),
        ("V", AMQPValue::Void),
    ];
    let named: BTreeMap<ShortString, AMQPValue> = values
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    FieldTable::from(named)
}

#[tokio::test]
async fn every_property_and_field_type_comes_back() {
    let broker = Broker::start();
    let (_connection, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    let sent = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("gzip".into())
        .with_headers(every_type())
        .with_delivery_mode(PERSISTENT)
        .with_priority(3)
        .with_correlation_id("correlation".into())
        .with_reply_to("replies".into())
        .with_expiration("3600000".into())
        .with_message_id("message-1".into())
        .with_timestamp(1_709_209_815)
        .with_type("order.created".into())
        .with_user_id("guest".into())
        .with_app_id("suite".into())
        .with_cluster_id("cluster".into());
    let confirmed = publish(&channel, "q", b"{}", sent.clone()).await;
    assert_eq!(confirmed, Confirmation::Ack(None));
    assert_eq!(get(&channel, "q").await.properties, sent);
}

#[tokio::test]
async fn error_texts_are_rabbitmqs() {
    let broker = Broker::start();
    let (connection, channel) = connect(&broker).await;
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let missing = channel
        .queue_declare("missing".into(), passive, FieldTable::default())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("NOT_FOUND - no queue 'missing' in vhost '/'"),
        "{missing}"
    );

    let channel = connection.create_channel().await.unwrap();
    declare(&channel, "q").await;
    let transient = QueueDeclareOptions::default();
    let inequivalent = channel
        .queue_declare("q".into(), transient, FieldTable::default())
        .await
        .unwrap_err()
        .to_string();
    let text = "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'false' but current is 'true'";
    assert!(inequivalent.contains(text), "{inequivalent}");
}

async fn durable_messages_survive(how: End) {
    let mut broker = Broker::start();
    let (_before, channel) = connect(&broker).await;
    declare(&channel, "q").await;
    publish_durable(&channel, "q", b"kept").await;
    broker.restart(how);
    let (_after, channel) = connect(&broker).await;
    assert_eq!(get(&channel, "q").await.data, b"kept");
}

#[tokio::test]
async fn durable_messages_survive_a_clean_restart() {
    durable_messages_survive(End::Terminate).await;
}

#[tokio::test]
async fn durable_messages_survive_a_kill() {
    durable_messages_survive(End::Kill).await;
}
