//! Bringing dead letters back in bulk: first all are chosen, then each is dealt with, in order.
//!
//! # Invariants
//! 1. Letters are dealt with in the order of their ids, and what stops the call stops it between two
//!    of them: all before the place that is told are dealt with, none from there on.
//! 2. No lock is held while letters and originals are read, and the locks of one page of originals are
//!    given back before the next.
//!
//! # Which letter counts
//! Letters stay in their stream when they are redriven, so an entry that the group gave up twice has
//! two. Both would bring it back, and whoever chooses by the reason of the older one would get what
//! failed for another reason since. So the choice reads on to the end of a letter's partition: a
//! letter that is followed by another of the same origin brings nothing back. Both are in one
//! partition unless partitions were added in between; then both count, and the second finds
//! the entry open.
//!
//! That an entry was settled after it was redriven is written down nowhere. To remember it, a group
//! would keep every entry that ever came back, for as long as the letter might be there, which it
//! cannot know.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::groups::Seat;
use super::mill::{Got, Mill};
use super::parcel::Parcel;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::Revival;
use crate::letter::{Origin, Redriven};
use crate::letters::{Letter, LetterChoice, LetterQuery, Letters, RedrivenLetters};
use crate::log::{Bounds, Cursor, Field};

/// So many letters are read at once, and so many originals made available under one lock.
const PAGE: usize = 256;
/// Letters that are read at once are not longer than this together, unless one alone is.
const PAGE_BYTES: u64 = 1 << 20;

/// A walk through the letters of a group.
struct Search<'a> {
    seat: &'a Seat,
    mill: &'a Mill,
    choice: LetterChoice<'a>,
    max: usize,
    letters: Letters,
}

impl Seat {
    /// The letters in a stream that are of this group and that the query chooses.
    pub(crate) fn letters(&self, mill: &Mill, query: &LetterQuery) -> Result<Letters> {
        let (choice, max) = (query.choice()?, query.limit());
        self.desk_now()?.check()?;
        mill.ground.check_open()?;
        mill.follow_partitions()?;
        let letters = Letters { found: Vec::new(), unreadable: Vec::new(), next: None };
        let mut search = Search { seat: self, mill, choice, max, letters };
        for partition in 0..mill.ground.partitions() {
            search.walk(partition)?;
            if search.letters.next.is_some() {
                break;
            }
        }
        Ok(search.letters)
    }

    /// Brings the entries back whose letters the query chooses.
    pub(crate) fn redrive_letters(
        &self,
        mill: &Mill,
        query: &LetterQuery,
    ) -> Result<RedrivenLetters> {
        self.desk.check_write()?;
        let Letters { found, unreadable, next } = self.letters(mill, query)?;
        let redriven = Vec::with_capacity(found.len());
        let mut done = RedrivenLetters { redriven, failed: unreadable, next, stopped: None };
        let mut rest = &found[..];
        while let Some(first) = rest.first() {
            match self.bring_back(mill, rest, &mut done) {
                Ok(count) => rest = &rest[count..],
                Err(error) => {
                    done.stop(first.id, error);
                    break;
                }
            }
        }
        done.failed.sort_by_key(|(id, _)| *id);
        Ok(done)
    }

    /// Deals with the first of these letters, and with more if that takes no append. Says how many
    /// those were; an error means that it was none.
    fn bring_back(
        &self,
        mill: &Mill,
        letters: &[Letter],
        done: &mut RedrivenLetters,
    ) -> Result<usize> {
        let mut page = Vec::new();
        for row in letters.iter().take(PAGE) {
            let state = match row.superseded_by {
                Some(younger) => Original::Superseded(younger),
                None => match self.is_stored(&row.letter) {
                    Ok(true) => Original::Stored(row.letter.origin()),
                    Err(error) if is_of_one(&error) => Original::Failed(error),
                    Err(error) if page.is_empty() => return Err(error),
                    // It is met again at the head of the next page.
                    Ok(false) | Err(_) => break,
                },
            };
            page.push((row.id, state));
        }
        if page.is_empty() {
            let Some(row) = letters.first() else { return Ok(0) };
            match self.append_again(mill, row) {
                Ok(redriven) => done.redriven.push((row.id, redriven)),
                Err(error) if is_of_one(&error) => done.failed.push((row.id, error)),
                Err(error) => return Err(error),
            }
            return Ok(1);
        }
        let stored = page.iter().filter_map(|(_, state)| match state {
            Original::Stored(id) => Some(*id),
            _ => None,
        });
        let mut revived = self.revive(&stored.collect::<Vec<_>>())?.into_iter();
        let mut count = 0;
        for (id, state) in page {
            match state {
                Original::Superseded(younger) => {
                    done.redriven.push((id, Redriven::Superseded(younger)));
                }
                Original::Failed(error) => done.failed.push((id, error)),
                Original::Stored(_) => match revived.next() {
                    Some(redriven) => done.redriven.push((id, redriven)),
                    // It was trimmed after it was read: it is gone when it is looked at again.
                    None => break,
                },
            }
            count += 1;
        }
        Ok(count)
    }

    /// Appends for the group what a letter says of an entry that is gone.
    fn append_again(&self, mill: &Mill, row: &Letter) -> Result<Redriven> {
        let Some(letter) = mill.get(row.id)? else {
            return Err(Error::NotFound { what: format!("the dead letter {}", row.id).into() });
        };
        self.append_for_group(letter.draft(0))
    }
}

/// What is known of the entry that a letter is of.
enum Original {
    Stored(EntryId),
    /// A younger letter says what became of it.
    Superseded(EntryId),
    Failed(Error),
}

/// Whether an error is about one letter, so that the others can go on.
fn is_of_one(error: &Error) -> bool {
    matches!(error, Error::Corrupt(_) | Error::EntryTooLarge { .. } | Error::NotFound { .. })
}

impl Search<'_> {
    /// Looks through one partition, beyond the range and the bound where a letter that was found might
    /// be followed by a younger one.
    fn walk(&mut self, partition: u32) -> Result<()> {
        let log = self.mill.ground.log(partition)?;
        let (range, end) = (self.choice.offsets(partition), log.visible());
        let mut cursor = Cursor::at(range.start.max(log.start()));
        let mut rows = BTreeMap::new();
        while cursor.offset < end {
            let chooses = cursor.offset < range.end && self.letters.next.is_none();
            if !chooses && rows.is_empty() {
                break;
            }
            self.mill.ground.check_open()?;
            let mut parcel = Parcel::new(&self.mill.ground.pool);
            let at = EntryId::new(partition, cursor.offset);
            let entries = u32::try_from(PAGE).expect("a page is short");
            let bounds = Bounds { entries, bytes: PAGE_BYTES, before: end };
            match self.mill.read(partition, &mut cursor, bounds, &mut parcel) {
                Ok(Got::Entries(0)) => break,
                Ok(Got::Entries(_)) => {
                    for index in 0..parcel.len() {
                        self.look(&parcel, index, &range, &mut rows);
                    }
                }
                Ok(Got::Trimmed { start }) => cursor.seek(start),
                Err(error) if error.is_corrupt() => {
                    if self.choice.names(at) && self.is_next(at, &range) {
                        self.letters.unreadable.push((at, error));
                    }
                    cursor.seek(at.offset() + 1);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an entry is in the range and there is room for it. If there is none, the search
    /// ends before it.
    fn is_next(&mut self, id: EntryId, range: &Range<u64>) -> bool {
        let Letters { found, unreadable, next } = &mut self.letters;
        if !range.contains(&id.offset()) || next.is_some() {
            return false;
        }
        if found.len() + unreadable.len() >= self.max {
            *next = Some(id);
        }
        next.is_none()
    }

    /// Looks at one entry. `rows` says which row is the youngest one of its origin so far.
    fn look(
        &mut self,
        parcel: &Parcel,
        index: usize,
        range: &Range<u64>,
        rows: &mut BTreeMap<Origin, usize>,
    ) {
        let id = parcel.id(index);
        let is_next = self.is_next(id, range);
        let Some(letter) = parcel.letter(index) else { return };
        if !self.seat.wrote(&letter.of) {
            return;
        }
        if let Some(row) = rows.get(&letter.of) {
            self.letters.found[*row].superseded_by = Some(id);
        }
        let subject = parcel.fields(index).find_map(|field| match field {
            Field::Subject(subject) => Some(subject),
            _ => None,
        });
        if is_next && self.choice.takes(id, subject, &letter) {
            rows.insert(letter.of, self.letters.found.len());
            self.letters.found.push(Letter { id, letter, superseded_by: None });
        }
    }
}

impl Seat {
    /// Makes entries available again that their log still has. It ends before the first one that
    /// was trimmed.
    pub(super) fn revive(&self, ids: &[EntryId]) -> Result<Vec<Redriven>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let (mill, desk) = (&self.handle.mill, &self.desk);
        desk.prepare()?;
        // Nobody trims between the look at the log and the change.
        let steady = mill.steady();
        let start = |id: &EntryId| mill.ground.logs[id.partition() as usize].start();
        let stored = ids.iter().take_while(|id| id.offset() >= start(id)).count();
        let revived = desk.amend(|ledger, now, events| {
            // What is decided for an entry is not applied yet when it comes a second time.
            let mut seen = BTreeSet::new();
            let revive = |id: &EntryId| {
                let due = seen.insert(*id) && ledger.revive(now.at, *id, events) == Revival::Due;
                if due { Redriven::Available(*id) } else { Redriven::Open(*id) }
            };
            Ok(ids[..stored].iter().map(revive).collect())
        });
        drop(steady);
        desk.call_hooks();
        let revived = revived?;
        desk.promise()?;
        Ok(revived)
    }
}
