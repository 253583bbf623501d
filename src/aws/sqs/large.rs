//! Bodies in files of their own: SQS shows a message only as a whole, so they are read into memory.

use std::sync::Arc;

use bytes::Bytes;

use super::context::Context;
use super::context::refusal;
use super::errors;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::INTERNAL_FAILURE;
use crate::aws::wire::error::SERVICE_UNAVAILABLE;
use crate::core::body::Part;
use crate::core::inbox::Inbox;
use crate::core::log::bodies::BodyError;
use crate::core::model::message::Message;
use crate::core::queue::Queue;
use crate::core::queue::entry::Delivery;
use crate::core::queue::settle::LeaseRef;
use crate::core::queue::settle::Outcome;

/// The largest body that an answer carries: 64 times what SQS itself has. As base64 in JSON it takes about three times
/// its size until the answer is written.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Part of the memory budget that one answer may take.
const BUDGET_PART: u64 = 8;

/// How much memory an answer takes for a byte of body.
const ANSWER_FACTOR: u64 = 3;

/// Reads the bodies of what was taken. What cannot be answered with now goes back as if it had not been taken; what is
/// damaged stays, too, and its queue is quarantined.
///
/// # Errors
/// If that leaves nothing: 500 when it is damaged, 503 when there is no memory for it now, `UnsupportedOperation` when it is too large for SQS.
pub(super) async fn load(
    context: Context<'_>,
    queue: &Arc<Queue>,
    taken: Vec<Delivery>,
) -> Result<Vec<Delivery>, AwsError> {
    if taken
        .iter()
        .all(|delivery| delivery.message.body_file().is_none())
    {
        return Ok(taken);
    }
    let mut loaded = Vec::new();
    let mut refused = None;
    for mut delivery in taken {
        let bytes = delivery.message.body_file().map_or(0, |file| file.bytes());
        if let Err(error) = has_room(context, bytes) {
            give_back(context, queue, &delivery)?;
            refused.get_or_insert(error);
            continue;
        }
        match whole(context, &delivery.message).await {
            Ok(message) => {
                delivery.message = message;
                loaded.push(delivery);
            }
            Err(BodyError::Damaged) => {
                damaged(context, queue, &delivery)?;
                refused.get_or_insert_with(|| refusal(&queue.closed_because()));
            }
            Err(error) => {
                give_back(context, queue, &delivery)?;
                refused.get_or_insert_with(|| AwsError::new(&INTERNAL_FAILURE, error.to_string()));
            }
        }
    }
    match refused {
        Some(error) if loaded.is_empty() => Err(error),
        _ => Ok(loaded),
    }
}

/// The message with its body in memory.
async fn whole(context: Context<'_>, message: &Message) -> Result<Message, BodyError> {
    let inbox = Inbox::new();
    let budget = context.core().budget();
    let Some(mut download) = context.core().download(message, &inbox) else {
        return Ok(message.clone());
    };
    let mut parts = Vec::new();
    loop {
        let used = match download.part() {
            Part::Bytes(bytes) => {
                parts.push(Bytes::copy_from_slice(bytes));
                bytes.len()
            }
            Part::Waits => {
                inbox.next().await;
                continue;
            }
            Part::Unreadable(error) => return Err(error),
            Part::End => break,
        };
        download.advance(used);
    }
    message.with_body(parts, budget).ok_or(BodyError::Failed)
}

fn has_room(context: Context<'_>, bytes: u64) -> Result<(), AwsError> {
    let budget = context.core().budget();
    let most = MAX_BYTES.min(budget.limit() / BUDGET_PART);
    if bytes > most {
        let text = format!(
            "The next message has {bytes} bytes, and this endpoint receives up to {most}; another protocol must receive it."
        );
        return Err(errors::unsupported(text));
    }
    if bytes > 0 && budget.used().saturating_add(bytes * ANSWER_FACTOR) > budget.limit() {
        let text = "The broker has no memory for the next message now; try again.";
        return Err(AwsError::new(&SERVICE_UNAVAILABLE, text));
    }
    Ok(())
}

fn damaged(context: Context<'_>, queue: &Arc<Queue>, delivery: &Delivery) -> Result<(), AwsError> {
    let Some(body) = delivery.message.body_file() else {
        return Ok(());
    };
    context
        .core()
        .body_damaged(queue, body, Some(lease_of(delivery)), context.now())
        .map_err(|error| refusal(&error))
}

fn give_back(
    context: Context<'_>,
    queue: &Arc<Queue>,
    delivery: &Delivery,
) -> Result<(), AwsError> {
    let outcome = Outcome::Release { counted: false };
    context
        .core()
        .settle(queue, &[lease_of(delivery)], outcome, context.now())
        .map_err(|error| refusal(&error))?;
    Ok(())
}

fn lease_of(delivery: &Delivery) -> LeaseRef {
    LeaseRef {
        seq: delivery.seq,
        attempt: delivery.attempt,
    }
}
