//! How SQS names a queue: URLs and ARNs.
//!
//! ```text
//! http://<any host>/<account>/<name>                     path style, ours
//! http://<any host>/queue/<region>/<account>/<name>      emulators' second style
//! https://<region>.queue.amazonaws.com/<account>/<name>  legacy
//! arn:aws:sqs:<region>:<account>:<name>
//! ```
//!
//! The host never matters, only the last two segments: a client may reach the broker under another name
//! than the one that made the URL. The name is one percent-encoded segment, split before it is decoded,
//! so a queue that another protocol named `a/b` has a URL too.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;

use super::errors;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::invalid_parameter;

const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A queue as a client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAddress {
    /// The account's 12 digits.
    pub account: String,
    /// The queue's name.
    pub name: String,
}

impl QueueAddress {
    /// Reads a queue URL.
    ///
    /// # Errors
    /// `InvalidAddress` when it has no account and name.
    pub fn from_url(url: &str) -> Result<Self, AwsError> {
        Self::from_path(url).ok_or_else(|| {
            AwsError::new(
                &errors::INVALID_ADDRESS,
                format!("The address {url} is not valid for this endpoint."),
            )
        })
    }

    /// Reads the path of a Query request, or a whole URL; `None` for `/` and whatever has no account.
    #[must_use]
    pub fn from_path(path: &str) -> Option<Self> {
        let path = path.split(['?', '#']).next()?.trim_end_matches('/');
        let (rest, name) = path.rsplit_once('/')?;
        let (_, account) = rest.rsplit_once('/')?;
        if !is_account(account) || name.is_empty() {
            return None;
        }
        let name = percent_decode_str(name).decode_utf8().ok()?;
        Some(Self {
            account: account.to_owned(),
            name: name.into_owned(),
        })
    }

    /// Prints the queue's URL under a base such as `http://localhost:4566`.
    #[must_use]
    pub fn to_url(&self, base: &str) -> String {
        let base = base.trim_end_matches('/');
        format!(
            "{base}/{}/{}",
            self.account,
            utf8_percent_encode(&self.name, SEGMENT)
        )
    }

    /// Reads a queue's ARN; the region is for the caller to judge.
    ///
    /// # Errors
    /// The reason, for `InvalidParameterValue` or `InvalidAttributeValue`.
    pub fn from_arn(arn: &str) -> Result<(Self, String), AwsError> {
        let mut parts = arn.splitn(6, ':');
        let (Some("arn"), Some(partition), Some("sqs"), Some(region), Some(account), Some(name)) = (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) else {
            return Err(invalid_parameter(format!(
                "The ARN {arn} is not one of a queue."
            )));
        };
        if !partition.starts_with("aws") || !is_account(account) || name.is_empty() {
            return Err(invalid_parameter(format!(
                "The ARN {arn} is not one of a queue."
            )));
        }
        let address = Self {
            account: account.to_owned(),
            name: name.to_owned(),
        };
        Ok((address, region.to_owned()))
    }

    /// Prints the queue's ARN.
    #[must_use]
    pub fn to_arn(&self, region: &str) -> String {
        format!("arn:aws:sqs:{region}:{}:{}", self.account, self.name)
    }
}

/// Whether a text is an AWS account id.
#[must_use]
pub fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_last_two_segments_of_a_url_count() {
        for url in [
            "http://localhost:4566/000000000000/orders",
            "https://sqs.eu-central-1.amazonaws.com/000000000000/orders",
            "http://broker/queue/eu-central-1/000000000000/orders",
            "/000000000000/orders",
            "/000000000000/orders/",
            "http://h/000000000000/or%64ers?x=1",
        ] {
            let address = QueueAddress::from_url(url).unwrap();
            assert_eq!(
                (address.account.as_str(), address.name.as_str()),
                ("000000000000", "orders"),
                "{url}"
            );
        }
    }

    #[test]
    fn what_names_no_queue_is_refused() {
        for url in [
            "",
            "/",
            "orders",
            "http://localhost:4566/orders",
            "/1/orders",
            "/000000000000/%ff",
        ] {
            assert!(QueueAddress::from_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_arn_keeps_everything_after_the_fifth_colon() {
        let (address, region) =
            QueueAddress::from_arn("arn:aws:sqs:us-east-1:000000000000:a:b").unwrap();
        assert_eq!(
            (address.name.as_str(), region.as_str()),
            ("a:b", "us-east-1")
        );
        for arn in [
            "",
            "arn:aws:sns:us-east-1:000000000000:a",
            "arn:aws:sqs:us-east-1:0:a",
            "arn:aws:sqs:r:000000000000:",
        ] {
            assert!(QueueAddress::from_arn(arn).is_err(), "{arn}");
        }
    }

    proptest! {
        #[test]
        fn every_name_survives_url_and_arn(name in ".{1,40}") {
            let address = QueueAddress { account: "000000000000".to_owned(), name };
            prop_assert_eq!(QueueAddress::from_url(&address.to_url("http://h:1")).unwrap(), address.clone());
            prop_assert_eq!(QueueAddress::from_arn(&address.to_arn("r")).unwrap().0, address);
        }
    }
}
