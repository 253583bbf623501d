//! Frames and segment headers: what makes bytes of a file the log, or not.
//!
//! Everything is little-endian and starts at a multiple of 4 KiB, so that a torn sector never touches
//! what an earlier frame holds.
//!
//! ```text
//! segment header (4 KiB)                 frame header (64 bytes), then the records, then zeros
//!  0 magic "VSEG"                         0 magic "VFRM"
//!  4 format u8 = 2 (1 is read)            4 format u8 = 2 (1 is read)
//!  5 shard u8                             5 flags u8: 1 = seal, nothing follows in this segment; 2 = cold
//!  6 chain u8: 0 main, 1 cold · 7 zero    6 shard u8 · 7 zero u8
//!  8 segment id u64                       8 segment id u64
//! 16 number of the first record u64      16 number of the first record u64; cold: the lowest that one keeps
//! 24 salt u64                            24 salt of the segment u64
//! 32 previous frame's CRC u32            32 core time of the newest record u64; cold: the highest number kept
//! 36 CRC-32C of bytes 0..36 u32          40 records u32
//!                                        44 bytes of records u32
//!                                        48 CRC-32C of the records u32
//!                                        52 previous frame's CRC u32
//!                                        56 zero u32
//!                                        60 CRC-32C of bytes 0..60 u32: "the frame's CRC"
//! ```
//! The salt is random and told to nobody, so neither what a recycled segment held nor a body that looks
//! like a frame is ever taken for one.

use crate::core::model::time::CoreTime;

use crate::store::format::Version;

/// What everything is aligned to.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

const SEGMENT_MAGIC: [u8; 4] = *b"VSEG";
const FRAME_MAGIC: [u8; 4] = *b"VFRM";
const SEAL: u8 = 1;
const COLD: u8 = 2;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The shard whose log this is.
    pub(crate) shard: u8,
    /// Which of the log's chains it is in: 0 main, 1 cold.
    pub(crate) chain: u8,
    /// The segment's place in its chain; also its file name.
    pub(crate) id: u64,
    /// Number of its first record.
    pub(crate) first: u64,
    /// Random, for the frames in it.
    pub(crate) salt: u64,
    /// CRC of the frame before its first one.
    pub(crate) previous: u32,
}

/// What a frame says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// By which rules its records are read.
    pub(crate) version: Version,
    /// Nothing follows in this segment.
    pub(crate) is_seal: bool,
    /// It is in the cold chain: its records keep the numbers that they had.
    pub(crate) is_cold: bool,
    /// The shard whose log this is.
    pub(crate) shard: u8,
    /// The segment that it is in.
    pub(crate) segment: u64,
    /// Number of its first record.
    pub(crate) first: u64,
    /// The segment's salt.
    pub(crate) salt: u64,
    /// Core time of the newest record.
    pub(crate) latest: CoreTime,
    /// Number of records.
    pub(crate) count: u32,
    /// Bytes of records.
    pub(crate) bytes: u32,
    /// CRC of the records.
    pub(crate) body: u32,
    /// CRC of the frame before.
    pub(crate) previous: u32,
}

/// Length of a frame with `bytes` of header and records, padding included.
pub(crate) fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(BLOCK_BYTES)
}

impl SegmentHeader {
    /// The first block of the segment.
    pub(crate) fn encode(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        let mut out = Fields(&mut block);
        out.put(SEGMENT_MAGIC);
        out.put([Version::NEWEST.number(), self.shard, self.chain, 0]);
        out.put(self.id.to_le_bytes());
        out.put(self.first.to_le_bytes());
        out.put(self.salt.to_le_bytes());
        out.put(self.previous.to_le_bytes());
        let crc = crc32c::crc32c(block.get(..36).unwrap_or_default());
        if let Some(field) = block.get_mut(36..40) {
            field.copy_from_slice(&crc.to_le_bytes());
        }
        block
    }

    /// Reads a first block; none if it is not one.
    pub(crate) fn decode(block: &[u8]) -> Option<Self> {
        let crc = crc32c::crc32c(block.get(..36)?);
        let mut fields = block;
        if take(&mut fields)? != SEGMENT_MAGIC {
            return None;
        }
        let [format, shard, chain, _] = take(&mut fields)?;
        Version::from_number(format)?;
        let header = Self {
            shard,
            chain,
            id: u64::from_le_bytes(take(&mut fields)?),
            first: u64::from_le_bytes(take(&mut fields)?),
            salt: u64::from_le_bytes(take(&mut fields)?),
            previous: u32::from_le_bytes(take(&mut fields)?),
        };
        (u32::from_le_bytes(take(&mut fields)?) == crc).then_some(header)
    }
}

impl FrameHeader {
    /// Writes the header over the first bytes of `frame`, and returns the frame's CRC.
    pub(crate) fn encode_into(&self, frame: &mut [u8]) -> u32 {
        let mut header = [0; FRAME_HEADER_BYTES];
        let mut out = Fields(&mut header);
        out.put(FRAME_MAGIC);
        let seal = if self.is_seal { SEAL } else { 0 };
        let flags = seal | if self.is_cold { COLD } else { 0 };
        out.put([self.version.number(), flags, self.shard, 0]);
        out.put(self.segment.to_le_bytes());
        out.put(self.first.to_le_bytes());
        out.put(self.salt.to_le_bytes());
        out.put(self.latest.as_ms().to_le_bytes());
        out.put(self.count.to_le_bytes());
        out.put(self.bytes.to_le_bytes());
        out.put(self.body.to_le_bytes());
        out.put(self.previous.to_le_bytes());
        out.put([0; 4]);
        let crc = crc32c::crc32c(header.get(..60).unwrap_or_default());
        if let Some(field) = header.last_chunk_mut() {
            *field = crc.to_le_bytes();
        }
        if let Some(start) = frame.first_chunk_mut() {
            *start = header;
        }
        crc
    }

    /// Reads a header and its CRC; none if it is not one.
    pub(crate) fn decode(frame: &[u8]) -> Option<(Self, u32)> {
        let header: &[u8; FRAME_HEADER_BYTES] = frame.first_chunk()?;
        let crc = crc32c::crc32c(header.get(..60)?);
        if header.last_chunk() != Some(&crc.to_le_bytes()) {
            return None;
        }
        let mut fields = header.as_slice();
        if take(&mut fields)? != FRAME_MAGIC {
            return None;
        }
        let [format, flags, shard, _] = take(&mut fields)?;
        let header = Self {
            version: Version::from_number(format)?,
            is_seal: flags & SEAL != 0,
            is_cold: flags & COLD != 0,
            shard,
            segment: u64::from_le_bytes(take(&mut fields)?),
            first: u64::from_le_bytes(take(&mut fields)?),
            salt: u64::from_le_bytes(take(&mut fields)?),
            latest: CoreTime::from_ms(u64::from_le_bytes(take(&mut fields)?)),
            count: u32::from_le_bytes(take(&mut fields)?),
            bytes: u32::from_le_bytes(take(&mut fields)?),
            body: u32::from_le_bytes(take(&mut fields)?),
            previous: u32::from_le_bytes(take(&mut fields)?),
        };
        Some((header, crc))
    }
}

/// What is left to fill of a header.
struct Fields<'a>(&'a mut [u8]);

impl Fields<'_> {
    fn put<const N: usize>(&mut self, field: [u8; N]) {
        if let Some((start, rest)) = std::mem::take(&mut self.0).split_first_chunk_mut() {
            *start = field;
            self.0 = rest;
        }
    }
}

/// Takes a field from the front of a header.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}
