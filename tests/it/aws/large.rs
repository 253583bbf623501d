//! Bodies in files of their own, as SQS receives them: whole, or not at all.

use serde_json::json;
use viaduct::core::formats::Formats;
use viaduct::protocols::amqp091::mapping::Amqp091Head;
use viaduct::protocols::amqp091::mapping::FORMAT;
use viaduct::store::memory::MemoryStore;

use super::amqp::Client;
use super::harness::Broker;
use super::harness::any;
use super::harness::start_with;

const MIB: usize = 1024 * 1024;

/// Delivery mode 2.
const PERSISTENT: [u8; 3] = [0x10, 0, 2];

async fn start(memory_budget_bytes: u64) -> (Broker, Client, String) {
    let formats = Formats::new().with(FORMAT, std::sync::Arc::new(Amqp091Head));
    let broker = start_with(MemoryStore::new(1), any(), formats, memory_budget_bytes).await;
    let url = broker.create("q", json!({})).await;
    let client = Client::connect(&broker).await;
    (broker, client, url)
}

#[tokio::test]
async fn a_body_in_a_file_is_received_whole() {
    let (broker, mut client, url) = start(1 << 30).await;
    let body = "0123456789abcdef".repeat(2 * MIB / 16);
    client.publish("q", &PERSISTENT, body.as_bytes()).await;
    let received = broker.receive(&url).await.remove(0);
    assert!(received["Body"] == body.as_str());
    let handle = received["ReceiptHandle"].clone();
    let delete = json!({"QueueUrl": url, "ReceiptHandle": handle});
    broker.ok("DeleteMessage", delete).await;
    assert_eq!(broker.store.large_bodies(), 0);
    assert_eq!(
        broker.core.budget().used(),
        0,
        "nothing of it stays in memory"
    );
}

#[tokio::test]
async fn a_body_too_large_for_the_memory_is_left_to_other_doors() {
    let (broker, mut client, url) = start(12 * MIB as u64).await;
    let body = vec![b'x'; 2 * MIB];
    client.publish("q", &PERSISTENT, &body).await;
    let refusal = broker
        .refusal("ReceiveMessage", json!({"QueueUrl": url}))
        .await;
    let code = "AWS.SimpleQueueService.UnsupportedOperation";
    assert_eq!(refusal, (400, code.to_owned()));
    let got = client.get("q").await.expect("it went back");
    assert_eq!(got.body.len(), body.len());
}

#[tokio::test]
async fn a_damaged_body_is_not_received_and_nobody_takes_it_for_an_empty_queue() {
    let (broker, mut client, url) = start(1 << 30).await;
    client.publish("q", &PERSISTENT, &vec![b'x'; 2 * MIB]).await;
    client.publish("q", &PERSISTENT, b"whole").await;
    broker.store.damage_bodies(3);
    let received = broker.receive(&url).await;
    assert_eq!(received.len(), 1, "what was taken with it is whole");
    assert_eq!(received[0]["Body"], "whole");
    let refusal = broker
        .refusal("ReceiveMessage", json!({"QueueUrl": url}))
        .await;
    assert_eq!(refusal, (500, "InternalFailure".to_owned()));
    assert_eq!(broker.core.metrics().damaged.get(), 1);
    assert_eq!(broker.store.large_bodies(), 1);
    // What is leased may be settled.
    let handle = received[0]["ReceiptHandle"].clone();
    let delete = json!({"QueueUrl": url, "ReceiptHandle": handle});
    broker.ok("DeleteMessage", delete).await;
}
