//! Comparing segments with their sums, file by file, by plain reads. Damage is noted, and the next file is
//! looked at all the same.
//!
//! A log that is open knows where the frames of each of its segments end. Of files that no log
//! vouches for (a directory that is open for reading only, with or without an owner at work; the journal of a
//! group that is closed) the openings and floors of the others say it: frames that were synced once and are not
//! whole are damage, and a tail of which nobody says that is none.
//!
//! # Beside an owner
//! The file that is read may be trimmed, sealed or cut at the same time, and frames that were missing a moment ago may
//! be there and synced by now. So what looks damaged is looked at again, from the names on. It is damage if it is
//! found the same: then what says that it was safe was there before it was read the second time. A
//! file that is gone was trimmed, and is left out.

use std::io;
use std::path::PathBuf;

use super::append::Log;
use super::frame::{HEADER_BYTES, Header, Kind};
use super::header::{FRAMES_AT, Opening, OwnerKind};
use super::index::footer;
use super::recover::{MISSING, OPENING_DAMAGED, sequences};
use super::salvage::corruption;
use super::scan::Scan;
use super::segment::file_name;
use super::settings::Settings;
use super::tail::Found;
use crate::error::{Corruption, Error, Result};
use crate::storage::Region;

/// So often one file is looked at, if it looks damaged each time, and otherwise.
const LOOKS_MAX: usize = 8;

const NEWER: &str = "the segment's format is newer, or its version is damaged";
const APART: &str = "the segment does not follow the one before it";

/// What a look at one segment came to.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) file: PathBuf,
    pub(crate) sequence: u64,
    pub(crate) first: u64,
    /// One past the last entry that was found sound.
    pub(crate) end: u64,
    /// How many bytes were found sound.
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    pub(crate) entries: u64,
    pub(crate) damage: Option<Box<Corruption>>,
}

/// The files of a log that nobody vouches for.
#[derive(Debug)]
pub(crate) struct Suspect {
    log: Log,
    sequences: Vec<u64>,
    /// Those that were there when they were listed last.
    listed: Vec<u64>,
    /// Those whose headers can be believed.
    found: Vec<Option<Found>>,
}

/// What is known of a segment before its frames are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) sequence: u64,
    pub(super) salt: u64,
    pub(super) base: u64,
    /// Where its frames end.
    pub(super) end: u64,
    /// Where those of the segment before end, and its salt, if it is there.
    pub(super) previous: Option<(u64, u64)>,
}

/// How far a walk came.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) at: u64,
    pub(super) next: u64,
    pub(super) frames: u64,
    pub(super) damage: Option<Box<Corruption>>,
}

/// What is done with each frame: where it stands, its header, all its bytes.
pub(super) type Visit<'a> = dyn FnMut(&Header, &[u8]) -> Result<()> + 'a;

impl Span {
    /// Whether the frame at the start says what it has to.
    fn opens(&self, header: &Header, bytes: &[u8]) -> bool {
        let body_bytes = usize::try_from(header.body_bytes).unwrap_or(usize::MAX);
        let body = bytes.get(HEADER_BYTES..).and_then(|rest| rest.get(..body_bytes));
        let opening = body.and_then(Opening::decode);
        opening.is_some_and(|Opening { previous_end, previous_salt, .. }| {
            self.previous.is_none_or(|previous| previous == (previous_end, previous_salt))
        })
    }
}

impl Log {
    /// Walks the frames of a segment, and stops at the first that is not what was written.
    pub(super) fn walk_span(
        &self,
        region: &dyn Region,
        span: &Span,
        visit: &mut Visit<'_>,
    ) -> Result<Walked> {
        let mut window = Scan::new(region, span.salt, span.end);
        let mut walked = Walked { at: FRAMES_AT, next: span.base, frames: 0, damage: None };
        while walked.at < span.end {
            let Walked { at, next, .. } = walked;
            let frame = window.whole_frame(at).map_err(|e| self.unreadable(span.sequence, e))?;
            let follows = frame.filter(|(header, _)| {
                header.offset == next && (header.kind == Kind::Opening) == (at == FRAMES_AT)
            });
            let Some((header, bytes, behind)) = follows.and_then(|(h, b)| Some((h, b, h.end()?)))
            else {
                walked.damage = corruption(self.rot(span.sequence, at, next));
                break;
            };
            if at == FRAMES_AT && !span.opens(&header, bytes) {
                walked.damage = corruption(self.wrong(span.sequence, at, APART));
                break;
            }
            visit(&header, bytes)?;
            walked.at += header.frame_bytes();
            walked.next = behind;
            walked.frames += 1;
        }
        Ok(walked)
    }

    pub(super) fn unreadable(&self, sequence: u64, error: io::Error) -> Error {
        self.failed("read", &file_name(sequence), error)
    }

    pub(super) fn checked(&self, sequence: u64, first: u64, walked: Walked) -> Checked {
        let Walked { at, next, frames, damage } = walked;
        Checked {
            file: self.settings.storage.locate(&self.settings.path(&file_name(sequence))),
            sequence,
            first,
            end: next,
            bytes: at,
            frames,
            entries: next - first,
            damage,
        }
    }
}

impl Suspect {
    /// Lists the files of a log, and reads their headers.
    pub(crate) fn new(settings: Settings) -> Result<Self> {
        let log = Log::empty(settings);
        let sequences = sequences(&log.names()?);
        let listed = sequences.clone();
        let found = sequences.iter().map(|_| None).collect();
        let mut suspect = Self { log, sequences, listed, found };
        for index in 0..suspect.count() {
            // What is wrong with it is said when it is its turn.
            let _ = suspect.find(index);
        }
        Ok(suspect)
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.sequences.len()
    }

    /// About how many bytes one of them holds.
    pub(crate) fn bytes_of(&self, index: usize) -> u64 {
        self.found[index].as_ref().map_or(0, |found| found.region.len())
    }

    /// Looks at one of them; `None` if it was made ahead of its use and holds nothing yet, or is trimmed by
    /// now. `step` is told how many bytes were looked at.
    pub(crate) fn check(
        &mut self,
        index: usize,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Checked>> {
        let mut before: Option<Box<Corruption>> = None;
        for _ in 1..LOOKS_MAX {
            match self.look(index, step) {
                Ok(Some(Checked { damage: Some(damage), .. }))
                    if before.as_ref() != Some(&damage) =>
                {
                    before = Some(damage);
                }
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => return other,
            }
            if !self.find_again(index)? {
                return Ok(None);
            }
        }
        // An owner that is faster than every look: each one went further than the one before, and what
        // stood behind its end came while it looked.
        let moved = |found: &Checked| found.damage.is_some() && found.damage != before;
        let last = self.look(index, step)?;
        Ok(last.map(|found| if moved(&found) { Checked { damage: None, ..found } } else { found }))
    }

    fn look(
        &mut self,
        index: usize,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Checked>> {
        let sequence = self.sequences[index];
        if self.found[index].is_none() {
            match self.find(index) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(Error::Corrupt(damage)) => return Ok(Some(self.unsound(sequence, 0, damage))),
                Err(Error::NewerFormat { .. }) => return Ok(self.wrong(sequence, 0, NEWER)),
                Err(other) => return Err(other),
            }
        }
        let Some(found) = &self.found[index] else { return Ok(None) };
        let opening = match found.opening {
            Some(opening) => opening,
            None if !found.is_synced() => return Ok(None),
            None => return Ok(self.wrong(sequence, FRAMES_AT, OPENING_DAMAGED)),
        };
        if let Some(damage) = self.apart(index, opening) {
            return Ok(self.wrong(sequence, 0, damage));
        }
        let limit = self.limit(index);
        let end = limit.unwrap_or(u64::MAX).min(found.region.len());
        let span = Span { sequence, salt: found.head.salt, base: opening.0, end, previous: None };
        let visit = &mut |_: &Header, bytes: &[u8]| step(bytes.len() as u64);
        let mut walked = self.log.walk_span(&*found.region, &span, visit)?;
        let failed = |error| self.log.unreadable(sequence, error);
        let proven = match limit {
            Some(limit) => walked.at != limit,
            None => self.was_synced(index, &walked).map_err(failed)?,
        };
        walked.damage = walked.damage.filter(|_| proven).or_else(|| {
            let cut = proven.then(|| self.log.rot(sequence, walked.at, walked.next));
            cut.and_then(corruption)
        });
        Ok(Some(self.log.checked(sequence, opening.0, walked)))
    }

    /// Reads the header of one file. Says whether the file is there.
    fn find(&mut self, index: usize) -> Result<bool> {
        self.found[index] = None;
        self.found[index] = self.log.find_there(self.sequences[index])?;
        Ok(self.found[index].is_some())
    }

    /// Lists the files once more, and reads the headers of this one and the next. Says whether it is there.
    fn find_again(&mut self, index: usize) -> Result<bool> {
        self.listed = sequences(&self.log.names()?);
        for nearby in index..self.count().min(index + 2) {
            let _ = self.find(nearby);
        }
        Ok(self.listed.binary_search(&self.sequences[index]).is_ok())
    }

    /// Where the frames of a segment end, as the next one says.
    fn limit(&self, index: usize) -> Option<u64> {
        let here = self.found[index].as_ref()?;
        let next = self.found.get(index + 1)?.as_ref()?;
        let (_, opening) = next.opening.filter(|_| next.head.sequence == here.head.sequence + 1)?;
        (opening.previous_salt == here.head.salt).then_some(opening.previous_end)
    }

    /// Why a segment cannot follow the one before it. A journal's older ones go in any order.
    fn apart(&self, index: usize, (base, opening): (u64, Opening)) -> Option<&'static str> {
        if self.log.settings.owner.kind == OwnerKind::Journal {
            return None;
        }
        let sequence = self.sequences[index];
        let place = self.listed.binary_search(&sequence).unwrap_or(0);
        if place > 0 && self.listed[place - 1] + 1 != sequence {
            return Some(MISSING);
        }
        let before =
            index.checked_sub(1).filter(|before| self.sequences[*before] + 1 == sequence)?;
        let before = self.found[before].as_ref()?;
        let (base_before, _) = before.opening?;
        let follows = opening.previous_salt == before.head.salt && base_before <= base;
        (!follows).then_some(APART)
    }

    /// Whether what stands where a walk stopped was safe once.
    fn was_synced(&self, index: usize, walked: &Walked) -> io::Result<bool> {
        let Some(found) = &self.found[index] else { return Ok(false) };
        // It was sealed or closed there.
        let footer = footer(&*found.region, walked.at, found.head.salt)?;
        if footer.is_some_and(|footer| footer.end == walked.next) {
            return Ok(false);
        }
        let mut later = self.found[index..].iter().flatten().filter(|found| found.is_synced());
        let noted = later.any(|found| found.floor.offset > walked.next);
        if noted || (found.is_synced() && u64::from(found.floor.position) > walked.at) {
            return Ok(true);
        }
        Scan::new(&*found.region, found.head.salt, u64::MAX).synced_beyond(walked.at, walked.next)
    }

    fn wrong(&self, sequence: u64, position: u64, what: &'static str) -> Option<Checked> {
        let damage = corruption(self.log.wrong(sequence, position, what))?;
        Some(self.unsound(sequence, position, damage))
    }

    /// A segment that is damaged where it begins.
    fn unsound(&self, sequence: u64, bytes: u64, damage: Box<Corruption>) -> Checked {
        let nothing = Walked { at: bytes, next: 0, frames: 0, damage: Some(damage) };
        self.log.checked(sequence, 0, nothing)
    }
}
