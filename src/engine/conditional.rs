//! Appending only behind what the caller believes to be the last entry.

use super::draft::with_draft;
use super::mill::Mill;
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::hash::partition_of;
use crate::id::EntryId;
use crate::observe;

impl Mill {
    /// Appends an entry to a partition if that ends with `last`, or never had an entry.
    pub(crate) fn append_behind(
        &self,
        partition: u32,
        last: Option<EntryId>,
        entry: &NewEntry<'_>,
    ) -> Result<EntryId> {
        let _told = observe::afterwards();
        self.ground.check_write()?;
        entry.check(self.entry_bytes_max)?;
        let log = self.ground.log(partition)?;
        if let Some(key) = entry.key {
            let chosen = partition_of(key, self.ground.partitions());
            if chosen != partition {
                return Err(Error::KeyElsewhere { named: partition, chosen });
            }
        }
        let end = match last {
            // No log has so many entries, so it is the last one of none.
            Some(last) => last.offset().saturating_add(1),
            None => 0,
        };
        let time = self.ground.time.wall_micros();
        let _calls = self.hooks_afterwards();
        self.check_room(partition)?;
        let append = || {
            with_draft(|draft| {
                draft.push(&entry.fields(time));
                draft.finish();
                let placed = log.append_at(end, draft, time)?;
                if placed.is_ok() {
                    self.ground.note_appended(1, draft.encoded_bytes());
                }
                Ok(placed)
            })
        };
        let placed = match append() {
            Err(error) if self.gave_back(&error) => append(),
            other => other,
        }?;
        let placed = placed.map_err(|end| {
            let found = end.checked_sub(1).map(|offset| EntryId::new(partition, offset));
            Error::Conflict { expected: last, last: found }
        })?;
        self.ground.note_write();
        self.settle(partition, placed)?;
        Ok(EntryId::new(partition, placed.first))
    }
}
