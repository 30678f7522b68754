//! Bringing back what a group set aside or gave up: for that group alone.

use super::groups::Seat;
use crate::clock::wall_time;
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::Revival;
use crate::letter::{DeadLetter, Redriven};
use crate::parked::{Parked, ParkedQuery};

/// So many parked entries are looked at under one lock.
const PAGE: usize = 1_000;

impl Seat {
    /// The parked entries that a query chooses.
    pub(crate) fn parked(&self, query: &ParkedQuery) -> Result<Vec<Parked>> {
        let filter = query.filter()?;
        let (mut found, mut first) = (Vec::new(), query.first());
        while found.len() < query.limit() {
            let page: Vec<Parked> = self.desk.look(|ledger, _| {
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
        let mill = &self.handle.mill;
        let refused = |why| Err(Error::NotADeadLetter { id: letter_id, why });
        if letter.of.stream != mill.number() {
            return refused("its original is of another stream");
        }
        if letter.of.group != self.desk.incarnation {
            return refused("it is another group's");
        }
        self.desk.check_write()?;
        if let Some(redriven) = self.revive(letter)? {
            return Ok(redriven);
        }
        let addressee = Some(self.desk.incarnation);
        mill.append_addressed(&NewEntry { addressee, ..draft() }).map(Redriven::Appended)
    }

    /// `None` if the original is gone.
    fn revive(&self, letter: &DeadLetter) -> Result<Option<Redriven>> {
        let (mill, id) = (&self.handle.mill, letter.of.id);
        // Nobody trims between the look at the log and the change.
        let _manifest = mill.manifest.lock();
        if id.partition() >= mill.ground.partitions() {
            return Ok(None);
        }
        let original = mill.get(id)?;
        if original.is_none_or(|original| original.salt(0) != letter.of.salt) {
            return Ok(None);
        }
        let revival =
            self.desk.change(|ledger, now, events| Ok(ledger.revive(now.at, id, events)))?;
        Ok(Some(match revival {
            Revival::Due => Redriven::Available(id),
            Revival::Open | Revival::Exhausted => Redriven::Open(id),
        }))
    }
}
