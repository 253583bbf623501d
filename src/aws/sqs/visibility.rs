//! ChangeMessageVisibility and ChangeMessageVisibilityBatch.

use serde_json::Value;

use super::batch;
use super::context::Context;
use super::context::Found;
use super::context::answer;
use super::context::refusal;
use super::errors;
use super::leases;
use super::types::Batch;
use super::types::BatchAnswer;
use super::types::Done;
use super::types::Failed;
use super::types::HandleRequest;
use super::types::required;
use crate::auth::Action;
use crate::aws::wire::AwsError;
use crate::core::error::CoreError;
use crate::core::model::ids::Lsn;
use crate::core::queue::settle::Outcome;
use crate::telemetry::Protocol;

const MAX_SECONDS: i64 = 43_200;

/// Moves one lease's deadline; 0 releases it now.
pub(super) async fn one(context: Context<'_>, request: HandleRequest) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url.clone(), Action::Read)?;
    let lsn = change(context, &found, request)?;
    context.written(lsn).await?;
    Ok(Value::Null)
}

/// Moves up to ten deadlines: each succeeds or fails on its own.
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
    batch::check("ChangeMessageVisibilityBatchRequestEntry", &ids)?;
    let (mut successful, mut failed, mut last) = (Vec::new(), Vec::new(), None);
    for entry in entries {
        let id = required(entry.id.clone(), "Id")?;
        match change(context, &found, entry) {
            Ok(lsn) => {
                last = lsn.or(last);
                successful.push(Done { id });
            }
            Err(error) => failed.push(Failed::new(id, &error)),
        }
    }
    // All records are of one queue, so of one shard: the last one covers the others.
    context.written(last).await?;
    answer(BatchAnswer { successful, failed })
}

fn change(
    context: Context<'_>,
    found: &Found,
    request: HandleRequest,
) -> Result<Option<Lsn>, AwsError> {
    let handle = required(request.receipt_handle, "ReceiptHandle")?;
    let seconds = required(request.visibility_timeout, "VisibilityTimeout")?;
    let valid = u64::try_from(seconds)
        .ok()
        .filter(|_| seconds <= MAX_SECONDS);
    let Some(valid) = valid else {
        let reason = format!("Must be between 0 and {MAX_SECONDS}, if provided.");
        return Err(errors::invalid_value("VisibilityTimeout", seconds, &reason));
    };
    let gone = || {
        let reason = "Message does not exist or is not available for visibility timeout change.";
        errors::invalid_value("ReceiptHandle", &handle, reason)
    };
    let lease = leases::lease_of(context, found, &handle)?.ok_or_else(gone)?;
    let now = context.now();
    let settled = context.core().settle(
        &found.queue,
        &[lease],
        Outcome::Extend(now + valid * 1_000),
        now,
    );
    let settled = settled.map_err(|error| refusal(&error))?;
    if settled.is_deferred {
        return Err(refusal(&CoreError::Full));
    }
    if settled.gone > 0 {
        return Err(gone());
    }
    if settled.lapsed > 0 {
        let text = format!("The message referred to by {handle} isn't in flight.");
        return Err(AwsError::new(&errors::MESSAGE_NOT_INFLIGHT, text));
    }
    if valid == 0 {
        context.core().metrics().released.of(Protocol::Sqs).inc();
    }
    Ok(settled.lsn)
}
