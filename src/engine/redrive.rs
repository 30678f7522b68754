//! Bringing back what a group set aside or gave up: for that group alone.

use super::groups::Seat;
use crate::clock::wall_time;
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::letter::{DeadLetter, Origin, Redriven};
use crate::parked::{Parked, ParkedQuery};

/// So many parked entries are looked at under one lock.
const PAGE: usize = 1_000;

impl Seat {
    /// The parked entries that a query chooses.
    pub(crate) fn parked(&self, query: &ParkedQuery) -> Result<Vec<Parked>> {
        let filter = query.filter()?;
        let desk = self.desk_now()?;
        let (mut found, mut first) = (Vec::new(), query.first());
        while found.len() < query.limit() {
            let page: Vec<Parked> = desk.look(|ledger, _| {
                let parked = ledger.parked(first).filter(|(id, _)| query.takes(*id));
                let rows = parked.map(|(id, parked)| Parked {
                    id,
                    attempts: parked.attempts,
                    reason: parked.reason.as_deref().map(str::to_owned),
                    since: wall_time(parked.since),
                });
                rows.take(PAGE).collect()
            })?;
            let Some(last) = page.last() else { break };
            first = EntryId::new(last.id.partition(), last.id.offset() + 1);
            for row in page {
                if let Some(filter) = &filter {
                    // The subject is with the entry; what cannot be read matches nothing.
                    let Ok(Some(entry)) = self.handle.mill.get(row.id) else { continue };
                    if !filter.matches(entry.draft(0).subject) {
                        continue;
                    }
                }
                if found.len() < query.limit() {
                    found.push(row);
                }
            }
        }
        Ok(found)
    }

    /// Makes the parked entries available again that a query chooses.
    pub(crate) fn redrive(&self, query: &ParkedQuery) -> Result<u64> {
        self.desk.check_write()?;
        let ids: Vec<EntryId> = self.parked(query)?.into_iter().map(|row| row.id).collect();
        if ids.is_empty() {
            return Ok(0);
        }
        self.desk.redrive(&ids)
    }

    /// Brings the original of a dead letter back, or what `draft` says of it if it is gone.
    pub(crate) fn redrive_letter<'a>(
        &self,
        letter: &DeadLetter,
        letter_id: EntryId,
        draft: impl FnOnce() -> NewEntry<'a>,
    ) -> Result<Redriven> {
        if !self.wrote(&letter.of) {
            let foreign = letter.of.stream != self.handle.mill.number();
            let why =
                if foreign { "its original is of another stream" } else { "it is another group's" };
            return Err(Error::NotADeadLetter { id: letter_id, why });
        }
        self.desk.check_write()?;
        if self.is_stored(letter)?
            && let Some(redriven) = self.revive(&[letter.origin()])?.pop()
        {
            return Ok(redriven);
        }
        self.append_for_group(draft())
    }

    /// Whether a letter of this origin is one of this group.
    pub(super) fn wrote(&self, of: &Origin) -> bool {
        of.stream == self.handle.mill.number() && of.group == self.desk.incarnation
    }

    /// Whether the stream still has the entry that a letter is of.
    pub(super) fn is_stored(&self, letter: &DeadLetter) -> Result<bool> {
        let (mill, id) = (&self.handle.mill, letter.of.id);
        if id.partition() >= mill.ground.partitions() {
            return Ok(false);
        }
        // An id that a power cut took may be another entry's by now.
        Ok(mill.get(id)?.is_some_and(|original| original.salt(0) == letter.of.salt))
    }

    /// Appends an entry anew that is for this group alone.
    pub(super) fn append_for_group(&self, entry: NewEntry<'_>) -> Result<Redriven> {
        self.desk.check_write()?;
        let addressee = Some(self.desk.incarnation);
        let appended = self.handle.mill.append_addressed(&NewEntry { addressee, ..entry });
        appended.map(Redriven::Appended)
    }
}
