//! AWS JSON 1.0: bodies in, answers and errors out.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::json;

use super::bounded;
use super::error::AwsError;
use super::error::SERIALIZATION;

/// More values than any operation takes, as many as a form may have fields: a batch of 10 entries of 10
/// attributes has some 500.
const MAX_VALUES: usize = 4096;

/// Parses a request's body. An empty one is an empty object, as AWS takes it.
///
/// # Errors
/// `SerializationException` when it is not a JSON object, or has too many values.
pub fn parse(body: &[u8]) -> Result<Value, AwsError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    // serde_json stops at 128 nested levels, so a deep body is an error and not a full stack.
    match bounded::parse(body, MAX_VALUES) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(AwsError::new(
            &SERIALIZATION,
            "The request body is not a JSON object.",
        )),
        Err(error) => Err(AwsError::new(
            &SERIALIZATION,
            format!("The request body is not JSON: {error}."),
        )),
    }
}

/// Turns the neutral value into an operation's request.
///
/// # Errors
/// `SerializationException` when a member has the wrong type.
pub fn request<T: DeserializeOwned>(input: Value) -> Result<T, AwsError> {
    serde_json::from_value(input).map_err(|error| {
        AwsError::new(
            &SERIALIZATION,
            format!("A member has the wrong type: {error}."),
        )
    })
}

/// Prints an answer. An operation without a result answers an empty body.
#[must_use]
pub fn answer(output: &Value) -> Vec<u8> {
    match output {
        Value::Null => Vec::new(),
        Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => output.to_string().into_bytes(),
    }
}

/// Prints an error.
#[must_use]
pub fn error(error: &AwsError) -> Vec<u8> {
    json!({"__type": error.kind.shape, "message": error.message})
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_body_is_an_empty_request() {
        assert_eq!(parse(b"").unwrap(), json!({}));
    }

    #[test]
    fn what_is_no_object_is_the_senders_fault() {
        for body in [
            "{",
            "[]",
            "1",
            "null",
            "\"x\"",
            "{\"a\":}",
            &"[".repeat(100_000),
            &format!("{{\"AttributeNames\":[0{}]}}", ",0".repeat(4_096)),
        ] {
            let error = parse(body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.kind.status, error.kind.shape),
                (400, "com.amazon.coral.service#SerializationException")
            );
        }
    }

    proptest! {
        #[test]
        fn any_body_gets_an_answer(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = parse(&body);
        }
    }
}
