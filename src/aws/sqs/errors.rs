//! The errors of SQS: one row per shape of the service model, with code and status as AWS answers them.

use std::borrow::Cow;

use crate::aws::wire::AwsError;
use crate::aws::wire::ErrorKind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $shape:literal, $status:literal;)*) => {
        $($(#[$doc])* pub static $name: ErrorKind =
            ErrorKind::sender($code, concat!("com.amazonaws.sqs#", $shape), $status);)*
    };
}

kinds! {
    /// No such queue, or none that this caller may know of.
    QUEUE_DOES_NOT_EXIST = "AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", 400;
    /// A queue of this name has other attributes.
    QUEUE_NAME_EXISTS = "QueueAlreadyExists", "QueueNameExists", 400;
    /// A queue of this name was deleted within 60 seconds.
    QUEUE_DELETED_RECENTLY = "AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently", 400;
    /// The queue was purged within 60 seconds.
    PURGE_QUEUE_IN_PROGRESS = "AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress", 403;
    /// A batch without entries.
    EMPTY_BATCH_REQUEST = "AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest", 400;
    /// A batch of more than ten entries.
    TOO_MANY_ENTRIES = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest", 400;
    /// Two entries of a batch have one id.
    BATCH_IDS_NOT_DISTINCT = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct", 400;
    /// The entries of a batch are too large together.
    BATCH_REQUEST_TOO_LONG = "AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", 400;
    /// An entry's id has characters or a length that ids may not have.
    INVALID_BATCH_ENTRY_ID = "AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId", 400;
    /// The message is not leased, so its visibility cannot change.
    MESSAGE_NOT_INFLIGHT = "AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight", 400;
    /// The service has the operation, but not for this queue or with these attributes.
    UNSUPPORTED_OPERATION = "AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation", 400;
    /// An attribute that queues of this kind do not have.
    INVALID_ATTRIBUTE_NAME = "InvalidAttributeName", "InvalidAttributeName", 400;
    /// An attribute with a value that it may not have.
    INVALID_ATTRIBUTE_VALUE = "InvalidAttributeValue", "InvalidAttributeValue", 400;
    /// The message has characters that XML cannot carry.
    INVALID_MESSAGE_CONTENTS = "InvalidMessageContents", "InvalidMessageContents", 400;
    /// Too much is in flight.
    OVER_LIMIT = "OverLimit", "OverLimit", 400;
    /// Slow down and try again; SDKs do so by themselves.
    REQUEST_THROTTLED = "RequestThrottled", "RequestThrottled", 400;
    /// The account of a URL or ARN does not exist here.
    INVALID_ADDRESS = "InvalidAddress", "InvalidAddress", 404;
}

/// Not one of ours, or damaged. The Query wire answers 404 where JSON answers 400.
pub static RECEIPT_HANDLE_IS_INVALID: ErrorKind = ErrorKind {
    code: "ReceiptHandleIsInvalid",
    shape: "com.amazonaws.sqs#ReceiptHandleIsInvalid",
    status: 400,
    query_status: 404,
    sender_fault: true,
};

/// The queue does not exist; the Query wire still says "wsdl".
#[must_use]
pub fn no_such_queue() -> AwsError {
    AwsError {
        kind: &QUEUE_DOES_NOT_EXIST,
        message: Cow::Borrowed("The specified queue does not exist."),
        query_message: Some("The specified queue does not exist for this wsdl version."),
    }
}

/// A receipt handle that no ReceiveMessage here returned.
#[must_use]
pub fn invalid_handle(handle: &str) -> AwsError {
    let text = format!("The input receipt handle \"{handle}\" is not a valid receipt handle.");
    AwsError::new(&RECEIPT_HANDLE_IS_INVALID, text)
}

/// An attribute that does not exist, or not for this kind of queue.
#[must_use]
pub fn unknown_attribute(name: &str) -> AwsError {
    AwsError::new(
        &INVALID_ATTRIBUTE_NAME,
        format!("Unknown Attribute {name}."),
    )
}

/// An attribute whose value is out of its range or has another type.
#[must_use]
pub fn invalid_attribute(name: &str) -> AwsError {
    AwsError::new(
        &INVALID_ATTRIBUTE_VALUE,
        format!("Invalid value for the parameter {name}."),
    )
}

/// An attribute whose value breaks a rule that needs words.
#[must_use]
pub fn invalid_attribute_because(name: &str, value: &str, reason: &str) -> AwsError {
    let text = format!("Value {value} for parameter {name} is invalid. Reason: {reason}");
    AwsError::new(&INVALID_ATTRIBUTE_VALUE, text)
}

/// A parameter whose value breaks a rule.
#[must_use]
pub fn invalid_value(name: &str, value: impl std::fmt::Display, reason: &str) -> AwsError {
    let text = format!("Value {value} for parameter {name} is invalid. Reason: {reason}");
    crate::aws::wire::error::invalid_parameter(text)
}

/// The operation is not possible here.
#[must_use]
pub fn unsupported(text: impl Into<Cow<'static, str>>) -> AwsError {
    AwsError::new(&UNSUPPORTED_OPERATION, text)
}
