//! Finding a place without reading the log: marks by offset and time. The writer sets one about
//! every 16 KiB; sealing puts them into the segment's footer; a footer that is missing or damaged
//! is made up for by walking the frames once.

use std::sync::Arc;

use super::active::MARK_EVERY_BYTES;
use super::append::Log;
use super::frame::HEADER_BYTES;
use super::header::{FOOTER_BYTES, FRAMES_AT, Footer, MARK_BYTES, Mark};
use super::scan::Scan;
use super::segment::{Segment, file_name};
use crate::error::{Error, Result};
use crate::storage::Region;

impl Log {
    /// Makes sure that the segment's marks are known.
    pub(super) fn load_marks(&self, segment: &Arc<Segment>) -> Result<()> {
        if segment.is_marked() {
            return Ok(());
        }
        let region = self.region(segment)?;
        let marks = match footer(&*region, segment.end(), segment.salt) {
            Some(footer) => footer.marks,
            None => self.rebuild(segment, &*region)?.0,
        };
        segment.set_marks(Some(marks));
        Ok(())
    }

    /// Walks all frames of a segment: its marks, and the greatest time behind them.
    pub(super) fn rebuild(
        &self,
        segment: &Segment,
        region: &dyn Region,
    ) -> Result<(Vec<Mark>, u64)> {
        let mut scan = Scan::new(region, segment.salt, segment.end());
        let mut marks = Vec::new();
        let mut time_max = segment.time_before;
        let (mut at, mut due) = (FRAMES_AT, 0);
        while at < segment.end() {
            let frame = scan.frame(at).map_err(|error| {
                let path = self.settings.path(&file_name(segment.sequence));
                Error::io("read", self.settings.storage.locate(&path), 0, error)
            })?;
            // Marks stop at rot; a search goes on by walking from the last one before it.
            let Some((header, _)) = frame else { break };
            let relative = header.offset.checked_sub(segment.base).map(u32::try_from);
            if let (Some(Ok(offset)), Ok(position), true) = (relative, u32::try_from(at), at >= due)
            {
                marks.push(Mark { offset, position, time_max });
                due = at + MARK_EVERY_BYTES;
            }
            time_max = time_max.max(header.time);
            at += header.frame_bytes();
        }
        Ok((marks, time_max))
    }

    /// The first offset whose entry, or an entry before it, is at least as new as `time`.
    pub(crate) fn since(&self, time: u64) -> Result<u64> {
        let visible = self.visible();
        let segment = {
            let segments = self.segments.read();
            let after = segments.partition_point(|segment| segment.time_before < time);
            match after.checked_sub(1) {
                Some(last) => Arc::clone(&segments[last]),
                None => return Ok(self.start()),
            }
        };
        self.load_marks(&segment)?;
        let mark = segment.last_mark(|mark| mark.time_max < time);
        let region = self.region(&segment)?;
        let mut at = mark.map_or(FRAMES_AT, |mark| u64::from(mark.position));
        let mut next = segment.base + mark.map_or(0, |mark| u64::from(mark.offset));
        let mut head = Vec::with_capacity(HEADER_BYTES);
        while at < segment.end() && next < visible {
            head.clear();
            let room = usize::try_from(segment.end() - at).unwrap_or(usize::MAX);
            region.load(at, room.min(HEADER_BYTES), &mut head);
            let header = head.first_chunk().and_then(super::frame::Header::decode);
            let Some((header, end)) = header.and_then(|header| Some((header, header.end()?)))
            else {
                return Err(self.rot(segment.sequence, at, next));
            };
            if header.time >= time && header.count > 0 {
                return Ok(header.offset.max(self.start()));
            }
            next = end;
            at += header.frame_bytes();
        }
        Ok(next.min(visible))
    }
}

/// The footer behind `end`, if it is whole.
pub(super) fn footer(region: &dyn Region, end: u64, salt: u64) -> Option<Footer> {
    let bytes = footer_bytes(region, end)?;
    Footer::decode(&bytes, salt)
}

fn footer_bytes(region: &dyn Region, end: u64) -> Option<Vec<u8>> {
    let room = region.len().checked_sub(end)?;
    let mut bytes = vec![0; FOOTER_BYTES];
    if room < bytes.len() as u64 {
        return None;
    }
    region.read(end, &mut bytes).ok()?;
    let marks = super::frame::u64_at(&bytes, 24);
    let whole = marks.checked_mul(MARK_BYTES as u64)?.checked_add(FOOTER_BYTES as u64)?;
    if whole > room {
        return None;
    }
    bytes.resize(usize::try_from(whole).ok()?, 0);
    region.read(end, &mut bytes).ok()?;
    Some(bytes)
}
