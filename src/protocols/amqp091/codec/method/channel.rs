//! Class channel (0-9-1 §1.5).

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::text::LongStr;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::Argument;
use crate::protocols::amqp091::codec::wire::Bits;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class channel.
    class 20 "channel" ChannelMethod<'a>;

    /// Opens the channel; the field is reserved.
    10 "open" Client Open<'a> { out_of_band: ShortStr<'a> }
    /// The channel is open; the field is reserved.
    11 "open-ok" Server OpenOk<'a> { channel_id: LongStr<'a> }
    /// Asks the peer to stop or go on with content.
    20 "flow" Both Flow { ; bits active }
    /// Confirms what was asked.
    21 "flow-ok" Both FlowOk { ; bits active }
    /// Ends the channel; the ids name the method that failed, or are 0.
    40 "close" Both Close<'a> {
        reply_code: u16,
        reply_text: ShortStr<'a>,
        class_id: u16,
        method_id: u16
    }
    /// Agrees to the end.
    41 "close-ok" Both CloseOk {}
}
