//! Class basic (0-9-1 §1.8, and RabbitMQ's nack): where the messages are.

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::Argument;
use crate::protocols::amqp091::codec::wire::Bits;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class basic.
    class 60 "basic" BasicMethod<'a>;

    /// Limits what is delivered and not acknowledged yet.
    10 "qos" Client Qos { prefetch_size: u32, prefetch_count: u16; bits global }
    /// The limit holds.
    11 "qos-ok" Server QosOk {}
    /// Starts a consumer; an empty tag asks for a new one.
    20 "consume" Client Consume<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        consumer_tag: ShortStr<'a>;
        bits no_local, no_ack, exclusive, nowait;
        arguments: RawTable<'a>
    }
    /// The consumer is there.
    21 "consume-ok" Server ConsumeOk<'a> { consumer_tag: ShortStr<'a> }
    /// Ends a consumer; from the server it says that the consumer has ended (RabbitMQ).
    30 "cancel" Both Cancel<'a> { consumer_tag: ShortStr<'a>; bits nowait }
    /// It has.
    31 "cancel-ok" Both CancelOk<'a> { consumer_tag: ShortStr<'a> }
    /// Publishes the content that follows.
    40 "publish" Client Publish<'a> {
        ticket: u16,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>;
        bits mandatory, immediate
    }
    /// Gives back the content that follows: it could not be routed.
    50 "return" Server Return<'a> {
        reply_code: u16,
        reply_text: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>
    }
    /// Delivers the content that follows to a consumer.
    60 "deliver" Server Deliver<'a> {
        consumer_tag: ShortStr<'a>,
        delivery_tag: u64;
        bits redelivered;
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>
    }
    /// Asks for one message.
    70 "get" Client Get<'a> { ticket: u16, queue: ShortStr<'a>; bits no_ack }
    /// Answers with the content that follows, and how many messages are left.
    71 "get-ok" Server GetOk<'a> {
        delivery_tag: u64;
        bits redelivered;
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        message_count: u32
    }
    /// There was none; the field is reserved.
    72 "get-empty" Server GetEmpty<'a> { cluster_id: ShortStr<'a> }
    /// Accepts deliveries; from the server it confirms publishes.
    80 "ack" Both Ack { delivery_tag: u64; bits multiple }
    /// Refuses one delivery.
    90 "reject" Client Reject { delivery_tag: u64; bits requeue }
    /// Gives back everything not acknowledged, without an answer.
    100 "recover-async" Client RecoverAsync { ; bits requeue }
    /// Gives back everything not acknowledged.
    110 "recover" Client Recover { ; bits requeue }
    /// It is given back.
    111 "recover-ok" Server RecoverOk {}
    /// Refuses deliveries; from the server it refuses publishes.
    120 "nack" Both Nack { delivery_tag: u64; bits multiple, requeue }
}

impl BasicMethod<'_> {
    /// Whether a content header and body follow.
    pub const fn has_content(&self) -> bool {
        matches!(
            self,
            Self::Publish(_) | Self::Return(_) | Self::Deliver(_) | Self::GetOk(_)
        )
    }
}
