//! Class exchange (0-9-1 §1.6, and RabbitMQ's bindings between exchanges).

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
    /// The methods of class exchange.
    class 40 "exchange" ExchangeMethod<'a>;

    /// Creates an exchange or, `passive`, asks whether it is there.
    10 "declare" Client Declare<'a> {
        ticket: u16,
        exchange: ShortStr<'a>,
        kind: ShortStr<'a>;
        bits passive, durable, auto_delete, internal, nowait;
        arguments: RawTable<'a>
    }
    /// It is there.
    11 "declare-ok" Server DeclareOk {}
    /// Deletes an exchange.
    20 "delete" Client Delete<'a> {
        ticket: u16,
        exchange: ShortStr<'a>;
        bits if_unused, nowait
    }
    /// It is gone.
    21 "delete-ok" Server DeleteOk {}
    /// Binds `destination` to `source`, both exchanges.
    30 "bind" Client Bind<'a> {
        ticket: u16,
        destination: ShortStr<'a>,
        source: ShortStr<'a>,
        routing_key: ShortStr<'a>;
        bits nowait;
        arguments: RawTable<'a>
    }
    /// The binding is there.
    31 "bind-ok" Server BindOk {}
    /// Removes a binding between exchanges.
    40 "unbind" Client Unbind<'a> {
        ticket: u16,
        destination: ShortStr<'a>,
        source: ShortStr<'a>,
        routing_key: ShortStr<'a>;
        bits nowait;
        arguments: RawTable<'a>
    }
    /// The binding is gone. RabbitMQ's id for it is 51, not 41.
    51 "unbind-ok" Server UnbindOk {}
}
