use hyper::HeaderMap;
use hyper::header::HeaderName;
use hyper::header::HeaderValue;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::aws::sigv4::Signer;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2026-11-24T10:00:00Z, when the vectors were signed.
const NOW: i64 = 1_795_514_400;
const SQS: Policy<'static> = Policy {
    services: &["sqs"],
    region: None,
};

/// A request that botocore's signer signed.
#[derive(Clone, Debug, Deserialize)]
struct Vector {
    name: String,
    method: String,
    path: String,
    query: String,
    headers: std::collections::BTreeMap<String, String>,
    body: String,
    token: Option<String>,
}

fn vectors() -> Vec<Vector> {
    serde_json::from_str(include_str!(
        "../../../../tests/fixtures/sigv4/vectors.json"
    ))
    .unwrap()
}

fn vector(name: &str) -> Vector {
    vectors()
        .into_iter()
        .find(|vector| vector.name == name)
        .unwrap()
}

fn header_map(vector: &Vector) -> HeaderMap {
    vector
        .headers
        .iter()
        .map(|(name, value)| {
            (
                HeaderName::try_from(name.as_str()).unwrap(),
                HeaderValue::try_from(value.as_str()).unwrap(),
            )
        })
        .collect()
}

fn check(vector: &Vector, policy: Policy<'_>, now: i64) -> Result<Scope, SignatureError> {
    let headers = header_map(vector);
    check_with(vector, &headers, policy, now)
}

fn check_with(
    vector: &Vector,
    headers: &HeaderMap,
    policy: Policy<'_>,
    now: i64,
) -> Result<Scope, SignatureError> {
    let request = SignedRequest {
        method: &vector.method,
        path: &vector.path,
        query: &vector.query,
        headers,
    };
    let claim = Claim::check_head(&request, policy, now, |key| {
        (key == KEY).then(|| Credential {
            secret: Zeroizing::new(SECRET.into()),
            session_token: vector
                .token
                .clone()
                .map(|token| Zeroizing::new(token.into_bytes())),
        })
    })?;
    claim.check_body(&request, vector.body.as_bytes())
}

#[test]
fn every_request_that_botocore_signed_is_accepted() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 11);
    for vector in &vectors {
        let scope =
            check(vector, SQS, NOW).unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert_eq!(
            scope,
            Scope {
                key_id: KEY.to_owned(),
                region: "eu-central-1".to_owned(),
                service: "sqs".to_owned()
            }
        );
    }
}

/// Cases of AWS' published suite: `example.amazonaws.com`, service `service`, 2015-08-30.
#[test]
fn aws_published_cases_are_accepted() {
    for (method, path, query, signature) in [
        (
            "GET",
            "/",
            "",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "POST",
            "/",
            "",
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "GET",
            "/\u{1234}",
            "",
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "GET",
            "/",
            "Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
    ] {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        );
        let vector = Vector {
            name: String::new(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: [
                ("host", "example.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
                ("authorization", &authorization),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            body: String::new(),
            token: None,
        };
        let policy = Policy {
            services: &["service"],
            region: Some("us-east-1"),
        };
        check(&vector, policy, 1_440_938_160)
            .unwrap_or_else(|error| panic!("{method} {path} {query}: {error}"));
    }
}

fn refused(change: impl FnOnce(&mut Vector)) -> SignatureError {
    let mut vector = vector("json");
    change(&mut vector);
    check(&vector, SQS, NOW).unwrap_err()
}

#[test]
fn what_the_signer_signs_is_what_botocore_signed() {
    let secret = Zeroizing::new(SECRET.into());
    let mut signer = Signer::new(KEY.to_owned(), secret, "eu-central-1", "sqs");
    let mut signed = 0;
    for vector in vectors() {
        let mut headers = header_map(&vector);
        let Some(theirs) = headers.remove("authorization") else {
            continue; // presigned
        };
        let date = headers["x-amz-date"].to_str().unwrap();
        assert_eq!(date, Signer::date(NOW));
        let request = SignedRequest {
            method: &vector.method,
            path: &vector.path,
            query: &vector.query,
            headers: &headers,
        };
        let ours = signer.authorization(&request, vector.body.as_bytes(), date);
        assert_eq!(ours, theirs.to_str().unwrap(), "{}", vector.name);
        signed += 1;
    }
    assert!(signed >= 8, "{signed} vectors with a header");
}

fn edit(vector: &mut Vector, header: &str, from: &str, to: &str) {
    let value = vector.headers.get_mut(header).unwrap();
    assert!(value.contains(from), "{value}");
    *value = value.replace(from, to);
}

#[test]
fn without_a_signature_the_token_is_missing() {
    let error = refused(|vector| {
        vector.headers.remove("authorization");
    });
    assert_eq!(error, SignatureError::Missing);
}

#[test]
fn malformed_headers_are_incomplete_and_the_text_keeps_the_signature_secret() {
    for (from, to) in [
        ("Credential=", "Credential:"),
        ("Credential=", "Other="),
        ("Signature=", "Sig="),
        ("/aws4_request", ""),
        ("AWS4-HMAC-SHA256", "AWS4-ECDSA"),
    ] {
        let error = refused(|vector| edit(vector, "authorization", from, to));
        assert!(
            matches!(&error, SignatureError::Incomplete(_)),
            "{from} {to}: {error:?}"
        );
        if to != "Sig=" {
            assert!(!error.to_string().contains("20b8c6d4"), "{error}");
        }
    }
    let error = refused(|vector| {
        vector.headers.remove("x-amz-date");
    });
    assert!(matches!(error, SignatureError::Incomplete(_)), "{error:?}");
}

#[test]
fn an_unknown_key_is_told_before_its_scope() {
    let error = refused(|vector| {
        edit(vector, "authorization", KEY, "AKIDNOBODY");
        edit(vector, "authorization", "/sqs/", "/s3/");
    });
    assert_eq!(error, SignatureError::UnknownKey);
}

#[test]
fn a_wrong_scope_names_what_it_should_be() {
    for (from, to, text) in [
        ("/sqs/", "/s3/", "correct service: 'sqs'"),
        ("/eu-central-1/", "//", "valid region, not ''"),
        ("/20261124/", "/20261123/", "'20261123' != '20261124'"),
        (
            "/aws4_request",
            "/aws5_request",
            "valid terminator: 'aws4_request'",
        ),
    ] {
        let error = refused(|vector| edit(vector, "authorization", from, to));
        assert!(
            matches!(&error, SignatureError::Mismatch(t) if t.contains(text)),
            "{error:?}"
        );
    }
}

#[test]
fn an_alternative_service_is_accepted_only_where_it_is_configured() {
    let policy = Policy {
        services: &["sns"],
        region: None,
    };
    assert!(check(&vector("json"), policy, NOW).is_err());
    let policy = Policy {
        services: &["sns", "sqs"],
        region: None,
    };
    assert!(check(&vector("json"), policy, NOW).is_ok());
}

#[test]
fn fifteen_minutes_both_ways_are_allowed() {
    let vector = vector("json");
    for offset in [-900, 0, 900] {
        assert!(check(&vector, SQS, NOW + offset).is_ok(), "{offset}");
    }
    let late = check(&vector, SQS, NOW + 901).unwrap_err();
    assert_eq!(
        late.to_string(),
        "Signature expired: 20261124T100000Z is now earlier than 20261124T100001Z (20261124T101501Z - 15 min.)"
    );
    let early = check(&vector, SQS, NOW - 901).unwrap_err();
    assert!(
        early.to_string().starts_with("Signature not yet current: "),
        "{early}"
    );
}

#[test]
fn a_presigned_request_lives_as_long_as_it_says() {
    let vector = vector("presigned");
    assert!(check(&vector, SQS, NOW + 60).is_ok());
    assert_eq!(check(&vector, SQS, NOW + 61), Err(SignatureError::Expired));
}

#[test]
fn host_and_every_x_amz_header_must_be_signed() {
    let error = refused(|vector| edit(vector, "authorization", ";host;", ";"));
    assert!(error.to_string().starts_with("'Host'"), "{error}");
    let error = refused(|vector| {
        vector
            .headers
            .insert("x-amz-more".to_owned(), "1".to_owned());
    });
    assert!(error.to_string().starts_with("'x-amz-more'"), "{error}");
}

#[test]
fn a_session_token_belongs_to_keys_that_have_one() {
    let mut other = vector("session token");
    other.token = Some("another".to_owned());
    assert_eq!(check(&other, SQS, NOW), Err(SignatureError::UnknownKey));
    other.token = None;
    assert_eq!(check(&other, SQS, NOW), Err(SignatureError::UnknownKey));
    let mut without = vector("json");
    without.token = Some("the/token==".to_owned());
    assert_eq!(check(&without, SQS, NOW), Err(SignatureError::UnknownKey));
}

/// Flips one bit; `None` when the result cannot travel there.
fn flip(text: &str, at: prop::sample::Index, bit: u8) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let index = (!bytes.is_empty()).then(|| at.index(bytes.len()))?;
    *bytes.get_mut(index)? ^= 1 << bit;
    String::from_utf8(bytes)
        .ok()
        .filter(|text| text.bytes().all(|byte| (0x20..0x7f).contains(&byte)))
}

/// `true` when both queries decode to the same pairs in another order or encoding: that is no change.
fn same_query(a: &str, b: &str) -> bool {
    let pairs = |query: &str| {
        let mut pairs: Vec<_> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        pairs.sort();
        pairs
    };
    pairs(a) == pairs(b)
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(
        which in 0_usize..11, part in 0_usize..12, at in any::<prop::sample::Index>(), bit in 0_u8..7,
    ) {
        let original = vectors().swap_remove(which);
        let mut changed = original.clone();
        match part {
            0 => changed.method = flip(&original.method, at, bit).unwrap_or_else(|| "PUT".to_owned()),
            // Some changes of this one normalise away.
            1 if original.name == "dot segments" => return Ok(()),
            1 => {
                let path = flip(&original.path, at, bit).filter(|path| path.starts_with('/'));
                changed.path = path.unwrap_or_else(|| "/x".to_owned());
            }
            2 => {
                let Some(query) = flip(&original.query, at, bit) else { return Ok(()) };
                prop_assume!(!same_query(&query, &original.query));
                changed.query = query;
            }
            3 => changed.body = flip(&original.body, at, bit).unwrap_or_else(|| "x".to_owned()),
            part => {
                let names: Vec<String> = original.headers.keys().cloned().collect();
                let name = &names[part % names.len()];
                // HTTP drops blanks around a value; runs of blanks count as one.
                let Some(value) = flip(&original.headers[name], at, bit) else { return Ok(()) };
                let words = |text: &str| text.split(' ').filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ");
                prop_assume!(words(&value) != words(&original.headers[name]));
                // A blank after a comma is optional.
                let tight = |text: &str| text.replace(", ", ",");
                prop_assume!(tight(&value) != tight(&original.headers[name]));
                changed.headers.insert(name.clone(), value);
            }
        }
        prop_assert!(check(&changed, SQS, NOW).is_err(), "{changed:?}");
    }

    #[test]
    fn any_authorization_gets_an_answer(text in "[ -~]{0,200}") {
        let mut changed = vector("json");
        changed.headers.insert("authorization".to_owned(), text.clone());
        prop_assert!(check(&changed, SQS, NOW).is_err());
        changed.headers.insert("authorization".to_owned(), format!("AWS4-HMAC-SHA256 {text}"));
        prop_assert!(check(&changed, SQS, NOW).is_err());
    }
}
