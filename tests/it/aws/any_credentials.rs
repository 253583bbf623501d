//! `aws.credentials = "any"`: nothing is verified, and a key of 12 digits says which account it is.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::StatusCode;
use serde_json::Value;
use serde_json::json;

use super::harness::Broker;
use super::harness::start;

/// Makes a queue with a key whose signature is none, and returns its URL.
async fn url_for(broker: &Broker, key: &str) -> Value {
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-west-1/sqs/aws4_request, \
         SignedHeaders=host, Signature=00"
    );
    let request = Request::post("/")
        .header("host", broker.address.to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.CreateQueue")
        .header("authorization", authorization);
    let body = Bytes::from(json!({"QueueName": "q"}).to_string());
    let answer = broker.send(request.body(Full::from(body)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["QueueUrl"].clone()
}

#[tokio::test]
async fn a_key_of_12_digits_is_the_account() {
    let broker = start().await;
    let url = url_for(&broker, "111122223333").await;
    assert_eq!(url, format!("http://{}/111122223333/q", broker.address));
    let arn = broker.attribute(url.as_str().unwrap(), "QueueArn").await;
    assert!(
        arn.as_str().unwrap().ends_with(":111122223333:q"),
        "the URL's account counts, whoever asks: {arn}"
    );
}

#[tokio::test]
async fn every_other_key_is_the_default_account() {
    let broker = start().await;
    for key in [
        "test",
        "AKIAIOSFODNN7EXAMPLE",
        "11112222333",
        "11112222333x",
    ] {
        assert_eq!(url_for(&broker, key).await, broker.url("q"), "{key}");
    }
}

#[tokio::test]
async fn an_unsigned_request_is_served() {
    let broker = start().await;
    let url = broker.create("q", json!({})).await;
    assert_eq!(url, broker.url("q"));
    broker.publish(&url, "hello").await;
    assert_eq!(broker.receive(&url).await[0]["Body"], "hello");
}
