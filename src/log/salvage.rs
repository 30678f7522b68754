//! Opening a log for reading only: nothing is repaired, cut, removed or flushed, and damage that
//! refuses any other opening ends the log there instead. The owner may be at work meanwhile.
//!
//! What stands behind damage in a sealed segment can still be read, by its id or from there on;
//! what stands behind it in the last one cannot, as nobody knows what was complete. Nor can what
//! stands before it of the same batch.
//!
//! Unlike a later look, an opening walks everything from the greatest floor on, sealed or not: the
//! power may have gone since, and have taken the end of a segment and left the next one's opening.

use std::io;

use super::active::MARK_EVERY_BYTES;
use super::append::Log;
use super::header::{FRAMES_AT, OwnerKind};
use super::recover::{MISSING, OPENING_DAMAGED, Recovery, sequences};
use super::segment::file_name;
use super::start::partition_start;
use super::tail::{Found, Verdict, find_end, is_there_now};
use super::view::{Overview, View};
use crate::error::{Corruption, Error, Result};
use crate::storage::Access;

/// How a partition was found, and what ended it before its time.
type Finding = (Overview, Option<Box<Corruption>>);

impl Log {
    /// Opens as much of a log as can be believed. A damaged journal is refused: of a group, some of
    /// what happened is as good as none.
    pub(super) fn salvage(&self, names: &[String]) -> Result<Recovery> {
        if self.settings.owner.kind == OwnerKind::Journal {
            let _opened = self.follow()?;
            return Ok(Recovery::default());
        }
        let (found, damage) = self.overview(names)?;
        let mut view = self.view.lock();
        self.install(&mut view, found);
        view.told.clone_from(&damage);
        Ok(Recovery { damage, ..Recovery::default() })
    }

    /// What a partition looks like now. Damage is believed at the second look: names are not listed
    /// all at one moment, and an owner at work stores while this reads.
    pub(super) fn overview(&self, names: &[String]) -> Result<Finding> {
        let first = self.find_all(names)?;
        if first.1.is_none() {
            return Ok(first);
        }
        let again = self.settings.storage.list(&self.settings.dir);
        self.find_all(&again.map_err(|error| self.failed("list", "", error))?)
    }

    fn find_all(&self, names: &[String]) -> Result<Finding> {
        let (found, mut damage) = self.find_believable(names)?;
        // The first one may be made and not begun.
        let start = if found.is_empty() { None } else { partition_start(&found) };
        let Some(from) = start else { return Ok((Overview::default(), damage)) };
        let here = &found[from.index];
        let sequence = here.head.sequence;
        let base = here.opening.map_or(0, |(base, _)| base);
        if from.position > here.region.len() || from.offset < base {
            let what = "the segment is shorter than its floor";
            damage = corruption(self.wrong(sequence, from.position, what));
            return Ok((Overview::default(), damage));
        }
        let unread = |error| self.failed("read", &file_name(sequence), error);
        let verdict = find_end(&found, from, found.len() - 1, self.settings.ignore_floor());
        let end = match verdict.map_err(unread)? {
            Verdict::Torn(end) => end,
            // An owner at work may have stored it since, and more behind it: a look goes on there.
            Verdict::Rot { bad, whole } if is_there_now(&found, bad).map_err(unread)? => whole,
            Verdict::Rot { bad, whole } => {
                let sequence = found[bad.index].head.sequence;
                damage = corruption(self.rot(sequence, bad.position, bad.offset)).or(damage);
                whole
            }
        };
        let segments = match self.chain(&found, end) {
            Err(Error::Corrupt(damage)) => return Ok((Overview::default(), Some(damage))),
            segments => segments?,
        };
        let last = segments.last().expect("the end is in one of them");
        let (marks, time_max) = self.rebuild(last, &*found[end.index].region)?;
        let next_mark = marks.last().map_or(0, |last| u64::from(last.position) + MARK_EVERY_BYTES);
        last.set_marks(Some(marks));
        let floor = found.iter().map(|found| found.floor.offset).max().unwrap_or(0);
        let (position, offset) = (end.position, end.offset);
        let next = found.get(end.index + 1).filter(|next| next.opening.is_some());
        let void = next.map(|next| next.head.salt);
        let view = View { position, offset, time_max, next_mark, floor, void, told: None };
        Ok((Overview { segments, view }, damage))
    }

    /// The segments before the first that cannot be believed, and what is wrong with that.
    fn find_believable(&self, names: &[String]) -> Result<(Vec<Found>, Option<Box<Corruption>>)> {
        let mut found: Vec<Found> = Vec::new();
        for sequence in sequences(names) {
            let one = match self.find_there(sequence) {
                // It is trimmed by now, and with it those before it.
                Ok(None) => {
                    found.clear();
                    continue;
                }
                Ok(Some(one)) => one,
                Err(Error::Corrupt(damage)) => return Ok((found, Some(damage))),
                Err(other) => return Err(other),
            };
            let follows = found.last().is_none_or(|last| last.head.sequence + 1 == sequence);
            if !follows {
                let missing = found.last().map_or(0, |last| last.head.sequence + 1);
                return Ok((found, corruption(self.wrong(missing, 0, MISSING))));
            }
            if one.opening.is_none() && one.is_synced() {
                return Ok((found, corruption(self.wrong(sequence, FRAMES_AT, OPENING_DAMAGED))));
            }
            found.push(one);
        }
        Ok((found, None))
    }

    /// What a segment's file shows, unless it is gone.
    pub(super) fn find_there(&self, sequence: u64) -> Result<Option<Found>> {
        let name = file_name(sequence);
        match self.settings.storage.open(&self.settings.path(&name), Access::Look) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("open", &name, error)),
            Ok(region) => self.read_head(sequence, region).map(Some),
        }
    }
}

pub(super) fn corruption(error: Error) -> Option<Box<Corruption>> {
    match error {
        Error::Corrupt(corruption) => Some(corruption),
        _ => None,
    }
}
