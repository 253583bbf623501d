//! A frame with a given CRC.
//!
//! What stands behind a repaired place names the CRC of the frame that was there. So that the chain holds without an
//! exception in whoever reads it, the last frame that is put there is given that CRC: four bytes of its header mean
//! nothing otherwise, and there is exactly one value of them for every CRC.

use crate::store::embedded::frame::FRAME_HEADER_BYTES;

/// The reversed polynomial of CRC-32C.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// Where the four bytes are, behind everything else that the CRC covers.
const FREE: std::ops::Range<usize> = FRAME_HEADER_BYTES - 8..FRAME_HEADER_BYTES - 4;

/// Changes a frame whose header is complete so that its CRC is `crc`.
pub(super) fn give_crc(frame: &mut [u8], crc: u32) {
    let before = !crc32c::crc32c(frame.get(..FREE.start).unwrap_or_default());
    // The register after 32 more bits must be this: the steps are taken back one by one.
    let mut register = !crc;
    for _ in 0..32 {
        // Only a step that took the polynomial leaves the top bit set.
        register = if register & (1 << 31) == 0 {
            register << 1
        } else {
            ((register ^ POLYNOMIAL) << 1) | 1
        };
    }
    if let Some(free) = frame.get_mut(FREE) {
        free.copy_from_slice(&(register ^ before).to_le_bytes());
    }
    if let Some(field) = frame.get_mut(FREE.end..FREE.end + 4) {
        field.copy_from_slice(&crc.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_frame_can_have_any_crc(mut frame in prop::collection::vec(any::<u8>(), 64..80), crc: u32) {
            let before = frame.clone();
            give_crc(&mut frame, crc);
            prop_assert_eq!(crc32c::crc32c(&frame[..60]), crc);
            prop_assert_eq!(&frame[60..64], &crc.to_le_bytes()[..]);
            prop_assert_eq!(&frame[..56], &before[..56]);
            prop_assert_eq!(&frame[64..], &before[64..]);
        }
    }
}
