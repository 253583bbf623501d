//! Moves bytes: runtime, listeners, sockets, buffers. Knows no protocol.

mod clock;
mod detect;
pub mod http;
mod limits;
mod listener;
mod pool;
mod runtime;
mod tcp;

pub use clock::Clock;
pub use detect::FirstBytes;
pub use limits::Limits;
pub use listener::Bound;
pub use listener::ListenAddress;
pub use listener::ListenError;
pub use listener::Listener;
pub use listener::bind;
pub use pool::give_buffer;
pub use pool::take_buffer;
pub use runtime::Runtime;
pub use tcp::first_bytes;
pub use tcp::tune;

pub mod buffer;
