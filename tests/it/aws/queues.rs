//! Queues: making, finding, listing, changing, purging, deleting.

use serde_json::Value;
use serde_json::json;
use viaduct::aws::config::AwsConfig;
use viaduct::core::declare::Declared;
use viaduct::core::formats::Formats;
use viaduct::core::model::names::QueueName;
use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::settings::QueueSettings;
use viaduct::store::memory::MemoryStore;

use super::harness::Broker;
use super::harness::any;
use super::harness::start;
use super::harness::start_on;

/// A queue as another door declares it.
fn declare(broker: &Broker, name: &str, durable: bool) {
    let vhost = broker.core.vhost("/").unwrap();
    let name = QueueName::parse(name).unwrap();
    let now = CoreTime::from_ms(broker.clock.now_ms());
    let declared = broker
        .core
        .declare_queue(&vhost, &name, || QueueSettings::new(durable), now)
        .unwrap();
    assert!(matches!(declared.value, Declared::Created(_)));
}

#[tokio::test]
async fn creating_again_compares_only_what_is_given() {
    let broker = start().await;
    let url = broker
        .create("q", json!({"VisibilityTimeout": "45", "DelaySeconds": "3"}))
        .await;
    assert_eq!(url, broker.url("q"));
    for same in [
        json!({}),
        json!({"DelaySeconds": "3"}),
        json!({"MaximumMessageSize": "1048576"}),
    ] {
        assert_eq!(broker.create("q", same).await, url);
    }
    for other in [
        json!({"DelaySeconds": "4"}),
        json!({"MessageRetentionPeriod": "60"}),
        json!({"Policy": "{}"}),
    ] {
        let refusal = broker
            .refusal(
                "CreateQueue",
                json!({"QueueName": "q", "Attributes": other}),
            )
            .await;
        assert_eq!(refusal, (400, "QueueAlreadyExists".to_owned()));
    }
}

#[tokio::test]
async fn attributes_are_stored_returned_and_changed() {
    let broker = start().await;
    let url = broker
        .create(
            "q",
            json!({"KmsMasterKeyId": "alias/x", "Policy": "{\"a\":1}"}),
        )
        .await;
    let all = broker
        .ok(
            "GetQueueAttributes",
            json!({"QueueUrl": url, "AttributeNames": ["All"]}),
        )
        .await;
    for (name, value) in [
        ("VisibilityTimeout", "30"),
        ("MaximumMessageSize", "1048576"),
        ("MessageRetentionPeriod", "345600"),
        ("DelaySeconds", "0"),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("ApproximateNumberOfMessages", "0"),
        ("ApproximateNumberOfMessagesNotVisible", "0"),
        ("ApproximateNumberOfMessagesDelayed", "0"),
        ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:q"),
        ("KmsMasterKeyId", "alias/x"),
        ("KmsDataKeyReusePeriodSeconds", "300"),
        ("Policy", "{\"a\":1}"),
    ] {
        assert_eq!(all["Attributes"][name], value, "{name}");
    }
    let set = json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "0", "Policy": ""}});
    broker.ok("SetQueueAttributes", set).await;
    assert_eq!(broker.attribute(&url, "VisibilityTimeout").await, "0");
    assert_eq!(broker.attribute(&url, "Policy").await, Value::Null);
    let some = json!({"QueueUrl": url, "AttributeNames": ["QueueArn", "DelaySeconds"]});
    let some = broker.ok("GetQueueAttributes", some).await;
    assert_eq!(some["Attributes"].as_object().unwrap().len(), 2);
    assert_eq!(
        broker
            .ok("GetQueueAttributes", json!({"QueueUrl": url}))
            .await,
        json!({})
    );
}

#[tokio::test]
async fn names_and_attributes_are_checked_as_aws_checks_them() {
    let broker = start().await;
    for (input, code) in [
        (json!({}), "MissingParameter"),
        (json!({"QueueName": ""}), "InvalidParameterValue"),
        (json!({"QueueName": "a.b"}), "InvalidParameterValue"),
        (
            json!({"QueueName": "q", "Attributes": {"Foo": "1"}}),
            "InvalidAttributeName",
        ),
        (
            json!({"QueueName": "q", "Attributes": {"DelaySeconds": "901"}}),
            "InvalidAttributeValue",
        ),
        (
            json!({"QueueName": "q", "Attributes": {"FifoQueue": "false"}}),
            "InvalidAttributeName",
        ),
        (
            json!({"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true"}}),
            "AWS.SimpleQueueService.UnsupportedOperation",
        ),
    ] {
        assert_eq!(
            broker.refusal("CreateQueue", input.clone()).await,
            (400, code.to_owned()),
            "{input}"
        );
    }
    let url = broker.create("q", json!({})).await;
    let unknown = json!({"QueueUrl": url, "AttributeNames": ["Nope"]});
    assert_eq!(
        broker.refusal("GetQueueAttributes", unknown).await.1,
        "InvalidAttributeName"
    );
    assert_eq!(
        broker
            .refusal("DeleteQueue", json!({"QueueUrl": "x"}))
            .await,
        (404, "InvalidAddress".to_owned())
    );
}

#[tokio::test]
async fn lists_come_in_pages_by_name() {
    let broker = start().await;
    for name in ["b-1", "a-2", "a-1", "a-3"] {
        broker.create(name, json!({})).await;
    }
    let urls = |names: &[&str]| {
        json!(
            names
                .iter()
                .map(|name| broker.url(name))
                .collect::<Vec<_>>()
        )
    };
    assert_eq!(
        broker.ok("ListQueues", json!({})).await["QueueUrls"],
        urls(&["a-1", "a-2", "a-3", "b-1"])
    );
    let first = broker
        .ok(
            "ListQueues",
            json!({"QueueNamePrefix": "a", "MaxResults": 2}),
        )
        .await;
    assert_eq!(first["QueueUrls"], urls(&["a-1", "a-2"]));
    let next = json!({"QueueNamePrefix": "a", "MaxResults": 2, "NextToken": first["NextToken"]});
    assert_eq!(
        broker.ok("ListQueues", next).await,
        json!({"QueueUrls": urls(&["a-3"])})
    );
    assert_eq!(
        broker
            .ok("ListQueues", json!({"QueueNamePrefix": "x"}))
            .await,
        json!({})
    );
    for most in [0, 1001] {
        assert_eq!(
            broker
                .refusal("ListQueues", json!({"MaxResults": most}))
                .await
                .1,
            "InvalidParameterValue"
        );
    }
    assert_eq!(
        broker
            .refusal("ListQueues", json!({"NextToken": "%"}))
            .await
            .1,
        "InvalidParameterValue"
    );
}

#[tokio::test]
async fn a_queue_of_another_door_is_found_whatever_its_name() {
    let broker = start().await;
    declare(&broker, "plant/7 \u{e4}", true);
    let url = broker
        .ok("GetQueueUrl", json!({"QueueName": "plant/7 \u{e4}"}))
        .await["QueueUrl"]
        .clone();
    assert_eq!(url, broker.url("plant%2F7%20%C3%A4"));
    let url = url.as_str().unwrap();
    broker.publish(url, "x").await;
    assert_eq!(broker.receive(url).await[0]["Body"], "x");
    assert_eq!(
        broker.attribute(url, "QueueArn").await,
        "arn:aws:sqs:us-east-1:000000000000:plant/7 \u{e4}"
    );
}

#[tokio::test]
async fn sqs_sends_only_to_durable_queues_and_create_queue_makes_one_durable() {
    let broker = start().await;
    declare(&broker, "q", false);
    let send = json!({"QueueUrl": broker.url("q"), "MessageBody": "x"});
    let refusal = broker.refusal("SendMessage", send.clone()).await;
    assert_eq!(
        refusal,
        (
            400,
            "AWS.SimpleQueueService.UnsupportedOperation".to_owned()
        )
    );
    broker.create("q", json!({"VisibilityTimeout": "7"})).await;
    broker.ok("SendMessage", send).await;
    assert_eq!(
        broker
            .attribute(&broker.url("q"), "VisibilityTimeout")
            .await,
        "7"
    );

    let again = start_on(broker.store.reopened(), any(), Formats::new()).await;
    let url = again.url("q");
    assert_eq!(again.attribute(&url, "VisibilityTimeout").await, "7");
    assert_eq!(again.receive(&url).await[0]["Body"], "x");
}

#[tokio::test]
async fn a_redrive_policy_needs_a_target_that_allows_it() {
    let broker = start().await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    let policy = |name: &str| json!({"RedrivePolicy": json!({"deadLetterTargetArn": arn(name), "maxReceiveCount": 2}).to_string()});
    let create =
        |name: &str, attributes: Value| json!({"QueueName": name, "Attributes": attributes});
    declare(&broker, "transient", false);
    assert_eq!(
        broker
            .refusal("CreateQueue", create("q", policy("transient")))
            .await
            .1,
        "InvalidParameterValue"
    );
    assert_eq!(
        broker
            .refusal("CreateQueue", create("q", policy("dead")))
            .await
            .1,
        "InvalidParameterValue"
    );
    let allow = json!({"redrivePermission": "byQueue", "sourceQueueArns": [arn("q")]}).to_string();
    broker
        .create("dead", json!({"RedriveAllowPolicy": allow}))
        .await;
    let url = broker.create("q", policy("dead")).await;
    assert_eq!(
        broker.attribute(&url, "RedrivePolicy").await,
        policy("dead")["RedrivePolicy"]
    );
    assert_eq!(
        broker
            .refusal("CreateQueue", create("other", policy("dead")))
            .await
            .1,
        "InvalidParameterValue"
    );
    broker
        .ok(
            "SetQueueAttributes",
            json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": ""}}),
        )
        .await;
    assert_eq!(broker.attribute(&url, "RedrivePolicy").await, Value::Null);
    let itself = json!({"QueueUrl": url, "Attributes": policy("q")});
    assert_eq!(
        broker.refusal("SetQueueAttributes", itself).await,
        (400, "InvalidParameterValue".to_owned())
    );
}

#[tokio::test]
async fn purge_takes_leased_and_delayed_messages_too() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    broker.publish(&url, "leased").await;
    let handle = broker.receive(&url).await[0]["ReceiptHandle"].clone();
    broker.publish(&url, "ready").await;
    broker
        .ok(
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": "delayed", "DelaySeconds": 900}),
        )
        .await;
    for name in ["", "NotVisible", "Delayed"] {
        assert_eq!(
            broker
                .attribute(&url, &format!("ApproximateNumberOfMessages{name}"))
                .await,
            "1",
            "{name}"
        );
    }
    broker.ok("PurgeQueue", json!({"QueueUrl": url})).await;
    for name in ["", "NotVisible", "Delayed"] {
        assert_eq!(
            broker
                .attribute(&url, &format!("ApproximateNumberOfMessages{name}"))
                .await,
            "0",
            "{name}"
        );
    }
    // A settle of what is gone does nothing.
    broker
        .ok(
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": handle}),
        )
        .await;
}

#[tokio::test]
async fn a_deleted_queue_is_gone_with_its_long_polls() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let poll = broker.json(
        "ReceiveMessage",
        json!({"QueueUrl": url, "WaitTimeSeconds": 20}),
    );
    let (poll, ()) = tokio::join!(poll, async {
        broker.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    });
    assert_eq!(poll.refusal().1, "AWS.SimpleQueueService.NonExistentQueue");
    let refusal = broker
        .refusal("DeleteQueue", json!({"QueueUrl": url}))
        .await;
    assert_eq!(
        refusal,
        (400, "AWS.SimpleQueueService.NonExistentQueue".to_owned())
    );
    broker.create("q", json!({})).await;
}

#[tokio::test]
async fn aws_strictness_is_an_option() {
    let config = AwsConfig {
        queue_deleted_recently: true,
        purge_in_progress: true,
        ..any()
    };
    let broker = start_on(MemoryStore::new(1), config, Formats::new()).await;
    let url = broker.create("q", json!({})).await;
    broker.ok("PurgeQueue", json!({"QueueUrl": url})).await;
    let purge = broker.refusal("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!(
        purge,
        (
            403,
            "AWS.SimpleQueueService.PurgeQueueInProgress".to_owned()
        )
    );
    broker.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    let create = broker
        .refusal("CreateQueue", json!({"QueueName": "q"}))
        .await;
    assert_eq!(
        create,
        (
            400,
            "AWS.SimpleQueueService.QueueDeletedRecently".to_owned()
        )
    );
}

#[tokio::test]
async fn an_account_without_a_virtual_host_has_no_queues() {
    let mut config = any();
    config
        .accounts
        .insert("111111111111".to_owned(), "nowhere".to_owned());
    let broker = start_on(MemoryStore::new(1), config, Formats::new()).await;
    broker.create("q", json!({})).await;
    let url = broker.url("q").replace("000000000000", "111111111111");
    let refusal = broker
        .refusal("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"}))
        .await;
    assert_eq!(refusal.1, "AWS.SimpleQueueService.NonExistentQueue");
}
