//! Field tables and arrays (0-9-1 §4.2.5.5), with RabbitMQ's reading of the type octets.
//!
//! ```text
//! table  = long-uint *( short-string value )      array = long-int *( value )
//! value  = tag, then:
//!   t  octet, true unless 0    f  float             S  long string
//!   b  i8    B  u8             d  double            x  bytes (long string)
//!   s  i16   U  i16  u  u16    D  scale u8, u32     A  array
//!   I  i32   i  u32            T  u64, seconds      F  table
//!   l  i64   L  i64            V  nothing
//! ```
//!
//! The specification's grammar and the brokers disagree about `s`, `l` and `L`
//! (RabbitMQ's 0-9-1 errata); these are RabbitMQ's meanings, and `U` is the specification's name
//! for what `s` means here. Which tag was sent is remembered, as are order and repeated names:
//! what comes out of the broker is what went in.

mod raw;
mod value;
mod write;

pub use raw::RawArray;
pub use raw::RawTable;
pub use raw::RawValue;
pub use value::FieldTable;
pub use value::FieldValue;
pub(super) use write::write_entry;

/// Most levels of tables and arrays in one another, the outermost counted.
pub const MAX_DEPTH: usize = 64;

/// Most values in one table, all levels counted: bounds what a decoded table
/// takes beside its strings to 8 MiB.
pub const MAX_VALUES: usize = 65_536;

#[cfg(test)]
mod tests;
