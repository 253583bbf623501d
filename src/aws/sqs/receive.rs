//! ReceiveMessage: short and long polling.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::attributes::RECEIVE_WAIT;
use super::attributes::VISIBILITY_TIMEOUT;
use super::context::Context;
use super::context::Found;
use super::context::answer;
use super::context::refusal;
use super::errors;
use super::large;
use super::render;
use super::settings;
use super::types::ReceiveAnswer;
use super::types::ReceiveMessage;
use crate::auth::Action;
use crate::aws::wire::AwsError;
use crate::aws::wire::error::invalid_parameter;
use crate::core::Core;
use crate::core::inbox::Event;
use crate::core::inbox::Inbox;
use crate::core::queue::Consumer;
use crate::core::queue::Queue;
use crate::core::queue::entry::Delivery;
use crate::core::queue::take::Lease;
use crate::core::queue::take::Terms;
use crate::core::queue::take::Took;
use crate::telemetry::Protocol;

const MAX_MESSAGES: i64 = 10;
const MAX_WAIT_SECONDS: i64 = 20;
const MAX_VISIBILITY_SECONDS: i64 = 43_200;
/// Leased messages of a standard queue, all doors together; beyond them SQS takes none.
const MAX_IN_FLIGHT: u64 = 120_000;
/// An answer of ten of SQS' own largest messages; larger ones of other doors come one by one.
const MAX_ANSWER_BYTES: usize = 10 * 1_048_576;
/// A disk that takes longer for one read is not worth waiting for: the client asks again.
const LOADING_MAX: Duration = Duration::from_secs(5);
/// System attributes that can be asked for.
const SYSTEM: [&str; 9] = [
    "SenderId",
    "SentTimestamp",
    "ApproximateReceiveCount",
    "ApproximateFirstReceiveTimestamp",
    "SequenceNumber",
    "MessageDeduplicationId",
    "MessageGroupId",
    "AWSTraceHeader",
    "DeadLetterQueueSourceArn",
];

/// What a receive asks for, checked.
pub(super) struct Wanted {
    messages: usize,
    visibility_ms: u64,
    wait: Duration,
    pub(super) system: Vec<String>,
    pub(super) attributes: Vec<String>,
}

/// Receives up to ten messages, and waits for the first as long as it may.
pub(super) async fn receive(
    context: Context<'_>,
    request: ReceiveMessage,
) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url.clone(), Action::Read)?;
    let wanted = check(&found, request)?;
    let taken = take(context, &found.queue, &wanted).await?;
    let deliveries = large::load(context, &found.queue, taken).await?;
    count(context, &deliveries);
    let messages = deliveries
        .iter()
        .map(|delivery| render::message(context, &found, &wanted, delivery))
        .collect();
    answer(ReceiveAnswer { messages })
}

fn check(found: &Found, request: ReceiveMessage) -> Result<Wanted, AwsError> {
    let settings = found.queue.settings();
    let within = |name: &str, value: Option<i64>, low: i64, high: i64, default: u32| {
        let value = value.unwrap_or_else(|| i64::from(default));
        if (low..=high).contains(&value) {
            return Ok(u64::try_from(value).unwrap_or(0));
        }
        let reason = format!("Must be between {low} and {high}, if provided.");
        Err(errors::invalid_value(name, value, &reason))
    };
    let messages = within(
        "MaxNumberOfMessages",
        request.max_number_of_messages,
        1,
        MAX_MESSAGES,
        1,
    )?;
    let visibility = settings::number(&settings, &VISIBILITY_TIMEOUT);
    let visibility = within(
        "VisibilityTimeout",
        request.visibility_timeout,
        0,
        MAX_VISIBILITY_SECONDS,
        visibility,
    )?;
    let wait = settings::number(&settings, &RECEIVE_WAIT);
    let wait = within(
        "WaitTimeSeconds",
        request.wait_time_seconds,
        0,
        MAX_WAIT_SECONDS,
        wait,
    )?;
    if request.receive_request_attempt_id.is_some() {
        return Err(invalid_parameter(
            "The request include parameter that is not valid for this queue type.",
        ));
    }
    let mut system = request.message_system_attribute_names.unwrap_or_default();
    system.extend(request.attribute_names.unwrap_or_default());
    for name in &system {
        // The old member takes queue attributes' names too, and AWS ignores them.
        let is_known = name == "All" || SYSTEM.contains(&name.as_str());
        if !is_known && super::attributes::check_asked(std::slice::from_ref(name)).is_err() {
            return Err(errors::unknown_attribute(name));
        }
    }
    Ok(Wanted {
        messages: usize::try_from(messages).unwrap_or(1),
        visibility_ms: visibility * 1_000,
        wait: Duration::from_secs(wait),
        system,
        attributes: request.message_attribute_names.unwrap_or_default(),
    })
}

/// A place in a queue's list of waiters that is given back however the wait ends: a client that hangs
/// up drops the whole operation.
struct Place<'a> {
    core: &'a Core,
    consumer: Option<Consumer>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            self.core.metrics().consumers.of(Protocol::Sqs).dec();
            self.core.unsubscribe(consumer);
        }
    }
}

async fn take(
    context: Context<'_>,
    queue: &Arc<Queue>,
    wanted: &Wanted,
) -> Result<Vec<Delivery>, AwsError> {
    let core = context.core();
    if queue.counts().leased >= MAX_IN_FLIGHT {
        let text = "The maximum number of in flight messages is reached.";
        return Err(AwsError::new(&errors::OVER_LIMIT, text));
    }
    // What is due by now is visible now, also if the timers' task has not come to it yet: a lease of
    // 0 seconds ends with this millisecond.
    let now = context.now();
    if core.next_due().is_some_and(|due| due <= now) {
        core.tick(now).map_err(|error| refusal(&error))?;
    }
    let mut out = Vec::new();
    if wanted.wait.is_zero() {
        let (terms, now) = terms(context, wanted, false);
        let took = core
            .take_once(queue, terms, now, &mut out)
            .map_err(|error| refusal(&error))?;
        match took {
            Took::Gone => return Err(refusal(&queue.closed_because())),
            Took::Entries { .. } | Took::Nothing => return Ok(out),
            // A deep queue must not look empty: it waits for the disk, but for nothing else.
            Took::Loading => {}
        }
    }
    wait_for(context, queue, wanted).await
}

/// Waits for the first message as long as the client wants to, and as long as one is being loaded.
async fn wait_for(
    context: Context<'_>,
    queue: &Arc<Queue>,
    wanted: &Wanted,
) -> Result<Vec<Delivery>, AwsError> {
    let core = context.core();
    let mut out = Vec::new();
    let inbox = Inbox::new();
    let consumer = core
        .subscribe(queue, &inbox, 0, false)
        .map_err(|error| refusal(&error))?;
    core.metrics().consumers.of(Protocol::Sqs).inc();
    let place = Place {
        core,
        consumer: Some(consumer),
    };
    let timeout = tokio::time::sleep(wanted.wait);
    tokio::pin!(timeout);
    let patience = tokio::time::sleep(wanted.wait + LOADING_MAX);
    tokio::pin!(patience);
    loop {
        let (terms, now) = terms(context, wanted, true);
        let Some(consumer) = &place.consumer else {
            return Ok(out);
        };
        let took = core
            .take(consumer, terms, now, &mut out)
            .map_err(|error| refusal(&error))?;
        match took {
            Took::Gone => return Err(refusal(&queue.closed_because())),
            Took::Entries { .. } if !out.is_empty() => return Ok(out),
            Took::Nothing if wanted.wait.is_zero() => return Ok(out),
            Took::Entries { .. } | Took::Loading | Took::Nothing => {}
        }
        // All branches are safe to drop: nothing is taken but by `take`.
        tokio::select! {
            biased;
            () = context.gateway.runtime.stop_token().cancelled() => return Ok(out),
            event = inbox.next() => match event {
                Event::Cancelled(_) => return Err(refusal(&queue.closed_because())),
                Event::Ready(_)
                | Event::WatermarkMoved
                | Event::AlarmsChanged
                | Event::BodyMoved => {}
            },
            () = &mut timeout, if took != Took::Loading => return Ok(out),
            () = &mut patience => return Ok(out),
        }
    }
}

fn terms(
    context: Context<'_>,
    wanted: &Wanted,
    wait: bool,
) -> (Terms, crate::core::model::time::CoreTime) {
    let now = context.now();
    let lease = Lease::Deadline(now + wanted.visibility_ms);
    (
        Terms {
            lease,
            entries: wanted.messages,
            bytes: MAX_ANSWER_BYTES,
            wait,
        },
        now,
    )
}

fn count(context: Context<'_>, deliveries: &[Delivery]) {
    let metrics = context.core().metrics();
    let bytes = deliveries
        .iter()
        .map(|delivery| delivery.message.body_len() as u64);
    let again = deliveries
        .iter()
        .filter(|delivery| delivery.is_redelivered())
        .count();
    metrics
        .delivered
        .of(Protocol::Sqs)
        .inc_by(deliveries.len() as u64);
    metrics
        .delivered_bytes
        .of(Protocol::Sqs)
        .inc_by(bytes.sum());
    metrics.redelivered.of(Protocol::Sqs).inc_by(again as u64);
}
