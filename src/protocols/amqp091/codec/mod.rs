//! Bytes ↔ frames, methods and content headers of AMQP 0-9-1: pure functions, no IO.
//!
//! ```text
//! bytes ─ next_frame ─► RawFrame ─┬─ method ─► Method::decode         (borrows from the frame)
//!                                 ├─ header ─► ContentHeader::decode  (raw properties, located lazily)
//!                                 └─ body ───► the payload itself
//! write_method / write_content_header / write_body_frames ─► any `BufMut`
//! ```
//!
//! Everything that is read borrows from the input, so publish, deliver and the acknowledgements
//! allocate nothing. Every bound (frame size, nesting, number of values) is checked before memory
//! is taken; what is malformed becomes a [`CodecError`] that knows its reply code, never a panic.

#![warn(clippy::indexing_slicing, clippy::as_conversions)]

mod error;
mod reply;
mod wire;

pub mod content;
pub mod field;
pub mod frame;
pub mod greeting;
pub mod method;
pub mod properties;
pub mod text;

#[cfg(test)]
mod tests;

pub use content::ContentHeader;
pub use content::write_body_frames;
pub use content::write_content_header;
pub use error::CodecError;
pub use field::FieldTable;
pub use field::FieldValue;
pub use field::RawTable;
pub use field::RawValue;
pub use frame::FrameKind;
pub use frame::RawFrame;
pub use frame::next_frame;
pub use greeting::Greeting;
pub use greeting::PROTOCOL_HEADER;
pub use method::Method;
pub use method::write_method;
pub use properties::Properties;
pub use properties::PropertyFields;
pub use reply::ReplyCode;
pub use text::LongStr;
pub use text::ShortStr;
