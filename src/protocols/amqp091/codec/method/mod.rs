//! Methods: class id, method id, arguments (0-9-1 §4.2.4), one file per class.
//!
//! ```text
//! 0          2           4
//! +----------+-----------+-----------------------------+
//! | class id | method id | arguments ...               |
//! +----------+-----------+-----------------------------+
//! ```
//!
//! A method's struct borrows its strings and tables from the frame and can be read and written, so
//! the same types serve the broker, the bridge and the tests' peers. A class's file is a table in
//! the order of the wire; `; bits` marks flags that share an octet.

#[macro_use]
mod table;

pub mod access;
pub mod basic;
pub mod channel;
pub mod confirm;
pub mod connection;
pub mod exchange;
pub mod queue;
pub mod tx;

use bytes::BufMut;

use super::error::CodecError;
use super::frame::FRAME_END;
use super::frame::FrameKind;
use super::frame::frame_head;
use super::wire::Reader;

/// Who may send a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client only.
    Client,
    /// The server only.
    Server,
    /// Either peer.
    Both,
}

/// What every method knows about itself.
pub trait MethodFrame {
    /// Class id on the wire.
    fn class_id(&self) -> u16;
    /// Method id on the wire.
    fn method_id(&self) -> u16;
    /// Name in the specification's spelling: `queue.declare-ok`.
    fn name(&self) -> &'static str;
    /// Who may send it.
    fn sender(&self) -> Sender;
    /// Bytes of the arguments.
    fn arguments_len(&self) -> usize;
    /// Appends the arguments.
    fn write_arguments(&self, out: &mut impl BufMut);
}

/// Appends a method as a whole frame.
pub fn write_method(out: &mut impl BufMut, channel: u16, method: &impl MethodFrame) {
    let len = 4 + method.arguments_len();
    out.put_slice(&frame_head(FrameKind::Method, channel, len));
    out.put_u16(method.class_id());
    out.put_u16(method.method_id());
    method.write_arguments(out);
    out.put_u8(FRAME_END);
}

/// Reads the class and method ids of a method frame's payload: for the close that answers it.
pub fn ids(payload: &[u8]) -> Option<(u16, u16)> {
    let mut reader = Reader::new(payload);
    Some((reader.u16("class").ok()?, reader.u16("method").ok()?))
}

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident($type:ty) = $id:path;)*) => {
        /// Any method, by class.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method<'a> {
            $($(#[$doc])* $class($type),)*
        }

        impl<'a> Method<'a> {
            /// Reads the payload of a method frame, whoever sent it.
            ///
            /// # Errors
            /// 503 for ids that nobody defined, 502 for malformed arguments or bytes behind them.
            pub fn decode(payload: &'a [u8]) -> Result<Self, CodecError> {
                let mut reader = Reader::new(payload);
                let class = reader.u16("class id")?;
                let method = reader.u16("method id")?;
                let decoded = match class {
                    $($id => Self::$class(<$type>::read(method, &mut reader)?),)*
                    _ => return Err(CodecError::UnknownMethod { class, method }),
                };
                reader.finish()?;
                Ok(decoded)
            }
        }

        impl MethodFrame for Method<'_> {
            fn class_id(&self) -> u16 {
                match self { $(Self::$class(method) => method.class_id(),)* }
            }
            fn method_id(&self) -> u16 {
                match self { $(Self::$class(method) => method.method_id(),)* }
            }
            fn name(&self) -> &'static str {
                match self { $(Self::$class(method) => method.name(),)* }
            }
            fn sender(&self) -> Sender {
                match self { $(Self::$class(method) => method.sender(),)* }
            }
            fn arguments_len(&self) -> usize {
                match self { $(Self::$class(method) => method.arguments_len(),)* }
            }
            fn write_arguments(&self, out: &mut impl BufMut) {
                match self { $(Self::$class(method) => method.write_arguments(out),)* }
            }
        }
    };
}

classes! {
    /// Class 10.
    Connection(connection::ConnectionMethod<'a>) = connection::CLASS_ID;
    /// Class 20.
    Channel(channel::ChannelMethod<'a>) = channel::CLASS_ID;
    /// Class 30.
    Access(access::AccessMethod<'a>) = access::CLASS_ID;
    /// Class 40.
    Exchange(exchange::ExchangeMethod<'a>) = exchange::CLASS_ID;
    /// Class 50.
    Queue(queue::QueueMethod<'a>) = queue::CLASS_ID;
    /// Class 60.
    Basic(basic::BasicMethod<'a>) = basic::CLASS_ID;
    /// Class 85.
    Confirm(confirm::ConfirmMethod) = confirm::CLASS_ID;
    /// Class 90.
    Tx(tx::TxMethod) = tx::CLASS_ID;
}

impl<'a> Method<'a> {
    /// Reads a method that a client sent.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and 503 for a method that is the server's to send.
    pub fn decode_from_client(payload: &'a [u8]) -> Result<Self, CodecError> {
        let method = Self::decode(payload)?;
        match method.sender() {
            Sender::Client | Sender::Both => Ok(method),
            Sender::Server => Err(CodecError::WrongDirection(method.name())),
        }
    }

    /// Whether a content header and body follow.
    pub const fn has_content(&self) -> bool {
        if let Self::Basic(method) = self {
            return method.has_content();
        }
        false
    }
}
