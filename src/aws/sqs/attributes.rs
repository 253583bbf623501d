//! Queue attributes: which there are, and what they may be.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::errors;
use super::redrive::RedriveAllowPolicy;
use super::redrive::RedrivePolicy;
use super::redrive::parse_redrive;
use super::redrive::parse_redrive_allow;
use crate::aws::wire::AwsError;

/// An attribute that holds a whole number.
#[derive(Debug)]
pub struct NumberRule {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub range: RangeInclusive<u32>,
    /// What it is when nobody sets it.
    pub default: u32,
}

/// Seconds that a received message stays invisible.
pub static VISIBILITY_TIMEOUT: NumberRule = NumberRule {
    name: "VisibilityTimeout",
    range: 0..=43_200,
    default: 30,
};
/// Largest message in bytes.
pub static MAXIMUM_MESSAGE_SIZE: NumberRule = NumberRule {
    name: "MaximumMessageSize",
    range: 1_024..=1_048_576,
    default: 1_048_576,
};
/// Seconds that a message is kept.
pub static RETENTION: NumberRule = NumberRule {
    name: "MessageRetentionPeriod",
    range: 60..=1_209_600,
    default: 345_600,
};
/// Seconds that every message waits before it is visible.
pub static DELAY: NumberRule = NumberRule {
    name: "DelaySeconds",
    range: 0..=900,
    default: 0,
};
/// Seconds that a receive waits for a message.
pub static RECEIVE_WAIT: NumberRule = NumberRule {
    name: "ReceiveMessageWaitTimeSeconds",
    range: 0..=20,
    default: 0,
};
/// Seconds that a data key is reused; stored and returned only.
pub static KMS_REUSE: NumberRule = NumberRule {
    name: "KmsDataKeyReusePeriodSeconds",
    range: 60..=86_400,
    default: 300,
};

static NUMBERS: [&NumberRule; 6] = [
    &VISIBILITY_TIMEOUT,
    &MAXIMUM_MESSAGE_SIZE,
    &RETENTION,
    &DELAY,
    &RECEIVE_WAIT,
    &KMS_REUSE,
];

/// The rule of a number by its name.
#[must_use]
pub fn number_rule(name: &str) -> Option<&'static NumberRule> {
    NUMBERS.into_iter().find(|rule| rule.name == name)
}

/// Attributes that can be asked for but not set.
pub static READ_ONLY: [&str; 6] = [
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
    "CreatedTimestamp",
    "LastModifiedTimestamp",
    "QueueArn",
];
/// Attributes that only FIFO queues have.
pub static FIFO_ONLY: [&str; 4] = [
    "FifoQueue",
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoThroughputLimit",
];

/// Attributes as a client gave them, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Numbers by attribute name.
    pub numbers: BTreeMap<&'static str, u32>,
    /// Text that is stored and returned: `Policy`, KMS and SSE. Empty text takes it away.
    pub texts: BTreeMap<&'static str, String>,
    /// `Some(None)` takes the policy away.
    pub redrive: Option<Option<RedrivePolicy>>,
    /// The policy's text goes back as it came.
    pub redrive_allow: Option<(RedriveAllowPolicy, String)>,
}

impl Given {
    /// Checks attributes of CreateQueue or SetQueueAttributes.
    ///
    /// # Errors
    /// `InvalidAttributeName`, `InvalidAttributeValue`, `InvalidParameterValue`; `UnsupportedOperation`
    /// for FIFO queues.
    pub fn parse(attributes: &BTreeMap<String, String>) -> Result<Self, AwsError> {
        check_fifo(attributes)?;
        let mut given = Self::default();
        for (name, value) in attributes {
            given.set(name, value)?;
        }
        let has = |name: &str| given.texts.get(name).is_some_and(|value| !value.is_empty());
        if has("KmsMasterKeyId")
            && given
                .texts
                .get("SqsManagedSseEnabled")
                .is_some_and(|on| on == "true")
        {
            let text = "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS \
                        SSE or SQS SSE.";
            return Err(AwsError::new(&errors::INVALID_ATTRIBUTE_NAME, text));
        }
        Ok(given)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        if let Some(rule) = NUMBERS.iter().find(|rule| rule.name == name) {
            let number = value
                .parse()
                .ok()
                .filter(|number| rule.range.contains(number));
            let number = number.ok_or_else(|| errors::invalid_attribute(name))?;
            self.numbers.insert(rule.name, number);
            return Ok(());
        }
        match name {
            "Policy" => {
                if !value.is_empty() && !is_json_object(value) {
                    return Err(errors::invalid_attribute(name));
                }
                self.texts.insert("Policy", value.to_owned());
            }
            "KmsMasterKeyId" => {
                self.texts.insert("KmsMasterKeyId", value.to_owned());
            }
            "SqsManagedSseEnabled" => {
                if !matches!(value, "true" | "false") {
                    return Err(errors::invalid_attribute(name));
                }
                self.texts.insert("SqsManagedSseEnabled", value.to_owned());
            }
            "RedrivePolicy" => self.redrive = Some(parse_redrive(value)?),
            "RedriveAllowPolicy" => {
                self.redrive_allow = Some((parse_redrive_allow(value)?, value.to_owned()));
            }
            // Read-only ones and unknown ones alike: AWS does not tell them apart.
            _ => return Err(errors::unknown_attribute(name)),
        }
        Ok(())
    }

    /// A number that was given.
    #[must_use]
    pub fn number(&self, rule: &NumberRule) -> Option<u32> {
        self.numbers.get(rule.name).copied()
    }
}

/// FIFO queues come later; what belongs to them is refused as AWS refuses it on a standard queue.
fn check_fifo(attributes: &BTreeMap<String, String>) -> Result<(), AwsError> {
    match attributes.get("FifoQueue").map(String::as_str) {
        Some("true") => return Err(errors::unsupported("FIFO queues are not supported yet.")),
        Some(_) => return Err(errors::unknown_attribute("FifoQueue")),
        None => {}
    }
    for name in ["DeduplicationScope", "FifoThroughputLimit"] {
        if attributes.contains_key(name) {
            let text = format!("You can specify the {name} only when FifoQueue is set to true.");
            return Err(AwsError::new(&errors::INVALID_ATTRIBUTE_NAME, text));
        }
    }
    Ok(())
}

fn is_json_object(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(serde_json::Value::Object(_)))
}

/// Checks a name that CreateQueue is given. Queues of other protocols may have others.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn check_queue_name(name: &str) -> Result<(), AwsError> {
    let characters = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if (1..=80).contains(&name.len()) && characters {
        return Ok(());
    }
    let text =
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    Err(crate::aws::wire::error::invalid_parameter(text))
}

/// Checks the names that GetQueueAttributes is asked for.
///
/// # Errors
/// `InvalidAttributeName`.
pub fn check_asked(names: &[String]) -> Result<(), AwsError> {
    for name in names {
        let known = name == "All"
            || NUMBERS.iter().any(|rule| rule.name == name)
            || READ_ONLY.contains(&name.as_str())
            || FIFO_ONLY.contains(&name.as_str())
            || matches!(
                name.as_str(),
                "Policy"
                    | "KmsMasterKeyId"
                    | "SqsManagedSseEnabled"
                    | "RedrivePolicy"
                    | "RedriveAllowPolicy"
            );
        if !known {
            return Err(errors::unknown_attribute(name));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::aws::wire::ErrorKind;

    use super::*;

    fn parse(name: &str, value: &str) -> Result<Given, &'static ErrorKind> {
        Given::parse(&[(name.to_owned(), value.to_owned())].into()).map_err(|error| error.kind)
    }

    #[test]
    fn numbers_have_their_ranges() {
        for rule in NUMBERS {
            for number in [*rule.range.start(), *rule.range.end(), rule.default] {
                assert_eq!(
                    parse(rule.name, &number.to_string()).unwrap().number(rule),
                    Some(number)
                );
            }
            let above = (rule.range.end() + 1).to_string();
            for value in ["", "-1", "x", "1.5", &above] {
                assert_eq!(
                    parse(rule.name, value),
                    Err(&errors::INVALID_ATTRIBUTE_VALUE),
                    "{} {value}",
                    rule.name
                );
            }
        }
        assert!(parse("MaximumMessageSize", "1023").is_err());
        assert!(parse("MessageRetentionPeriod", "59").is_err());
    }

    #[test]
    fn unknown_and_read_only_names_are_refused() {
        for name in READ_ONLY
            .into_iter()
            .chain(["Foo", "All", "visibilitytimeout"])
        {
            assert_eq!(
                parse(name, "1"),
                Err(&errors::INVALID_ATTRIBUTE_NAME),
                "{name}"
            );
        }
    }

    #[test]
    fn fifo_attributes_are_refused_on_standard_queues_as_aws_does() {
        assert_eq!(
            parse("FifoQueue", "true"),
            Err(&errors::UNSUPPORTED_OPERATION)
        );
        for name in FIFO_ONLY {
            assert_eq!(
                parse(name, "false"),
                Err(&errors::INVALID_ATTRIBUTE_NAME),
                "{name}"
            );
        }
    }

    #[test]
    fn kms_and_sqs_encryption_exclude_each_other() {
        let both = [("KmsMasterKeyId", "k"), ("SqsManagedSseEnabled", "true")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            Given::parse(&both.into()).unwrap_err().kind,
            &errors::INVALID_ATTRIBUTE_NAME
        );
    }

    #[test]
    fn queue_names() {
        for name in ["a", "A-z_0", &"x".repeat(80)] {
            assert!(check_queue_name(name).is_ok(), "{name}");
        }
        for name in ["", "a.b", "a b", "q.fifo", "\u{fc}", &"x".repeat(81)] {
            assert!(check_queue_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn only_known_attributes_can_be_asked_for() {
        assert!(
            check_asked(&["All".to_owned(), "QueueArn".to_owned(), "Policy".to_owned()]).is_ok()
        );
        assert!(check_asked(&["Nope".to_owned()]).is_err());
    }
}
