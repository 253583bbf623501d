//! The rules of a message: body, message attributes, size.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::errors;
use super::types::AttributeValue;
use super::types::AttributeValues;
use super::types::SendMessage;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::invalid_parameter;
use crate::aws::wire::error::missing_parameter;

/// Body and attributes of a message, and the sum over a batch: 1 MiB since 2025-08.
pub const MAX_BYTES: usize = 1_048_576;
/// Message attributes of a message.
pub const MAX_ATTRIBUTES: usize = 10;
/// Longest delay in seconds.
pub const MAX_DELAY_SECONDS: i64 = 900;
const MAX_NAME: usize = 256;
const MAX_GROUP_ID: usize = 128;
const ALLOWED: &str = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// Whether SQS, and XML 1.0, can carry this character.
#[must_use]
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Checks a message that is sent, but for its [`size`].
///
/// # Errors
/// AWS' error of the first rule that is broken.
pub fn check(message: &SendMessage) -> Result<(), AwsError> {
    let body = message.message_body.as_deref().unwrap_or_default();
    if body.is_empty() {
        return Err(missing_parameter("MessageBody"));
    }
    if let Some(bad) = body.chars().find(|c| !is_allowed(*c)) {
        let text = format!(
            "Invalid binary character '#x{:x}' was found in the message body, the set of allowed characters is {ALLOWED}",
            u32::from(bad)
        );
        return Err(AwsError::new(&errors::INVALID_MESSAGE_CONTENTS, text));
    }
    if let Some(delay) = message
        .delay_seconds
        .filter(|delay| !(0..=MAX_DELAY_SECONDS).contains(delay))
    {
        let reason = format!("DelaySeconds must be >= 0 and <= {MAX_DELAY_SECONDS}.");
        return Err(errors::invalid_value("DelaySeconds", delay, &reason));
    }
    check_ids(message)?;
    if let Some(attributes) = &message.message_attributes {
        check_attributes(attributes)?;
    }
    if let Some(attributes) = &message.message_system_attributes {
        check_system_attributes(attributes)?;
    }
    Ok(())
}

/// The size that limits are about: body, and names, types and values of message attributes, in bytes.
#[must_use]
pub fn size(message: &SendMessage) -> usize {
    let attributes = message.message_attributes.iter().flatten();
    let attributes = attributes.map(|(name, value)| {
        let text = value.string_value.as_deref().map_or(0, str::len);
        let binary = value
            .binary_value
            .as_deref()
            .map_or(0, |text| text.trim_end_matches('=').len() * 3 / 4);
        name.len() + value.data_type.len() + text + binary
    });
    message.message_body.as_deref().map_or(0, str::len) + attributes.sum::<usize>()
}

/// A standard queue takes a group id as the name of a tenant, and no deduplication id.
fn check_ids(message: &SendMessage) -> Result<(), AwsError> {
    if message.message_deduplication_id.is_some() {
        return Err(errors::invalid_value(
            "MessageDeduplicationId",
            message
                .message_deduplication_id
                .as_deref()
                .unwrap_or_default(),
            "The request include parameter that is not valid for this queue type.",
        ));
    }
    let Some(group) = &message.message_group_id else {
        return Ok(());
    };
    let printable = group.bytes().all(|byte| byte.is_ascii_graphic());
    if group.is_empty() || group.len() > MAX_GROUP_ID || !printable {
        let reason = format!(
            "MessageGroupId can only include alphanumeric and punctuation characters. 1 to {MAX_GROUP_ID} in length."
        );
        return Err(errors::invalid_value("MessageGroupId", group, &reason));
    }
    Ok(())
}

fn check_attributes(attributes: &AttributeValues) -> Result<(), AwsError> {
    if attributes.len() > MAX_ATTRIBUTES {
        return Err(invalid_parameter(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MAX_ATTRIBUTES}].",
            attributes.len()
        )));
    }
    for (name, value) in attributes {
        check_attribute_name(name)?;
        check_attribute_value(name, value)?;
    }
    Ok(())
}

pub(in crate::aws::sqs) fn check_attribute_name(name: &str) -> Result<(), AwsError> {
    let fail = |reason: &str| {
        Err(invalid_parameter(format!(
            "The message attribute name '{name}' is invalid. Attribute name {reason}"
        )))
    };
    if name.is_empty() {
        return fail("can not be empty.");
    }
    if name.chars().count() > MAX_NAME {
        return fail("can not be longer than 256 characters.");
    }
    // AWS documents A-Z, a-z, 0-9, `_`, `-` and `.`, and takes letters of other alphabets as well.
    if !name
        .chars()
        .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
    {
        return fail(
            "can contain A-Z, a-z, 0-9, underscore (_), hyphen (-), and period (.) characters.",
        );
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return fail("can not start or end with a period, or have successive periods.");
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("aws.") || lower.starts_with("amazon.") {
        return fail("can not start with 'AWS.' or 'Amazon.'.");
    }
    Ok(())
}

fn check_attribute_value(name: &str, value: &AttributeValue) -> Result<(), AwsError> {
    let data_type = value.data_type.as_str();
    if data_type.is_empty() {
        let text = format!(
            "The message attribute '{name}' must contain a non-empty message attribute type."
        );
        return Err(invalid_parameter(text));
    }
    let (base, label) = data_type
        .split_once('.')
        .map_or((data_type, None), |(base, label)| (base, Some(label)));
    if data_type.len() > MAX_NAME
        || label == Some("")
        || !matches!(base, "String" | "Number" | "Binary")
    {
        return Err(invalid_parameter(format!(
            "The message attribute '{name}' has an invalid message attribute type, the set of supported type \
             prefixes is Binary, Number, and String."
        )));
    }
    if value.string_list_values.is_some() || value.binary_list_values.is_some() {
        return Err(errors::unsupported(
            "Message attribute list values in SendMessage operation are not supported.",
        ));
    }
    let (text, binary) = (value.string_value.as_deref(), value.binary_value.as_deref());
    match (base, text, binary) {
        ("Binary", None, Some(binary)) if !binary.is_empty() => match STANDARD.decode(binary) {
            Ok(_) => Ok(()),
            Err(_) => Err(invalid_parameter(format!(
                "The message attribute '{name}' has a value that is not base64."
            ))),
        },
        ("String", Some(text), None) if !text.is_empty() => check_text(name, text),
        ("Number", Some(text), None) if !text.is_empty() => {
            if !is_number(text) {
                let text = format!(
                    "Can't cast the value of message (user) attribute '{name}' to a number."
                );
                return Err(invalid_parameter(text));
            }
            check_text(name, text)
        }
        _ => Err(invalid_parameter(format!(
            "The message attribute '{name}' must contain a non-empty message attribute value for message attribute \
             type '{base}'."
        ))),
    }
}

fn check_text(name: &str, text: &str) -> Result<(), AwsError> {
    if text.chars().all(is_allowed) {
        return Ok(());
    }
    Err(invalid_parameter(format!(
        "Invalid characters found in the value of message attribute '{name}', the set of allowed characters is {ALLOWED}"
    )))
}

/// A decimal number with an optional sign, fraction and exponent: no `inf`, `nan` or `0x`.
fn is_number(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
        && text.parse::<f64>().is_ok()
}

fn check_system_attributes(attributes: &AttributeValues) -> Result<(), AwsError> {
    for (name, value) in attributes {
        if name != "AWSTraceHeader" {
            let text = format!(
                "The name '{name}' is not one of the message system attributes that can be sent: AWSTraceHeader."
            );
            return Err(invalid_parameter(text));
        }
        if value.data_type != "String" {
            let text = format!("The message system attribute '{name}' must have the type String.");
            return Err(invalid_parameter(text));
        }
        check_attribute_value(name, value)?;
    }
    Ok(())
}

/// Checks a message's size against the queue's maximum.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn check_size(size: usize, maximum: usize) -> Result<(), AwsError> {
    if size <= maximum {
        return Ok(());
    }
    Err(invalid_parameter(format!(
        "One or more parameters are invalid. Reason: Message must be shorter than {maximum} bytes."
    )))
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::error::INVALID_PARAMETER_VALUE;
    use crate::aws::wire::error::MISSING_PARAMETER;

    use super::*;

    fn message(body: &str) -> SendMessage {
        SendMessage {
            message_body: Some(body.to_owned()),
            ..SendMessage::default()
        }
    }

    fn attribute(
        name: &str,
        data_type: &str,
        text: Option<&str>,
        binary: Option<&str>,
    ) -> SendMessage {
        let value = AttributeValue {
            data_type: data_type.to_owned(),
            string_value: text.map(str::to_owned),
            binary_value: binary.map(str::to_owned),
            ..AttributeValue::default()
        };
        SendMessage {
            message_attributes: Some([(name.to_owned(), value)].into()),
            ..message("b")
        }
    }

    #[test]
    fn an_empty_or_missing_body_is_a_missing_parameter() {
        assert_eq!(check(&message("")).unwrap_err().kind, &MISSING_PARAMETER);
        assert_eq!(
            check(&SendMessage::default()).unwrap_err().kind,
            &MISSING_PARAMETER
        );
    }

    #[test]
    fn a_body_has_the_characters_of_xml() {
        for body in ["\t\n\r ~\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}", "x"] {
            assert!(check(&message(body)).is_ok());
        }
        for body in ["a\u{0}", "\u{8}", "\u{b}", "\u{1f}", "\u{fffe}", "\u{ffff}"] {
            assert_eq!(
                check(&message(body)).unwrap_err().kind,
                &errors::INVALID_MESSAGE_CONTENTS,
                "{body:?}"
            );
        }
    }

    #[test]
    fn size_counts_body_names_types_and_values() {
        assert_eq!(
            size(&attribute("name", "String", Some("value"), None)),
            1 + 4 + 6 + 5
        );
        for (base64, bytes) in [("AA==", 1), ("AAE=", 2), ("AAEC", 3)] {
            let message = attribute("name", "Binary.gif", None, Some(base64));
            assert_eq!(size(&message), 1 + 4 + 10 + bytes);
        }
    }

    #[test]
    fn attribute_rules() {
        for (name, data_type, text, binary) in [
            ("a.b-c_1", "String", Some("x"), None),
            ("gr\u{fc}n", "String.label", Some("x"), None),
            ("n", "Number", Some("-1.5e3"), None),
            ("n", "Number.int", Some("42"), None),
            ("b", "Binary", None, Some("AA==")),
        ] {
            assert!(
                check(&attribute(name, data_type, text, binary)).is_ok(),
                "{name} {data_type}"
            );
        }
        for (name, data_type, text, binary) in [
            ("", "String", Some("x"), None),
            (".a", "String", Some("x"), None),
            ("a.", "String", Some("x"), None),
            ("a b", "String", Some("x"), None),
            ("aWs.x", "String", Some("x"), None),
            ("AMAZON.x", "String", Some("x"), None),
            ("a", "", Some("x"), None),
            ("a", "Text", Some("x"), None),
            ("a", "String.", Some("x"), None),
            ("a", "String", Some(""), None),
            ("a", "String", None, None),
            ("a", "String", None, Some("AA==")),
            ("a", "String", Some("\u{0}"), None),
            ("a", "Number", Some("x"), None),
            ("a", "Number", Some("inf"), None),
            ("a", "Number", Some("NaN"), None),
            ("a", "Binary", Some("x"), None),
            ("a", "Binary", None, Some("%")),
        ] {
            let error = check(&attribute(name, data_type, text, binary)).unwrap_err();
            assert_eq!(
                error.kind, &INVALID_PARAMETER_VALUE,
                "{name} {data_type} {text:?}"
            );
        }
    }

    #[test]
    fn ten_attributes_are_allowed() {
        let attributes = |n: usize| SendMessage {
            message_attributes: Some(
                (0..n)
                    .map(|i| {
                        let value = AttributeValue {
                            data_type: "String".to_owned(),
                            string_value: Some("x".to_owned()),
                            ..AttributeValue::default()
                        };
                        (format!("a{i}"), value)
                    })
                    .collect(),
            ),
            ..message("b")
        };
        assert!(check(&attributes(10)).is_ok());
        assert!(check(&attributes(11)).is_err());
    }

    #[test]
    fn ids_and_delay_have_their_ranges() {
        for delay in [0, 900] {
            assert!(
                check(&SendMessage {
                    delay_seconds: Some(delay),
                    ..message("b")
                })
                .is_ok()
            );
        }
        for delay in [-1, 901] {
            assert!(
                check(&SendMessage {
                    delay_seconds: Some(delay),
                    ..message("b")
                })
                .is_err()
            );
        }
        assert!(
            check(&SendMessage {
                message_group_id: Some("tenant!~".to_owned()),
                ..message("b")
            })
            .is_ok()
        );
        for group in ["", "a b", &"x".repeat(129)] {
            assert!(
                check(&SendMessage {
                    message_group_id: Some(group.to_owned()),
                    ..message("b")
                })
                .is_err()
            );
        }
        assert!(
            check(&SendMessage {
                message_deduplication_id: Some("x".to_owned()),
                ..message("b")
            })
            .is_err()
        );
    }

    #[test]
    fn the_size_limit_is_inclusive() {
        assert!(check_size(MAX_BYTES, MAX_BYTES).is_ok());
        assert!(check_size(MAX_BYTES + 1, MAX_BYTES).is_err());
    }
}
