//! Opening a log: a clean one without looking further than its headers and footer, any other one
//! by finding where it ends.
//!
//! # The order of an unclean opening
//! 1. Flush the segments from the floor on, drop their cached pages, and read by the file: what an
//!    earlier failed flush left in the cache may not be on the disk.
//! 2. Find the end (`tail`). Rot below a floor is an error; nothing has been changed by then.
//! 3. Remove the segments behind the end, newest first, so that a second crash finds no gap.
//! 4. Note the floor, cut the torn tail off, sync. Only then is anything served.
//! 5. The next append starts a fresh segment with a salt of its own: nothing is ever appended
//!    behind a torn tail, and what is left of it can never match a sum again.
//!
//! Every step can be cut short and done again.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::{Condvar, Mutex, RwLock};

use super::active::Active;
use super::append::{Log, Writer};
use super::create;
use super::flush::FlushState;
use super::frame::{ALIGN, Kind};
use super::header::{FRAMES_AT, Floor, Footer, Head, HeadError, OwnerKind, VERSION, footer_bytes};
use super::index;
use super::scan::Scan;
use super::segment::{Origin, Segment, file_name, parse_name};
use super::settings::Settings;
use super::tail::{End, Found, Verdict, find_end};
use crate::error::{Corruption, Error, Result};
use crate::storage::{Access, Region};

const OPENING_DAMAGED: &str = "the segment's opening is damaged";

/// What opening a log found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recovery {
    /// The log was not closed the last time.
    pub(crate) unclean: bool,
    /// What was cut.
    pub(crate) torn: Option<Torn>,
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
        log.remove_drafts(&names)?;
        let found = log.find(&names)?;
        let recovery = log.recover(found)?;
        Ok((log, recovery))
    }

    fn empty(settings: Settings) -> Self {
        let writer = Writer { next_sequence: 1, ..Writer::default() };
        Self {
            settings,
            writer: Mutex::new(writer),
            segments: RwLock::default(),
            visible: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            flush: Mutex::new(FlushState::default()),
            flushed: Condvar::new(),
            spare: Mutex::new(None),
            mapped: Mutex::default(),
        }
    }

    fn failed(&self, doing: &'static str, name: &str, error: io::Error) -> Error {
        Error::io(doing, self.settings.storage.locate(&self.settings.path(name)), 0, error)
    }

    /// Reads the headers and openings of all segments, in order.
    fn find(&self, names: &[String]) -> Result<Vec<Found>> {
        let mut sequences: Vec<u64> = names.iter().filter_map(|name| parse_name(name)).collect();
        sequences.sort_unstable();
        let mut found = Vec::with_capacity(sequences.len());
        for (index, sequence) in sequences.iter().enumerate() {
            if index > 0 && sequences[index - 1] + 1 != *sequence {
                return Err(self.wrong(sequence - 1, 0, "a segment between others is missing"));
            }
            found.push(self.find_one(*sequence)?);
        }
        Ok(found)
    }

    fn find_one(&self, sequence: u64) -> Result<Found> {
        let name = file_name(sequence);
        let storage = &self.settings.storage;
        let region = storage
            .open(&self.settings.path(&name), Access::Write)
            .map_err(|error| self.failed("open", &name, error))?;
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
        Ok(found)
    }

    /// Opens what was found and says how it was.
    fn recover(&self, found: Vec<Found>) -> Result<Recovery> {
        if found.is_empty() {
            return Ok(Recovery::default());
        }
        let Some(from) = self.starting_point(&found)? else {
            // Segments were made, and the machine stopped before anything in them was safe.
            let torn = Torn { offset: 0, bytes: 0, segments: found.len() };
            self.remove_from(&found, 0)?;
            self.writer().next_sequence = found[0].head.sequence;
            return Ok(Recovery { unclean: true, torn: Some(torn) });
        };
        let last = &found[from.index];
        let is_last = from.index + 1 == found.len();
        if let Some(footer) = closing_footer(last).filter(|_| is_last) {
            self.adopt(&found, from, footer.time_max)?;
            let segment = self.last_segment();
            segment.set_marks(Some(footer.marks));
            self.resume(segment, &last.region, from.position);
            return Ok(Recovery::default());
        }
        self.repair(&found, from)
    }

    /// The place from which on nothing is believed unread; `None` if nothing was ever safe.
    fn starting_point(&self, found: &[Found]) -> Result<Option<End>> {
        let damaged = found.iter().find(|found| found.is_synced() && found.opening.is_none());
        if let Some(damaged) = damaged {
            return Err(self.wrong(damaged.head.sequence, FRAMES_AT, OPENING_DAMAGED));
        }
        let start = match self.settings.owner.kind {
            OwnerKind::Partition => partition_start(found),
            OwnerKind::Journal => journal_start(found),
        };
        let Some(start) = start else {
            return self.never_safe(&found[0]).map(|()| None);
        };
        let here = &found[start.index];
        let base = here.opening.map_or(0, |(base, _)| base);
        if start.position > here.region.len() || start.offset < base {
            let what = "the segment is shorter than its floor";
            return Err(self.wrong(here.head.sequence, start.position, what));
        }
        Ok(Some(start))
    }

    /// Makes sure that a log without any opening is one whose very first was torn.
    fn never_safe(&self, first: &Found) -> Result<()> {
        let mut scan = Scan::new(&*first.region, first.head.salt, u64::MAX);
        let synced = scan.synced_beyond(FRAMES_AT - ALIGN, 0);
        let name = file_name(first.head.sequence);
        if first.head.sequence > 1 || synced.map_err(|error| self.failed("read", &name, error))? {
            return Err(self.wrong(first.head.sequence, FRAMES_AT, OPENING_DAMAGED));
        }
        Ok(())
    }

    /// Finds the end of a log that was not closed, and makes it safe.
    fn repair(&self, found: &[Found], from: End) -> Result<Recovery> {
        for segment in &found[from.index..] {
            let name = file_name(segment.head.sequence);
            create::sync(&self.settings, &*segment.region, &self.settings.path(&name))?;
            segment.region.drop_cache().map_err(|error| self.failed("read", &name, error))?;
        }
        // What stands behind a journal's newest whole snapshot was never complete.
        let considered = match self.settings.owner.kind {
            OwnerKind::Partition => found,
            OwnerKind::Journal => &found[..=from.index],
        };
        let verdict = find_end(considered, from, self.settings.ignore_floor());
        let end = match verdict.map_err(|error| self.failed("read", "", error))? {
            Verdict::Torn(end) => self.above_floors(found, end)?,
            Verdict::Rot(end) => {
                let sequence = found[end.index].head.sequence;
                return Err(self.rot(sequence, end.position, end.offset));
            }
        };
        let last = &found[end.index];
        self.remove_from(found, end.index + 1)?;
        let position = u32::try_from(end.position).map_err(|_| {
            self.wrong(last.head.sequence, end.position, "the segment is over 4 GiB long")
        })?;
        let floor = Floor { offset: end.offset, position };
        let (at, slot) = floor.slot(last.head.salt, last.slot + 1);
        last.region.store(at, &[&slot]);
        let torn_bytes = used_behind(last, end.position)
            .map_err(|error| self.failed("read", &file_name(last.head.sequence), error))?;
        if !self.settings.reuse_torn() {
            // Where a mapped file cannot be cut, the tail stays and is passed over for ever.
            let _ = last.region.shrink(end.position);
        }
        let name = file_name(last.head.sequence);
        create::sync(&self.settings, &*last.region, &self.settings.path(&name))?;
        self.adopt(found, end, 0)?;
        let segment = self.last_segment();
        let (marks, time_max) = self.rebuild(&segment, &*last.region)?;
        segment.set_marks(Some(marks));
        self.writer().time_max = time_max;
        if self.settings.reuse_torn() {
            self.resume(segment, &last.region, end.position);
        }
        let segments = found.len() - end.index - 1;
        let torn = (torn_bytes > 0 || segments > 0).then_some(Torn {
            offset: end.offset,
            bytes: torn_bytes,
            segments,
        });
        Ok(Recovery { unclean: true, torn })
    }

    /// Refuses an end that lies below what some header says was synced.
    fn above_floors(&self, found: &[Found], end: End) -> Result<End> {
        let below = found.iter().find(|found| found.is_synced() && found.floor.offset > end.offset);
        match below {
            Some(_) if !self.settings.ignore_floor() => {
                Err(self.rot(found[end.index].head.sequence, end.position, end.offset))
            }
            _ => Ok(end),
        }
    }

    /// Takes over the segments up to the end.
    fn adopt(&self, found: &[Found], end: End, time_max: u64) -> Result<()> {
        let journal = self.settings.owner.kind == OwnerKind::Journal;
        let first = if journal { end.index } else { 0 };
        let mut segments = self.segments.write();
        for (index, here) in found.iter().enumerate().take(end.index + 1).skip(first) {
            let Some((base, opening)) = here.opening else {
                return Err(self.wrong(here.head.sequence, FRAMES_AT, OPENING_DAMAGED));
            };
            let origin = Origin {
                sequence: here.head.sequence,
                base,
                salt: here.head.salt,
                capacity: here
                    .head
                    .capacity
                    .min(self.settings.segment_bytes)
                    .max(here.region.len()),
                time_before: opening.time_max,
                slot: here.slot + 1,
            };
            let is_last = index == end.index;
            let next = found.get(index + 1).and_then(|next| next.opening);
            let stop = match next {
                Some((_, next)) if !is_last => next.previous_end,
                _ => end.position,
            };
            let chained = segments.last().is_none_or(|before: &Arc<Segment>| {
                before.salt == opening.previous_salt && before.base <= base
            });
            if !chained || stop > here.region.len() {
                return Err(self.wrong(here.head.sequence, stop, "the segments do not follow"));
            }
            let region = is_last.then(|| Arc::clone(&here.region));
            segments.push(Arc::new(Segment::new(&origin, stop, region)));
        }
        drop(segments);
        let last = &found[end.index].head;
        let mut writer = self.writer();
        writer.end = end.offset;
        writer.time_max = time_max;
        writer.previous = (end.position, last.salt);
        writer.next_sequence = last.sequence + 1;
        writer.last_capacity = last.capacity.min(self.settings.segment_bytes);
        drop(writer);
        self.visible.store(end.offset, std::sync::atomic::Ordering::Release);
        self.durable.store(end.offset, std::sync::atomic::Ordering::Release);
        if journal {
            found[..first].iter().try_for_each(|old| self.remove(old))?;
        }
        Ok(())
    }

    /// Appends to the last segment from now on.
    fn resume(&self, segment: Arc<Segment>, region: &Arc<dyn Region>, position: u64) {
        let marks = segment.marks();
        let mut active = Active::at_start(Arc::clone(&segment), Arc::clone(region), position);
        active.marks = marks.len();
        active.next_mark = position;
        active.closed = !self.settings.reuse_torn();
        self.writer().active = Some(active);
    }

    fn last_segment(&self) -> Arc<Segment> {
        Arc::clone(self.segments.read().last().expect("a segment was adopted"))
    }

    /// Removes the found segments from `first` on, newest first.
    fn remove_from(&self, found: &[Found], first: usize) -> Result<()> {
        if found.len() <= first {
            return Ok(());
        }
        found[first..].iter().rev().try_for_each(|found| self.remove(found))?;
        create::sync_dir(&self.settings, &self.settings.dir)
    }

    fn remove(&self, found: &Found) -> Result<()> {
        let name = file_name(found.head.sequence);
        let removed = self.settings.storage.remove(&self.settings.path(&name));
        removed.map_err(|error| self.failed("remove", &name, error))
    }

    fn wrong(&self, sequence: u64, position: u64, what: &'static str) -> Error {
        Error::Corrupt(Box::new(Corruption {
            file: self.settings.storage.locate(&self.settings.path(&file_name(sequence))),
            position,
            first: None,
            end: None,
            what,
        }))
    }

    /// Hands every frame of the newest segment to `visit`: how a journal is replayed.
    pub(crate) fn replay(&self, mut visit: impl FnMut(Kind, &[u8]) -> Result<()>) -> Result<()> {
        let Some(segment) = self.segments.read().last().cloned() else {
            return Ok(());
        };
        let region = self.region(&segment)?;
        let mut scan = Scan::new(&*region, segment.salt, segment.end());
        let mut at = FRAMES_AT;
        while at < segment.end() {
            let frame = scan.frame(at);
            let frame = frame.map_err(|e| self.failed("read", &file_name(segment.sequence), e))?;
            let Some((header, body)) = frame else {
                return Err(self.rot(segment.sequence, at, segment.base));
            };
            visit(header.kind, body)?;
            at += header.frame_bytes();
        }
        Ok(())
    }
}

/// In a partition, the furthest place that is known to be synced, else the very beginning.
fn partition_start(found: &[Found]) -> Option<End> {
    let synced = (0..found.len()).filter(|index| found[*index].is_synced());
    let Some(index) = synced.max_by_key(|index| (found[*index].floor.offset, *index)) else {
        let (base, _) = found[0].opening?;
        return Some(End { index: 0, position: FRAMES_AT, offset: base });
    };
    Some(at_floor(index, &found[index]))
}

/// In a journal, the newest segment whose snapshot is whole: its floor if it was closed, else its
/// beginning, for all of it is read anyway.
fn journal_start(found: &[Found]) -> Option<End> {
    let whole = |found: &Found| found.is_synced() || snapshot_is_whole(found);
    let index = (0..found.len()).rev().find(|index| whole(&found[*index]))?;
    if closing_footer(&found[index]).is_some() {
        return Some(at_floor(index, &found[index]));
    }
    let (base, _) = found[index].opening?;
    Some(End { index, position: FRAMES_AT, offset: base })
}

fn at_floor(index: usize, found: &Found) -> End {
    End { index, position: u64::from(found.floor.position), offset: found.floor.offset }
}

/// The footer of a segment that ends with it, at its floor: nothing was stored behind the floor.
fn closing_footer(found: &Found) -> Option<Footer> {
    let position = u64::from(found.floor.position);
    let footer = index::footer(&*found.region, position, found.head.salt)?;
    let file_end = position + footer_bytes(footer.marks.len());
    let closed = footer.end == found.floor.offset && file_end == found.region.len();
    (closed && found.is_synced()).then_some(footer)
}

/// Whether a journal segment's snapshot is all there.
fn snapshot_is_whole(found: &Found) -> bool {
    let mut scan = Scan::new(&*found.region, found.head.salt, u64::MAX);
    let mut at = FRAMES_AT;
    while let Ok(Some((header, _))) = scan.frame(at) {
        if !header.more {
            return true;
        }
        at += header.frame_bytes();
    }
    false
}

/// How many bytes from `position` on are not zero, up to the last one that is not.
fn used_behind(found: &Found, position: u64) -> io::Result<u64> {
    let mut scan = Scan::new(&*found.region, found.head.salt, u64::MAX);
    let mut used = 0;
    let mut at = position;
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
