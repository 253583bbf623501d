//! What is put in the place of damaged frames: frames that say that there is nothing, with the numbers that were there.

use crate::core::model::time::CoreTime;

use crate::store::embedded::frame::BLOCK_BYTES;
use crate::store::embedded::frame::FRAME_HEADER_BYTES;
use crate::store::embedded::frame::FrameHeader;
use crate::store::embedded::frame::SegmentHeader;
use crate::store::embedded::frame::padded;
use crate::store::embedded::walk::Bad;
use crate::store::format;
use crate::store::format::Version;

use super::bridge::give_crc;

/// Frames for a damaged place.
pub(super) struct Fill<'a> {
    pub(super) segment: &'a SegmentHeader,
    pub(super) bad: &'a Bad,
    /// Whether nothing follows in the segment.
    pub(super) is_end: bool,
}

impl Fill<'_> {
    /// The bytes: as many as the place has, so that what follows stays where it is; none if there are more records
    /// missing than can ever have stood there. The end of a segment takes what it needs.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let bad = self.bad;
        let count = bad.next.map_or(0, |next| next.saturating_sub(bad.first));
        let count = u32::try_from(count).ok()?;
        let room = usize::try_from(bad.end.checked_sub(bad.start)?).ok()?;
        let mut out = Vec::new();
        let mut crc = bad.before.unwrap_or(self.segment.previous);
        let mut next = bad.first;
        if count > 0 {
            crc = self.put(&mut out, next, count, crc, false);
            next += u64::from(count);
        }
        if self.is_end {
            self.put(&mut out, next, 0, crc, true);
        } else {
            while out.len() < room {
                crc = self.put(&mut out, next, 0, crc, false);
            }
            if out.len() > room {
                return None;
            }
        }
        if let Some(behind) = bad.behind {
            give_crc(last_frame(&mut out, count, self.is_end)?, behind);
        }
        Some(out)
    }

    /// Adds a frame, and returns its CRC.
    fn put(&self, out: &mut Vec<u8>, first: u64, count: u32, previous: u32, is_seal: bool) -> u32 {
        let records = usize::try_from(count).unwrap_or(usize::MAX);
        let body = format::TOMBSTONE.repeat(records);
        let header = FrameHeader {
            version: Version::NEWEST,
            is_seal,
            is_cold: false,
            shard: self.segment.shard,
            segment: self.segment.id,
            first,
            salt: self.segment.salt,
            latest: CoreTime::default(),
            count,
            bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
            body: crc32c::crc32c(&body),
            previous,
        };
        let start = out.len();
        out.resize(start + FRAME_HEADER_BYTES, 0);
        let crc = header.encode_into(out.get_mut(start..).unwrap_or_default());
        out.extend_from_slice(&body);
        out.resize(start + padded(FRAME_HEADER_BYTES + body.len()), 0);
        crc
    }
}

/// The last of frames of which only the first may have records.
fn last_frame(out: &mut [u8], count: u32, is_end: bool) -> Option<&mut [u8]> {
    let records = usize::try_from(count).ok()?;
    let first = padded(FRAME_HEADER_BYTES + records * format::TOMBSTONE.len());
    let is_alone = count > 0 && out.len() == first && !is_end;
    let start = if is_alone {
        0
    } else {
        out.len().checked_sub(BLOCK_BYTES)?
    };
    out.get_mut(start..)
}
