//! Where a log ends: judging the first frame that cannot be believed.
//!
//! A bad frame is *torn* if nothing says that it was ever safe on disk: the power went while it was
//! being written, and it is cut. It is *rot* if a floor (in a header, or carried by a later frame)
//! says that its offset was synced: then nothing is cut, and the caller gets an error.

use std::io;
use std::sync::Arc;

use super::frame::{Header, Kind, u64_at};
use super::header::{FRAMES_AT, Floor, HEADER_BYTES, Head, OPENING_FRAME_BYTES, Opening};
use super::scan::Scan;
use crate::storage::Region;

/// A segment's file as recovery finds it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) head: Head,
    pub(super) floor: Floor,
    pub(super) slot: usize,
    /// The opening and the offset it starts at, if it is whole.
    pub(super) opening: Option<(u64, Opening)>,
    pub(super) region: Arc<dyn Region>,
}

/// The place behind the last frame that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Which of the found segments.
    pub(super) index: usize,
    pub(super) position: u64,
    pub(super) offset: u64,
}

/// What recovery came to at the first frame that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything behind it may go.
    Torn(End),
    /// It was safe once.
    Rot {
        /// Where it stands.
        bad: End,
        /// Behind the last whole batch before it.
        whole: End,
    },
}

impl Found {
    /// Reads the opening, which may be missing or torn.
    pub(super) fn read_opening(&mut self) -> io::Result<()> {
        let end = FRAMES_AT + OPENING_FRAME_BYTES;
        let mut scan = Scan::new(&*self.region, self.head.salt, end);
        self.opening = scan.frame(FRAMES_AT)?.and_then(|(header, body)| {
            let opening = Opening::decode(body).filter(|_| header.kind == Kind::Opening)?;
            Some((header.offset, opening))
        });
        Ok(())
    }

    /// Whether the header's floor says more than that the segment was made.
    pub(super) fn is_synced(&self) -> bool {
        u64::from(self.floor.position) > FRAMES_AT
    }

    /// Whether `bytes` can be a header at all, before any file is trusted with a mapping.
    pub(super) fn header_bytes(region: &dyn Region) -> io::Result<Option<[u8; HEADER_BYTES]>> {
        if region.len() < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        region.read(0, &mut bytes)?;
        // A header of zeros is what a file has whose data never reached the disk.
        Ok((u64_at(&bytes, 0) != 0).then_some(bytes))
    }
}

/// Walks from `from` to the end of what counts, at most to that of segment `newest`.
pub(super) fn find_end(
    found: &[Found],
    from: End,
    newest: usize,
    ignore_floor: bool,
) -> io::Result<Verdict> {
    let mut end = from;
    loop {
        let here = &found[end.index];
        let next = found[..=newest].get(end.index + 1).and_then(|next| next.opening);
        let sealed = next.filter(|(_, opening)| opening.previous_salt == here.head.salt);
        let limit = sealed.map(|(_, opening)| opening.previous_end);
        let (stopped, whole) = walk(here, end, limit.unwrap_or(u64::MAX))?;
        let follows = sealed.is_some_and(|(base, _)| base == stopped.offset);
        if limit == Some(stopped.position) && follows {
            end = End { index: end.index + 1, position: FRAMES_AT, ..stopped };
            continue;
        }
        let rot = !ignore_floor && was_synced(found, stopped, whole.offset)?;
        return Ok(if rot { Verdict::Rot { bad: stopped, whole } } else { Verdict::Torn(whole) });
    }
}

/// Whether a frame that was bad is a good one by now: its owner was at work while it was looked at.
/// What says that it was safe was stored behind it, so who has seen that finds all of it.
pub(super) fn is_there_now(found: &[Found], bad: End) -> io::Result<bool> {
    let here = &found[bad.index];
    let mut scan = Scan::new(&*here.region, here.head.salt, u64::MAX);
    let frame = scan.frame(bad.position)?;
    Ok(frame.is_some_and(|(header, _)| next_offset(&header, bad.offset).is_some()))
}

/// Walks the good frames of one segment. Gives the place of the first bad one, and the place
/// behind the last whole batch before it.
fn walk(found: &Found, from: End, limit: u64) -> io::Result<(End, End)> {
    let mut scan = Scan::new(&*found.region, found.head.salt, limit);
    let (mut at, mut whole) = (from, from);
    while let Some((header, _)) = scan.frame(at.position)? {
        let Some(offset) = next_offset(&header, at.offset) else { break };
        at = End { position: at.position + header.frame_bytes(), offset, ..at };
        if !header.more {
            whole = at;
        }
    }
    // A sealed segment ends between batches, whatever the flags of frames cut off by recovery say.
    if at.position == limit {
        whole = at;
    }
    Ok((at, whole))
}

pub(super) fn next_offset(header: &Header, expected: u64) -> Option<u64> {
    header.end().filter(|_| header.offset == expected)
}

/// Whether any later frame was written when `offset` was known to be synced.
fn was_synced(found: &[Found], bad: End, offset: u64) -> io::Result<bool> {
    let here = &found[bad.index];
    let mut scan = Scan::new(&*here.region, here.head.salt, u64::MAX);
    if scan.synced_beyond(bad.position, offset)? {
        return Ok(true);
    }
    for later in &found[bad.index + 1..] {
        let mut scan = Scan::new(&*later.region, later.head.salt, u64::MAX);
        if scan.synced_beyond(FRAMES_AT - super::frame::ALIGN, offset)? {
            return Ok(true);
        }
    }
    Ok(false)
}
