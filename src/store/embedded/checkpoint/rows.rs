//! Rows of a generation, as bytes. Bitmaps are in the portable format of Roaring.

use std::sync::Arc;

use roaring::RoaringTreemap;
use serde_json::Value;
use serde_json::json;

use crate::core::log::store::Hole;
use crate::core::model::ids::Lsn;
use crate::core::model::ids::QueueId;

use crate::store::journal::Bits;
use crate::store::journal::Block;
use crate::store::journal::SegmentRow;

/// One bitmap.
pub(super) fn bits(bits: &Bits) -> Vec<u8> {
    let mut out = Vec::new();
    put_bits(bits, &mut out);
    out
}

fn put_bits(bits: &Bits, out: &mut Vec<u8>) {
    // Runs are what a block mostly is made of.
    let mut compact = bits.clone();
    compact.optimize();
    let _ = compact.serialize_into(out);
}

/// Takes a bitmap from the front of bytes; none if there is none.
pub(super) fn read_bits(bytes: &mut &[u8]) -> Option<Bits> {
    Bits::deserialize_from(bytes).ok()
}

/// A block: which records live, then its planes.
pub(super) fn block(block: &Block) -> Vec<u8> {
    let mut out = bits(&block.members());
    for plane in &block.more {
        put_bits(plane, &mut out);
    }
    out
}

/// Takes back what [`block`] wrote.
pub(super) fn read_block(mut bytes: &[u8]) -> Option<Block> {
    let live = read_bits(&mut bytes)?;
    let mut more = Vec::new();
    while !bytes.is_empty() {
        more.push(read_bits(&mut bytes)?);
    }
    Some(Block { live, more })
}

/// A segment: its first and last record (u64 each, little-endian), then the queues.
pub(super) fn segment(segment: &SegmentRow) -> Vec<u8> {
    let mut out = segment.first.to_le_bytes().to_vec();
    out.extend_from_slice(&segment.last.to_le_bytes());
    let _ = segment.queues.serialize_into(&mut out);
    out
}

/// Takes back what [`segment`] wrote.
pub(super) fn read_segment(bytes: &[u8]) -> Option<SegmentRow> {
    let (first, bytes) = bytes.split_first_chunk()?;
    let (last, bytes) = bytes.split_first_chunk()?;
    Some(SegmentRow {
        first: u64::from_le_bytes(*first),
        last: u64::from_le_bytes(*last),
        queues: Arc::new(RoaringTreemap::deserialize_from(bytes).ok()?),
    })
}

/// A hole, for people too.
pub(super) fn hole(hole: &Hole) -> Vec<u8> {
    let queues = hole.queues.as_ref();
    let queues = queues.map(|queues| queues.iter().map(|queue| queue.0).collect::<Vec<u64>>());
    let value = json!({
        "path": hole.path,
        "what": hole.what,
        "first": hole.first.get(),
        "last": hole.last.get(),
        "queues": queues,
    });
    value.to_string().into_bytes()
}

/// Takes back what [`hole`] wrote.
pub(super) fn read_hole(bytes: &[u8]) -> Option<Hole> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let lsn = |key: &str| Lsn::from_raw(value.get(key)?.as_u64()?);
    let queues = value.get("queues")?;
    let queues = if queues.is_null() {
        None
    } else {
        let ids = queues.as_array()?.iter();
        Some(
            ids.map(|id| id.as_u64().map(QueueId))
                .collect::<Option<_>>()?,
        )
    };
    Some(Hole {
        path: text("path")?,
        what: text("what")?,
        first: lsn("first")?,
        last: lsn("last")?,
        queues,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let bits: Bits = (0..70).chain([500, 30_000]).collect();
        assert_eq!(
            read_bits(&mut self::bits(&bits).as_slice()),
            Some(bits.clone())
        );
        let block = Block {
            live: bits,
            more: vec![Bits::from_iter([7]), Bits::from_iter([500, 7])],
        };
        assert_eq!(read_block(&self::block(&block)), Some(block));
        let segment = SegmentRow {
            first: 5,
            last: 9,
            queues: Arc::new([1, 1 << 40].into_iter().collect()),
        };
        assert_eq!(read_segment(&self::segment(&segment)), Some(segment));
        let lsn = |number| Lsn::new(crate::core::model::ids::Shard(0), number).unwrap();
        for queues in [None, Some(vec![QueueId(3), QueueId(u64::MAX)])] {
            let hole = Hole {
                path: "log/1.seg".to_owned(),
                what: "a frame is bad".to_owned(),
                first: lsn(4),
                last: lsn(5),
                queues,
            };
            assert_eq!(read_hole(&self::hole(&hole)), Some(hole));
        }
    }

    #[test]
    fn other_bytes_are_no_rows() {
        for bytes in [&b""[..], b"abc", &[0xff; 40]] {
            assert_eq!(read_block(bytes), None);
            assert_eq!(read_segment(bytes), None);
            assert_eq!(read_hole(bytes), None);
        }
    }
}
