//! Comparing segments with their sums, file by file, by plain reads. Damage is noted, and the next file is
//! looked at all the same.
//!
//! A log that is open knows where the frames of each of its segments end. Of files that no log
//! vouches for (a directory that is damaged, and open for reading only; the journal of a group that is closed) the
//! openings and floors of the others say it: frames that were synced once and are not whole are
//! damage, and a tail of which nobody says that is none.

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
        let names = match log.settings.storage.list(&log.settings.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|error| log.failed("list", "", error))?,
        };
        let sequences = sequences(&names);
        let found = sequences.iter().map(|sequence| log.find_one(*sequence).ok()).collect();
        Ok(Self { log, sequences, found })
    }

    /// How many files there are.
    pub(crate) fn count(&self) -> usize {
        self.sequences.len()
    }

    /// About how many bytes one of them holds.
    pub(crate) fn bytes_of(&self, index: usize) -> u64 {
        self.found[index].as_ref().map_or(0, |found| found.region.len())
    }

    /// Looks at one of them; `None` if it was made ahead of its use and holds nothing yet. `step` is
    /// told how many bytes were looked at.
    pub(crate) fn check(
        &self,
        index: usize,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Checked>> {
        let sequence = self.sequences[index];
        let Some(found) = &self.found[index] else {
            return match self.log.find_one(sequence) {
                Err(Error::Corrupt(damage)) => Ok(Some(self.unsound(sequence, 0, damage))),
                Err(Error::NewerFormat { .. }) => Ok(self.wrong(sequence, 0, NEWER)),
                other => other.map(|_| None),
            };
        };
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

    /// Where the frames of a segment end, as the next one says.
    fn limit(&self, index: usize) -> Option<u64> {
        let here = self.found[index].as_ref()?;
        let next = self.found.get(index + 1)?.as_ref()?;
        let (_, opening) = next.opening.filter(|_| next.head.sequence == here.head.sequence + 1)?;
        (opening.previous_salt == here.head.salt).then_some(opening.previous_end)
    }

    /// Why a segment cannot follow the one before it. A journal's older ones go in any order.
    fn apart(&self, index: usize, (base, opening): (u64, Opening)) -> Option<&'static str> {
        let before = index.checked_sub(1)?;
        if self.log.settings.owner.kind == OwnerKind::Journal {
            return None;
        }
        if self.sequences[before] + 1 != self.sequences[index] {
            return Some(MISSING);
        }
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
