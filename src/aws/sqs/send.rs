//! SendMessage and SendMessageBatch.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::attributes::MAXIMUM_MESSAGE_SIZE;
use super::batch;
use super::context::Context;
use super::context::Found;
use super::context::answer;
use super::context::refusal;
use super::digest;
use super::errors;
use super::mapping;
use super::mapping::SQS_FORMAT;
use super::mapping::SqsHead;
use super::message;
use super::settings;
use super::types::Batch;
use super::types::BatchAnswer;
use super::types::Failed;
use super::types::SendMessage;
use super::types::Sent;
use super::types::required;
use crate::auth::Action;
use crate::aws::wire::AwsError;
use crate::core::error::CoreError;
use crate::core::model::batch::BatchBuilder;
use crate::core::model::batch::COPY_MAX_BYTES;
use crate::core::model::batch::Draft;
use crate::core::model::batch::DraftBody;
use crate::core::model::batch::MessageBatch;
use crate::core::model::message::Producer;
use crate::core::model::value::Properties;
use crate::core::publish::Published;
use crate::core::topology::Route;
use crate::telemetry::Protocol;

/// How long a sender waits for a busy log before it is told to try again.
const BUSY_WAIT: Duration = Duration::from_secs(10);

/// A message that passed every check, and its share of the answer but for the message's id.
struct Checked {
    message: SendMessage,
    sent: Sent,
}

/// Sends one message.
pub(super) async fn one(context: Context<'_>, request: SendMessage) -> Result<Value, AwsError> {
    let found = target(context, request.queue_url.clone())?;
    let checked = check(&found, request)?;
    let mut sent = push(context, &found, vec![checked]).await?;
    answer(sent.pop().transpose()?)
}

/// Sends up to ten messages: each succeeds or fails on its own.
pub(super) async fn batch(
    context: Context<'_>,
    request: Batch<SendMessage>,
) -> Result<Value, AwsError> {
    let found = target(context, request.queue_url)?;
    let entries = request.entries.unwrap_or_default();
    let ids: Vec<&str> = entries
        .iter()
        .map(|entry| entry.id.as_deref().unwrap_or_default())
        .collect();
    batch::check("SendMessageBatchRequestEntry", &ids)?;
    batch::check_size(entries.iter().map(message::size).sum())?;
    let (mut checked, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        let id = required(entry.id.clone(), "Id")?;
        match check(&found, entry) {
            Ok(entry) => checked.push(entry),
            Err(error) => failed.push(Failed::new(id, &error)),
        }
    }
    let ids: Vec<_> = checked
        .iter()
        .map(|entry| entry.sent.id.clone().unwrap_or_default())
        .collect();
    let mut successful = Vec::new();
    for (id, result) in ids.into_iter().zip(push(context, &found, checked).await?) {
        match result {
            Ok(sent) => successful.push(sent),
            Err(error) => failed.push(Failed::new(id, &error)),
        }
    }
    answer(BatchAnswer { successful, failed })
}

/// The queue, if it takes messages of SQS now.
fn target(context: Context<'_>, url: Option<String>) -> Result<Found, AwsError> {
    let found = context.queue(url, Action::Write)?;
    if !found.queue.settings().durable {
        // SQS promises to keep what it took; a queue that is not durable cannot.
        return Err(errors::unsupported(
            "The queue is not durable; CreateQueue makes it so.",
        ));
    }
    context.check_alarms()?;
    Ok(found)
}

fn check(found: &Found, message: SendMessage) -> Result<Checked, AwsError> {
    message::check(&message)?;
    let maximum = settings::number(&found.queue.settings(), &MAXIMUM_MESSAGE_SIZE);
    message::check_size(
        message::size(&message),
        usize::try_from(maximum).unwrap_or(usize::MAX),
    )?;
    let digest = |attributes: &Option<_>| attributes.as_ref().and_then(digest::of_attributes);
    let sent = Sent {
        id: message.id.clone(),
        message_id: String::new(),
        md5_of_message_body: digest::of_body(message.message_body.as_deref().unwrap_or_default()),
        md5_of_message_attributes: digest(&message.message_attributes),
        md5_of_message_system_attributes: digest(&message.message_system_attributes),
    };
    Ok(Checked { message, sent })
}

/// Pushes all messages at once and answers when they are on disk.
async fn push(
    context: Context<'_>,
    found: &Found,
    messages: Vec<Checked>,
) -> Result<Vec<Result<Sent, AwsError>>, AwsError> {
    let core = context.core();
    let now = context.now();
    let mut builder = BatchBuilder::new();
    let mut sent = Vec::with_capacity(messages.len());
    for checked in messages {
        draft(&mut builder, &found.address.name, checked.message);
        sent.push(checked.sent);
    }
    if sent.is_empty() {
        return Ok(Vec::new());
    }
    let user = context
        .caller
        .identity
        .as_ref()
        .map_or("", |identity| identity.user.as_str());
    let producer = Producer {
        user: user.into(),
        client_id: context.caller.key_id.as_str().into(),
    };
    let batch = builder.finish(&Arc::new(producer), now, core.budget());
    let empty = Properties::default();
    let route = found
        .vhost
        .route("", found.address.name.as_bytes(), &mut || &empty);
    let route = route.map_err(|error| refusal(&error))?;
    if route.queues().is_empty() {
        return Err(errors::no_such_queue());
    }
    let metrics = core.metrics();
    metrics
        .published
        .of(Protocol::Sqs)
        .inc_by(sent.len() as u64);
    let bytes = (0..sent.len())
        .filter_map(|index| batch.message(index))
        .map(|message| message.body_len() as u64);
    metrics
        .published_bytes
        .of(Protocol::Sqs)
        .inc_by(bytes.sum());
    let published = publish(context, &batch, &route).await?;
    if let Some(withheld) = published.withheld {
        return Err(refusal(&CoreError::Quarantined(Box::new(withheld.by))));
    }
    if published.lsn.is_none() && published.refused.is_empty() {
        // The queue was deleted between the look-up and the push: nothing was kept, so nothing is promised.
        return Err(errors::no_such_queue());
    }
    context.written(published.lsn).await?;
    metrics
        .refused
        .of(Protocol::Sqs)
        .inc_by(published.refused.len() as u64);
    metrics
        .confirmed
        .of(Protocol::Sqs)
        .inc_by(sent.len().saturating_sub(published.refused.len()) as u64);
    let identity = core.identity();
    let results = sent.into_iter().enumerate().map(|(index, mut sent)| {
        if published.refused.contains(&index) {
            return Err(AwsError::new(
                &errors::REQUEST_THROTTLED,
                "The queue is full; try again later.",
            ));
        }
        let id = batch
            .message(index)
            .map_or(0, |message| message.id(identity));
        sent.message_id = uuid::Uuid::from_u128(id).to_string();
        Ok(sent)
    });
    Ok(results.collect())
}

/// Pushes a batch; where the log has too much to write, waits for it as a connection of another door
/// would, and gives up after [`BUSY_WAIT`].
async fn publish(
    context: Context<'_>,
    batch: &MessageBatch,
    route: &Route,
) -> Result<Published, AwsError> {
    let patience = tokio::time::sleep(BUSY_WAIT);
    tokio::pin!(patience);
    loop {
        let busy = match context
            .core()
            .publish(batch, 0..batch.len(), route, context.now())
        {
            Ok(published) => return Ok(published),
            Err(error @ CoreError::Busy) => refusal(&error),
            Err(error) => return Err(refusal(&error)),
        };
        let shard = route.queues().first().map(|queue| queue.shard());
        tokio::select! {
            biased;
            () = &mut patience => return Err(busy),
            result = context.progress(shard.unwrap_or_default()) => result?,
        }
    }
}

fn draft(builder: &mut BatchBuilder, queue: &str, message: SendMessage) {
    let body = message.message_body.unwrap_or_default();
    let trace = message
        .message_system_attributes
        .unwrap_or_default()
        .remove("AWSTraceHeader");
    let mut head = SqsHead {
        was_base64: false,
        trace: trace.and_then(|value| value.string_value),
        group: message.message_group_id.filter(|group| !group.is_empty()),
        attributes: message.message_attributes.unwrap_or_default(),
    };
    let (kind, decoded) = mapping::body(&body, &head);
    head.was_base64 = decoded.is_some();
    let bytes = decoded.unwrap_or_else(|| body.into_bytes());
    let encoded = head.encode();
    let mut draft = Draft::new(SQS_FORMAT, &encoded, "", queue.as_bytes());
    draft.durable = true;
    draft.body_kind = kind;
    draft.priority = mapping::priority(&head);
    draft.delay_ms = message
        .delay_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map(|s| s * 1_000);
    draft.group = head.group.as_deref().map(str::as_bytes);
    if bytes.len() <= COPY_MAX_BYTES {
        draft.body = DraftBody::Copied(&bytes);
        builder.push(draft);
    } else {
        draft.body = DraftBody::Shared(vec![Bytes::from(bytes)]);
        builder.push(draft);
    }
}
