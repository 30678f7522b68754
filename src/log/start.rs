//! Where opening starts to look: the furthest place that is known to be synced, and whether
//! anything at all was stored behind it.

use std::io;

use super::header::{FRAMES_AT, Footer};
use super::index;
use super::scan::Scan;
use super::tail::{End, Found};

/// In a partition, the furthest place that is known to be synced, else the very beginning.
pub(super) fn partition_start(found: &[Found]) -> Option<End> {
    let synced = (0..found.len()).filter(|index| found[*index].is_synced());
    let Some(index) = synced.max_by_key(|index| (found[*index].floor.offset, *index)) else {
        let (base, _) = found[0].opening?;
        return Some(End { index: 0, position: FRAMES_AT, offset: base });
    };
    Some(at_floor(index, &found[index]))
}

/// In a journal, the newest segment whose snapshot is whole: its floor if it was closed, else its
/// beginning, for all of it is read anyway.
pub(super) fn journal_start(found: &[Found]) -> io::Result<Option<End>> {
    for (index, here) in found.iter().enumerate().rev() {
        if !(here.is_synced() || snapshot_is_whole(here)?) {
            continue;
        }
        if closing_footer(here)?.is_some() || ends_at_floor(here) {
            return Ok(Some(at_floor(index, here)));
        }
        let start = |(base, _)| End { index, position: FRAMES_AT, offset: base };
        return Ok(here.opening.map(start));
    }
    Ok(None)
}

fn at_floor(index: usize, found: &Found) -> End {
    End { index, position: u64::from(found.floor.position), offset: found.floor.offset }
}

/// The footer of a segment that ends with it, at its floor: nothing was stored behind the floor.
pub(super) fn closing_footer(found: &Found) -> io::Result<Option<Footer>> {
    let position = u64::from(found.floor.position);
    let footer = index::footer(&*found.region, position, found.head.salt)?;
    let Some(footer) = footer else { return Ok(None) };
    let file_end = position + footer.bytes();
    let closed = footer.end == found.floor.offset && file_end == found.region.len();
    Ok((closed && found.is_synced()).then_some(footer))
}

/// Whether the file ends at its floor without a footer: what recovery leaves of a torn segment.
pub(super) fn ends_at_floor(found: &Found) -> bool {
    found.is_synced() && u64::from(found.floor.position) == found.region.len()
}

/// Whether a journal segment's snapshot is all there.
pub(super) fn snapshot_is_whole(found: &Found) -> io::Result<bool> {
    let mut scan = Scan::new(&*found.region, found.head.salt, u64::MAX);
    let mut at = FRAMES_AT;
    while let Some((header, _)) = scan.frame(at)? {
        if !header.more {
            return Ok(true);
        }
        at += header.frame_bytes();
    }
    Ok(false)
}

/// How many bytes are in use from `position` on: up to the last that is not zero, but for a footer.
pub(super) fn used_behind(found: &Found, position: u64) -> io::Result<u64> {
    let mut scan = Scan::new(&*found.region, found.head.salt, u64::MAX);
    let mut used = 0;
    let footer = index::footer(&*found.region, position, found.head.salt)?;
    let mut at = position + footer.map_or(0, |footer| footer.bytes());
    while at < found.region.len() {
        let step = (found.region.len() - at).min(4096);
        if let Some(bytes) = scan.bytes(at, step)? {
            let last = bytes.iter().rposition(|byte| *byte != 0);
            used = last.map_or(used, |last| at - position + last as u64 + 1);
        }
        at += step;
    }
    Ok(used)
}
