//! Class queue (0-9-1 §1.7).

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
    /// The methods of class queue.
    class 50 "queue" QueueMethod<'a>;

    /// Creates a queue or, `passive`, asks whether it is there. An empty name asks for a new one.
    10 "declare" Client Declare<'a> {
        ticket: u16,
        queue: ShortStr<'a>;
        bits passive, durable, exclusive, auto_delete, nowait;
        arguments: RawTable<'a>
    }
    /// It is there.
    11 "declare-ok" Server DeclareOk<'a> {
        queue: ShortStr<'a>,
        message_count: u32,
        consumer_count: u32
    }
    /// Binds a queue to an exchange.
    20 "bind" Client Bind<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>;
        bits nowait;
        arguments: RawTable<'a>
    }
    /// The binding is there.
    21 "bind-ok" Server BindOk {}
    /// Drops all messages that nobody holds.
    30 "purge" Client Purge<'a> { ticket: u16, queue: ShortStr<'a>; bits nowait }
    /// So many were dropped.
    31 "purge-ok" Server PurgeOk { message_count: u32 }
    /// Deletes a queue.
    40 "delete" Client Delete<'a> {
        ticket: u16,
        queue: ShortStr<'a>;
        bits if_unused, if_empty, nowait
    }
    /// It is gone, with so many messages.
    41 "delete-ok" Server DeleteOk { message_count: u32 }
    /// Removes a binding; the only one of the family without `nowait`.
    50 "unbind" Client Unbind<'a> {
        ticket: u16,
        queue: ShortStr<'a>,
        exchange: ShortStr<'a>,
        routing_key: ShortStr<'a>,
        arguments: RawTable<'a>
    }
    /// The binding is gone.
    51 "unbind-ok" Server UnbindOk {}
}
