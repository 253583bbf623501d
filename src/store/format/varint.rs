//! Integers of variable length: seven bits a byte, lowest first, the top bit says that more follow.

use crate::core::model::ids::Lsn;
use crate::core::model::ids::Shard;

/// Bits of an LSN's code that hold the shard.
const SHARD_BITS: u32 = 8;

/// Appends `value`: 1 to 10 bytes. Most are lengths and differences that fit one.
pub(super) fn put(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(byte @ 0..=0x7f) => out.push(byte),
        _ => put_long(out, value),
    }
}

fn put_long(out: &mut Vec<u8>, mut value: u64) {
    let mut bytes = [0; 10];
    let mut used = 0;
    for byte in &mut bytes {
        used += 1;
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            *byte = low;
            break;
        }
        *byte = low | 0x80;
    }
    out.extend_from_slice(bytes.get(..used).unwrap_or_default());
}

/// Takes an integer from the front of `bytes`; none if it ends early or exceeds 64 bits.
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut shift = 0;
    loop {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(first & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// Maps small numbers of either sign to small numbers.
pub(super) fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ 0_u64.wrapping_sub(difference >> 63)
}

/// Takes back what [`zigzag`] did.
pub(super) fn unzigzag(code: u64) -> u64 {
    (code >> 1) ^ 0_u64.wrapping_sub(code & 1)
}

/// An LSN with its shard in the lowest bits, so that it is short in every shard.
pub(super) fn lsn_code(lsn: Lsn) -> u64 {
    (lsn.number() << SHARD_BITS) | u64::from(lsn.shard().0)
}

/// Takes back what [`lsn_code`] did; none for a number 0.
pub(super) fn lsn_of(code: u64) -> Option<Lsn> {
    let [shard, ..] = code.to_le_bytes();
    Lsn::new(Shard(shard), code >> SHARD_BITS)
}
