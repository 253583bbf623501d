//! SQS: queues by HTTP, in AWS' words.
//!
//! Pure parts first (addresses, receipts, digests, rules), then the mapping, then the operations by
//! family. An operation takes and returns the neutral value; it knows no wire.

pub mod address;

pub mod attributes;

pub mod redrive;

pub mod digest;

pub mod errors;

pub mod message;

pub mod batch;

pub mod model;

pub mod receipt;

pub mod types;

pub mod mapping;

pub mod recent;

mod settings;

mod context;

mod leases;

mod queues;

mod send;

mod receive;

mod render;

mod delete;

mod visibility;

mod large;

use serde_json::Value;

use crate::aws::gateway::Caller;
use crate::aws::gateway::Gateway;
use crate::aws::wire::AwsError;
use crate::aws::wire::json::request;

use context::Context;

/// Runs one operation of the service model.
///
/// # Errors
/// What AWS answers.
pub async fn call(
    gateway: &Gateway,
    caller: &Caller,
    operation: &str,
    input: Value,
) -> Result<Value, AwsError> {
    let context = Context {
        gateway,
        caller,
        operation,
    };
    match operation {
        "CreateQueue" => queues::create(context, request(input)?).await,
        "GetQueueUrl" => queues::get_url(context, request(input)?),
        "ListQueues" => queues::list(context, request(input)?),
        "GetQueueAttributes" => queues::get_attributes(context, request(input)?),
        "SetQueueAttributes" => queues::set_attributes(context, request(input)?).await,
        "DeleteQueue" => queues::delete(context, request(input)?).await,
        "PurgeQueue" => queues::purge(context, request(input)?).await,
        "SendMessage" => send::one(context, request(input)?).await,
        "SendMessageBatch" => send::batch(context, request(input)?).await,
        "ReceiveMessage" => receive::receive(context, request(input)?).await,
        "DeleteMessage" => delete::one(context, request(input)?).await,
        "DeleteMessageBatch" => delete::batch(context, request(input)?).await,
        "ChangeMessageVisibility" => visibility::one(context, request(input)?).await,
        "ChangeMessageVisibilityBatch" => visibility::batch(context, request(input)?).await,
        // Permissions, tags, move tasks: in the model, not served yet.
        _ => Err(errors::unsupported(format!(
            "{operation} is not supported."
        ))),
    }
}
