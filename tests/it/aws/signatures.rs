//! Signed requests against the directory of users, and what their permissions let them do.

use std::fmt::Write;

use bytes::Bytes;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use http_body_util::Full;
use hyper::Request;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;
use viaduct::auth::AccessKey;
use viaduct::auth::PermissionTexts;
use viaduct::auth::Secret;
use viaduct::auth::UserName;
use viaduct::aws::config::AwsConfig;
use viaduct::core::formats::Formats;
use viaduct::core::model::names::VhostName;
use viaduct::core::model::time::CoreTime;
use viaduct::store::memory::MemoryStore;

use super::harness::Answer;
use super::harness::Broker;
use super::harness::start_on;

async fn start() -> Broker {
    start_on(MemoryStore::new(1), AwsConfig::default(), Formats::new()).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// `20261124T100000Z` of now, by asking the harness' clock.
fn date(broker: &Broker) -> String {
    let seconds = i64::try_from(broker.clock.wall_ms() / 1_000).unwrap();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (mut year, mut rest) = (1970, days);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    while rest >= 365 + i64::from(leap(year)) {
        rest -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [
        31,
        28 + i64::from(leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let mut month = 1;
    for length in lengths {
        if rest < length {
            break;
        }
        rest -= length;
        month += 1;
    }
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!(
        "{year:04}{month:02}{:02}T{hour:02}{minute:02}{:02}Z",
        rest + 1,
        second % 60
    )
}

async fn call(broker: &Broker, key: &str, secret: &str, operation: &str, input: Value) -> Answer {
    let (host, date, body) = (broker.address.to_string(), date(broker), input.to_string());
    let day = &date[..8];
    let signed = "content-type;host;x-amz-date;x-amz-target";
    let canonical = format!(
        "POST\n/\n\ncontent-type:application/x-amz-json-1.0\nhost:{host}\nx-amz-date:{date}\n\
         x-amz-target:AmazonSQS.{operation}\n\n{signed}\n{}",
        hex(&Sha256::digest(&body))
    );
    let scope = format!("{day}/eu-west-1/sqs/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        hex(&Sha256::digest(&canonical))
    );
    let mut signing = sign(format!("AWS4{secret}").as_bytes(), day);
    for part in ["eu-west-1", "sqs", "aws4_request"] {
        signing = sign(&signing, part);
    }
    let signature = hex(&sign(&signing, &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={signed}, Signature={signature}"
    );
    let request = Request::post("/")
        .header("host", host)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", date)
        .header("x-amz-target", format!("AmazonSQS.{operation}"))
        .header("authorization", authorization);
    broker
        .send(request.body(Full::from(Bytes::from(body))).unwrap())
        .await
}

#[tokio::test]
async fn the_keys_of_the_box_work_from_loopback() {
    let broker = start().await;
    for key in ["guest", "test"] {
        let answer = call(&broker, key, key, "CreateQueue", json!({"QueueName": key})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let url = broker.url("test");
    let attributes = json!({"QueueUrl": url, "AttributeNames": ["QueueArn"]});
    let attributes = call(&broker, "test", "test", "GetQueueAttributes", attributes)
        .await
        .json();
    assert_eq!(
        attributes["Attributes"]["QueueArn"],
        "arn:aws:sqs:eu-west-1:000000000000:test"
    );
}

#[tokio::test]
async fn unsigned_unknown_and_wrong_are_told_apart() {
    let broker = start().await;
    assert_eq!(
        broker.refusal("ListQueues", json!({})).await,
        (403, "MissingAuthenticationToken".to_owned())
    );
    let unknown = call(&broker, "nobody", "test", "ListQueues", json!({})).await;
    assert_eq!(unknown.refusal(), (403, "InvalidClientTokenId".to_owned()));
    assert_eq!(
        unknown.json()["__type"],
        "com.amazon.coral.service#UnrecognizedClientException"
    );
    let wrong = call(&broker, "test", "wrong", "ListQueues", json!({})).await;
    assert_eq!(wrong.refusal(), (403, "SignatureDoesNotMatch".to_owned()));
    assert_eq!(
        wrong.json()["__type"],
        "com.amazon.coral.service#InvalidSignatureException"
    );
    let form = broker.form("/", "Action=ListQueues").await;
    assert!(
        form.status == 403
            && form
                .text()
                .contains("<Code>MissingAuthenticationToken</Code>")
    );
}

/// A user that may read `in-.*`, write `out-.*` and configure nothing.
fn limited(broker: &Broker) {
    let user = UserName::parse("limited").unwrap();
    broker.auth.add_user(&user, None, &[]).unwrap();
    let texts = PermissionTexts {
        configure: String::new(),
        write: "^out-".to_owned(),
        read: "^in-".to_owned(),
    };
    broker.auth.set_permissions(&user, "/", texts).unwrap();
    let key = AccessKey {
        id: "AKIALIMITED".to_owned(),
        secret: Secret::new("secret"),
        user,
        vhost: "/".to_owned(),
        is_default: false,
    };
    broker.auth.put_key(key).unwrap();
}

#[tokio::test]
async fn permissions_hold_as_at_every_door() {
    let broker = start().await;
    limited(&broker);
    for name in ["in-1", "out-1", "other"] {
        call(
            &broker,
            "test",
            "test",
            "CreateQueue",
            json!({"QueueName": name}),
        )
        .await;
    }
    let limited = |operation: &'static str, input: Value| {
        call(&broker, "AKIALIMITED", "secret", operation, input)
    };
    for (operation, input, allowed) in [
        (
            "SendMessage",
            json!({"QueueUrl": broker.url("out-1"), "MessageBody": "x"}),
            true,
        ),
        (
            "SendMessage",
            json!({"QueueUrl": broker.url("in-1"), "MessageBody": "x"}),
            false,
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": broker.url("in-1")}),
            true,
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": broker.url("out-1")}),
            false,
        ),
        ("PurgeQueue", json!({"QueueUrl": broker.url("in-1")}), true),
        ("GetQueueUrl", json!({"QueueName": "in-1"}), true),
        ("GetQueueUrl", json!({"QueueName": "other"}), false),
        (
            "GetQueueAttributes",
            json!({"QueueUrl": broker.url("other")}),
            false,
        ),
        ("CreateQueue", json!({"QueueName": "in-2"}), false),
        (
            "SetQueueAttributes",
            json!({"QueueUrl": broker.url("in-1"), "Attributes": {}}),
            false,
        ),
        (
            "DeleteQueue",
            json!({"QueueUrl": broker.url("in-1")}),
            false,
        ),
        // Whoever may not touch a name does not learn whether it exists.
        (
            "SendMessage",
            json!({"QueueUrl": broker.url("nothing"), "MessageBody": "x"}),
            false,
        ),
    ] {
        let answer = limited(operation, input.clone()).await;
        if allowed {
            assert_eq!(answer.status, 200, "{operation} {input}");
        } else {
            assert_eq!(
                answer.refusal(),
                (403, "AccessDenied".to_owned()),
                "{operation} {input}"
            );
        }
    }
    let seen = limited("ListQueues", json!({})).await.json();
    assert_eq!(
        seen["QueueUrls"],
        json!([broker.url("in-1"), broker.url("out-1")])
    );
}

#[tokio::test]
async fn a_key_stays_in_its_vhost_whatever_its_user_may_do_elsewhere() {
    let mut config = AwsConfig::default();
    config
        .accounts
        .insert("111111111111".to_owned(), "one".to_owned());
    let broker = start_on(MemoryStore::new(1), config, Formats::new()).await;
    let name = VhostName::parse("one").unwrap();
    let now = CoreTime::from_ms(broker.clock.now_ms());
    broker.core.create_vhost(&name, now).unwrap();
    let guest = UserName::parse("guest").unwrap();
    broker
        .auth
        .set_permissions(&guest, "one", PermissionTexts::everything())
        .unwrap();
    let key = AccessKey {
        id: "AKIAONE".to_owned(),
        secret: Secret::new("secret"),
        user: guest,
        vhost: "one".to_owned(),
        is_default: false,
    };
    broker.auth.put_key(key).unwrap();
    let one = |operation: &'static str, input: Value| {
        call(&broker, "AKIAONE", "secret", operation, input)
    };
    let root =
        |operation: &'static str, input: Value| call(&broker, "test", "test", operation, input);
    let own = one("CreateQueue", json!({"QueueName": "q"})).await.json();
    assert_eq!(
        own["QueueUrl"],
        format!("http://{}/111111111111/q", broker.address)
    );
    root("CreateQueue", json!({"QueueName": "q"})).await;
    let gone = (400, "AWS.SimpleQueueService.NonExistentQueue".to_owned());
    let message = json!({"QueueUrl": own["QueueUrl"], "MessageBody": "x"});
    assert_eq!(
        root("SendMessage", message.clone()).await.refusal(),
        gone.clone()
    );
    let owner = json!({"QueueName": "q", "QueueOwnerAWSAccountId": "000000000000"});
    assert_eq!(one("GetQueueUrl", owner).await.refusal(), gone);
    assert_eq!(one("SendMessage", message).await.status, 200);
    let seen = root("ListQueues", json!({})).await.json();
    assert_eq!(seen["QueueUrls"], json!([broker.url("q")]));
}

#[tokio::test]
async fn a_refusal_does_not_repeat_all_that_was_sent() {
    let broker = start().await;
    for authorization in [
        format!("AWS4-HMAC-SHA256 {}", "x".repeat(30_000)),
        format!("AWS4-HMAC-SHA256 Credential={}", "k".repeat(30_000)),
    ] {
        let request = Request::post("/")
            .header("host", "h")
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .header("authorization", authorization);
        let answer = broker.send(request.body(Full::default()).unwrap()).await;
        assert!(matches!(answer.status.as_u16(), 400 | 403));
        assert!(answer.body.len() < 1_000, "{} bytes", answer.body.len());
    }
}
