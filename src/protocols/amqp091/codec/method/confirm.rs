//! Class confirm: RabbitMQ's publisher confirms.

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::wire::Bits;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class confirm.
    class 85 "confirm" ConfirmMethod;

    /// Asks for an answer to every publish on this channel.
    10 "select" Client Select { ; bits nowait }
    /// It will be so.
    11 "select-ok" Server SelectOk {}
}
