//! ReceiveMessage: short and long polling.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::address::QueueAddress;
use super::attributes::RECEIVE_WAIT;
use super::attributes::VISIBILITY_TIMEOUT;
use super::context::Context;
use super::context::Found;
use super::context::answer;
use super::context::refusal;
use super::digest;
use super::errors;
use super::mapping;
use super::mapping::Rendered;
use super::mapping::Renderer;
use super::receipt::Receipt;
use super::settings;
use super::types::AttributeValues;
use super::types::ReceiveAnswer;
use super::types::ReceiveMessage;
use super::types::Received;
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
use crate::telemetry::Conversion;
use crate::telemetry::Protocol;

const MAX_MESSAGES: i64 = 10;
const MAX_WAIT_SECONDS: i64 = 20;
const MAX_VISIBILITY_SECONDS: i64 = 43_200;
/// Leased messages of a standard queue, all doors together; beyond them SQS takes none.
const MAX_IN_FLIGHT: u64 = 120_000;
/// An answer of ten of SQS' own largest messages; larger ones of other doors come one by one.
const MAX_ANSWER_BYTES: usize = 10 * 1_048_576;
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
struct Wanted {
    messages: usize,
    visibility_ms: u64,
    wait: Duration,
    system: Vec<String>,
    attributes: Vec<String>,
}

/// Receives up to ten messages, and waits for the first as long as it may.
pub(super) async fn receive(
    context: Context<'_>,
    request: ReceiveMessage,
) -> Result<Value, AwsError> {
    let found = context.queue(request.queue_url.clone(), Action::Read)?;
    let wanted = check(&found, request)?;
    let deliveries = take(context, &found.queue, &wanted).await?;
    count(context, &deliveries);
    let messages = deliveries
        .iter()
        .map(|delivery| render(context, &found, &wanted, delivery))
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
        return if took == Took::Gone {
            Err(errors::no_such_queue())
        } else {
            Ok(out)
        };
    }
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
    loop {
        let (terms, now) = terms(context, wanted, true);
        let Some(consumer) = &place.consumer else {
            return Ok(out);
        };
        match core
            .take(consumer, terms, now, &mut out)
            .map_err(|error| refusal(&error))?
        {
            Took::Gone => return Err(errors::no_such_queue()),
            Took::Entries { .. } if !out.is_empty() => return Ok(out),
            Took::Entries { .. } | Took::Nothing => {}
        }
        // All branches are safe to drop: nothing is taken but by `take`.
        tokio::select! {
            biased;
            () = context.gateway.runtime.stop_token().cancelled() => return Ok(out),
            event = inbox.next() => match event {
                Event::Cancelled(_) => return Err(errors::no_such_queue()),
                Event::Ready(_) | Event::WatermarkMoved | Event::AlarmsChanged => {}
            },
            () = &mut timeout => return Ok(out),
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

fn render(context: Context<'_>, found: &Found, wanted: &Wanted, delivery: &Delivery) -> Received {
    let core = context.core();
    let identity = core.identity();
    let url = |name: &str| {
        QueueAddress {
            account: found.address.account.clone(),
            name: name.to_owned(),
        }
        .to_url(&context.caller.base_url)
    };
    let renderer = Renderer {
        formats: core.formats(),
        url: &url,
    };
    let rendered = renderer.render(&delivery.message, delivery.overlay.as_deref());
    for field in &rendered.lost {
        let loss = Conversion {
            from: mapping::door_of(delivery.message.format()),
            to: Protocol::Sqs,
            field,
        };
        core.metrics().conversion_loss.get_or_create(&loss).inc();
    }
    let receipt = Receipt {
        queue: found.queue.id().0,
        sequence: delivery.seq,
        lsn: delivery.lsn.map_or(0, crate::core::model::ids::Lsn::get),
        attempt: delivery.attempt,
        incarnation: identity.incarnation,
    };
    let attributes = system_attributes(context, found, wanted, delivery, &rendered);
    let message_attributes = select(rendered.attributes, &wanted.attributes);
    Received {
        message_id: uuid::Uuid::from_u128(delivery.message.id(identity)).to_string(),
        receipt_handle: receipt.encode(),
        md5_of_body: digest::of_body(&rendered.body),
        body: rendered.body,
        attributes,
        md5_of_message_attributes: digest::of_attributes(&message_attributes),
        message_attributes,
    }
}

fn system_attributes(
    context: Context<'_>,
    found: &Found,
    wanted: &Wanted,
    delivery: &Delivery,
    rendered: &Rendered,
) -> BTreeMap<&'static str, String> {
    if wanted.system.is_empty() {
        return BTreeMap::new();
    }
    let message = &delivery.message;
    let group = String::from_utf8_lossy(message.group()).into_owned();
    let died_in = delivery
        .overlay
        .as_ref()
        .and_then(|overlay| overlay.deaths.first());
    let source = died_in.map(|death| {
        let source = QueueAddress {
            account: found.address.account.clone(),
            name: death.queue.to_string(),
        };
        source.to_arn(&context.caller.region)
    });
    let first = delivery.first_received.map(|time| time.as_ms().to_string());
    let user = &message.producer().user;
    let sender = if user.is_empty() {
        context.caller.account.clone()
    } else {
        user.to_string()
    };
    let all = [
        ("SenderId", Some(sender)),
        (
            "SentTimestamp",
            Some(message.enqueued_at().as_ms().to_string()),
        ),
        (
            "ApproximateReceiveCount",
            Some((u32::from(delivery.failed) + 1).to_string()),
        ),
        ("ApproximateFirstReceiveTimestamp", first),
        ("MessageGroupId", (!group.is_empty()).then_some(group)),
        ("AWSTraceHeader", rendered.trace.clone()),
        ("DeadLetterQueueSourceArn", source),
    ];
    let is_asked = |name: &str| {
        wanted
            .system
            .iter()
            .any(|asked| asked == "All" || asked == name)
    };
    all.into_iter()
        .filter(|(name, _)| is_asked(name))
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Keeps the attributes that were asked for: `All`, `.*`, `prefix.*`, or by name.
fn select(attributes: AttributeValues, asked: &[String]) -> AttributeValues {
    let is_asked = |name: &str| {
        asked.iter().any(|asked| match asked.as_str() {
            "All" | ".*" => true,
            asked => asked
                .strip_suffix(".*")
                .map_or(asked == name, |prefix| name.starts_with(prefix)),
        })
    };
    attributes
        .into_iter()
        .filter(|(name, _)| is_asked(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::types::AttributeValue;
    use super::*;

    #[test]
    fn attributes_are_selected_by_name_prefix_or_all() {
        let attributes: AttributeValues = ["a", "ab", "b.c"]
            .map(|name| (name.to_owned(), AttributeValue::default()))
            .into();
        let selected = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            select(attributes.clone(), &asked)
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(selected(&[]), Vec::<String>::new());
        assert_eq!(selected(&["a"]), ["a"]);
        assert_eq!(selected(&["a.*"]), ["a", "ab"]);
        assert_eq!(selected(&["b.*", "nothing"]), ["b.c"]);
        assert_eq!(selected(&["All"]), ["a", "ab", "b.c"]);
        assert_eq!(selected(&[".*"]), ["a", "ab", "b.c"]);
    }
}
