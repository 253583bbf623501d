//! What a dead letter says about its deaths, and when it goes round in a circle.

use crate::core::model::names::ExchangeName;
use crate::core::model::overlay::Cause;
use crate::core::model::overlay::Death;
use crate::core::model::overlay::FirstDeath;
use crate::core::model::overlay::Overlay;
use crate::core::model::time::CoreTime;
use crate::core::queue::Queue;
use crate::core::queue::effects::Doomed;

/// The routing key that the entry shows now.
pub(in crate::core) fn current_key(doomed: &Doomed) -> &[u8] {
    match doomed
        .overlay
        .as_ref()
        .and_then(|overlay| overlay.routed.as_ref())
    {
        Some((_, key)) => key,
        None => doomed.message.routing_key(),
    }
}

/// The overlay after one more death, the latest first.
pub(in crate::core) fn died(queue: &Queue, doomed: &Doomed, now: CoreTime) -> Overlay {
    let mut overlay = doomed.overlay.as_deref().cloned().unwrap_or_default();
    let exchange = match &overlay.routed {
        Some((exchange, _)) => exchange.clone(),
        None => ExchangeName::parse(doomed.message.exchange())
            .unwrap_or_else(|_| ExchangeName::default_exchange()),
    };
    let first = FirstDeath {
        queue: queue.name().clone(),
        cause: doomed.cause,
        exchange: exchange.clone(),
    };
    overlay.first_death.get_or_insert(first);
    let known = overlay
        .deaths
        .iter()
        .position(|death| death.queue == *queue.name() && death.cause == doomed.cause);
    let death = match known {
        Some(at) => {
            let mut death = overlay.deaths.remove(at);
            death.count += 1;
            death
        }
        None => Death {
            queue: queue.name().clone(),
            cause: doomed.cause,
            count: 1,
            time: now,
            exchange,
            routing_keys: vec![current_key(doomed).to_vec()],
            original_expiration_ms: doomed
                .message
                .expiration_ms()
                .filter(|_| !overlay.without_expiration),
        },
    };
    overlay.deaths.insert(0, death);
    overlay.without_expiration = true;
    overlay
}

/// Whether a dead letter comes back to a queue that it died in, with no rejection since: RabbitMQ drops
/// it, for nobody will ever take it out of the circle. A death by the receive limit is a consumer's doing
/// too: two SQS queues may be each other's dead-letter queue.
pub(in crate::core) fn closes_a_cycle(target: &Queue, overlay: &Overlay) -> bool {
    let Some(at) = overlay
        .deaths
        .iter()
        .position(|death| death.queue == *target.name())
    else {
        return false;
    };
    overlay
        .deaths
        .iter()
        .take(at + 1)
        .all(|death| !matches!(death.cause, Cause::Rejected | Cause::ReceiveLimit))
}
