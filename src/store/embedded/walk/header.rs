//! What a segment says about itself, or what its frames say of it.

use std::io;

use super::super::frame::BLOCK_BYTES;
use super::super::frame::FRAME_HEADER_BYTES;
use super::super::frame::FrameHeader;
use super::super::frame::SegmentHeader;
use super::super::segment::SegmentId;
use super::super::window::Window;
use super::block;

/// The header that stands in a file, if it is that of this segment.
pub(super) fn read(
    window: &mut Window,
    segment: SegmentId,
    shard: u8,
) -> io::Result<Option<SegmentHeader>> {
    let header = window.get(0, BLOCK_BYTES)?.and_then(SegmentHeader::decode);
    let is_its = |header: &SegmentHeader| {
        header.id == segment.number() && header.chain == segment.chain() && header.shard == shard
    };
    Ok(header.filter(is_its))
}

/// What a damaged header said, as the first good frame tells. Bytes of an earlier life of the file are of another chain,
/// or have another id.
pub(super) fn guess(
    window: &mut Window,
    segment: SegmentId,
    shard: u8,
) -> io::Result<Option<SegmentHeader>> {
    let is_its = |frame: &FrameHeader| {
        let chain = u8::from(frame.is_cold);
        (frame.segment, chain, frame.shard) == (segment.number(), segment.chain(), shard)
    };
    let mut offset = block();
    while let Some(bytes) = window.get(offset, FRAME_HEADER_BYTES)? {
        if let Some((frame, _)) = FrameHeader::decode(bytes).filter(|(frame, _)| is_its(frame)) {
            return Ok(Some(SegmentHeader {
                shard,
                chain: segment.chain(),
                id: segment.number(),
                first: frame.first,
                salt: frame.salt,
                previous: frame.previous,
            }));
        }
        offset += block();
    }
    Ok(None)
}
