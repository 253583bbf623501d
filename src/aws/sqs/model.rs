//! The shape table of SQS: operations, members, and the names that differ in forms and XML.
//!
//! From the service model 2012-11-05. Operations without a handler stand here too, so that both wires
//! know them and answer that they are not supported rather than unknown.

use crate::aws::wire::shape::Member;
use crate::aws::wire::shape::Operation;
use crate::aws::wire::shape::ServiceModel;
use crate::aws::wire::shape::Shape;

/// SQS as the wires see it.
pub static SQS: ServiceModel = ServiceModel {
    target_prefix: "AmazonSQS",
    scope: "sqs",
    version: "2012-11-05",
    namespace: "http://queue.amazonaws.com/doc/2012-11-05/",
    operations: OPERATIONS,
};

static TEXTS: Shape = Shape::List(&Shape::Text);
static TEXT_MAP: Shape = Shape::Map {
    key: "Name",
    value: &Shape::Text,
};
static TAG_MAP: Shape = Shape::Map {
    key: "Key",
    value: &Shape::Text,
};
static ATTRIBUTE_VALUE: Shape = Shape::Structure(&[
    text("StringValue"),
    text("BinaryValue"),
    Member::named("StringListValues", "StringListValue", &TEXTS),
    Member::named("BinaryListValues", "BinaryListValue", &TEXTS),
    text("DataType"),
]);
static ATTRIBUTE_MAP: Shape = Shape::Map {
    key: "Name",
    value: &ATTRIBUTE_VALUE,
};

const fn text(name: &'static str) -> Member {
    Member::plain(name, &Shape::Text)
}

const fn integer(name: &'static str) -> Member {
    Member::plain(name, &Shape::Integer)
}

const QUEUE_URL: Member = text("QueueUrl");
const ATTRIBUTES: Member = Member::named("Attributes", "Attribute", &TEXT_MAP);
const MESSAGE_ATTRIBUTES: Member =
    Member::named("MessageAttributes", "MessageAttribute", &ATTRIBUTE_MAP);
const SYSTEM_ATTRIBUTES: Member = Member::named(
    "MessageSystemAttributes",
    "MessageSystemAttribute",
    &ATTRIBUTE_MAP,
);
const QUEUE_URLS: Member = Member::named("QueueUrls", "QueueUrl", &TEXTS);

static SEND_ENTRIES: Shape = Shape::List(&Shape::Structure(&[
    text("Id"),
    text("MessageBody"),
    integer("DelaySeconds"),
    MESSAGE_ATTRIBUTES,
    SYSTEM_ATTRIBUTES,
    text("MessageDeduplicationId"),
    text("MessageGroupId"),
]));
static DELETE_ENTRIES: Shape = Shape::List(&Shape::Structure(&[text("Id"), text("ReceiptHandle")]));
static VISIBILITY_ENTRIES: Shape = Shape::List(&Shape::Structure(&[
    text("Id"),
    text("ReceiptHandle"),
    integer("VisibilityTimeout"),
]));
static SENT_ENTRIES: Shape = Shape::List(&Shape::Structure(&[
    text("Id"),
    text("MessageId"),
    text("MD5OfMessageBody"),
    text("MD5OfMessageAttributes"),
    text("MD5OfMessageSystemAttributes"),
    text("SequenceNumber"),
]));
static DONE_ENTRIES: Shape = Shape::List(&Shape::Structure(&[text("Id")]));
static FAILED_ENTRIES: Shape = Shape::List(&Shape::Structure(&[
    text("Id"),
    Member::plain("SenderFault", &Shape::Boolean),
    text("Code"),
    text("Message"),
]));
const FAILED: Member = Member::named("Failed", "BatchResultErrorEntry", &FAILED_ENTRIES);
static MESSAGES: Shape = Shape::List(&Shape::Structure(&[
    text("MessageId"),
    text("ReceiptHandle"),
    text("MD5OfBody"),
    text("Body"),
    ATTRIBUTES,
    text("MD5OfMessageAttributes"),
    MESSAGE_ATTRIBUTES,
]));
static MOVE_TASKS: Shape = Shape::List(&Shape::Structure(&[
    text("TaskHandle"),
    text("Status"),
    text("SourceArn"),
    text("DestinationArn"),
    integer("MaxNumberOfMessagesPerSecond"),
    integer("ApproximateNumberOfMessagesMoved"),
    integer("ApproximateNumberOfMessagesToMove"),
    text("FailureReason"),
    integer("StartedTimestamp"),
]));

static OPERATIONS: &[Operation] = &[
    Operation {
        name: "AddPermission",
        input: &[
            QUEUE_URL,
            text("Label"),
            Member::named("AWSAccountIds", "AWSAccountId", &TEXTS),
            Member::named("Actions", "ActionName", &TEXTS),
        ],
        output: None,
    },
    Operation {
        name: "CancelMessageMoveTask",
        input: &[text("TaskHandle")],
        output: Some(&[integer("ApproximateNumberOfMessagesMoved")]),
    },
    Operation {
        name: "ChangeMessageVisibility",
        input: &[
            QUEUE_URL,
            text("ReceiptHandle"),
            integer("VisibilityTimeout"),
        ],
        output: None,
    },
    Operation {
        name: "ChangeMessageVisibilityBatch",
        input: &[
            QUEUE_URL,
            Member::named(
                "Entries",
                "ChangeMessageVisibilityBatchRequestEntry",
                &VISIBILITY_ENTRIES,
            ),
        ],
        output: Some(&[
            Member::named(
                "Successful",
                "ChangeMessageVisibilityBatchResultEntry",
                &DONE_ENTRIES,
            ),
            FAILED,
        ]),
    },
    Operation {
        name: "CreateQueue",
        input: &[
            text("QueueName"),
            ATTRIBUTES,
            Member::named("tags", "Tag", &TAG_MAP),
        ],
        output: Some(&[QUEUE_URL]),
    },
    Operation {
        name: "DeleteMessage",
        input: &[QUEUE_URL, text("ReceiptHandle")],
        output: None,
    },
    Operation {
        name: "DeleteMessageBatch",
        input: &[
            QUEUE_URL,
            Member::named("Entries", "DeleteMessageBatchRequestEntry", &DELETE_ENTRIES),
        ],
        output: Some(&[
            Member::named("Successful", "DeleteMessageBatchResultEntry", &DONE_ENTRIES),
            FAILED,
        ]),
    },
    Operation {
        name: "DeleteQueue",
        input: &[QUEUE_URL],
        output: None,
    },
    Operation {
        name: "GetQueueAttributes",
        input: &[
            QUEUE_URL,
            Member::named("AttributeNames", "AttributeName", &TEXTS),
        ],
        output: Some(&[ATTRIBUTES]),
    },
    Operation {
        name: "GetQueueUrl",
        input: &[text("QueueName"), text("QueueOwnerAWSAccountId")],
        output: Some(&[QUEUE_URL]),
    },
    Operation {
        name: "ListDeadLetterSourceQueues",
        input: &[QUEUE_URL, text("NextToken"), integer("MaxResults")],
        output: Some(&[
            Member::named("queueUrls", "QueueUrl", &TEXTS),
            text("NextToken"),
        ]),
    },
    Operation {
        name: "ListMessageMoveTasks",
        input: &[text("SourceArn"), integer("MaxResults")],
        output: Some(&[Member::named(
            "Results",
            "ListMessageMoveTasksResultEntry",
            &MOVE_TASKS,
        )]),
    },
    Operation {
        name: "ListQueueTags",
        input: &[QUEUE_URL],
        output: Some(&[Member::named("Tags", "Tag", &TAG_MAP)]),
    },
    Operation {
        name: "ListQueues",
        input: &[
            text("QueueNamePrefix"),
            text("NextToken"),
            integer("MaxResults"),
        ],
        output: Some(&[QUEUE_URLS, text("NextToken")]),
    },
    Operation {
        name: "PurgeQueue",
        input: &[QUEUE_URL],
        output: None,
    },
    Operation {
        name: "ReceiveMessage",
        input: &[
            QUEUE_URL,
            Member::named("AttributeNames", "AttributeName", &TEXTS),
            Member::named(
                "MessageSystemAttributeNames",
                "MessageSystemAttributeName",
                &TEXTS,
            ),
            Member::named("MessageAttributeNames", "MessageAttributeName", &TEXTS),
            integer("MaxNumberOfMessages"),
            integer("VisibilityTimeout"),
            integer("WaitTimeSeconds"),
            text("ReceiveRequestAttemptId"),
        ],
        output: Some(&[Member::named("Messages", "Message", &MESSAGES)]),
    },
    Operation {
        name: "RemovePermission",
        input: &[QUEUE_URL, text("Label")],
        output: None,
    },
    Operation {
        name: "SendMessage",
        input: &[
            QUEUE_URL,
            text("MessageBody"),
            integer("DelaySeconds"),
            MESSAGE_ATTRIBUTES,
            SYSTEM_ATTRIBUTES,
            text("MessageDeduplicationId"),
            text("MessageGroupId"),
        ],
        output: Some(&[
            text("MD5OfMessageBody"),
            text("MD5OfMessageAttributes"),
            text("MD5OfMessageSystemAttributes"),
            text("MessageId"),
            text("SequenceNumber"),
        ]),
    },
    Operation {
        name: "SendMessageBatch",
        input: &[
            QUEUE_URL,
            Member::named("Entries", "SendMessageBatchRequestEntry", &SEND_ENTRIES),
        ],
        output: Some(&[
            Member::named("Successful", "SendMessageBatchResultEntry", &SENT_ENTRIES),
            FAILED,
        ]),
    },
    Operation {
        name: "SetQueueAttributes",
        input: &[QUEUE_URL, ATTRIBUTES],
        output: None,
    },
    Operation {
        name: "StartMessageMoveTask",
        input: &[
            text("SourceArn"),
            text("DestinationArn"),
            integer("MaxNumberOfMessagesPerSecond"),
        ],
        output: Some(&[text("TaskHandle")]),
    },
    Operation {
        name: "TagQueue",
        input: &[QUEUE_URL, Member::named("Tags", "Tag", &TAG_MAP)],
        output: None,
    },
    Operation {
        name: "UntagQueue",
        input: &[QUEUE_URL, Member::named("TagKeys", "TagKey", &TEXTS)],
        output: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_23_operations_of_the_model_are_known() {
        assert_eq!(OPERATIONS.len(), 23);
        assert!(SQS.operation("SendMessage").is_some());
        assert!(SQS.operation("sendmessage").is_none());
    }
}
