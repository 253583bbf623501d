//! The two redrive policies: where a message goes that is received too often, and who may send it there.

use serde::Deserialize;
use serde::Serialize;

use super::address::QueueAddress;
use super::errors;
use crate::aws::wire::AwsError;

/// When a message is moved to the dead-letter queue, and to which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedrivePolicy {
    /// The dead-letter queue.
    pub target: QueueAddress,
    /// Region of its ARN, printed again as given.
    pub region: String,
    /// Receives before it moves, 1 to 1000.
    pub max_receive_count: u16,
}

/// Which queues may use this one as their dead-letter queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RedriveAllowPolicy {
    /// Every queue.
    #[default]
    AllowAll,
    /// None.
    DenyAll,
    /// These.
    ByQueue(Vec<QueueAddress>),
}

/// `maxReceiveCount` comes as a number from some SDKs and as text from others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Count {
    Number(u16),
    Text(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedriveDocument {
    dead_letter_target_arn: Option<String>,
    max_receive_count: Option<Count>,
}

/// Reads a RedrivePolicy; empty text takes it away.
///
/// # Errors
/// `InvalidAttributeValue`.
pub fn parse_redrive(value: &str) -> Result<Option<RedrivePolicy>, AwsError> {
    if value.is_empty() {
        return Ok(None);
    }
    let fail = |reason: &str| errors::invalid_attribute_because("RedrivePolicy", value, reason);
    let document: RedriveDocument =
        serde_json::from_str(value).map_err(|_| fail("Redrive policy is not a valid JSON map."))?;
    let count = document.max_receive_count.ok_or_else(|| {
        fail("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
    })?;
    let arn = document.dead_letter_target_arn.ok_or_else(|| {
        fail("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
    })?;
    let max_receive_count = match count {
        Count::Number(count) => Some(count),
        Count::Text(text) => text.parse().ok(),
    };
    let max_receive_count = max_receive_count
        .filter(|count| (1..=1000).contains(count))
        .ok_or_else(|| fail("Invalid value for maxReceiveCount, valid values are from 1 to 1000 both inclusive."))?;
    let (target, region) =
        QueueAddress::from_arn(&arn).map_err(|_| fail("Invalid value for deadLetterTargetArn."))?;
    Ok(Some(RedrivePolicy {
        target,
        region,
        max_receive_count,
    }))
}

impl RedrivePolicy {
    /// The policy as GetQueueAttributes returns it.
    #[must_use]
    pub fn to_text(&self) -> String {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Document {
            dead_letter_target_arn: String,
            max_receive_count: u16,
        }
        let document = Document {
            dead_letter_target_arn: self.target.to_arn(&self.region),
            max_receive_count: self.max_receive_count,
        };
        serde_json::to_string(&document).unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AllowDocument {
    redrive_permission: String,
    source_queue_arns: Option<Vec<String>>,
}

/// Reads a RedriveAllowPolicy; empty text is the default.
///
/// # Errors
/// `InvalidAttributeValue`.
pub fn parse_redrive_allow(value: &str) -> Result<RedriveAllowPolicy, AwsError> {
    if value.is_empty() {
        return Ok(RedriveAllowPolicy::AllowAll);
    }
    let fail =
        |reason: &str| errors::invalid_attribute_because("RedriveAllowPolicy", value, reason);
    let document: AllowDocument =
        serde_json::from_str(value).map_err(|_| fail("Amazon SQS can't parse the policy."))?;
    match (
        document.redrive_permission.as_str(),
        document.source_queue_arns,
    ) {
        ("allowAll", None) => Ok(RedriveAllowPolicy::AllowAll),
        ("denyAll", None) => Ok(RedriveAllowPolicy::DenyAll),
        ("byQueue", Some(arns)) if (1..=10).contains(&arns.len()) => {
            let queues: Result<Vec<_>, _> = arns
                .iter()
                .map(|arn| QueueAddress::from_arn(arn).map(|(queue, _)| queue))
                .collect();
            queues
                .map(RedriveAllowPolicy::ByQueue)
                .map_err(|_| fail("sourceQueueArns has an invalid ARN."))
        }
        ("byQueue", _) => Err(fail(
            "sourceQueueArns must have 1 to 10 ARNs when redrivePermission is byQueue.",
        )),
        ("allowAll" | "denyAll", Some(_)) => Err(fail(
            "sourceQueueArns is allowed only when redrivePermission is byQueue.",
        )),
        _ => Err(fail(
            "redrivePermission must be allowAll, denyAll or byQueue.",
        )),
    }
}

impl RedriveAllowPolicy {
    /// Whether `source` may use the policy's queue as its dead-letter queue.
    #[must_use]
    pub fn allows(&self, source: &QueueAddress) -> bool {
        match self {
            Self::AllowAll => true,
            Self::DenyAll => false,
            Self::ByQueue(queues) => queues.contains(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:dead";

    #[test]
    fn a_redrive_policy_reads_both_kinds_of_number_and_prints_one() {
        for count in ["3", "\"3\""] {
            let text = format!("{{\"deadLetterTargetArn\":\"{ARN}\",\"maxReceiveCount\":{count}}}");
            let policy = parse_redrive(&text).unwrap().unwrap();
            assert_eq!(policy.max_receive_count, 3);
            assert_eq!(
                policy.to_text(),
                format!("{{\"deadLetterTargetArn\":\"{ARN}\",\"maxReceiveCount\":3}}")
            );
        }
        assert_eq!(parse_redrive("").unwrap(), None);
        for text in [
            "x".to_owned(),
            "{}".to_owned(),
            format!("{{\"deadLetterTargetArn\":\"{ARN}\"}}"),
            format!("{{\"deadLetterTargetArn\":\"{ARN}\",\"maxReceiveCount\":0}}"),
            format!("{{\"deadLetterTargetArn\":\"{ARN}\",\"maxReceiveCount\":1001}}"),
            "{\"deadLetterTargetArn\":\"x\",\"maxReceiveCount\":3}".to_owned(),
        ] {
            assert_eq!(
                parse_redrive(&text).map_err(|error| error.kind),
                Err(&errors::INVALID_ATTRIBUTE_VALUE),
                "{text}"
            );
        }
    }

    #[test]
    fn a_redrive_allow_policy_judges_sources() {
        let queue = |name: &str| QueueAddress {
            account: "000000000000".to_owned(),
            name: name.to_owned(),
        };
        let policy = |text: &str| parse_redrive_allow(text).unwrap();
        assert!(policy("").allows(&queue("a")));
        assert!(policy("{\"redrivePermission\":\"allowAll\"}").allows(&queue("a")));
        assert!(!policy("{\"redrivePermission\":\"denyAll\"}").allows(&queue("a")));
        let by = policy(&format!(
            "{{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"{ARN}\"]}}"
        ));
        assert!(by.allows(&queue("dead")) && !by.allows(&queue("a")));
        for text in [
            "x",
            "{}",
            "{\"redrivePermission\":\"x\"}",
            "{\"redrivePermission\":\"byQueue\"}",
            "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[]}",
            "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"x\"]}",
        ] {
            assert!(parse_redrive_allow(text).is_err(), "{text}");
        }
    }
}
