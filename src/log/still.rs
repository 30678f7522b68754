//! A log as it was at one moment, and taking it elsewhere while it goes on.
//!
//! # Invariants
//! 1. A still ends where a call ended: a batch is in it as a whole or not at all.
//! 2. Every frame that is copied matches its sum and continues the one before it. What does not is an
//!    error, and never part of a copy.
//! 3. A copied segment is as closing leaves one: header, frames, footer, floor at its end, synced. So
//!    opening the copy finds nothing to repair.
//! 4. As long as a [`Pin`] is held, the files of trimmed segments stay. The start moves all the same:
//!    nobody waits for a copy but the disk.
//!
//! Frames are copied as they are, with salt, sequence and floors: their sums stay good, and nothing
//! has to be encoded again. The footer is made anew on the way, since a segment that is appended to has none.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::active::MARK_EVERY_BYTES;
use super::append::Log;
use super::check::{Checked, Span};
use super::entry::{LENGTHS_BYTES, subject};
use super::frame::{HEADER_BYTES, Header, Kind, u32_at};
use super::header::{FRAMES_AT, Floor, Footer, Head, Mark};
use super::segment::{Segment, file_name};
use super::subjects::Count;
use super::tail::Found;
use crate::error::{Error, Result};
use crate::storage::{Access, Region, Storage};

/// So many bytes of frames are written in one call.
const CHUNK_BYTES: usize = 1 << 20;

/// A log as it was at one moment.
#[derive(Debug)]
pub(crate) struct Still {
    pub(super) cuts: Vec<Cut>,
    /// The offset behind its last entry.
    pub(crate) end: u64,
}

/// A segment as it was then.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) segment: Arc<Segment>,
    /// Where its frames end.
    pub(super) end: u64,
    /// The file, if it was open; then it can be read whatever becomes of its name.
    pub(super) held: Option<Arc<dyn Region>>,
}

/// Keeps the files of trimmed segments from going. Whoever drops the last one removes them.
#[derive(Debug)]
pub(crate) struct Pin<'a>(&'a Log);

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        if self.0.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            // What cannot be removed now goes with the next trim.
            let mut going = self.0.going.lock();
            let _ = self.0.remove_going(&mut going);
        }
    }
}

impl Still {
    /// The first offset that it holds.
    pub(crate) fn start(&self) -> u64 {
        self.start_of(0)
    }

    /// The first offset of a segment, or the end.
    pub(crate) fn start_of(&self, index: usize) -> u64 {
        self.cuts.get(index).map_or(self.end, |cut| cut.segment.base)
    }

    /// How many segments there are.
    pub(crate) fn count(&self) -> usize {
        self.cuts.len()
    }

    /// How many bytes up to the ends of their frames.
    pub(crate) fn bytes(&self) -> u64 {
        self.cuts.iter().map(|cut| cut.end).sum()
    }

    /// The newest segment alone, which is all that counts of a journal.
    pub(crate) fn newest(mut self) -> Self {
        self.cuts.drain(..self.cuts.len().saturating_sub(1));
        self
    }

    /// The offset behind the last entry of a segment.
    fn end_of(&self, index: usize) -> u64 {
        self.cuts.get(index + 1).map_or(self.end, |next| next.segment.base)
    }

    fn span(&self, index: usize) -> Span {
        let Cut { segment, end, .. } = &self.cuts[index];
        let previous = index.checked_sub(1).map(|before| {
            let Cut { segment, end, .. } = &self.cuts[before];
            (*end, segment.salt)
        });
        let Segment { sequence, salt, base, .. } = **segment;
        Span { sequence, salt, base, end: *end, previous }
    }
}

impl Log {
    /// The log as readers see it at this moment.
    pub(crate) fn still(&self) -> Still {
        // Whatever publishes holds the writer, so ends of segments and the end of the log agree.
        let writer = self.writer();
        let segments = self.segments.read();
        let cut = |segment: &Arc<Segment>| Cut {
            segment: Arc::clone(segment),
            end: segment.end(),
            held: None,
        };
        let mut cuts: Vec<Cut> = segments.iter().map(cut).collect();
        let end = self.visible();
        drop(segments);
        drop(writer);
        // Of a segment that nobody may read yet, not even the opening is there for sure.
        while cuts.last().is_some_and(|last| last.end <= FRAMES_AT) {
            cuts.pop();
        }
        if let Some(last) = cuts.last_mut() {
            last.held = last.segment.region();
        }
        Still { cuts, end }
    }

    /// Keeps the files of segments that are trimmed from now on.
    pub(crate) fn pin(&self) -> Pin<'_> {
        self.pins.fetch_add(1, Ordering::AcqRel);
        Pin(self)
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) > 0
    }

    /// Hands every frame of the newest segment to `visit`.
    pub(crate) fn replay_still(
        &self,
        still: &Still,
        visit: &mut dyn FnMut(Kind, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(last) = still.cuts.len().checked_sub(1) else { return Ok(()) };
        let region = self.open_cut(&still.cuts[last])?;
        // What was before it went, or goes.
        let span = Span { previous: None, ..still.span(last) };
        let walked = self.walk_span(&*region, &span, &mut |header, bytes| {
            let body = usize::try_from(header.body_bytes).expect("it is in memory");
            visit(header.kind, &bytes[HEADER_BYTES..][..body])
        })?;
        walked.damage.map_or(Ok(()), |damage| Err(Error::Corrupt(damage)))
    }

    /// Compares one segment with its sums; `None` if it was trimmed meanwhile. `step` is told how many
    /// bytes were looked at.
    pub(crate) fn check(
        &self,
        still: &Still,
        index: usize,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Checked>> {
        let cut = &still.cuts[index];
        let sequence = cut.segment.sequence;
        let checked = self.open_cut(cut).and_then(|region| {
            let span = still.span(index);
            let mut visit = |_: &Header, bytes: &[u8]| step(bytes.len() as u64);
            match self.head_of(cut, &*region) {
                Err(Error::Corrupt(damage)) => {
                    let mut nothing =
                        self.walk_span(&*region, &Span { end: 0, ..span }, &mut visit)?;
                    (nothing.at, nothing.damage) = (0, Some(damage));
                    Ok(nothing)
                }
                head => head.and_then(|_| self.walk_span(&*region, &span, &mut visit)),
            }
        });
        match checked {
            Ok(walked) => Ok(Some(self.checked(sequence, cut.segment.base, walked))),
            Err(error) if is_missing(&error) && self.start() > cut.segment.base => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies one segment into the same place of another storage, whose directory is there. `step` is
    /// told how many bytes were copied.
    pub(crate) fn copy_segment(
        &self,
        still: &Still,
        index: usize,
        to: &dyn Storage,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let cut = &still.cuts[index];
        let region = self.open_cut(cut)?;
        let head = self.head_of(cut, &*region)?;
        let sequence = cut.segment.sequence;
        let path = self.settings.path(&file_name(sequence));
        let failed = |doing, error| Error::io(doing, to.locate(&path), cut.end, error);
        let copy = to.create(&path, cut.end).map_err(|e| failed("allocate", e))?;
        let write = |region: &dyn Region, at: u64, bytes: &[u8]| {
            region.write(at, bytes).map_err(|error| failed("write", error))
        };
        let end = still.end_of(index);
        let position = u32::try_from(cut.end)
            .map_err(|_| self.wrong(sequence, cut.end, "the segment is over 4 GiB long"))?;
        write(&*copy, 0, &head.encode(Floor { offset: end, position }))?;
        let mut summary = Summary::new(&cut.segment);
        let (mut at, mut chunk) = (FRAMES_AT, Vec::with_capacity(CHUNK_BYTES));
        let walked = self.walk_span(&*region, &still.span(index), &mut |header, bytes| {
            summary.note(at + chunk.len() as u64, header, bytes);
            chunk.extend_from_slice(bytes);
            if chunk.len() >= CHUNK_BYTES {
                write(&*copy, at, &chunk)?;
                at += chunk.len() as u64;
                step(chunk.len() as u64)?;
                chunk.clear();
            }
            Ok(())
        })?;
        if let Some(damage) = walked.damage {
            return Err(Error::Corrupt(damage));
        }
        if (walked.at, walked.next) != (cut.end, end) {
            return Err(self.rot(sequence, walked.at, walked.next));
        }
        write(&*copy, at, &chunk)?;
        let footer = summary.footer(end).encode(head.salt);
        let whole = copy.grow(cut.end + footer.len() as u64).map_err(|e| failed("allocate", e))?;
        write(&*whole, cut.end, &footer)?;
        whole.sync().map_err(|error| failed("sync", error))?;
        step(chunk.len() as u64 + FRAMES_AT)
    }

    pub(super) fn open_cut(&self, cut: &Cut) -> Result<Arc<dyn Region>> {
        if let Some(held) = &cut.held {
            return Ok(Arc::clone(held));
        }
        let name = file_name(cut.segment.sequence);
        let opened = self.settings.storage.open(&self.settings.path(&name), Access::Read);
        opened.map_err(|error| self.failed("open", &name, error))
    }

    /// The header of a segment, which must be the one that was opened.
    fn head_of(&self, cut: &Cut, region: &dyn Region) -> Result<Head> {
        let Segment { sequence, salt, .. } = *cut.segment;
        let wrong = |what| self.wrong(sequence, 0, what);
        let header = Found::header_bytes(region).map_err(|e| self.unreadable(sequence, e))?;
        let header = header.ok_or_else(|| wrong("the segment has no header"))?;
        let head = Head::decode(&header, &self.settings.owner).map_err(|e| wrong(e.what()))?;
        if (head.sequence, head.salt) != (sequence, salt) {
            return Err(wrong("the segment's header contradicts itself"));
        }
        Ok(head)
    }
}

/// Whether a file is not there.
fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// What the footer of a segment says, gathered on the way through its frames.
struct Summary {
    base: u64,
    time_max: u64,
    marks: Vec<Mark>,
    due: u64,
    subjects: Count,
}

impl Summary {
    fn new(segment: &Segment) -> Self {
        Self {
            base: segment.base,
            time_max: segment.time_before,
            marks: Vec::new(),
            due: 0,
            subjects: Count::new(segment.capacity),
        }
    }

    /// Notes the next frame, which starts at `at`.
    fn note(&mut self, at: u64, header: &Header, bytes: &[u8]) {
        let place = (u32::try_from(header.offset - self.base), u32::try_from(at));
        if let ((Ok(offset), Ok(position)), true) = (place, at >= self.due) {
            self.marks.push(Mark { offset, position, time_max: self.time_max });
            self.due = at + MARK_EVERY_BYTES;
        }
        if header.count > 0 {
            self.time_max = self.time_max.max(header.time);
        }
        if header.kind == Kind::Entries && self.count_subjects(header, bytes).is_none() {
            // What makes no sense is counted by whoever walks over it.
            self.subjects = Count::going_on(None, 0);
        }
    }

    fn count_subjects(&mut self, header: &Header, bytes: &[u8]) -> Option<()> {
        let body = usize::try_from(header.body_bytes).ok()?;
        let mut rest = bytes.get(HEADER_BYTES..)?.get(..body)?;
        for _ in 0..header.count {
            let (lengths, behind) = rest.split_at_checked(LENGTHS_BYTES)?;
            let payload = usize::try_from(u32_at(lengths, 0)).ok()?;
            let fields = usize::try_from(u32_at(lengths, 4)).ok()?;
            let (fields, behind) = behind.get(payload..)?.split_at_checked(fields)?;
            if let Some(subject) = subject(fields) {
                self.subjects.add(subject, 1);
            }
            rest = behind;
        }
        Some(())
    }

    fn footer(self, end: u64) -> Footer {
        let subjects = self.subjects.within(u64::MAX).cloned();
        Footer { end, time_max: self.time_max, marks: self.marks, subjects }
    }
}
