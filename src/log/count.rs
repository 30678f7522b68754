//! Counting entries by their subjects, for who filters them: sealed segments by the counts in their
//! footers, others frame by frame, of which only headers and subjects are looked at. Counting by other
//! fields is a walk in any case.
//!
//! Nothing is compared with its sum here, as nothing is served or passed on the strength of a
//! count. What makes no sense is counted as if it were picked, up to the end of its segment: whoever
//! reads there meets the error, and has it before them until they skip it.

#[cfg(test)]
use std::ops::Range;
use std::sync::Arc;

use super::append::Log;
use super::cursor::Cursor;
use super::entry::{Field, LENGTHS_BYTES, fields, subject};
use super::frame::{HEADER_BYTES, Header, Kind, u32_at};
use super::index::footer_within;
use super::segment::{Segment, file_name};
use super::subjects::Subjects;
use crate::error::Result;
use crate::storage::Region;

/// So many frames are walked in one step.
const STEP_FRAMES: usize = 1_024;
/// What holds a subject as the first of an entry's fields.
const SUBJECT_FIELD_BYTES: u64 = 5 + 255;

impl Log {
    /// Counts the entries in `range` with a subject that `wanted` picks.
    #[cfg(test)]
    pub(crate) fn count(&self, range: Range<u64>, wanted: impl Fn(&str) -> bool) -> Result<u64> {
        let mut cursor = Cursor::at(range.start);
        let mut count = 0;
        while cursor.offset < range.end {
            count += self.count_on(&mut cursor, range.end, &wanted)?;
        }
        Ok(count)
    }

    /// Counts on from the cursor for one step, a bounded one or a whole segment whose footer knows,
    /// and at most to `before`, which lies below the visible end. What was trimmed is passed over.
    pub(crate) fn count_on(
        &self,
        cursor: &mut Cursor,
        before: u64,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<u64> {
        self.count_by(cursor, before, &BySubject(wanted))
    }

    /// The same for entries whose fields are wanted, one step of a walk.
    pub(crate) fn walk_on(
        &self,
        cursor: &mut Cursor,
        before: u64,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<u64> {
        self.count_by(cursor, before, &ByFields(wanted))
    }

    fn count_by(&self, cursor: &mut Cursor, before: u64, wanted: &impl Wanted) -> Result<u64> {
        cursor.rejoin(&self.breaks);
        let counted = self.try_count_on(cursor, before, wanted);
        if counted.is_err() {
            self.look_again();
        }
        let start = self.start();
        if counted.is_err() && cursor.offset < start {
            cursor.seek(start.min(before));
            return Ok(0);
        }
        counted
    }

    fn try_count_on(&self, cursor: &mut Cursor, before: u64, wanted: &impl Wanted) -> Result<u64> {
        if cursor.offset >= before {
            return Ok(0);
        }
        let segment = self.segment_of(cursor.offset)?;
        let sealed_end = self.end_of(&segment);
        let end = sealed_end.unwrap_or(before).min(before);
        let whole = cursor.offset == segment.base && sealed_end == Some(end);
        match self.count_in(&segment, whole, cursor, end, wanted) {
            // Not even the way there can be believed.
            Err(error) if error.is_corrupt() && cursor.offset >= self.start() => {
                let unread = end - cursor.offset;
                cursor.seek(end);
                Ok(unread)
            }
            counted => counted,
        }
    }

    /// Counts on in one segment, of which there are entries before `end`, all if it is `whole`.
    fn count_in(
        &self,
        segment: &Arc<Segment>,
        whole: bool,
        cursor: &mut Cursor,
        end: u64,
        wanted: &impl Wanted,
    ) -> Result<u64> {
        let region = self.region(segment)?;
        if whole {
            let file_end = segment.file_bytes().min(region.len());
            let footer = segment.end().min(file_end)..file_end;
            let footer = footer_within(&*region, footer, segment.salt);
            let name = file_name(segment.sequence);
            let footer = footer.map_err(|error| self.failed("read", &name, error))?;
            let footer = footer.filter(|footer| footer.end == end);
            let subjects = footer.and_then(|footer| footer.subjects);
            if let Some(sum) = subjects.and_then(|subjects| wanted.sum(&subjects)) {
                cursor.seek(end);
                return Ok(sum);
            }
        }
        let (segment, position) = self.place(cursor)?;
        // Where bases contradict each other it is another one. Its end is asked for first: a region
        // that is asked for later holds at least as much.
        let stop = segment.end();
        let region = self.region(&segment)?;
        let stop = stop.min(region.len());
        let walk = Walk { region: &*region, at: position, end: stop, next: cursor.offset };
        let (count, at, next) = walk.count(end, wanted);
        cursor.stand(next, &segment, at);
        Ok(count)
    }

    /// The offset behind a segment that is not the last one.
    fn end_of(&self, segment: &Segment) -> Option<u64> {
        let segments = self.segments.read();
        let after = segments.partition_point(|other| other.sequence <= segment.sequence);
        segments.get(after).map(|next| next.base)
    }
}

/// Which entries are picked.
trait Wanted {
    /// How many are, of a segment with these sums; `None` if those do not say it.
    fn sum(&self, subjects: &Subjects) -> Option<u64>;

    /// Whether those are that have no fields.
    fn takes_bare(&self) -> bool;

    /// Whether the one is whose fields stand at `at`.
    fn takes(&self, walk: &Walk<'_>, at: u64, length: u64, bytes: &mut Vec<u8>) -> Option<bool>;
}

struct BySubject<F>(F);

struct ByFields<F>(F);

impl<F: Fn(&str) -> bool> Wanted for BySubject<F> {
    fn sum(&self, subjects: &Subjects) -> Option<u64> {
        Some(subjects.sum(&self.0))
    }

    fn takes_bare(&self) -> bool {
        false
    }

    /// The subject is the first of the fields, where this crate wrote them; else all are looked at.
    fn takes(&self, walk: &Walk<'_>, at: u64, length: u64, bytes: &mut Vec<u8>) -> Option<bool> {
        let first = fields(walk.load(at, length.min(SUBJECT_FIELD_BYTES), bytes)?).next();
        if let Some(Field::Subject(subject)) = first {
            return Some((self.0)(subject));
        }
        let all = walk.load(at, length, bytes)?;
        Some(subject(all).is_some_and(&self.0))
    }
}

impl<F: Fn(&[u8]) -> bool> Wanted for ByFields<F> {
    fn sum(&self, _: &Subjects) -> Option<u64> {
        None
    }

    fn takes_bare(&self) -> bool {
        (self.0)(&[])
    }

    fn takes(&self, walk: &Walk<'_>, at: u64, length: u64, bytes: &mut Vec<u8>) -> Option<bool> {
        Some((self.0)(walk.load(at, length, bytes)?))
    }
}

/// A walk over the frames of a segment.
struct Walk<'a> {
    region: &'a dyn Region,
    at: u64,
    end: u64,
    /// The next entry to be counted.
    next: u64,
}

impl Walk<'_> {
    /// Counts the entries before `before` in the next frames. Says how many are picked, and where
    /// it stopped: at the frame that holds or precedes an offset.
    fn count(mut self, before: u64, wanted: &impl Wanted) -> (u64, u64, u64) {
        let (mut count, mut bytes) = (0, Vec::with_capacity(HEADER_BYTES + 64));
        for _ in 0..STEP_FRAMES {
            if self.next >= before {
                break;
            }
            let Some(picked) = self.count_frame(before, wanted, &mut bytes) else {
                count += before - self.next;
                self.next = before;
                break;
            };
            count += picked;
        }
        (count, self.at, self.next)
    }

    /// Counts in the next frame; `None` if it makes no sense.
    fn count_frame(
        &mut self,
        before: u64,
        wanted: &impl Wanted,
        bytes: &mut Vec<u8>,
    ) -> Option<u64> {
        let header =
            Header::decode(self.load(self.at, HEADER_BYTES as u64, bytes)?.first_chunk()?)?;
        let (first, behind) = (header.offset, header.end()?);
        let frame_end = self.at.checked_add(header.frame_bytes())?;
        if first > self.next || behind <= self.next || frame_end > self.end {
            return None;
        }
        let mut count = 0;
        if header.kind == Kind::Entries {
            let mut at = self.at + HEADER_BYTES as u64;
            let stop = at + u64::from(header.body_bytes);
            for offset in first..behind.min(before) {
                let lengths = self.load(at, LENGTHS_BYTES as u64, bytes)?;
                let payload_bytes = u64::from(u32_at(lengths, 0));
                let fields_bytes = u64::from(u32_at(lengths, 4));
                let fields_at = at + LENGTHS_BYTES as u64 + payload_bytes;
                at = fields_at + fields_bytes;
                if at > stop {
                    return None;
                }
                if offset >= self.next {
                    let taken = match fields_bytes {
                        0 => wanted.takes_bare(),
                        _ => wanted.takes(self, fields_at, fields_bytes, bytes)?,
                    };
                    count += u64::from(taken);
                }
            }
        } else if wanted.takes_bare() {
            count = behind.min(before) - self.next;
        }
        self.next = behind.min(before);
        if behind <= before {
            self.at = frame_end;
        }
        Some(count)
    }

    /// A copy of the bytes at `at`; `None` if they are not in the segment.
    fn load<'b>(&self, at: u64, length: u64, bytes: &'b mut Vec<u8>) -> Option<&'b [u8]> {
        if at.checked_add(length)? > self.end {
            return None;
        }
        bytes.clear();
        self.region.load(at, usize::try_from(length).ok()?, bytes);
        Some(bytes)
    }
}
