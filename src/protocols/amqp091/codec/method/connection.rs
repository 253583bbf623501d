//! Class connection (0-9-1 §1.4, and RabbitMQ's blocked and update-secret).

use bytes::BufMut;

use super::MethodFrame;
use super::Sender;
use crate::protocols::amqp091::codec::error::CodecError;
use crate::protocols::amqp091::codec::field::RawTable;
use crate::protocols::amqp091::codec::text::LongStr;
use crate::protocols::amqp091::codec::text::ShortStr;
use crate::protocols::amqp091::codec::wire::Argument;
use crate::protocols::amqp091::codec::wire::Bits;
use crate::protocols::amqp091::codec::wire::Reader;

methods! {
    /// The methods of class connection; all of them belong on channel 0.
    class 10 "connection" ConnectionMethod<'a>;

    /// Proposes the protocol's version and the login mechanisms, separated by spaces.
    10 "start" Server Start<'a> {
        version_major: u8,
        version_minor: u8,
        server_properties: RawTable<'a>,
        mechanisms: LongStr<'a>,
        locales: LongStr<'a>
    }
    /// Chooses a mechanism and gives its first response.
    11 "start-ok" Client StartOk<'a> {
        client_properties: RawTable<'a>,
        mechanism: ShortStr<'a>,
        response: LongStr<'a>,
        locale: ShortStr<'a>
    }
    /// Challenges a client whose mechanism has more than one step.
    20 "secure" Server Secure<'a> { challenge: LongStr<'a> }
    /// Answers a challenge.
    21 "secure-ok" Client SecureOk<'a> { response: LongStr<'a> }
    /// Proposes limits; 0 means none. The heartbeat is in seconds.
    30 "tune" Server Tune { channel_max: u16, frame_max: u32, heartbeat: u16 }
    /// Settles the limits, none above what was proposed.
    31 "tune-ok" Client TuneOk { channel_max: u16, frame_max: u32, heartbeat: u16 }
    /// Opens a virtual host; the other two fields are reserved.
    40 "open" Client Open<'a> {
        virtual_host: ShortStr<'a>,
        capabilities: ShortStr<'a>;
        bits insist
    }
    /// The virtual host is open; the field is reserved.
    41 "open-ok" Server OpenOk<'a> { known_hosts: ShortStr<'a> }
    /// Ends the connection; the ids name the method that failed, or are 0.
    50 "close" Both Close<'a> {
        reply_code: u16,
        reply_text: ShortStr<'a>,
        class_id: u16,
        method_id: u16
    }
    /// Agrees to the end.
    51 "close-ok" Both CloseOk {}
    /// Tells a client with the capability that publishing is stopped.
    60 "blocked" Server Blocked<'a> { reason: ShortStr<'a> }
    /// Tells it that publishing goes on.
    61 "unblocked" Server Unblocked {}
    /// Replaces the credential of this connection.
    70 "update-secret" Client UpdateSecret<'a> { new_secret: LongStr<'a>, reason: ShortStr<'a> }
    /// The credential was replaced.
    71 "update-secret-ok" Server UpdateSecretOk {}
}
