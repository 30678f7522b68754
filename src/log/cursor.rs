//! Reading in order: a cursor remembers where in which segment the next entry's frame starts, and
//! a read copies the frames from there on.
//!
//! Frames are walked by their lengths in the copy, before any sum is checked; a length that leaves
//! the published part of the segment, or an offset that does not follow, ends the walk as rot.
//!
//! A segment may be trimmed under a reader's feet. What the reader has mapped stays readable; if it
//! can no longer map it, or finds nothing there, the read says so: the start of a log moves before
//! anything goes, so what fails below the start fails because of that.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::append::Log;
use super::frame::{HEADER_BYTES, Header};
use super::header::FRAMES_AT;
use super::run::Run;
use super::segment::{Segment, file_name};
use super::settings::Mode;
use super::view::Breaks;
use crate::error::{Corruption, Error, Result};
use crate::observe::{self, Signal};
use crate::storage::Region;

/// So many sealed segments of one log stay mapped.
const MAPPED_SEGMENTS_MAX: usize = 8;
/// The first guess at how long a frame is for each of its entries.
const ENTRY_GUESS_BYTES: u64 = 256;
/// A read copies at most this much at a time while it looks for the end of its run.
const STEP_BYTES: u64 = 256 << 10;

/// A place in a log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor {
    /// The next entry.
    pub(crate) offset: u64,
    /// The segment, and the position of the frame that holds `offset` or stands before it.
    at: Option<(Arc<Segment>, u64)>,
    /// How long a frame was for each entry of the last run: the guess for the next.
    entry_bytes: u64,
    /// How many breaks of the log it has seen, once it was read by; an owner's log has none.
    breaks: Option<u64>,
}

impl Cursor {
    /// A cursor before the entry at `offset`.
    pub(crate) fn at(offset: u64) -> Self {
        Self { offset, ..Self::default() }
    }

    /// Moves before the entry at `offset`, which the frame at `position` holds or precedes.
    pub(super) fn stand(&mut self, offset: u64, segment: &Arc<Segment>, position: u64) {
        (self.offset, self.at) = (offset, Some((Arc::clone(segment), position)));
    }

    /// Moves to `offset`, keeping the place if it is the same.
    pub(crate) fn seek(&mut self, offset: u64) {
        if offset != self.offset {
            *self = Self { breaks: self.breaks, ..Self::at(offset) };
        }
    }

    /// Goes back to where its log was read afresh, if that happened: from there on the offsets may be
    /// other entries'.
    pub(super) fn rejoin(&mut self, breaks: &Breaks) {
        let count = breaks.count();
        if let Some(seen) = self.breaks
            && seen < count
        {
            let offset = self.offset.min(breaks.lowest(seen));
            *self = Self::at(offset);
        }
        self.breaks = Some(count);
    }
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Outcome {
    /// The run holds what there was, which may be nothing.
    Copied,
    /// The entry at the cursor was trimmed. The cursor has not moved; the log goes on at `start`.
    Trimmed { start: u64 },
}

/// How much one read may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Entries.
    pub(crate) entries: u32,
    /// Bytes of frames; one entry is taken whatever its size.
    pub(crate) bytes: u64,
    /// The offset to stop before.
    pub(crate) before: u64,
}

/// What the walk over a copy found.
struct Walk {
    /// How much of the copy belongs to the run.
    used: usize,
    /// The offset behind the run.
    next: u64,
    /// Where the last frame of the run starts, if the run ends inside it.
    inside: Option<usize>,
}

impl Log {
    /// Copies the next frames into `run` and moves the cursor behind the entries it takes. A run
    /// stays within a segment; an empty one means that there is nothing before `bounds.before`.
    pub(crate) fn read(
        &self,
        cursor: &mut Cursor,
        bounds: Bounds,
        run: &mut Run,
    ) -> Result<Outcome> {
        if self.settings.mode == Mode::Read {
            return self.read_along(cursor, bounds, run);
        }
        let Err(error) = self.read_run(cursor, bounds, run) else { return Ok(Outcome::Copied) };
        let start = self.start();
        if cursor.offset < start { Ok(Outcome::Trimmed { start }) } else { Err(error) }
    }

    pub(super) fn read_run(
        &self,
        cursor: &mut Cursor,
        bounds: Bounds,
        run: &mut Run,
    ) -> Result<()> {
        run.bytes.clear();
        run.count = 0;
        let before = bounds.before.min(self.visible());
        if cursor.offset >= before || bounds.entries == 0 {
            return Ok(());
        }
        let (segment, position) = self.place(cursor)?;
        // Asked first: a region that is asked for later holds at least as much.
        let end = segment.end();
        let region = self.region(&segment)?;
        run.first = cursor.offset;
        run.salt = segment.salt;
        run.sequence = segment.sequence;
        run.position = position;
        let bounds = Bounds { before, ..bounds };
        let guess = match cursor.entry_bytes {
            0 => ENTRY_GUESS_BYTES,
            known => known + known / 8,
        };
        let guess = u64::from(bounds.entries).saturating_mul(guess).min(bounds.bytes);
        let walk = self.copy(&segment, &*region, position..end, guess, bounds, run)?;
        if walk.next == cursor.offset {
            return Err(self.rot(segment.sequence, position + walk.used as u64, cursor.offset));
        }
        run.bytes.truncate(walk.used);
        run.count = u32::try_from(walk.next - cursor.offset).expect("bounded by bounds.entries");
        let resume = position + walk.inside.unwrap_or(walk.used) as u64;
        let entry_bytes = walk.used as u64 / u64::from(run.count);
        cursor.stand(walk.next, &segment, resume);
        cursor.entry_bytes = entry_bytes;
        Ok(())
    }

    /// The segment and frame position for the cursor, stepping over a segment's end.
    pub(super) fn place(&self, cursor: &Cursor) -> Result<(Arc<Segment>, u64)> {
        if let Some((segment, position)) = &cursor.at
            && *position < segment.end()
        {
            return Ok((Arc::clone(segment), *position));
        }
        self.locate(cursor.offset)
    }

    /// Copies from `position` on until the run's end is inside the copy.
    fn copy(
        &self,
        segment: &Segment,
        region: &dyn Region,
        Range { start: position, end }: Range<u64>,
        guess: u64,
        bounds: Bounds,
        run: &mut Run,
    ) -> Result<Walk> {
        let mut walk = Walk { used: 0, next: run.first, inside: None };
        let mut wanted = guess.clamp(512, STEP_BYTES);
        loop {
            let copied = position + run.bytes.len() as u64;
            let step = wanted.min(end - copied);
            let step = usize::try_from(step).expect("a step is bounded");
            region.load(copied, step, &mut run.bytes);
            let known = position + run.bytes.len() as u64;
            match walk_on(&mut walk, &run.bytes, run.first, bounds) {
                Ok(None) => return Ok(walk),
                // All of the segment is walked, or one more frame would be too much.
                Ok(Some(_)) if known == end && walk.used as u64 == end - position => {
                    return Ok(walk);
                }
                Ok(Some(missing)) if missing <= end - known => wanted = missing.max(4096),
                Ok(Some(_)) | Err(()) => {
                    // What was walked before it is still good.
                    if walk.next > run.first {
                        return Ok(walk);
                    }
                    return Err(self.rot(segment.sequence, position + walk.used as u64, run.first));
                }
            }
        }
    }

    /// Finds the frame that holds `offset`, which lies between the start and the visible end.
    pub(super) fn locate(&self, offset: u64) -> Result<(Arc<Segment>, u64)> {
        let segment = self.segment_of(offset)?;
        self.load_marks(&segment)?;
        let mark = segment.last_mark(|mark| segment.base + u64::from(mark.offset) <= offset);
        let mut at = mark.map_or(FRAMES_AT, |mark| u64::from(mark.position));
        // From the mark on, headers tell where the next frame starts. That what they say is true
        // is seen when the frame found in the end matches its sum.
        let end = segment.end();
        let region = self.region(&segment)?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        while at + HEADER_BYTES as u64 <= end {
            bytes.clear();
            region.load(at, HEADER_BYTES, &mut bytes);
            let header = bytes.first_chunk().and_then(Header::decode);
            let Some((header, behind)) = header.and_then(|header| Some((header, header.end()?)))
            else {
                break;
            };
            if behind > offset {
                return Ok((segment, at));
            }
            at += header.frame_bytes();
        }
        Err(self.rot(segment.sequence, at, offset))
    }

    /// The segment that an offset, which lies before the visible end, is in.
    pub(super) fn segment_of(&self, offset: u64) -> Result<Arc<Segment>> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base <= offset);
        let last = after.checked_sub(1).ok_or_else(|| self.rot(0, 0, offset))?;
        Ok(Arc::clone(&segments[last]))
    }

    /// The segment's map, made again if it was given up; an error if the segment was trimmed.
    pub(super) fn region(&self, segment: &Arc<Segment>) -> Result<Arc<dyn Region>> {
        if let Some(region) = segment.region() {
            return Ok(region);
        }
        let name = file_name(segment.sequence);
        let opened = self.settings.storage.open(&self.settings.path(&name), self.settings.access());
        let region = opened.map_err(|error| self.failed("open", &name, error))?;
        if region.len() < segment.end() {
            return Err(self.rot(segment.sequence, region.len(), segment.base));
        }
        if !segment.set_region(Some(Arc::clone(&region))) {
            return Err(self.failed("open", &name, io::ErrorKind::NotFound.into()));
        }
        self.note_mapped(segment);
        Ok(region)
    }

    /// Gives up the map of the segment that was mapped longest ago, if there are too many.
    pub(super) fn note_mapped(&self, segment: &Arc<Segment>) {
        let mut mapped = self.mapped.lock();
        mapped.push_back(Arc::clone(segment));
        if mapped.len() > MAPPED_SEGMENTS_MAX
            && let Some(oldest) = mapped.pop_front()
        {
            oldest.set_region(None);
        }
    }

    /// The error for bytes that cannot be believed.
    pub(crate) fn rot(&self, sequence: u64, position: u64, offset: u64) -> Error {
        let path = self.settings.path(&file_name(sequence));
        let rot = Error::Corrupt(Box::new(Corruption {
            file: self.settings.storage.locate(&path),
            position,
            first: Some(offset),
            end: None,
            what: "a frame that was complete no longer matches its checksum",
        }));
        observe::note(&self.settings.source, || Signal::Rot { what: rot.to_string().into() });
        rot
    }
}

/// Walks as many whole frames of the copy as the bounds allow. `Ok(None)`: the run's end is found.
/// `Ok(Some(n))`: at least `n` more bytes are needed. `Err`: a header that cannot follow.
fn walk_on(walk: &mut Walk, bytes: &[u8], first: u64, bounds: Bounds) -> Result<Option<u64>, ()> {
    let before = bounds.before.min(first.saturating_add(u64::from(bounds.entries)));
    loop {
        if walk.next >= before {
            return Ok(None);
        }
        let rest = &bytes[walk.used..];
        let Some(head) = rest.first_chunk::<HEADER_BYTES>() else {
            return Ok(Some((HEADER_BYTES - rest.len()) as u64));
        };
        let header = Header::decode(head).ok_or(())?;
        let end = header.end().ok_or(())?;
        // The first frame may begin before the wanted entry; a later start would be a gap.
        if header.offset > walk.next || (walk.next > first && header.offset != walk.next) {
            return Err(());
        }
        let frame_bytes = header.frame_bytes();
        if walk.next > first && walk.used as u64 + frame_bytes > bounds.bytes {
            return Ok(None);
        }
        if frame_bytes > rest.len() as u64 {
            return Ok(Some(frame_bytes - rest.len() as u64));
        }
        if end > before {
            walk.inside = Some(walk.used);
        }
        walk.used += usize::try_from(frame_bytes).map_err(|_| ())?;
        walk.next = walk.next.max(end.min(before));
    }
}
