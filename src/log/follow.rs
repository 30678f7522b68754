//! Following a log that somebody else appends to, in this process or another: seeing what was
//! appended, where the log rolled, what was trimmed. Nothing is locked out meanwhile, and nothing
//! is asked of the owner.
//!
//! # What a look goes by
//! 1. The names in the directory. Those that went at the front were trimmed.
//! 2. The last known segment, opened by its name once more: one that was removed may have come again
//!    with another salt, and one that was torn was cut.
//! 3. The next segment, if it has an opening. That is stored only behind the end of the one before,
//!    which it names: so the one before is whole up to there, and needs no walk. A segment that was
//!    made ahead of its use has none, and may still be made anew under the same name.
//! 4. The frames behind the last known one. The first that is not whole is not there yet.
//! 5. The floor slots, of which the greatest counts. They are read *before* the frames: what is below
//!    was stored before the slot was, so a frame there that does not match is rot, and no reason to
//!    stop.
//!
//! What stands behind the last frame of a closed segment is its footer, which is no frame; the
//! owner that goes on in it makes it zeros first.
//!
//! What was seen can fail to hold all the same: a failed flush may have taken it from the disk, which
//! the owner finds out when it opens the log again, and cuts it. A cut is seen by the file's length, by
//! a salt, or by the opening behind it. (After a power cut a segment may go on under its old salt from
//! an earlier place; no onlooker outlives that.)
//!
//! A look that finds something wrong looks once more before it says so: names are not listed at
//! one moment, and an owner that trims at the same time may leave any of them out.

use std::io;
use std::sync::Arc;

use super::append::Log;
use super::cursor::{Bounds, Cursor, Outcome};
use super::frame::Kind;
use super::header::{FRAMES_AT, OwnerKind};
use super::recover::{MISSING, OPENING_DAMAGED, sequences};
use super::run::Run;
use super::scan::Scan;
use super::segment::{Segment, file_name};
use super::settings::Mode;
use super::start::snapshot_is_whole;
use super::tail::{Found, next_offset};
use super::view::View;
use crate::error::{Error, Result};

/// What the owner of a log did since the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Followed {
    /// Nothing that shows.
    Same,
    /// There is more, or less is stored.
    Grown,
    /// What was known no longer holds, so the log was read afresh: its owner opened it again after
    /// a failure and cut it, or everything that was known is trimmed.
    Anew,
}

/// A place in a journal: behind what was replayed of it. The default is before everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    sequence: u64,
    salt: u64,
    position: u64,
}

/// Whether what was known still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Holds,
    Fails,
}

impl Log {
    /// Looks at what the owner did since the last look, in a log that was opened for reading only.
    /// Whatever else it says, what was found whole can be read.
    pub(crate) fn follow(&self) -> Result<Followed> {
        debug_assert!(self.settings.mode == Mode::Read, "an owner follows nobody");
        let mut view = self.view.lock();
        let (before, breaks) = (self.extent(), self.breaks.count());
        let looked = match self.look(&mut view) {
            Err(_) => self.look(&mut view),
            found => found,
        };
        if let Err(error) = looked
            && !Self::is_told(&view, &error)
        {
            return Err(error);
        }
        Ok(match self.extent() == before {
            _ if self.breaks.count() > breaks => Followed::Anew,
            true => Followed::Same,
            false => Followed::Grown,
        })
    }

    /// What changes when anything shows.
    fn extent(&self) -> [u64; 5] {
        let last = self.segments.read().last().cloned();
        let last = last.map_or([0; 2], |last| [last.sequence, last.end()]);
        [last[0], last[1], self.start(), self.visible(), self.durable()]
    }

    fn look(&self, view: &mut View) -> Result<()> {
        let sequences = sequences(&self.names()?);
        let looked = match self.settings.owner.kind {
            OwnerKind::Partition => self.look_on(view, &sequences),
            OwnerKind::Journal => self.look_at_newest(view, &sequences),
        };
        self.show(view);
        match looked? {
            Known::Holds => Ok(()),
            Known::Fails => self.look_afresh(view),
        }
    }

    pub(super) fn names(&self) -> Result<Vec<String>> {
        match self.settings.storage.list(&self.settings.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other.map_err(|error| self.failed("list", "", error)),
        }
    }

    /// Goes on in the last segment, and in those behind it.
    fn look_on(&self, view: &mut View, names: &[u64]) -> Result<Known> {
        let Some(mut last) = self.last_known() else {
            return Ok(if names.is_empty() { Known::Holds } else { Known::Fails });
        };
        let Some(mut here) = self.still_there(&last, names)? else { return Ok(Known::Fails) };
        self.forget_before(names[0]);
        loop {
            last.set_file_bytes(here.region.len());
            let next = match self.next_of(last.sequence, names) {
                // What stands before the damage counts.
                Err(error) => return self.walk(view, &last, &here).and(Err(error)),
                Ok(next) => next,
            };
            let Some(next) = next.filter(|next| view.void != Some(next.head.salt)) else { break };
            let Some((base, opening)) = next.opening else { break };
            let follows = opening.previous_salt == last.salt
                && opening.previous_end >= view.position
                && base >= view.offset;
            if !follows {
                return Ok(Known::Fails);
            }
            if opening.previous_end > here.region.len() {
                let what = "the segment is shorter than the next one says";
                return Err(self.wrong(last.sequence, here.region.len(), what));
            }
            if opening.previous_end > view.position {
                // Its footer has the marks of what was not walked.
                last.set_marks(None);
            }
            view.floor = view.floor.max(here.floor.offset);
            last.publish(opening.previous_end);
            // Who reads on there opens it again, and counts it among those that are open.
            last.set_region(None);
            last = self.enter(view, &next)?;
            here = next;
        }
        self.walk(view, &last, &here)?;
        Ok(Known::Holds)
    }

    /// Goes on in the journal's segment, or at the start of the newest with a whole snapshot.
    fn look_at_newest(&self, view: &mut View, names: &[u64]) -> Result<Known> {
        let last = self.last_known();
        let known = last.as_ref().map_or(0, |last| last.sequence);
        for sequence in names.iter().rev().take_while(|sequence| **sequence > known) {
            let Some(found) = self.find_there(*sequence)? else { continue };
            // One that was made ahead of its use has none, and nothing more of it is read.
            let whole = found.opening.is_some()
                && snapshot_is_whole(&found)
                    .map_err(|error| self.failed("read", &file_name(*sequence), error))?;
            if whole {
                self.segments.write().clear();
                let segment = self.enter(view, &found)?;
                self.walk(view, &segment, &found)?;
                return Ok(Known::Holds);
            }
            if found.is_synced() {
                return Err(self.wrong(*sequence, FRAMES_AT, OPENING_DAMAGED));
            }
        }
        let Some(last) = last else {
            // Only the very first can be without a snapshot before it.
            return match names.first() {
                Some(first) if *first > 1 => Err(self.wrong(*first, FRAMES_AT, OPENING_DAMAGED)),
                _ => Ok(Known::Holds),
            };
        };
        let Some(here) = self.still_there(&last, names)? else { return Ok(Known::Fails) };
        last.set_file_bytes(here.region.len());
        self.walk(view, &last, &here)?;
        Ok(Known::Holds)
    }

    fn last_known(&self) -> Option<Arc<Segment>> {
        self.segments.read().last().cloned()
    }

    /// The last known segment's file as it is now, if it is the same and was not cut.
    fn still_there(&self, last: &Segment, names: &[u64]) -> Result<Option<Found>> {
        if names.binary_search(&last.sequence).is_err() {
            return Ok(None);
        }
        let found = self.find_there(last.sequence)?;
        Ok(found.filter(|here| here.head.salt == last.salt && here.region.len() >= last.end()))
    }

    /// The segment behind `sequence`, if it was made.
    fn next_of(&self, sequence: u64, names: &[u64]) -> Result<Option<Found>> {
        let next = sequence + 1;
        if names.binary_search(&next).is_err() {
            return match names.last() {
                Some(newest) if *newest > next => Err(self.wrong(next, 0, MISSING)),
                _ => Ok(None),
            };
        }
        let found = self.find_there(next)?;
        match &found {
            Some(found) if found.opening.is_none() && found.is_synced() => {
                Err(self.wrong(next, FRAMES_AT, OPENING_DAMAGED))
            }
            _ => Ok(found),
        }
    }

    /// Takes a segment as the last one, of which nothing was seen yet.
    fn enter(&self, view: &mut View, found: &Found) -> Result<Arc<Segment>> {
        let origin = self.origin(found)?;
        let segment = Segment::new(&origin, FRAMES_AT, Some(Arc::clone(&found.region)));
        let segment = Arc::new(segment);
        view.enter(&segment);
        self.segments.write().push(Arc::clone(&segment));
        Ok(segment)
    }

    /// Passes the frames behind the view as far as batches are whole. One below the floor that is not
    /// is rot, and is left to whoever reads it, as everywhere else.
    fn walk(&self, view: &mut View, last: &Segment, here: &Found) -> Result<()> {
        view.floor = view.floor.max(here.floor.offset);
        // What is found there now is read there, too.
        last.set_region(Some(Arc::clone(&here.region)));
        let mut scan = Scan::nearby(&*here.region, here.head.salt);
        let mut ahead = view.place();
        let mut marks = Vec::new();
        loop {
            let frame = scan.frame(ahead.position);
            let frame = frame.map_err(|e| self.failed("read", &file_name(last.sequence), e))?;
            let follows = frame.map(|(header, _)| header).filter(|header| {
                let opens = (header.kind == Kind::Opening) == (ahead.position == FRAMES_AT);
                opens && next_offset(header, ahead.offset).is_some()
            });
            let Some(header) = follows else {
                if !ahead.leap(here.floor, here.region.len()) {
                    return Ok(());
                }
                marks.clear();
                *view = View { told: view.told.take(), ..ahead.place() };
                continue;
            };
            marks.extend(ahead.pass(&header, last));
            if !header.more {
                if last.is_marked() {
                    marks.drain(..).for_each(|mark| last.mark(mark));
                }
                *view = View { told: view.told.take(), ..ahead.place() };
            }
        }
    }

    /// Lets go of segments that were trimmed.
    fn forget_before(&self, first: u64) {
        if self.segments.read().first().is_some_and(|oldest| oldest.sequence < first) {
            drop(self.withdraw(first));
        }
    }

    /// Reads afresh, once what was known no longer holds.
    fn look_afresh(&self, view: &mut View) -> Result<()> {
        match self.settings.owner.kind {
            OwnerKind::Partition => {
                let (found, damage) = self.overview(&self.names()?)?;
                let damaged = damage.map_or(Ok(()), |damage| Err(Error::Corrupt(damage)));
                // Where nothing can be believed, who has read something is past it still.
                if damaged.is_ok() || !found.segments.is_empty() {
                    self.install(view, found);
                }
                damaged
            }
            OwnerKind::Journal => {
                self.install(view, super::view::Overview::default());
                let looked = self.look_at_newest(view, &sequences(&self.names()?));
                self.show(view);
                looked.map(drop)
            }
        }
    }

    /// Reads as an owner does. What fails may be trimmed by now, or be something else since the
    /// owner opened the log again; the next look tells.
    pub(super) fn read_along(
        &self,
        cursor: &mut Cursor,
        bounds: Bounds,
        run: &mut Run,
    ) -> Result<Outcome> {
        cursor.rejoin(&self.breaks);
        let Err(error) = self.read_run(cursor, bounds, run) else { return Ok(Outcome::Copied) };
        self.look_again();
        cursor.rejoin(&self.breaks);
        let start = self.start();
        if cursor.offset < start {
            return Ok(Outcome::Trimmed { start });
        }
        // The first error says more than one that comes of looking again.
        self.read_run(cursor, bounds, run).map(|()| Outcome::Copied).map_err(|_| error)
    }

    /// Looks at what the owner did, if somebody else is the owner, because something failed. What
    /// the look itself meets is met again by whoever reads there.
    pub(super) fn look_again(&self) {
        if self.settings.mode == Mode::Read {
            let _ = self.follow();
        }
    }

    /// As [`replay_timed_from`](Self::replay_timed_from), without the times.
    pub(crate) fn replay_from(
        &self,
        place: &mut Place,
        mut visit: impl FnMut(Kind, &[u8]) -> Result<()>,
    ) -> Result<()> {
        self.replay_timed_from(place, |kind, _, body| visit(kind, body))
    }

    /// Hands the frames of a journal behind `place`, with their times, to `visit`, and moves it behind each that
    /// `visit` took. A newer segment with a whole snapshot takes the place of the one before: its
    /// frames come from the first on, which is of kind [`Kind::Opening`], and nothing that was
    /// replayed before counts any more. The same if what was replayed was cut.
    pub(crate) fn replay_timed_from(
        &self,
        place: &mut Place,
        mut visit: impl FnMut(Kind, u64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let Some(segment) = self.last_known() else { return Ok(()) };
        let end = segment.end();
        let same = (place.sequence, place.salt) == (segment.sequence, segment.salt);
        if !same || place.position > end {
            *place = Place { sequence: segment.sequence, salt: segment.salt, position: FRAMES_AT };
        }
        if place.position == end {
            return Ok(());
        }
        let region = self.region(&segment)?;
        let mut scan = Scan::new(&*region, segment.salt, end);
        while place.position < end {
            let frame = scan.frame(place.position);
            let frame = frame.map_err(|e| self.failed("read", &file_name(segment.sequence), e))?;
            let Some((header, body)) = frame else {
                return Err(self.rot(segment.sequence, place.position, segment.base));
            };
            visit(header.kind, header.time, body)?;
            place.position += header.frame_bytes();
        }
        Ok(())
    }
}
