//! Messages: sending, receiving, deleting, visibility, dead letters; and what answers wait for.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::json;
use viaduct::core::formats::Formats;
use viaduct::core::log::store::Store;
use viaduct::core::model::ids::Shard;
use viaduct::store::memory::MemoryStore;
use viaduct::telemetry::HttpRequest;
use viaduct::telemetry::Protocol;

use super::harness::any;
use super::harness::start;
use super::harness::start_on;
use super::harness::start_with;

/// Longer than any answer here takes, far below a test's patience.
const SOON: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_message_comes_out_as_it_went_in() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let attributes = json!({
        "text": {"DataType": "String.label", "StringValue": "gr\u{fc}\u{df}e"},
        "number": {"DataType": "Number", "StringValue": "-12345678901234567890.125"},
        "bytes": {"DataType": "Binary", "BinaryValue": "AP/+"},
    });
    let sent = broker
        .ok(
            "SendMessage",
            json!({
                "QueueUrl": url, "MessageBody": "a\r\n\t\u{1f600}", "MessageAttributes": attributes,
                "MessageSystemAttributes": {"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
                "MessageGroupId": "tenant",
            }),
        )
        .await;
    let message = &broker.receive(&url).await[0];
    assert_eq!(message["Body"], "a\r\n\t\u{1f600}");
    assert_eq!(message["MessageAttributes"], attributes);
    for (ours, theirs) in [
        ("MessageId", "MessageId"),
        ("MD5OfBody", "MD5OfMessageBody"),
        ("MD5OfMessageAttributes", "MD5OfMessageAttributes"),
    ] {
        assert_eq!(message[ours], sent[theirs]);
    }
    assert!(sent["MD5OfMessageSystemAttributes"].is_string());
    let system = &message["Attributes"];
    assert_eq!(system["ApproximateReceiveCount"], "1");
    assert_eq!(system["AWSTraceHeader"], "Root=1");
    assert_eq!(system["MessageGroupId"], "tenant");
    for name in [
        "SenderId",
        "SentTimestamp",
        "ApproximateFirstReceiveTimestamp",
    ] {
        assert!(system[name].is_string(), "{name}");
    }
    assert_eq!(
        system["SequenceNumber"],
        Value::Null,
        "standard queues have none"
    );
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_returned() {
    let broker = start().await;
    let url = broker.create("q", json!({"VisibilityTimeout": "0"})).await;
    let attributes = json!({"a": {"DataType": "String", "StringValue": "1"}, "b": {"DataType": "String", "StringValue": "2"}});
    broker
        .ok(
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes}),
        )
        .await;
    let bare = broker.ok("ReceiveMessage", json!({"QueueUrl": url})).await;
    let keys: Vec<_> = bare["Messages"][0]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["Body", "MD5OfBody", "MessageId", "ReceiptHandle"]);
    let old =
        json!({"QueueUrl": url, "AttributeNames": ["SenderId"], "MessageAttributeNames": ["a.*"]});
    let old = broker.ok("ReceiveMessage", old).await;
    assert_eq!(
        old["Messages"][0]["Attributes"].as_object().unwrap().len(),
        1
    );
    assert_eq!(
        old["Messages"][0]["MessageAttributes"],
        json!({"a": attributes["a"]})
    );
    // No key at all when there is nothing: clients test for it.
    broker.ok("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(
        broker.ok("ReceiveMessage", json!({"QueueUrl": url})).await,
        json!({})
    );
}

#[tokio::test]
async fn a_received_message_is_invisible_until_its_timeout_and_counted_then() {
    let broker = start().await;
    let url = broker.create("q", json!({"VisibilityTimeout": "1"})).await;
    broker.publish(&url, "x").await;
    let first = &broker.receive(&url).await[0];
    assert!(broker.receive(&url).await.is_empty());
    let second = &broker
        .receive_with(&url, json!({"WaitTimeSeconds": 5}))
        .await[0];
    assert_eq!(second["MessageId"], first["MessageId"]);
    assert_eq!(second["Attributes"]["ApproximateReceiveCount"], "2");
    assert_ne!(second["ReceiptHandle"], first["ReceiptHandle"]);
    let first_time = &first["Attributes"]["ApproximateFirstReceiveTimestamp"];
    assert_eq!(
        &second["Attributes"]["ApproximateFirstReceiveTimestamp"],
        first_time
    );
}

#[tokio::test]
async fn delete_works_with_an_old_handle_and_twice() {
    let broker = start().await;
    let url = broker.create("q", json!({"VisibilityTimeout": "0"})).await;
    broker.publish(&url, "x").await;
    let handle = broker.receive(&url).await[0]["ReceiptHandle"].clone();
    broker.receive(&url).await;
    for _ in 0..2 {
        broker
            .ok(
                "DeleteMessage",
                json!({"QueueUrl": url, "ReceiptHandle": handle}),
            )
            .await;
    }
    assert!(broker.receive(&url).await.is_empty());
}

#[tokio::test]
async fn visibility_can_be_shortened_extended_and_ended() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    broker.publish(&url, "x").await;
    let handle = broker.receive(&url).await[0]["ReceiptHandle"].clone();
    let change = |seconds: i64| json!({"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": seconds});
    broker.ok("ChangeMessageVisibility", change(43_200)).await;
    broker.ok("ChangeMessageVisibility", change(0)).await;
    let again = broker.receive(&url).await;
    assert_eq!(again[0]["Attributes"]["ApproximateReceiveCount"], "2");
    for seconds in [-1, 43_201] {
        assert_eq!(
            broker
                .refusal("ChangeMessageVisibility", change(seconds))
                .await
                .1,
            "InvalidParameterValue"
        );
    }
    let not_in_flight = broker.refusal("ChangeMessageVisibility", change(1)).await;
    assert_eq!(
        not_in_flight,
        (400, "AWS.SimpleQueueService.MessageNotInflight".to_owned())
    );
    broker
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": handle}),
        )
        .await;
    assert_eq!(
        broker.refusal("ChangeMessageVisibility", change(1)).await.1,
        "InvalidParameterValue"
    );
}

#[tokio::test]
async fn batches_answer_entry_by_entry() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let entries = json!([
        {"Id": "good", "MessageBody": "1"},
        {"Id": "bad", "MessageBody": "\u{1}"},
        {"Id": "late", "MessageBody": "2", "DelaySeconds": 900},
    ]);
    let sent = broker
        .ok(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": entries}),
        )
        .await;
    assert_eq!(sent["Successful"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&sent["Failed"][0]["Id"], &sent["Failed"][0]["Code"]),
        (&json!("bad"), &json!("InvalidMessageContents"))
    );
    let received = broker.receive(&url).await;
    assert_eq!(received.len(), 1);
    let handle = &received[0]["ReceiptHandle"];
    let entries = json!([
        {"Id": "a", "ReceiptHandle": handle, "VisibilityTimeout": 5},
        {"Id": "b", "ReceiptHandle": "garbage", "VisibilityTimeout": 5},
    ]);
    for operation in ["ChangeMessageVisibilityBatch", "DeleteMessageBatch"] {
        let done = broker
            .ok(operation, json!({"QueueUrl": url, "Entries": entries}))
            .await;
        assert_eq!(done["Successful"], json!([{"Id": "a"}]), "{operation}");
        assert_eq!(done["Failed"][0]["Code"], "ReceiptHandleIsInvalid");
        assert_eq!(done["Failed"][0]["SenderFault"], true);
        let empty = broker
            .refusal(operation, json!({"QueueUrl": url, "Entries": []}))
            .await;
        assert_eq!(empty.1, "AWS.SimpleQueueService.EmptyBatchRequest");
    }
}

#[tokio::test]
async fn sizes_are_limited_and_inclusive() {
    let broker = start().await;
    let url = broker
        .create("q", json!({"MaximumMessageSize": "1024"}))
        .await;
    broker.publish(&url, &"x".repeat(1_024)).await;
    let long = json!({"QueueUrl": url, "MessageBody": "x".repeat(1_025)});
    assert_eq!(
        broker.refusal("SendMessage", long).await.1,
        "InvalidParameterValue"
    );
    let url = broker.create("large", json!({})).await;
    broker.publish(&url, &"x".repeat(1_048_576)).await;
    assert_eq!(
        broker.receive(&url).await[0]["Body"]
            .as_str()
            .unwrap()
            .len(),
        1_048_576
    );
    let half = "x".repeat(524_289);
    let entries = json!([{"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": half}]);
    let refusal = broker
        .refusal(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": entries}),
        )
        .await;
    assert_eq!(refusal.1, "AWS.SimpleQueueService.BatchRequestTooLong");
    let one = json!([{"Id": "a", "MessageBody": "x".repeat(1_048_577)}]);
    let refusal = broker
        .refusal("SendMessageBatch", json!({"QueueUrl": url, "Entries": one}))
        .await;
    assert_eq!(refusal.1, "AWS.SimpleQueueService.BatchRequestTooLong");
}

#[tokio::test]
async fn receive_parameters_have_their_ranges() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    for (name, bad) in [
        ("MaxNumberOfMessages", [0, 11]),
        ("WaitTimeSeconds", [-1, 21]),
        ("VisibilityTimeout", [-1, 43_201]),
    ] {
        for value in bad {
            let mut input = json!({"QueueUrl": url});
            input[name] = json!(value);
            assert_eq!(
                broker.refusal("ReceiveMessage", input).await.1,
                "InvalidParameterValue",
                "{name} {value}"
            );
        }
    }
    let input = json!({"QueueUrl": url, "MessageSystemAttributeNames": ["Nope"]});
    assert_eq!(
        broker.refusal("ReceiveMessage", input).await.1,
        "InvalidAttributeName"
    );
}

#[tokio::test]
async fn a_delayed_message_comes_when_it_is_due() {
    let broker = start().await;
    let url = broker.create("q", json!({"DelaySeconds": "1"})).await;
    broker.publish(&url, "later").await;
    broker
        .ok(
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": "now", "DelaySeconds": 0}),
        )
        .await;
    assert_eq!(broker.receive(&url).await[0]["Body"], "now");
    assert_eq!(
        broker
            .receive_with(&url, json!({"WaitTimeSeconds": 5}))
            .await[0]["Body"],
        "later"
    );
}

#[tokio::test]
async fn a_long_poll_wakes_for_a_message_and_ends_empty_without_one() {
    let broker = start().await;
    let url = broker
        .create("q", json!({"ReceiveMessageWaitTimeSeconds": "20"}))
        .await;
    let (messages, _) = tokio::join!(broker.receive(&url), broker.publish(&url, "x"));
    assert_eq!(messages[0]["Body"], "x");
    assert!(
        broker
            .receive_with(&url, json!({"WaitTimeSeconds": 1}))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn each_message_wakes_one_of_many_polls() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let poll = || broker.receive_with(&url, json!({"WaitTimeSeconds": 20}));
    let send = async {
        for body in ["1", "2", "3"] {
            broker.publish(&url, body).await;
        }
    };
    let (a, b, c, ()) = tokio::join!(poll(), poll(), poll(), send);
    let mut bodies: Vec<String> = [a, b, c]
        .iter()
        .flatten()
        .map(|message| message["Body"].as_str().unwrap().to_owned())
        .collect();
    bodies.sort();
    // A poll may find two at once; the others then wait on, so each must have been woken for one.
    assert_eq!(bodies, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_poll_whose_client_hung_up_takes_no_message() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    for _ in 0..3 {
        let poll = broker.receive_with(&url, json!({"WaitTimeSeconds": 20}));
        assert!(tokio::time::timeout(SOON, poll).await.is_err());
    }
    let waiting = broker.core.metrics().consumers.of(Protocol::Sqs);
    while waiting.get() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    broker.publish(&url, "x").await;
    assert_eq!(broker.receive(&url).await[0]["Body"], "x");
}

#[tokio::test]
async fn the_receive_that_would_be_one_too_many_moves_the_message() {
    let broker = start().await;
    let dead = broker.create("dead", json!({})).await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let policy = json!({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2}).to_string();
    let url = broker
        .create(
            "q",
            json!({"VisibilityTimeout": "0", "RedrivePolicy": policy}),
        )
        .await;
    let attributes = json!({"a": {"DataType": "String", "StringValue": "1"}});
    let sent = json!({"QueueUrl": url, "MessageBody": "x", "MessageAttributes": attributes});
    let sent = broker.ok("SendMessage", sent).await;
    for _ in 0..2 {
        assert_eq!(broker.receive(&url).await.len(), 1);
    }
    assert!(broker.receive(&url).await.is_empty());
    let message = &broker.receive(&dead).await[0];
    assert_eq!(
        (&message["Body"], &message["MessageId"]),
        (&json!("x"), &sent["MessageId"])
    );
    assert_eq!(message["MessageAttributes"], attributes);
    assert_eq!(message["Attributes"]["DeadLetterQueueSourceArn"], arn("q"));
}

#[tokio::test]
async fn every_changing_call_answers_only_once_it_is_on_disk() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    broker.publish(&url, "kept").await;
    broker.publish(&url, "moved").await;
    let received = broker.receive(&url).await;
    let (one, two) = (&received[0]["ReceiptHandle"], &received[1]["ReceiptHandle"]);
    for (operation, input) in [
        ("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"})),
        (
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": [{"Id": "a", "MessageBody": "x"}]}),
        ),
        (
            "ChangeMessageVisibility",
            json!({"QueueUrl": url, "ReceiptHandle": two, "VisibilityTimeout": 900}),
        ),
        (
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": one}),
        ),
        (
            "DeleteMessageBatch",
            json!({"QueueUrl": url, "Entries": [{"Id": "a", "ReceiptHandle": two}]}),
        ),
        (
            "SetQueueAttributes",
            json!({"QueueUrl": url, "Attributes": {"DelaySeconds": "1"}}),
        ),
        ("CreateQueue", json!({"QueueName": "new"})),
        ("PurgeQueue", json!({"QueueUrl": url})),
        ("DeleteQueue", json!({"QueueUrl": url})),
    ] {
        broker.store.hold();
        let call = broker.json(operation, input);
        tokio::pin!(call);
        let early = tokio::time::timeout(SOON, &mut call).await;
        assert!(
            early.is_err(),
            "{operation} answered before its record was on disk"
        );
        broker.store.release();
        assert_eq!(call.await.status, 200, "{operation}");
    }
    // What changes nothing waits for nothing.
    broker.create("q2", json!({})).await;
    broker.store.hold();
    broker.receive(&broker.url("q2")).await;
}

#[tokio::test]
async fn a_failed_log_confirms_nothing() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    broker.store.hold();
    let send = broker.json("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"}));
    let (answer, ()) = tokio::join!(send, async {
        while broker.store.space().pending_bytes == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        broker.store.fail(Shard(0));
    });
    assert_eq!(answer.refusal(), (500, "InternalFailure".to_owned()));
}

#[tokio::test]
async fn leases_and_handles_survive_a_restart() {
    let broker = start().await;
    let url = broker
        .create("q", json!({"VisibilityTimeout": "600"}))
        .await;
    broker.publish(&url, "held").await;
    broker.publish(&url, "deleted").await;
    let received = broker.receive(&url).await;
    let input = json!({"QueueUrl": url, "ReceiptHandle": received[1]["ReceiptHandle"]});
    broker.ok("DeleteMessage", input).await;

    let again = start_on(broker.store.reopened(), any(), Formats::new()).await;
    let url = again.url("q");
    assert!(
        again.receive(&url).await.is_empty(),
        "leased to nobody, so the lease outlives the broker"
    );
    let handle = &received[0]["ReceiptHandle"];
    let input = json!({"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 0});
    again.ok("ChangeMessageVisibility", input).await;
    let message = &again.receive(&url).await[0];
    assert_eq!(
        (&message["Body"], &message["MessageId"]),
        (&json!("held"), &received[0]["MessageId"])
    );
    again
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": handle}),
        )
        .await;
    again
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": received[1]["ReceiptHandle"]}),
        )
        .await;
    assert_eq!(
        again
            .attribute(&url, "ApproximateNumberOfMessagesNotVisible")
            .await,
        "0"
    );
}

#[tokio::test]
async fn alarms_refuse_senders_while_receivers_drain() {
    let broker = start_with(MemoryStore::new(1), any(), Formats::new(), 64 * 1024).await;
    let url = broker.create("q", json!({})).await;
    broker.publish(&url, &"x".repeat(100_000)).await;
    let send = json!({"QueueUrl": url, "MessageBody": "y"});
    assert_eq!(
        broker.refusal("SendMessage", send.clone()).await,
        (503, "ServiceUnavailable".to_owned())
    );
    let handle = broker.receive(&url).await[0]["ReceiptHandle"].clone();
    broker
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": handle}),
        )
        .await;
    broker.ok("SendMessage", send.clone()).await;
    broker.core.set_disk_alarm(true);
    assert_eq!(broker.refusal("SendMessage", send).await.0, 503);
}

#[tokio::test]
async fn a_handle_of_another_queue_is_invalid() {
    let broker = start().await;
    let (one, two) = (
        broker.create("one", json!({})).await,
        broker.create("two", json!({})).await,
    );
    broker.publish(&one, "x").await;
    let handle = broker.receive(&one).await[0]["ReceiptHandle"].clone();
    let refusal = broker
        .refusal(
            "DeleteMessage",
            json!({"QueueUrl": two, "ReceiptHandle": handle}),
        )
        .await;
    assert_eq!(refusal, (400, "ReceiptHandleIsInvalid".to_owned()));
}

#[tokio::test]
async fn what_happens_is_counted() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    broker.publish(&url, "12345").await;
    let handle = broker.receive(&url).await[0]["ReceiptHandle"].clone();
    broker
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": handle}),
        )
        .await;
    broker
        .refusal(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": "x"}),
        )
        .await;
    let metrics = broker.core.metrics();
    for (name, counter, expected) in [
        ("published", &metrics.published, 1),
        ("published_bytes", &metrics.published_bytes, 5),
        ("confirmed", &metrics.confirmed, 1),
        ("delivered", &metrics.delivered, 1),
        ("delivered_bytes", &metrics.delivered_bytes, 5),
        ("acknowledged", &metrics.acknowledged, 1),
    ] {
        assert_eq!(counter.of(Protocol::Sqs).get(), expected, "{name}");
    }
    for (status, expected) in [(200, 1), (400, 1)] {
        let request = HttpRequest {
            operation: "DeleteMessage",
            status,
        };
        assert_eq!(
            metrics.http_requests.get_or_create(&request).get(),
            expected,
            "{status}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_senders_and_receivers_lose_and_double_nothing() {
    const SENDERS: usize = 6;
    const BATCHES: usize = 10;
    let broker = Arc::new(start().await);
    let url = broker
        .create("q", json!({"VisibilityTimeout": "600"}))
        .await;
    let mut tasks = Vec::new();
    for sender in 0..SENDERS {
        let (broker, url) = (Arc::clone(&broker), url.clone());
        let runtime = broker.runtime.clone();
        tasks.push(runtime.spawn(async move {
            for batch in 0..BATCHES {
                let entries: Vec<Value> = (0..10)
                    .map(|n| json!({"Id": n.to_string(), "MessageBody": format!("{sender}-{batch}-{n}")}))
                    .collect();
                let sent = broker.ok("SendMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
                assert_eq!(sent["Successful"].as_array().unwrap().len(), 10);
            }
            Vec::new()
        }));
    }
    for _ in 0..SENDERS {
        let (broker, url) = (Arc::clone(&broker), url.clone());
        let runtime = broker.runtime.clone();
        tasks.push(runtime.spawn(async move {
            let mut bodies = Vec::new();
            loop {
                let messages = broker.receive_with(&url, json!({"WaitTimeSeconds": 2})).await;
                if messages.is_empty() {
                    return bodies;
                }
                let handle = |(n, message): (usize, &Value)| json!({"Id": n.to_string(), "ReceiptHandle": message["ReceiptHandle"]});
                let entries: Vec<Value> = messages.iter().enumerate().map(handle).collect();
                broker.ok("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
                bodies.extend(messages.iter().map(|message| message["Body"].as_str().unwrap().to_owned()));
            }
        }));
    }
    let mut received = Vec::new();
    for task in tasks {
        received.extend(task.await.unwrap());
    }
    received.sort();
    let before = received.len();
    received.dedup();
    assert_eq!(
        (before, received.len()),
        (SENDERS * BATCHES * 10, SENDERS * BATCHES * 10)
    );
    assert_eq!(
        broker
            .attribute(&url, "ApproximateNumberOfMessagesNotVisible")
            .await,
        "0"
    );
}
