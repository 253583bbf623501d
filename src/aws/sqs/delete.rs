//! DeleteMessage and DeleteMessageBatch.
//!
//! A delete hits an entry whose lease has lapsed as well, and one of an entry that is gone already is
//! fine: AWS calls both a success.

use serde_json::Value;

use super::batch;
use super::context::Context;
use super::context::answer;
use super::context::refusal;
use super::leases;
use super::types::Batch;
use super::types::BatchAnswer;
use super::types::Done;
use super::types::Failed;
use super::types::HandleRequest;
use super::types::required;
use crate::auth::Action;
use crate::aws::wire::AwsError;
use crate::core::deliver::Settlement;
use crate::core::error::CoreError;
use crate::core::queue::settle::Outcome;
use crate::telemetry::Protocol;

/// Deletes one message.
pub(super) async fn one(context: Context<'_>, request: HandleRequest) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url, Action::Read)?;
    let handle = required(request.receipt_handle, "ReceiptHandle")?;
    if let Some(lease) = leases::lease_of(context, &found, &handle)? {
        let settled = context
            .core()
            .settle(&found.queue, &[lease], Outcome::Accept, context.now());
        accepted(context, settled).await?;
    }
    Ok(Value::Null)
}

/// Deletes up to ten messages: each succeeds or fails on its own.
pub(super) async fn batch(
    context: Context<'_>,
    request: Batch<HandleRequest>,
) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url, Action::Read)?;
    let entries = request.entries.unwrap_or_default();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry.id.as_deref().unwrap_or_default())
        .collect();
    batch::check("DeleteMessageBatchRequestEntry", &ids)?;
    let (mut leases, mut successful, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let id = required(entry.id, "Id")?;
        let handle = required(entry.receipt_handle, "ReceiptHandle");
        match handle.and_then(|handle| leases::lease_of(context, &found, &handle)) {
            Ok(lease) => {
                leases.extend(lease);
                successful.push(Done { id });
            }
            Err(error) => failed.push(Failed::new(id, &error)),
        }
    }
    let settled = context
        .core()
        .settle(&found.queue, &leases, Outcome::Accept, context.now());
    accepted(context, settled).await?;
    answer(BatchAnswer { successful, failed })
}

/// Counts a settlement and waits until it is on disk.
async fn accepted(
    context: Context<'_>,
    settled: Result<Settlement, CoreError>,
) -> Result<(), AwsError> {
    let settled = settled.map_err(|error| refusal(&error))?;
    if settled.is_deferred {
        return Err(refusal(&CoreError::Full));
    }
    context.written(settled.lsn).await?;
    let acknowledged = context.core().metrics().acknowledged.of(Protocol::Sqs);
    acknowledged.inc_by(settled.settled as u64);
    Ok(())
}
