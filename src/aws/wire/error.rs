//! What an AWS client sees when a request fails: one table row per kind, and the text.

use std::borrow::Cow;

/// One kind of error: how each wire names it, and its HTTP status.
///
/// The query code and the JSON shape differ for historical reasons (`QueueDoesNotExist` is
/// `AWS.SimpleQueueService.NonExistentQueue` in Query); SDKs of JSON services that once were Query
/// services surface the query code, which travels in `x-amzn-query-error`.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorKind {
    /// `Code` in XML, and the first half of the header `x-amzn-query-error`.
    pub code: &'static str,
    /// `__type` in JSON, with its namespace.
    pub shape: &'static str,
    /// HTTP status on the JSON wire.
    pub status: u16,
    /// HTTP status on the Query wire; differs for `ReceiptHandleIsInvalid` only.
    pub query_status: u16,
    /// Who is at fault: the sender, or the service.
    pub sender_fault: bool,
}

impl ErrorKind {
    /// A kind that the sender is to blame for, with the same status on both wires.
    #[must_use]
    pub const fn sender(code: &'static str, shape: &'static str, status: u16) -> Self {
        Self {
            code,
            shape,
            status,
            query_status: status,
            sender_fault: true,
        }
    }

    /// A kind that the service is to blame for.
    #[must_use]
    pub const fn receiver(code: &'static str, shape: &'static str, status: u16) -> Self {
        Self {
            code,
            shape,
            status,
            query_status: status,
            sender_fault: false,
        }
    }

    /// `Type` in XML and the second half of `x-amzn-query-error`.
    #[must_use]
    pub fn fault(&self) -> &'static str {
        if self.sender_fault {
            "Sender"
        } else {
            "Receiver"
        }
    }
}

/// A refused request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.code)]
pub struct AwsError {
    /// The row of the error table.
    pub kind: &'static ErrorKind,
    /// The text for a human.
    pub message: Cow<'static, str>,
    /// The text on the Query wire, where AWS words it differently.
    pub query_message: Option<&'static str>,
}

impl AwsError {
    /// An error of this kind with this text.
    #[must_use]
    pub fn new(kind: &'static ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            query_message: None,
        }
    }
}

/// The body is not JSON, or a member has the wrong type.
pub static SERIALIZATION: ErrorKind = ErrorKind::sender(
    "MalformedInput",
    "com.amazon.coral.service#SerializationException",
    400,
);
/// The operation of `X-Amz-Target` does not exist.
pub static UNKNOWN_OPERATION: ErrorKind = ErrorKind::sender(
    "InvalidAction",
    "com.amazon.coral.service#UnknownOperationException",
    400,
);
/// A required member is missing.
pub static MISSING_PARAMETER: ErrorKind = ErrorKind::sender(
    "MissingParameter",
    "com.amazon.coral.service#MissingRequiredParameterException",
    400,
);
/// A member has a value that the operation does not allow.
pub static INVALID_PARAMETER_VALUE: ErrorKind = ErrorKind::sender(
    "InvalidParameterValue",
    "com.amazon.coral.service#InvalidParameterValueException",
    400,
);
/// The caller may not do this.
pub static ACCESS_DENIED: ErrorKind = ErrorKind::sender(
    "AccessDenied",
    "com.amazon.coral.service#AccessDeniedException",
    403,
);
/// The request is larger than anything that the service takes.
pub static REQUEST_TOO_LARGE: ErrorKind = ErrorKind::sender(
    "RequestEntityTooLarge",
    "com.amazon.coral.service#RequestEntityTooLargeException",
    413,
);
/// Something broke inside the broker.
pub static INTERNAL_FAILURE: ErrorKind = ErrorKind::receiver(
    "InternalFailure",
    "com.amazon.coral.service#InternalFailure",
    500,
);
/// The broker cannot take this now: memory or disk alarm, shutting down.
pub static SERVICE_UNAVAILABLE: ErrorKind = ErrorKind::receiver(
    "ServiceUnavailable",
    "com.amazon.coral.service#ServiceUnavailableException",
    503,
);

/// A required member that is missing.
#[must_use]
pub fn missing_parameter(name: &str) -> AwsError {
    AwsError::new(
        &MISSING_PARAMETER,
        format!("The request must contain the parameter {name}."),
    )
}

/// A member with a value that is not allowed.
#[must_use]
pub fn invalid_parameter(message: impl Into<Cow<'static, str>>) -> AwsError {
    AwsError::new(&INVALID_PARAMETER_VALUE, message)
}
