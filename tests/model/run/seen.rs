//! An entry, as its taker sees it.

use viaduct::core::model::time::CoreTime;
use viaduct::core::queue::entry::Delivery;

use crate::reference::Overlay;
use crate::reference::Taken;

/// What a taker sees of an entry.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    number: u32,
    /// Exchange and key that it was published with.
    published: (String, String),
    expiration_ms: Option<u64>,
    enqueued_at: u64,
    attempt: u16,
    failed: u16,
    in_log: bool,
    overlay: Overlay,
    without_expiration: bool,
    first_received: Option<u64>,
}

impl Seen {
    pub(super) fn by_core(delivery: &Delivery) -> Self {
        let overlay = delivery.overlay.as_deref().cloned().unwrap_or_default();
        let deaths = overlay.deaths.iter();
        let without_expiration = overlay.without_expiration;
        let routed = overlay.routed.as_ref().map(|(exchange, key)| {
            let key = String::from_utf8(key.clone()).unwrap();
            (exchange.to_string(), key)
        });
        let overlay = Overlay {
            routed,
            deaths: deaths
                .map(|d| (d.queue.to_string(), d.cause, d.count))
                .collect(),
            first: overlay.first_death.map(|first| {
                (
                    first.queue.to_string(),
                    first.cause,
                    first.exchange.to_string(),
                )
            }),
            hops: overlay.hops,
        };
        Self {
            number: number_of(delivery),
            published: (
                delivery.message.exchange().to_owned(),
                String::from_utf8(delivery.message.routing_key().to_vec()).unwrap(),
            ),
            expiration_ms: delivery.message.expiration_ms(),
            enqueued_at: delivery.message.enqueued_at().as_ms(),
            attempt: delivery.attempt,
            failed: delivery.failed,
            in_log: delivery.lsn.is_some(),
            overlay,
            without_expiration,
            first_received: delivery.first_received.map(CoreTime::as_ms),
        }
    }

    pub(super) fn by_reference(taken: &Taken) -> Self {
        Self {
            number: taken.message.number,
            published: (taken.message.exchange.clone(), taken.message.key.clone()),
            expiration_ms: taken.message.expiration_ms,
            enqueued_at: taken.message.enqueued_at,
            attempt: taken.attempt,
            failed: taken.failed,
            in_log: taken.log.is_some(),
            overlay: taken.overlay.clone(),
            without_expiration: taken.overlay.has_died(),
            first_received: taken.first_received,
        }
    }
}

/// The number that a message's body starts with.
fn number_of(delivery: &Delivery) -> u32 {
    let body = delivery.message.body_bytes();
    u32::from_be_bytes(body[..4].try_into().unwrap())
}
