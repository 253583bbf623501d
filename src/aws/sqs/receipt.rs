//! Receipt handles: opaque to clients, and all that a settle needs to find its entry.
//!
//! ```text
//! base64( 1u8 version | u64 queue id | u64 sequence | u64 LSN of the entry | u16 attempt | u64 incarnation )
//! ```
//!
//! Integers are big-endian; base64 is the URL-safe alphabet without padding, so that a handle survives
//! forms and shells. A handle is no secret: what it may do is decided by the caller's permissions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const VERSION: u8 = 1;
const BYTES: usize = 35;

/// What a receipt handle carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The queue.
    pub queue: u64,
    /// The entry's place in the queue.
    pub sequence: u64,
    /// The record that the entry came from; 0 for one that the log does not hold.
    pub lsn: u64,
    /// Which lease of the entry it was.
    pub attempt: u16,
    /// Which start of the store handed it out.
    pub incarnation: u64,
}

impl Receipt {
    /// Prints the handle.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend(self.queue.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.lsn.to_be_bytes());
        bytes.extend(self.attempt.to_be_bytes());
        bytes.extend(self.incarnation.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a handle; `None` when it is not one of ours.
    #[must_use]
    pub fn decode(handle: &str) -> Option<Self> {
        // Longer text cannot be a handle: refused before it is decoded.
        if handle.len() > BYTES * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(handle).ok()?;
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION || bytes.len() != BYTES {
            return None;
        }
        let (queue, rest) = rest.split_first_chunk::<8>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (lsn, rest) = rest.split_first_chunk::<8>()?;
        let (attempt, rest) = rest.split_first_chunk::<2>()?;
        let (incarnation, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            queue: u64::from_be_bytes(*queue),
            sequence: u64::from_be_bytes(*sequence),
            lsn: u64::from_be_bytes(*lsn),
            attempt: u16::from_be_bytes(*attempt),
            incarnation: u64::from_be_bytes(*incarnation),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_handle_reads_back(
            queue: u64, sequence: u64, lsn: u64, attempt: u16, incarnation: u64,
        ) {
            let receipt = Receipt { queue, sequence, lsn, attempt, incarnation };
            prop_assert_eq!(Receipt::decode(&receipt.encode()), Some(receipt));
        }

        #[test]
        fn garbage_is_no_handle(text in ".{0,120}") {
            if let Some(receipt) = Receipt::decode(&text) {
                prop_assert_eq!(receipt.encode(), text);
            }
        }
    }
}
