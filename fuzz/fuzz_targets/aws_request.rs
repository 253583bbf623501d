//! What an AWS client sends, and what the log gives back of it. The first byte chooses the decoder.

#![no_main]

use libfuzzer_sys::fuzz_target;
use viaduct::aws::sigv4::Claim;
use viaduct::aws::sigv4::Credential;
use viaduct::aws::sigv4::Policy;
use viaduct::aws::sigv4::SignedRequest;
use viaduct::aws::sqs::mapping::SqsHead;
use viaduct::aws::sqs::model::SQS;
use viaduct::aws::sqs::receipt::Receipt;
use viaduct::aws::sqs::types::Batch;
use viaduct::aws::sqs::types::SendMessage;
use viaduct::aws::wire::json;
use viaduct::aws::wire::query::Form;

fuzz_target!(|input: &[u8]| {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    match choice % 5 {
        0 => form(rest),
        1 => {
            if let Ok(value) = json::parse(rest) {
                let _ = json::request::<SendMessage>(value.clone());
                let _ = json::request::<Batch<SendMessage>>(value);
            }
        }
        2 => signature(rest),
        3 => {
            let text = String::from_utf8_lossy(rest);
            if let Some(receipt) = Receipt::decode(&text) {
                assert_eq!(receipt.encode(), text);
            }
        }
        _ => {
            let head = SqsHead::decode(rest);
            assert_eq!(SqsHead::decode(&head.encode()), head);
        }
    }
});

fn form(body: &[u8]) {
    let Ok(form) = Form::parse("", body) else {
        return;
    };
    for operation in SQS.operations {
        let _ = form.clone().into_value(operation.input);
    }
}

fn signature(authorization: &[u8]) {
    let mut headers = hyper::HeaderMap::new();
    let Ok(value) = hyper::header::HeaderValue::from_bytes(authorization) else {
        return;
    };
    headers.insert(hyper::header::AUTHORIZATION, value);
    headers.insert(
        hyper::header::HOST,
        hyper::header::HeaderValue::from_static("h"),
    );
    headers.insert(
        "x-amz-date",
        hyper::header::HeaderValue::from_static("20260101T000000Z"),
    );
    let request = SignedRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
    };
    let policy = Policy {
        services: &["sqs"],
        region: None,
    };
    let claim = Claim::check_head(&request, policy, 1_767_225_600, |_| {
        Some(Credential {
            secret: b"secret".to_vec().into(),
            session_token: None,
        })
    });
    if let Ok(claim) = claim {
        assert!(claim.check_body(&request, b"").is_err());
    }
}
