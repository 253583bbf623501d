//! The labels that metrics may carry.
//!
//! Every label is bounded: an enum of this file, or a `&'static str` from the code. A name that a
//! client chose (queue, user, client id) is never a label, or one client could fill the memory of
//! the broker and of whoever scrapes it.

use std::fmt;

use prometheus_client::encoding::EncodeLabel;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::EncodeLabelValue;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::LabelValueEncoder;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::metrics::MetricType;

/// A label whose values are all known when the broker is compiled.
pub trait Label: Copy + fmt::Debug + Send + Sync + 'static {
    /// Key as it is printed: `protocol` in `{protocol="sqs"}`.
    const KEY: &'static str;
    /// All values in printing order.
    const ALL: &'static [Self];
    /// Value as it is printed.
    fn as_str(self) -> &'static str;
    /// Place in [`Self::ALL`].
    fn index(self) -> usize;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident, $key:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl Label for $name {
            const KEY: &'static str = $key;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            fn index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                self.as_str().encode(encoder)
            }
        }
    };
}

label! {
    /// The door that a number belongs to.
    Protocol, "protocol" {
        /// AMQP 0-9-1, what RabbitMQ clients speak.
        Amqp091 = "amqp091",
        /// Amazon SQS in its JSON and Query forms.
        Sqs = "sqs",
        /// The broker itself: control socket, delivery agents, schedule.
        Internal = "internal",
    }
}

label! {
    /// Why a message was dropped without a dead letter. Nothing is dropped without one of these.
    DropReason, "reason" {
        /// Its own or its queue's time to live ended.
        Expired = "expired",
        /// The queue was longer than its limit allows.
        MaxLength = "maxlen",
        /// A consumer rejected it and the queue has no dead-letter address.
        Rejected = "rejected",
        /// It failed more often than the delivery limit allows.
        DeliveryLimit = "delivery_limit",
        /// It was received more often than `maxReceiveCount` allows.
        ReceiveLimit = "receive_limit",
        /// No consumer of the queue may receive a message of this size.
        TooLarge = "too_large",
        /// SQS retention ended.
        Retention = "retention",
        /// The dead-letter address leads nowhere.
        DeadLetterUnroutable = "dead_letter_unroutable",
        /// It ran in a circle of dead-letter addresses.
        DeadLetterCycle = "dead_letter_cycle",
        /// It was transient and the broker restarted, or its queue was deleted.
        QueueGone = "queue_gone",
    }
}

label! {
    /// Why a message moved to a dead-letter address.
    DeadLetterCause, "reason" {
        /// A consumer rejected it.
        Rejected = "rejected",
        /// Its time to live ended.
        Expired = "expired",
        /// The queue was longer than its limit allows.
        MaxLength = "maxlen",
        /// It failed more often than the delivery limit allows.
        DeliveryLimit = "delivery_limit",
        /// It was received more often than `maxReceiveCount` allows.
        ReceiveLimit = "receive_limit",
        /// No consumer of the queue may receive a message of this size.
        TooLarge = "too_large",
    }
}

label! {
    /// What makes the broker stop reading from publishers.
    AlarmKind, "alarm" {
        /// The memory budget is used up.
        Memory = "memory",
        /// Free disk space is below the floor.
        Disk = "disk",
    }
}

/// A field that a message lost on its way between two doors.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Conversion {
    /// Door that the message came in by.
    pub from: Protocol,
    /// Door that it left by.
    pub to: Protocol,
    /// Name of the field in the vocabulary of `from`; a constant of the code, never a client's text.
    pub field: &'static str,
}

/// One kind of answered HTTP request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HttpRequest {
    /// Operation as the API names it (`SendMessage`), or `unknown`; never the client's own text.
    pub operation: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
}

/// One metric per value of a label: a plain array, so that counting takes no lock and no look-up.
#[derive(Debug)]
pub struct PerLabel<L, M> {
    metrics: Box<[M]>,
    label: std::marker::PhantomData<fn(L)>,
}

impl<L: Label, M: Default> Default for PerLabel<L, M> {
    fn default() -> Self {
        Self {
            metrics: L::ALL.iter().map(|_| M::default()).collect(),
            label: std::marker::PhantomData,
        }
    }
}

impl<L: Label, M: Clone> Clone for PerLabel<L, M> {
    fn clone(&self) -> Self {
        Self {
            metrics: self.metrics.clone(),
            label: std::marker::PhantomData,
        }
    }
}

impl<L: Label, M> PerLabel<L, M> {
    /// The metric of one label value.
    pub fn of(&self, label: L) -> &M {
        // In bounds: the array has one place per value, in the order of `Label::ALL`.
        &self.metrics[label.index()]
    }

    /// All metrics with their label values.
    pub fn iter(&self) -> impl Iterator<Item = (L, &M)> {
        L::ALL.iter().copied().zip(&self.metrics)
    }
}

/// A label as the encoder wants it.
#[derive(Debug)]
struct Pair<L>(L);

impl<L: Label> EncodeLabelSet for Pair<L> {
    fn encode(
        &self,
        encoder: &mut prometheus_client::encoding::LabelSetEncoder<'_>,
    ) -> fmt::Result {
        (L::KEY, self.0.as_str()).encode(encoder.encode_label())
    }
}

impl<L: Label, M> EncodeMetric for PerLabel<L, M>
where
    M: EncodeMetric + prometheus_client::metrics::TypedMetric,
{
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (label, metric) in self.iter() {
            let pair = Pair(label);
            metric.encode(encoder.encode_family(&pair)?)?;
        }
        Ok(())
    }

    fn metric_type(&self) -> MetricType {
        M::TYPE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::metrics::counter::Counter;

    #[test]
    fn each_label_value_has_its_own_number() {
        let counters = PerLabel::<Protocol, Counter>::default();
        counters.of(Protocol::Sqs).inc_by(3);
        let seen: Vec<_> = counters
            .iter()
            .map(|(label, counter)| (label.as_str(), counter.get()))
            .collect();
        assert_eq!(seen, [("amqp091", 0), ("sqs", 3), ("internal", 0)]);
    }
}
