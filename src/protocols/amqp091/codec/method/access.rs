//! Class access: gone from 0-9-1, still sent by 0-8 and 0-9 clients, accepted by RabbitMQ.

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::Argument;
use crate::protocols::amqp091::codec::wire::Bits;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class access.
    class 30 "access" AccessMethod<'a>;

    /// Asks for a ticket, which every `ticket` field of other methods once carried.
    10 "request" Client Request<'a> {
        realm: ShortStr<'a>;
        bits exclusive, passive, active, write, read
    }
    /// Gives one; RabbitMQ's is always 1.
    11 "request-ok" Server RequestOk { ticket: u16 }
}
