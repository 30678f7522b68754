//! How long a segment is made.
//!
//! A partition's segments are as long as the options say, which is far below the bound. A journal's
//! begin with all that is pending, and are longer where that is much.

use crate::error::{Error, Result};
use crate::limits::SEGMENT_BYTES;

/// No segment is longer, so that a place in it is a `u32`: in floor slots and marks.
pub(super) const CAPACITY_MAX: u64 = u32::MAX as u64 - 4095;
const _: () = assert!(CAPACITY_MAX.is_multiple_of(4096) && SEGMENT_BYTES.1 <= CAPACITY_MAX);

/// The length of the next segment, which would be `planned` if that is enough.
pub(super) fn capacity_for(planned: u64, needed: u64) -> Result<u64> {
    if needed > CAPACITY_MAX {
        let what = "the bytes of a journal's segment, which begins with all that is pending";
        return Err(Error::LimitReached { what, max: CAPACITY_MAX });
    }
    Ok(planned.max(needed.next_multiple_of(4096)))
}

/// How much a segment can take behind so many bytes of frames, its footer left out.
pub(crate) fn room_behind(frames_bytes: u64) -> u64 {
    // A footer's marks take a thousandth.
    (CAPACITY_MAX - CAPACITY_MAX / 512).saturating_sub(frames_bytes)
}

/// Whatever was asked for, it is not more than a segment can be.
pub(super) fn bounded(bytes: u64) -> u64 {
    bytes.min(CAPACITY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::active::needed_bytes;

    #[test]
    fn no_segment_is_so_long_that_a_place_in_it_would_not_fit() {
        assert_eq!(capacity_for(8192, 1).unwrap(), 8192);
        assert_eq!(capacity_for(8192, 8193).unwrap(), 12288);
        for needed in [CAPACITY_MAX - 4095, CAPACITY_MAX - 1, CAPACITY_MAX, bounded(u64::MAX)] {
            assert_eq!(capacity_for(4096, needed).unwrap(), CAPACITY_MAX);
        }
        assert!(u32::try_from(CAPACITY_MAX).is_ok());
        let refused = capacity_for(4096, CAPACITY_MAX + 1).unwrap_err();
        assert!(matches!(refused, Error::LimitReached { .. }), "{refused}");
    }

    #[test]
    fn what_fits_behind_a_snapshot_fits_a_segment() {
        for frames in [0, 4096, 1 << 30, 3 << 30, CAPACITY_MAX - (16 << 20)] {
            let needed = needed_bytes(frames + room_behind(frames));
            assert!(capacity_for(4096, needed).is_ok(), "{frames} and {needed}");
        }
        assert_eq!(room_behind(CAPACITY_MAX), 0);
    }
}
