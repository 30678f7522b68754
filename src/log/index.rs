//! Finding a place without reading the log: marks by offset and time. The writer sets one about
//! every 16 KiB; sealing puts them into the segment's footer; a footer that is missing or damaged
//! is made up for by walking the frames once.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::active::MARK_EVERY_BYTES;
use super::append::Log;
use super::frame::{HEADER_BYTES, Header};
use super::header::{FOOTER_BYTES, FRAMES_AT, Footer, Mark, footer_length};
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
        let footer = footer(&*region, segment.end(), segment.salt);
        let marks = match footer.map_err(|error| self.unread(segment, error))? {
            Some(footer) => footer.marks,
            None => self.rebuild(segment, &*region)?.0,
        };
        segment.set_marks(Some(marks));
        Ok(())
    }

    fn unread(&self, segment: &Segment, error: io::Error) -> Error {
        self.failed("read", &file_name(segment.sequence), error)
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
            let frame = scan.frame(at).map_err(|error| self.unread(segment, error))?;
            // Marks stop at rot; a search goes on by walking from the last one before it.
            let Some((header, _)) = frame else { break };
            let relative = header.offset.checked_sub(segment.base).map(u32::try_from);
            if let (Some(Ok(offset)), Ok(position), true) = (relative, u32::try_from(at), at >= due)
            {
                marks.push(Mark { offset, position, time_max });
                due = at + MARK_EVERY_BYTES;
            }
            if header.count > 0 {
                time_max = time_max.max(header.time);
            }
            at += header.frame_bytes();
        }
        Ok((marks, time_max))
    }

    /// The first offset whose entry, or an entry before it, is at least as new as `time`.
    pub(crate) fn since(&self, time: u64) -> Result<u64> {
        loop {
            let start = self.start();
            let found = self.find_since(time);
            if found.is_err() {
                self.look_again();
            }
            match found {
                // What was looked at may have been trimmed meanwhile.
                Err(_) if self.start() > start => {}
                found => return found,
            }
        }
    }

    fn find_since(&self, time: u64) -> Result<u64> {
        // Asked first: who holds the list of segments must not ask for it again.
        let (start, visible) = (self.start(), self.visible());
        let segment = {
            let segments = self.segments.read();
            let after = segments.partition_point(|segment| segment.time_before < time);
            match after.checked_sub(1) {
                Some(last) => Arc::clone(&segments[last]),
                None => return Ok(start),
            }
        };
        self.load_marks(&segment)?;
        let mark = segment.last_mark(|mark| mark.time_max < time);
        let end = segment.end();
        let region = self.region(&segment)?;
        let mut at = mark.map_or(FRAMES_AT, |mark| u64::from(mark.position));
        let mut next = segment.base + mark.map_or(0, |mark| u64::from(mark.offset));
        let mut bytes = Vec::new();
        while at < end && next < visible {
            let frame = load_frame(&*region, at..end, segment.salt, &mut bytes);
            let Some((header, behind)) = frame.and_then(|header| Some((header, header.end()?)))
            else {
                return Err(self.rot(segment.sequence, at, next));
            };
            if header.time >= time && header.count > 0 {
                return Ok(header.offset.min(visible));
            }
            next = behind;
            at += header.frame_bytes();
        }
        Ok(next.min(visible))
    }
}

/// The header of the frame at the start of `within`, if that matches its sum.
fn load_frame(
    region: &dyn Region,
    within: Range<u64>,
    salt: u64,
    bytes: &mut Vec<u8>,
) -> Option<Header> {
    let room = within.end - within.start;
    bytes.clear();
    region.load(within.start, usize::try_from(room).ok()?.min(HEADER_BYTES), bytes);
    let header = Header::decode(bytes.first_chunk()?)?;
    if header.frame_bytes() > room {
        return None;
    }
    region.load(
        within.start + HEADER_BYTES as u64,
        usize::try_from(header.body_bytes).ok()?,
        bytes,
    );
    let (head, body) = bytes.split_first_chunk()?;
    header.matches(head, body, salt).then_some(header)
}

/// The footer behind `end`, if it is whole.
pub(super) fn footer(region: &dyn Region, end: u64, salt: u64) -> io::Result<Option<Footer>> {
    footer_within(region, end..region.len(), salt)
}

/// The same, where the map may be longer than the file.
pub(super) fn footer_within(
    region: &dyn Region,
    Range { start: end, end: file_end }: Range<u64>,
    salt: u64,
) -> io::Result<Option<Footer>> {
    let mut head = [0; FOOTER_BYTES];
    let room = file_end.saturating_sub(end);
    if room < head.len() as u64 {
        return Ok(None);
    }
    region.read(end, &mut head)?;
    let whole = footer_length(&head).filter(|whole| *whole <= room);
    let Some(Ok(whole)) = whole.map(usize::try_from) else { return Ok(None) };
    let mut bytes = vec![0; whole];
    region.read(end, &mut bytes)?;
    Ok(Footer::decode(&bytes, salt))
}
