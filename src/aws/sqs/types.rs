//! Requests and answers of the operations, as both wires carry them.
//!
//! Required members are optional here, because a missing one has its own error (`MissingParameter`),
//! which operations raise in AWS' order.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::aws::wire::AwsError;
use crate::aws::wire::error::missing_parameter;

/// Takes a required member, or says that it is missing.
///
/// # Errors
/// `MissingParameter`.
pub fn required<T>(member: Option<T>, name: &str) -> Result<T, AwsError> {
    member.ok_or_else(|| missing_parameter(name))
}

/// A request that names a queue and nothing else.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueRequest {
    /// The queue.
    pub queue_url: Option<String>,
}

/// CreateQueue.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateQueue {
    /// The name.
    pub queue_name: Option<String>,
    /// Attributes by name.
    pub attributes: Option<BTreeMap<String, String>>,
    /// Tags by key.
    #[serde(rename = "tags", alias = "Tags")]
    pub tags: Option<BTreeMap<String, String>>,
}

/// GetQueueUrl.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueUrl {
    /// The name.
    pub queue_name: Option<String>,
    /// The account that has it, if not the caller's.
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub owner: Option<String>,
}

/// ListQueues.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueues {
    /// What names must begin with.
    pub queue_name_prefix: Option<String>,
    /// Where the page before ended.
    pub next_token: Option<String>,
    /// Names on a page.
    pub max_results: Option<i64>,
}

/// GetQueueAttributes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueAttributes {
    /// The queue.
    pub queue_url: Option<String>,
    /// What is asked for.
    pub attribute_names: Option<Vec<String>>,
}

/// SetQueueAttributes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetQueueAttributes {
    /// The queue.
    pub queue_url: Option<String>,
    /// Attributes by name.
    pub attributes: Option<BTreeMap<String, String>>,
}

/// A typed value of a message attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeValue {
    /// `String`, `Number` or `Binary`, perhaps with a label.
    #[serde(default)]
    pub data_type: String,
    /// The value of strings and numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of binaries, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
    /// In the model, but AWS implements none.
    #[serde(default, skip_serializing)]
    pub string_list_values: Option<Vec<String>>,
    /// In the model, but AWS implements none.
    #[serde(default, skip_serializing)]
    pub binary_list_values: Option<Vec<String>>,
}

/// Message attributes by name.
pub type AttributeValues = BTreeMap<String, AttributeValue>;

/// What SendMessage and an entry of SendMessageBatch have in common, and the members that only one has.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessage {
    /// The queue (SendMessage).
    pub queue_url: Option<String>,
    /// The entry's id (SendMessageBatch).
    pub id: Option<String>,
    /// The body.
    pub message_body: Option<String>,
    /// Seconds until it is visible.
    pub delay_seconds: Option<i64>,
    /// Message attributes.
    pub message_attributes: Option<AttributeValues>,
    /// Message system attributes: only `AWSTraceHeader`.
    pub message_system_attributes: Option<AttributeValues>,
    /// Deduplication id of FIFO queues.
    pub message_deduplication_id: Option<String>,
    /// Group id: order of FIFO queues, tenant of fair queues.
    pub message_group_id: Option<String>,
}

/// A batch of any operation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Batch<T> {
    /// The queue.
    pub queue_url: Option<String>,
    /// The entries.
    pub entries: Option<Vec<T>>,
}

/// ReceiveMessage.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveMessage {
    /// The queue.
    pub queue_url: Option<String>,
    /// System attributes asked for, by the old name of the member.
    pub attribute_names: Option<Vec<String>>,
    /// System attributes asked for.
    pub message_system_attribute_names: Option<Vec<String>>,
    /// Message attributes asked for: names, `prefix.*`, `All`.
    pub message_attribute_names: Option<Vec<String>>,
    /// At most so many, 1 to 10.
    pub max_number_of_messages: Option<i64>,
    /// Seconds that they are leased.
    pub visibility_timeout: Option<i64>,
    /// Seconds to wait for the first.
    pub wait_time_seconds: Option<i64>,
    /// Makes a retried receive idempotent on FIFO queues.
    pub receive_request_attempt_id: Option<String>,
}

/// DeleteMessage, ChangeMessageVisibility, and the entries of their batches.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandleRequest {
    /// The queue (single operations).
    pub queue_url: Option<String>,
    /// The entry's id (batches).
    pub id: Option<String>,
    /// The receipt handle.
    pub receipt_handle: Option<String>,
    /// Seconds from now (ChangeMessageVisibility).
    pub visibility_timeout: Option<i64>,
}

/// A queue's URL.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct QueueUrlAnswer {
    /// The URL.
    pub queue_url: String,
}

/// A page of queue URLs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueuesAnswer {
    /// The URLs; absent when there are none, as AWS leaves it out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue_urls: Vec<String>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_token: Option<String>,
}

/// Attributes of a queue.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributesAnswer {
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

/// What SendMessage and a successful entry of its batch answer.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Sent {
    /// The entry's id (batch).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The new message's id.
    pub message_id: String,
    /// Digest of the body.
    #[serde(rename = "MD5OfMessageBody")]
    pub md5_of_message_body: String,
    /// Digest of the message attributes.
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub md5_of_message_attributes: Option<String>,
    /// Digest of the message system attributes.
    #[serde(
        rename = "MD5OfMessageSystemAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub md5_of_message_system_attributes: Option<String>,
}

/// A batch's successful entry that has nothing to say but that it succeeded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Done {
    /// The entry's id.
    pub id: String,
}

/// A batch's entry that failed while others may have succeeded.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Failed {
    /// The entry's id.
    pub id: String,
    /// Whose fault it is.
    pub sender_fault: bool,
    /// The error's code.
    pub code: String,
    /// Its text.
    pub message: String,
}

impl Failed {
    /// The entry's share of an error.
    #[must_use]
    pub fn new(id: String, error: &AwsError) -> Self {
        Self {
            id,
            sender_fault: error.kind.sender_fault,
            code: error.kind.code.to_owned(),
            message: error.message.to_string(),
        }
    }
}

/// What a batch answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct BatchAnswer<T> {
    /// Entries that succeeded. Absent when none did, as AWS leaves it out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub successful: Vec<T>,
    /// Entries that failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<Failed>,
}

/// A received message.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Received {
    /// The message's id.
    pub message_id: String,
    /// What deletes it, or moves its visibility.
    pub receipt_handle: String,
    /// Digest of the body.
    #[serde(rename = "MD5OfBody")]
    pub md5_of_body: String,
    /// The body.
    pub body: String,
    /// System attributes asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<&'static str, String>,
    /// Digest of the message attributes that are returned.
    #[serde(
        rename = "MD5OfMessageAttributes",
        skip_serializing_if = "Option::is_none"
    )]
    pub md5_of_message_attributes: Option<String>,
    /// Message attributes asked for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub message_attributes: AttributeValues,
}

/// What ReceiveMessage answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveAnswer {
    /// The messages. Absent when there are none: clients test for the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Received>,
}
