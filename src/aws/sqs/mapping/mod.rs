//! SQS messages and the core's, both ways. `docs/mapping.md` is this file as a table.
//!
//! A message that came through SQS keeps its attributes in a head of our own form:
//!
//! ```text
//! u8 version 1 | u8 flags (bit 0: the body was base64 and is stored decoded)
//! u16 length, trace header (0 = none) | u16 length, group id (0 = none)
//! u8 number of attributes, then for each:
//!     u8 1 text, 2 bytes | u16 length, name | u16 length, type | u32 length, value
//! ```
//!
//! Integers are big-endian. A consumer of SQS gets it back as sent; other doors see [`SqsDecode`].
//! A message of another door is seen through its neutral view: see [`outward`].

mod head;

mod inward;

mod outward;

pub use head::SqsHead;
pub use inward::SqsDecode;
pub(in crate::aws::sqs) use inward::body;
pub(in crate::aws::sqs) use inward::priority;
pub use outward::Rendered;
pub use outward::Renderer;

use crate::core::model::message::FormatId;
use crate::telemetry::Protocol;

/// Form of the heads that this file describes.
pub const SQS_FORMAT: FormatId = FormatId(2);
/// The door that wrote a head, by the table of format ids in `ARCHITECTURE.md`.
pub(in crate::aws::sqs) fn door_of(format: FormatId) -> Protocol {
    match format {
        FormatId(1) => Protocol::Amqp091,
        SQS_FORMAT => Protocol::Sqs,
        FormatId(_) => Protocol::Internal,
    }
}

/// Says what a body is (amazon-sqs-java-messaging-lib): `text`, `byte` or `object`; the latter two are
/// base64.
pub const MESSAGE_TYPE: &str = "JMS_SQSMessageType";
/// The correlation id (amazon-sqs-java-messaging-lib).
pub const CORRELATION_ID: &str = "JMS_SQSCorrelationID";
/// Name of the queue to answer to (amazon-sqs-java-messaging-lib).
pub const REPLY_TO_NAME: &str = "JMS_SQSReplyToQueueName";
/// URL of the queue to answer to (amazon-sqs-java-messaging-lib, which wants both).
pub const REPLY_TO_URL: &str = "JMS_SQSReplyToQueueURL";
/// Properties that found no place among the ten attributes, as a JSON object.
pub const OVERFLOW: &str = "viaduct.headers";
/// Message id, content type and the like of other protocols.
pub const MESSAGE_ID: &str = "amqp.message-id";
/// MIME type.
pub const CONTENT_TYPE: &str = "amqp.content-type";
/// MIME content encoding.
pub const CONTENT_ENCODING: &str = "amqp.content-encoding";
/// Subject, label or type.
pub const TYPE: &str = "amqp.type";
/// User who says to have sent it.
pub const USER_ID: &str = "amqp.user-id";
/// Application that says to have sent it.
pub const APP_ID: &str = "amqp.app-id";
/// When its sender says to have sent it, in seconds since 1970.
pub const TIMESTAMP: &str = "amqp.timestamp";
/// Priority, where it is not 0.
pub const PRIORITY: &str = "amqp.priority";
