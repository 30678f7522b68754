//! Opening a log: a clean one without looking further than its headers and footer, any other one
//! by finding where it ends.
//!
//! # The order of an unclean opening
//! 1. Flush the segments from the floor on, drop their cached pages, and read by the file: what an
//!    earlier failed flush left in the cache may not be on the disk.
//! 2. Find the end (`tail`). Rot below a floor is an error; nothing has been changed by then.
//! 3. Remove the segments behind the end, newest first, so that a second crash finds no gap.
//! 4. Note the floor, cut the file there, sync. Only then is anything served.
//! 5. The next append starts a fresh segment with a salt of its own: nothing is ever appended
//!    behind a torn tail, and what is left of it can never match a sum again. A segment that ends
//!    at its floor, without a footer, says that for the openings to come: it is clean, and sealed.
//!
//! Every step can be cut short and done again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use parking_lot::{Condvar, Mutex, RwLock};

use super::append::Log;
use super::create;
use super::flush::FlushState;
use super::frame::ALIGN;
use super::header::{FRAMES_AT, Floor, Head, HeadError, OwnerKind, VERSION};
use super::scan::Scan;
use super::segment::{file_name, parse_name};
use super::settings::{Mode, Settings, Staging};
use super::start::{closing_footer, ends_at_floor, journal_start, partition_start, used_behind};
use super::tail::{End, Found, Verdict, find_end};
use super::view::Breaks;
use super::writer::Writer;
use crate::error::{Corruption, Error, Result};
use crate::observe::{self, Signal};
use crate::storage::{Access, Region};

pub(super) const OPENING_DAMAGED: &str = "the segment's opening is damaged";
pub(super) const MISSING: &str = "a segment between others is missing";

/// No log reaches these; larger offsets and sequences are made up, and could overflow.
const NUMBER_MAX: u64 = 1 << 62;

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The log was not closed the last time.
    pub(crate) unclean: bool,
    /// What was cut.
    pub(crate) torn: Option<Torn>,
    /// Where a log that was opened for reading only could not be believed any further.
    pub(crate) damage: Option<Box<Corruption>>,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Torn {
    /// The offset that the next entry gets.
    pub(crate) offset: u64,
    /// How many bytes behind it were in use, in its segment.
    pub(crate) bytes: u64,
    /// How many later segments went.
    pub(crate) segments: usize,
}

impl Log {
    /// Opens the log in `settings.dir`, empty if there is nothing.
    pub(crate) fn open(settings: Settings) -> Result<(Self, Recovery)> {
        let log = Self::empty(settings);
        let names = match log.settings.storage.list(&log.settings.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            other => other.map_err(|error| log.failed("list", "", error))?,
        };
        let recovery = match log.settings.mode {
            Mode::Read => log.salvage(&names)?,
            Mode::Write => {
                log.remove_drafts(&names)?;
                let recovery = log.recover(log.find(&names)?)?;
                if let Some(torn) = &recovery.torn {
                    observe::note(&log.settings.source, || Signal::Torn {
                        log: log.settings.dir.as_str().into(),
                        end: torn.offset,
                        bytes: torn.bytes,
                        segments: torn.segments,
                    });
                }
                recovery
            }
        };
        Ok((log, recovery))
    }

    pub(super) fn empty(settings: Settings) -> Self {
        let writer = Writer { next_sequence: 1, ..Writer::default() };
        let shows_durable = (settings.staging == Staging::On).into();
        Self {
            settings,
            writer: Mutex::new(writer),
            segments: RwLock::default(),
            visible: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            durable_sequence: AtomicU64::new(0),
            flush: Mutex::new(FlushState::default()),
            flushed: Condvar::new(),
            spare: Mutex::new(None),
            going: Mutex::default(),
            pins: AtomicUsize::new(0),
            mapped: Mutex::default(),
            view: Mutex::default(),
            breaks: Breaks::default(),
            shows_durable,
        }
    }

    pub(super) fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> Error {
        Error::io(doing, self.settings.storage.locate(&self.settings.path(name)), 0, error)
    }

    /// Reads the headers and openings of all segments, in order.
    fn find(&self, names: &[String]) -> Result<Vec<Found>> {
        sequences(names).into_iter().map(|sequence| self.find_one(sequence)).collect()
    }

    /// Refuses a log with a hole.
    fn check_follow(&self, found: &[Found]) -> Result<()> {
        let gap = found.windows(2).find(|two| two[0].head.sequence + 1 != two[1].head.sequence);
        match gap {
            Some(two) => Err(self.wrong(two[0].head.sequence + 1, 0, MISSING)),
            None => Ok(()),
        }
    }

    fn find_one(&self, sequence: u64) -> Result<Found> {
        let name = file_name(sequence);
        let opened = self.settings.storage.open(&self.settings.path(&name), Access::Read);
        self.read_head(sequence, opened.map_err(|error| self.failed("open", &name, error))?)
    }

    /// Reads the header and the opening of a segment.
    pub(super) fn read_head(&self, sequence: u64, region: Arc<dyn Region>) -> Result<Found> {
        let name = file_name(sequence);
        let storage = &self.settings.storage;
        let header = Found::header_bytes(&*region).map_err(|e| self.failed("read", &name, e))?;
        let Some(header) = header else {
            return Err(self.wrong(sequence, 0, "the segment has no header"));
        };
        let head = Head::decode(&header, &self.settings.owner).map_err(|error| match error {
            HeadError::Newer(found) => Error::NewerFormat {
                path: storage.locate(&self.settings.path(&name)).into(),
                found,
                supported: VERSION,
            },
            other => self.wrong(sequence, 0, other.what()),
        })?;
        let floor = Floor::decode(&header, head.salt).filter(|_| head.sequence == sequence);
        let Some((floor, slot)) = floor else {
            return Err(self.wrong(sequence, 0, "the segment's header contradicts itself"));
        };
        let mut found = Found { head, floor, slot, opening: None, region };
        found.read_opening().map_err(|error| self.failed("read", &name, error))?;
        let first = found.opening.map_or(0, |(first, _)| first);
        if [sequence, floor.offset, first].iter().any(|number| *number >= NUMBER_MAX) {
            return Err(self.wrong(sequence, 0, "the segment's numbers are out of all bounds"));
        }
        Ok(found)
    }

    /// Opens what was found and says how it was.
    fn recover(&self, mut found: Vec<Found>) -> Result<Recovery> {
        if found.is_empty() {
            return Ok(Recovery::default());
        }
        let start = self.starting_point(&found)?;
        if let Some(from) = start.filter(|from| from.index + 1 == found.len()) {
            self.open_for_writing(&mut found[from.index])?;
            let last = &found[from.index];
            let footer = closing_footer(last).map_err(|error| self.failed("read", "", error))?;
            if let Some(footer) = footer {
                self.adopt(&found, from, footer.time_max)?;
                let segment = self.last_segment();
                segment.set_marks(Some(footer.marks));
                self.resume(&segment, &last.region, from.position, footer.subjects);
                return Ok(Recovery::default());
            }
            if ends_at_floor(last) {
                self.adopt(&found, from, 0)?;
                self.mark_sealed(last)?;
                // A recovered journal starts a segment at once. Without one, that was cut short.
                let unclean = self.settings.owner.kind == OwnerKind::Journal;
                return Ok(Recovery { unclean, ..Recovery::default() });
            }
        }
        self.settle(&mut found, start)?;
        if let Some(from) = self.starting_point(&found)? {
            return self.repair(&found, from);
        }
        // Segments were made, and the machine stopped before anything in them was safe.
        let torn = torn(0, 0, &found);
        self.remove_from(&found, 0)?;
        self.writer().next_sequence = found[0].head.sequence;
        Ok(Recovery { unclean: true, torn, damage: None })
    }

    /// Opens a segment once more, to be gone on with or repaired. Until then it is only read,
    /// which takes no descriptor: a log may have more segments than a process may open files.
    fn open_for_writing(&self, found: &mut Found) -> Result<()> {
        let name = file_name(found.head.sequence);
        let opened = self.settings.storage.open(&self.settings.path(&name), Access::Write);
        found.region = opened.map_err(|error| self.failed("open", &name, error))?;
        Ok(())
    }

    /// Makes sure that what is read from now on is what the disk has.
    fn settle(&self, found: &mut [Found], start: Option<End>) -> Result<()> {
        let first = match self.settings.owner.kind {
            OwnerKind::Partition => start.map_or(0, |start| start.index),
            // Which snapshot is whole may look different afterwards.
            OwnerKind::Journal => 0,
        };
        for segment in &mut found[first..] {
            self.open_for_writing(segment)?;
            let name = file_name(segment.head.sequence);
            create::sync(&self.settings, &*segment.region, &self.settings.path(&name))?;
            segment.region.drop_cache().map_err(|error| self.failed("read", &name, error))?;
            segment.read_opening().map_err(|error| self.failed("read", &name, error))?;
        }
        Ok(())
    }

    /// The place from which on nothing is believed unread; `None` if nothing was ever safe.
    fn starting_point(&self, found: &[Found]) -> Result<Option<End>> {
        let damaged = found.iter().find(|found| found.is_synced() && found.opening.is_none());
        if let Some(damaged) = damaged {
            return Err(self.wrong(damaged.head.sequence, FRAMES_AT, OPENING_DAMAGED));
        }
        let start = match self.settings.owner.kind {
            OwnerKind::Partition => partition_start(found),
            OwnerKind::Journal => {
                journal_start(found).map_err(|error| self.failed("read", "", error))?
            }
        };
        let Some(start) = start else {
            return self.never_safe(found).map(|()| None);
        };
        // A journal's older segments are on their way out, in any order.
        self.check_follow(match self.settings.owner.kind {
            OwnerKind::Partition => found,
            OwnerKind::Journal => &found[start.index..],
        })?;
        let here = &found[start.index];
        let base = here.opening.map_or(0, |(base, _)| base);
        if start.position > here.region.len() || start.offset < base {
            let what = "the segment is shorter than its floor";
            return Err(self.wrong(here.head.sequence, start.position, what));
        }
        Ok(Some(start))
    }

    /// Makes sure that a log without any opening is one whose very first was torn.
    fn never_safe(&self, found: &[Found]) -> Result<()> {
        let first = found[0].head.sequence;
        for here in found {
            let mut scan = Scan::new(&*here.region, here.head.salt, u64::MAX);
            let synced = scan.synced_beyond(FRAMES_AT - ALIGN, 0);
            let name = file_name(here.head.sequence);
            if first > 1 || synced.map_err(|error| self.failed("read", &name, error))? {
                return Err(self.wrong(first, FRAMES_AT, OPENING_DAMAGED));
            }
        }
        Ok(())
    }

    /// Finds the end of a log that was not closed, and makes it safe.
    fn repair(&self, found: &[Found], from: End) -> Result<Recovery> {
        // What stands behind a journal's newest whole snapshot was never complete.
        let newest = match self.settings.owner.kind {
            OwnerKind::Partition => found.len() - 1,
            OwnerKind::Journal => from.index,
        };
        let verdict = find_end(found, from, newest, self.settings.ignore_floor());
        let end = match verdict.map_err(|error| self.failed("read", "", error))? {
            Verdict::Torn(end) => self.above_floors(found, end)?,
            Verdict::Rot { bad, .. } => {
                let sequence = found[bad.index].head.sequence;
                return Err(self.rot(sequence, bad.position, bad.offset));
            }
        };
        let last = &found[end.index];
        let name = file_name(last.head.sequence);
        let torn_bytes = used_behind(last, end.position);
        let torn_bytes = torn_bytes.map_err(|error| self.failed("read", &name, error))?;
        let torn = torn(end.offset, torn_bytes, &found[end.index + 1..]);
        self.remove_from(found, end.index + 1)?;
        let file_bytes = self.cut(last, end)?;
        self.adopt(found, end, 0)?;
        self.last_segment().set_file_bytes(file_bytes);
        self.mark_sealed(&found[end.index])?;
        if self.settings.reuse_torn() {
            self.resume(&self.last_segment(), &found[end.index].region, end.position, None);
        }
        Ok(Recovery { unclean: true, torn, damage: None })
    }

    /// Notes the end as the last segment's floor, and cuts the file there. Says how long the file
    /// is then.
    fn cut(&self, last: &Found, end: End) -> Result<u64> {
        let position = u32::try_from(end.position).map_err(|_| {
            self.wrong(last.head.sequence, end.position, "the segment is over 4 GiB long")
        })?;
        let floor = Floor { offset: end.offset, position };
        let (at, slot) = floor.slot(last.head.salt, last.slot + 1);
        last.region.store(at, &[&slot]);
        // Where a mapped file cannot be cut, the tail stays and is passed over for ever.
        let is_cut = !self.settings.reuse_torn() && last.region.shrink(end.position).is_ok();
        let path = self.settings.path(&file_name(last.head.sequence));
        create::sync(&self.settings, &*last.region, &path)?;
        Ok(if is_cut { end.position } else { last.region.len() })
    }

    /// Refuses an end that lies below what some header says was synced.
    fn above_floors(&self, found: &[Found], end: End) -> Result<End> {
        let below = found.iter().enumerate().any(|(index, found)| {
            let Floor { offset, position } = found.floor;
            let here = index == end.index && u64::from(position) > end.position;
            found.is_synced() && (offset > end.offset || here)
        });
        if below && !self.settings.ignore_floor() {
            return Err(self.rot(found[end.index].head.sequence, end.position, end.offset));
        }
        Ok(end)
    }

    /// Removes the found segments from `first` on, newest first. Each name is durably gone before
    /// the next goes: else a second crash could leave a gap.
    fn remove_from(&self, found: &[Found], first: usize) -> Result<()> {
        found[first..].iter().rev().try_for_each(|found| {
            self.remove(found)?;
            create::sync_dir(&self.settings, &self.settings.dir)
        })
    }

    pub(super) fn remove(&self, found: &Found) -> Result<()> {
        let name = file_name(found.head.sequence);
        let removed = self.settings.storage.remove(&self.settings.path(&name));
        removed.map_err(|error| self.failed("remove", &name, error))
    }

    pub(super) fn wrong(&self, sequence: u64, position: u64, what: &'static str) -> Error {
        Error::Corrupt(Box::new(Corruption {
            file: self.settings.storage.locate(&self.settings.path(&file_name(sequence))),
            position,
            first: None,
            end: None,
            what,
        }))
    }
}

/// The segments among the names in a log's directory, in order.
pub(super) fn sequences(names: &[String]) -> Vec<u64> {
    let mut sequences: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
    sequences.sort_unstable();
    sequences
}

/// What was cut at `offset`, if it was anything.
fn torn(offset: u64, bytes: u64, behind: &[Found]) -> Option<Torn> {
    // One that was made ahead of its use holds nothing yet.
    let segments = behind.iter().filter(|found| found.opening.is_some()).count();
    (bytes > 0 || segments > 0).then_some(Torn { offset, bytes, segments })
}
