//! Both wires, HTTP/1.1 and h2c, and what is no request at all.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::Request;
use hyper::StatusCode;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::Broker;
use super::harness::any;
use super::harness::start;
use super::harness::start_hasty;
use super::harness::start_on;
use viaduct::aws::config::AwsConfig;
use viaduct::core::formats::Formats;
use viaduct::store::memory::MemoryStore;

fn form_of(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

async fn post(
    broker: &Broker,
    target: Option<&str>,
    content_type: &str,
    body: &str,
) -> super::harness::Answer {
    let mut request = Request::post("/")
        .header("host", "h")
        .header("content-type", content_type);
    if let Some(target) = target {
        request = request.header("x-amz-target", target);
    }
    broker
        .send(request.body(Full::from(body.to_owned())).unwrap())
        .await
}

#[tokio::test]
async fn a_message_goes_around_by_forms() {
    let broker = start().await;
    let answer = broker
        .form(
            "/",
            &form_of(&[
                ("Action", "CreateQueue"),
                ("Version", "2012-11-05"),
                ("QueueName", "orders"),
            ]),
        )
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    let url = broker.url("orders");
    assert!(answer.text().contains(&format!(
        "<CreateQueueResult><QueueUrl>{url}</QueueUrl></CreateQueueResult>"
    )));
    let sent = broker
        .form(
            "/000000000000/orders",
            &form_of(&[
                ("Action", "SendMessage"),
                ("MessageBody", "a\r\nb<"),
                ("MessageAttribute.1.Name", "n"),
                ("MessageAttribute.1.Value.DataType", "Number"),
                ("MessageAttribute.1.Value.StringValue", "1"),
            ]),
        )
        .await;
    assert!(
        sent.text().contains("<MD5OfMessageBody>"),
        "{}",
        sent.text()
    );
    let received = broker
        .form(
            "/",
            &form_of(&[
                ("Action", "ReceiveMessage"),
                ("QueueUrl", &url),
                ("MessageAttributeName.1", "All"),
                ("AttributeName.1", "ApproximateReceiveCount"),
            ]),
        )
        .await;
    let text = received.text();
    assert!(text.contains("<Body>a&#13;\nb&lt;</Body>"), "{text}");
    assert!(
        text.contains(
            "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>"
        ),
        "{text}"
    );
    let attribute = "<MessageAttribute><Name>n</Name><Value><StringValue>1</StringValue><DataType>Number</DataType>";
    assert!(text.contains(attribute), "{text}");
}

#[tokio::test]
async fn an_error_has_the_shape_of_its_wire() {
    let broker = start().await;
    let json = broker
        .json("GetQueueUrl", json!({"QueueName": "none"}))
        .await;
    assert_eq!(json.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        json.headers["x-amzn-query-error"],
        "AWS.SimpleQueueService.NonExistentQueue;Sender"
    );
    assert_eq!(json.headers["content-type"], "application/x-amz-json-1.0");
    assert_eq!(
        json.json(),
        json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."})
    );
    let query = broker.form("/", "Action=GetQueueUrl&QueueName=none").await;
    assert_eq!(query.status, StatusCode::BAD_REQUEST);
    let text = query.text();
    assert!(
        text.contains("<Code>AWS.SimpleQueueService.NonExistentQueue</Code>"),
        "{text}"
    );
    assert!(
        text.contains("does not exist for this wsdl version.</Message>"),
        "{text}"
    );
    assert!(query.headers.contains_key("x-amzn-requestid"));
}

#[tokio::test]
async fn a_bad_handle_is_400_in_json_and_404_in_query() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let input = json!({"QueueUrl": url, "ReceiptHandle": "garbage"});
    assert_eq!(
        broker.refusal("DeleteMessage", input).await,
        (400, "ReceiptHandleIsInvalid".to_owned())
    );
    let query = broker
        .form(
            "/000000000000/q",
            "Action=DeleteMessage&ReceiptHandle=garbage",
        )
        .await;
    assert_eq!(query.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_malformed_is_the_senders_fault_and_never_ours() {
    let broker = start().await;
    for body in [
        "{",
        "[]",
        "{\"QueueName\": 1}",
        "\u{0}",
        "{\"Attributes\": []}",
    ] {
        let answer = post(
            &broker,
            Some("AmazonSQS.CreateQueue"),
            "application/x-amz-json-1.0",
            body,
        )
        .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    for target in [
        "AmazonSQS.Nothing",
        "Nothing",
        "",
        "AmazonSQS.",
        "Kinesis_20131202.ListStreams",
    ] {
        let answer = post(&broker, Some(target), "application/x-amz-json-1.0", "{}").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        assert_eq!(
            answer.json()["__type"],
            "com.amazon.coral.service#UnknownOperationException"
        );
    }
    for (form, code) in [
        ("", "MissingParameter"),
        ("Action=Nothing", "InvalidAction"),
        ("Action=ListQueues&Version=1", "InvalidParameterValue"),
        ("Action=ListQueues&MaxResults=x", "MalformedInput"),
        ("%%%=&&&", "MissingParameter"),
    ] {
        let answer = broker.form("/", form).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}");
        assert!(
            answer.text().contains(&format!("<Code>{code}</Code>")),
            "{form}: {}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn operations_that_come_later_are_unsupported_and_not_unknown() {
    let broker = start().await;
    for operation in [
        "TagQueue",
        "AddPermission",
        "StartMessageMoveTask",
        "ListDeadLetterSourceQueues",
    ] {
        let refusal = broker.refusal(operation, json!({})).await;
        assert_eq!(
            refusal,
            (
                400,
                "AWS.SimpleQueueService.UnsupportedOperation".to_owned()
            )
        );
    }
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let config = AwsConfig {
        max_request_bytes: 1_000,
        ..any()
    };
    let broker = start_on(MemoryStore::new(1), config, Formats::new()).await;
    let answer = broker
        .json("ListQueues", json!({"QueueNamePrefix": "x".repeat(1_000)}))
        .await;
    assert_eq!(answer.refusal(), (413, "RequestEntityTooLarge".to_owned()));
}

#[tokio::test]
async fn health_is_told_in_two_shapes() {
    let broker = start().await;
    let get = |path: &str| {
        Request::get(path.to_owned())
            .header("host", "h")
            .body(Full::<Bytes>::default())
            .unwrap()
    };
    let health = broker.send(get("/_localstack/health")).await;
    assert_eq!(
        (health.status, &health.json()["services"]["sqs"]),
        (StatusCode::OK, &json!("running"))
    );
    assert_eq!(
        broker.send(get("/health")).await.json(),
        json!({"status": "ok"})
    );
    let browser = broker.send(get("/")).await;
    assert_eq!(
        (browser.status, browser.text()),
        (StatusCode::NOT_FOUND, "<UnknownOperationException/>\n")
    );
}

#[tokio::test]
async fn queue_urls_begin_with_what_the_client_can_reach() {
    let broker = start().await;
    let request = Request::post("/")
        .header("host", "broker.example:4566")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.CreateQueue");
    let answer = broker
        .send(request.body(Full::from("{\"QueueName\":\"q\"}")).unwrap())
        .await;
    assert_eq!(
        answer.json()["QueueUrl"],
        "http://broker.example:4566/000000000000/q"
    );
    let config = AwsConfig {
        public_url: Some("https://queues.example/".to_owned()),
        ..any()
    };
    let broker = start_on(MemoryStore::new(1), config, Formats::new()).await;
    assert_eq!(
        broker.create("q", json!({})).await,
        "https://queues.example/000000000000/q"
    );
}

#[tokio::test]
async fn http_2_with_prior_knowledge_is_served() {
    let broker = start().await;
    let stream = TcpStream::connect(broker.address).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    broker.runtime.spawn(connection);
    let request = Request::post(format!("http://{}/", broker.address))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.CreateQueue")
        .body(Full::<Bytes>::from("{\"QueueName\":\"q\"}"))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), hyper::Version::HTTP_2);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["QueueUrl"], broker.url("q"));
}

#[tokio::test]
async fn a_stop_ends_connections_and_long_polls_at_once() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    let input = json!({"QueueUrl": url, "WaitTimeSeconds": 20}).to_string();
    let mut stream = TcpStream::connect(broker.address).await.unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonSQS.ReceiveMessage\r\nContent-Length: {}\r\n\r\n{input}",
        input.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // Whether the poll has begun by now or not, its connection ends long before its 20 seconds.
    tokio::task::yield_now().await;
    broker.runtime.stop_token().cancel();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection outlived the stop");
}

/// Sends the head of a large request and waits until the broker reads its body.
async fn promise(broker: &Broker) -> TcpStream {
    let mut stream = TcpStream::connect(broker.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nX-Amz-Target: AmazonSQS.ListQueues\r\n\
                Expect: 100-continue\r\nContent-Length: 6500000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut line)).await;
    read.expect("the body is not read").unwrap();
    assert_eq!(&line, b"HTTP/1.1 100");
    stream
}

#[tokio::test]
async fn bodies_that_are_only_promised_keep_nobody_waiting() {
    let broker = start().await;
    let mut promised = Vec::new();
    for _ in 0..20 {
        promised.push(promise(&broker).await);
    }
    broker.create("q", json!({})).await;
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_body() {
    let broker = start().await;
    let mut stream = promise(&broker).await;
    broker.runtime.stop_token().cancel();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(10), read).await;
    assert!(read.is_ok(), "the connection outlived the stop");
    assert!(answer.contains("HTTP/1.1 503"), "{answer}");
}

#[tokio::test]
async fn a_connection_must_prove_something_soon_and_then_may_be_silent() {
    let patience = Duration::from_millis(300);
    let store = MemoryStore::new(1);
    let broker = start_hasty(store, any(), Formats::new(), 1 << 30, patience).await;
    let stream = TcpStream::connect(broker.address).await.unwrap();
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    broker.runtime.spawn(connection);
    let list = || {
        Request::post("/")
            .header("host", "h")
            .header("x-amz-target", "AmazonSQS.ListQueues")
            .body(Full::<Bytes>::from("{}"))
            .unwrap()
    };
    let first = sender.send_request(list()).await.unwrap();
    assert_eq!(first.status(), StatusCode::OK);
    first.into_body().collect().await.unwrap();

    let mut other = TcpStream::connect(broker.address).await.unwrap();
    other.write_all(b"POST / HTTP/1.1\r\nHost: ").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), other.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "a head that never ends was waited for");

    let second = sender.send_request(list()).await.unwrap();
    assert_eq!(second.status(), StatusCode::OK);
}
