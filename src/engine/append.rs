//! Appending to a stream: which partition an entry goes to, the checks before, the flush and the
//! wake-ups after.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use super::draft::with_draft;
use super::mill::Mill;
use crate::durability::Durability;
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::hash::partition_of;
use crate::id::{EntryId, Ids};
use crate::log::{Draft, Fields, Piece, Placed};
use crate::observe;

impl Mill {
    /// The partition of so many for the next entry: by its key, else in turn.
    #[inline]
    pub(super) fn choose(&self, key: Option<&[u8]>, partitions: u32) -> u32 {
        match (key, partitions) {
            (_, 1) => 0,
            (Some(key), partitions) => partition_of(key, partitions),
            (None, partitions) => self.turn.fetch_add(1, Ordering::Relaxed) % partitions,
        }
    }

    /// Appends one entry.
    pub(crate) fn append(&self, entry: &NewEntry<'_>) -> Result<EntryId> {
        let _told = observe::afterwards();
        let _calls = self.hooks_afterwards();
        let (partition, placed) = self.place(entry)?;
        self.settle(partition, placed)?;
        Ok(EntryId::new(partition, placed.first))
    }

    /// Appends entries one by one, with one flush at the end.
    pub(crate) fn append_each<'a>(
        &self,
        entries: impl Iterator<Item = NewEntry<'a>>,
    ) -> Result<Vec<EntryId>> {
        let _told = observe::afterwards();
        let _calls = self.hooks_afterwards();
        let mut ids = Vec::with_capacity(entries.size_hint().0.min(4096));
        let mut last: BTreeMap<u32, Placed> = BTreeMap::new();
        let mut outcome = Ok(());
        for entry in entries {
            match self.place(&entry) {
                Ok((partition, mut placed)) => {
                    if std::mem::take(&mut placed.rolled) {
                        // Here, as the entries may be without end.
                        self.after_roll();
                        observe::tell();
                    }
                    ids.push(EntryId::new(partition, placed.first));
                    let before = last.insert(partition, placed);
                    if let (Some(before), Some(now)) = (before, last.get_mut(&partition)) {
                        now.ring |= before.ring;
                        now.flush |= before.flush;
                    }
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        for (partition, placed) in last {
            self.settle(partition, placed)?;
        }
        outcome.map(|()| ids)
    }

    /// Appends entries as a whole.
    pub(crate) fn append_batch<'a>(
        &self,
        entries: impl Iterator<Item = NewEntry<'a>>,
    ) -> Result<Ids> {
        let _told = observe::afterwards();
        self.ground.check_write()?;
        let _calls = self.hooks_afterwards();
        let (partition, placed) = with_draft(|draft| {
            let partition = self.fill(draft, entries)?;
            draft.finish();
            if draft.count() == 0 {
                let end = self.ground.logs[partition as usize].visible();
                return Ok((partition, Placed { first: end, end, ..Placed::default() }));
            }
            self.check_room(partition)?;
            let time = self.ground.time.wall_micros();
            let log = &self.ground.logs[partition as usize];
            let placed = match log.append(draft, time) {
                Err(error) if self.gave_back(&error) => log.append(draft, time),
                other => other,
            }?;
            self.ground.note_write();
            self.ground.note_appended(placed.end - placed.first, draft.encoded_bytes());
            Ok((partition, placed))
        })?;
        if placed.end > placed.first {
            self.settle(partition, placed)?;
        }
        Ok(Ids::new(partition, placed.first, placed.end))
    }

    /// Encodes a batch and finds the one partition that all of it goes to.
    fn fill<'a>(
        &self,
        draft: &mut Draft,
        entries: impl Iterator<Item = NewEntry<'a>>,
    ) -> Result<u32> {
        let mut keyed = None;
        // Asked once: equal keys belong together, also if partitions are added meanwhile.
        let partitions = self.ground.partitions();
        for entry in entries {
            entry.check(self.entry_bytes_max)?;
            if entry.key.is_some() {
                let chosen = self.choose(entry.key, partitions);
                let first = *keyed.get_or_insert(chosen);
                if first != chosen {
                    return Err(Error::BatchSpansPartitions { first, other: chosen });
                }
            }
            let wall = entry.delivery.map_or(0, |_| self.ground.time.wall_micros());
            draft.push(&entry.fields(wall));
            let bytes = draft.encoded_bytes();
            if bytes > self.batch_bytes_max {
                return Err(Error::BatchTooLarge { bytes, max: self.batch_bytes_max });
            }
        }
        Ok(keyed.unwrap_or_else(|| self.choose(None, partitions)))
    }

    /// Checks an entry and puts it into its partition's log.
    #[inline]
    fn place(&self, entry: &NewEntry<'_>) -> Result<(u32, Placed)> {
        self.place_at(entry, self.ground.time.wall_micros(), None)
    }

    /// The same at a time that was looked at before, with what makes the entry unique.
    #[inline]
    pub(super) fn place_at(
        &self,
        entry: &NewEntry<'_>,
        time: u64,
        unique: Option<&[u8]>,
    ) -> Result<(u32, Placed)> {
        match self.try_place(entry, time, unique) {
            Err(error) if self.gave_back(&error) => self.try_again(entry, time, unique),
            other => other,
        }
    }

    #[cold]
    #[inline(never)]
    fn try_again(
        &self,
        entry: &NewEntry<'_>,
        time: u64,
        unique: Option<&[u8]>,
    ) -> Result<(u32, Placed)> {
        self.try_place(entry, time, unique)
    }

    #[inline]
    fn try_place(
        &self,
        entry: &NewEntry<'_>,
        time: u64,
        unique: Option<&[u8]>,
    ) -> Result<(u32, Placed)> {
        self.ground.check_write()?;
        entry.check_unique(self.entry_bytes_max, unique)?;
        let partition = self.choose(entry.key, self.ground.partitions());
        self.check_room(partition)?;
        let log = &self.ground.logs[partition as usize];
        let fields = Fields { unique, ..entry.fields(time) };
        let (placed, bytes) = if let Some(piece) = Piece::plain(&fields) {
            (log.append_one(&piece, time)?, piece.body.len() as u64)
        } else {
            with_draft(|draft| {
                draft.push(&fields);
                draft.finish();
                log.append(draft, time).map(|placed| (placed, draft.encoded_bytes()))
            })?
        };
        self.ground.note_write();
        self.ground.note_appended(1, bytes);
        Ok((partition, placed))
    }

    /// What has to follow an append: the flush that was promised, and waking who waits.
    #[inline]
    pub(super) fn settle(&self, partition: u32, placed: Placed) -> Result<()> {
        let mut ring = placed.ring;
        if self.ground.durability == Durability::Always {
            ring |= self.ground.logs[partition as usize].flush_to(placed.end)?;
        } else if placed.flush {
            self.ground.logs[partition as usize].flush_all()?;
        } else {
            self.flush_if_due()?;
        }
        if ring {
            self.ring(partition);
        }
        if placed.rolled {
            self.after_roll();
        }
        Ok(())
    }
}
