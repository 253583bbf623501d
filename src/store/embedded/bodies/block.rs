//! The bytes of `big/<id>`.
//!
//! ```text
//! header: "VBIG" · u8 format 1 · 3 × 0 · u64 id
//! block:  up to 65,536 bytes of body · u32 CRC-32C of id, number of the block, bytes
//! ```
//! Little-endian. Every block but the last is full. The CRC covers whose block it is, and which, so that neither
//! another's nor one in the wrong place is taken for it.

use bytes::Bytes;

use crate::core::log::bodies::BODY_BLOCK_BYTES;
use crate::core::log::bodies::BodyId;

/// Bytes before the first block.
pub(super) const HEADER_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"VBIG";
const FORMAT: u8 = 1;
const CRC_BYTES: usize = 4;

/// The header of a body's file.
pub(super) fn header(body: BodyId) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (head, id) = header.split_at_mut(8);
    head.copy_from_slice(&[MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], FORMAT, 0, 0, 0]);
    id.copy_from_slice(&body.0.to_le_bytes());
    header
}

/// Where block `number` starts.
pub(super) fn offset(number: u64) -> u64 {
    let block = length(BODY_BLOCK_BYTES);
    (HEADER_BYTES as u64).saturating_add(number.saturating_mul(block as u64))
}

/// Bytes that a block takes whose part of the body is this long.
pub(super) fn length(bytes: usize) -> usize {
    bytes + CRC_BYTES
}

/// Bytes of a body that its block `number` holds, 0 beyond its end.
pub(super) fn part(bytes: u64, number: u64) -> usize {
    let start = number.saturating_mul(BODY_BLOCK_BYTES as u64);
    let rest = bytes.saturating_sub(start);
    usize::try_from(rest).map_or(BODY_BLOCK_BYTES, |rest| rest.min(BODY_BLOCK_BYTES))
}

/// Length of the file of a whole body.
pub(super) fn file_bytes(bytes: u64) -> u64 {
    let blocks = bytes.div_ceil(BODY_BLOCK_BYTES as u64);
    (HEADER_BYTES as u64)
        .saturating_add(bytes)
        .saturating_add(blocks.saturating_mul(CRC_BYTES as u64))
}

/// Puts its CRC behind a block.
pub(super) fn close(body: BodyId, number: u64, block: &mut Vec<u8>) {
    let crc = crc(body, number, block);
    block.extend_from_slice(&crc.to_le_bytes());
}

/// The bytes of a block that was read; none if it is not the one that was written.
pub(super) fn open(body: BodyId, number: u64, block: Vec<u8>) -> Option<Bytes> {
    let len = is_good(body, number, &block).then(|| block.len() - CRC_BYTES)?;
    Some(Bytes::from(block).slice(..len))
}

/// Whether a block that was read is the one that was written.
pub(super) fn is_good(body: BodyId, number: u64, block: &[u8]) -> bool {
    let bytes = block.split_last_chunk::<CRC_BYTES>();
    bytes.is_some_and(|(bytes, found)| *found == crc(body, number, bytes).to_le_bytes())
}

fn crc(body: BodyId, number: u64, bytes: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&body.0.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &number.to_le_bytes());
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: BodyId = BodyId(0x2_0000_0001);

    #[test]
    fn a_block_is_only_what_was_written_and_where() {
        let mut block = b"seven bytes".to_vec();
        close(BODY, 3, &mut block);
        assert_eq!(block.len(), length(11));
        assert_eq!(open(BODY, 3, block.clone()).unwrap(), &b"seven bytes"[..]);
        assert_eq!(open(BODY, 4, block.clone()), None);
        assert_eq!(open(BodyId(1), 3, block.clone()), None);
        for at in 0..block.len() * 8 {
            let mut flipped = block.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(open(BODY, 3, flipped), None);
        }
        assert_eq!(open(BODY, 3, Vec::new()), None);
    }

    #[test]
    fn blocks_lie_one_behind_the_other() {
        let body = 2 * BODY_BLOCK_BYTES as u64 + 7;
        assert_eq!(offset(0), 16);
        assert_eq!(offset(2), 16 + 2 * 65_540);
        assert_eq!(
            [part(body, 0), part(body, 2), part(body, 3)],
            [65_536, 7, 0]
        );
        assert_eq!(file_bytes(body), offset(2) + length(7) as u64);
        assert_eq!(file_bytes(65_536), offset(1));
    }
}
