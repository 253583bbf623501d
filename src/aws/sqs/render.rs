//! From a delivery to the message that an answer carries.

use std::collections::BTreeMap;

use super::address::QueueAddress;
use super::context::Context;
use super::context::Found;
use super::digest;
use super::mapping;
use super::mapping::Rendered;
use super::mapping::Renderer;
use super::receipt::Receipt;
use super::receive::Wanted;
use super::types::AttributeValues;
use super::types::Received;
use crate::core::model::ids::Lsn;
use crate::core::queue::entry::Delivery;
use crate::telemetry::Conversion;
use crate::telemetry::Protocol;

/// Makes an answer's message of a delivery.
pub(super) fn message(
    context: Context<'_>,
    found: &Found,
    wanted: &Wanted,
    delivery: &Delivery,
) -> Received {
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
    // A message that comes again has lost nothing more.
    let lost = rendered.lost.iter().filter(|_| !delivery.is_redelivered());
    for field in lost {
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
        lsn: delivery.lsn.map_or(0, Lsn::get),
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
