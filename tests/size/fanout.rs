//! A message for very many queues: what it takes in the log.

use std::sync::Arc;

use viaduct::core::model::batch::BatchBuilder;
use viaduct::core::model::batch::Draft;
use viaduct::core::model::batch::DraftBody;
use viaduct::core::model::ids::Lsn;
use viaduct::core::model::message::FormatId;
use viaduct::core::queue::settings::QueueSettings;

use crate::broker::Broker;
use crate::broker::Folder;
use crate::broker::NOW;

const QUEUES: u64 = 1_000;
const MESSAGES: u64 = 20;
const BODY: [u8; 1024] = [7; 1024];
const HEAD: [u8; 200] = [7; 200];

/// Bytes of the log's records for a message that goes to every queue, beside its body and head.
fn bytes_a_message(settings: fn() -> QueueSettings) -> u64 {
    let folder = Folder::new();
    let broker = folder.open();
    for n in 0..QUEUES {
        broker.declare(&format!("queue-{n}"), settings());
        broker.wait(broker.bind("amq.fanout", &format!("queue-{n}"), ""));
    }
    let before = broker.metrics.log_record_bytes.get();
    let mut last = None;
    for _ in 0..MESSAGES {
        last = publish(&broker);
    }
    broker.wait(last);
    let bytes = broker.metrics.log_record_bytes.get() - before;
    let of_message = (BODY.len() + HEAD.len()) as u64;
    bytes / MESSAGES - of_message
}

fn publish(broker: &Broker) -> Option<Lsn> {
    let mut draft = Draft::new(FormatId(1), &HEAD, "amq.fanout", b"orders.created");
    draft.body = DraftBody::Copied(&BODY);
    draft.durable = true;
    let mut builder = BatchBuilder::new();
    builder.push(draft);
    let batch = builder.finish(&Arc::default(), NOW, broker.core.budget());
    let route = broker
        .vhost
        .route("amq.fanout", b"orders.created", &mut || unreachable!());
    let route = route.unwrap();
    assert_eq!(route.queues().len() as u64, QUEUES);
    broker.core.publish(&batch, 0..1, &route, NOW).unwrap().lsn
}

/// Holds the record to 16 bytes a queue and 128 a message beside what the sender gave.
fn assert_small(kind: &str, settings: fn() -> QueueSettings) {
    let bytes = bytes_a_message(settings);
    println!("{kind}: {bytes} bytes a message beside body and head");
    assert!(bytes <= 16 * QUEUES + 128, "{bytes}");
}

#[test]
fn a_message_for_1000_queues_takes_16_bytes_a_queue_beside_itself() {
    assert_small("plain", || QueueSettings::new(true));
    assert_small("with a time to live", || QueueSettings {
        message_ttl_ms: Some(60_000),
        ..QueueSettings::new(true)
    });
    assert_small("with a delay", || QueueSettings {
        delay_ms: 5_000,
        ..QueueSettings::new(true)
    });
}
