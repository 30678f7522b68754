//! An open stream, behind all its handles: appending, syncing, closing.
//!
//! # Locks, in their order
//! `unique`, `lock` (which closing holds), `manifest`, `desks`, then a desk's own, then a log's flush,
//! spare and writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::desk::Desk;
use super::draft::with_draft;
use super::ground::{Ground, Terms};
use super::manifest::Manifest;
use super::parcel::Parcel;
use super::retain::Keeper;
use super::unique::Unique;
use crate::clock::Moment;
use crate::durability::Durability;
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::hash::partition_of;
use crate::id::{EntryId, Ids};
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Draft, Fields, Outcome, Piece, Placed};
use crate::recovery::Recovery;

/// The groups of a stream by name, or why one cannot be opened.
pub(crate) type Desks = BTreeMap<String, Result<Arc<Desk>, Arc<Error>>>;

/// What a read of one partition came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Got {
    /// It brought so many entries.
    Entries(u32),
    /// The entry at the cursor was trimmed; the partition goes on at `start`.
    Trimmed { start: u64 },
}

/// One open stream.
#[derive(Debug)]
pub(crate) struct Mill {
    pub(crate) ground: Arc<Ground>,
    pub(super) terms: Terms,
    pub(crate) manifest: Mutex<Manifest>,
    /// The groups by name. One whose journal is damaged keeps the error instead.
    pub(crate) desks: RwLock<Desks>,
    pub(crate) recovery: Recovery,
    pub(crate) entry_bytes_max: u64,
    pub(crate) batch_bytes_max: u64,
    /// Which partition the next entry without a key goes to.
    pub(super) turn: AtomicU32,
    /// Which unique keys were appended. Locked by unique appends only, before all others.
    pub(super) unique: Mutex<Unique>,
    pub(super) lock: Mutex<Option<Box<dyn std::fmt::Debug + Send + Sync>>>,
    pub(crate) keeper: Keeper,
}

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

    /// The random number that says which stream it is.
    pub(crate) fn number(&self) -> u64 {
        self.terms.stream
    }

    /// Appends one entry.
    pub(crate) fn append(&self, entry: &NewEntry<'_>) -> Result<EntryId> {
        let (partition, placed) = self.place(entry)?;
        self.settle(partition, placed)?;
        Ok(EntryId::new(partition, placed.first))
    }

    /// Appends entries one by one, with one flush at the end.
    pub(crate) fn append_each<'a>(
        &self,
        entries: impl Iterator<Item = NewEntry<'a>>,
    ) -> Result<Vec<EntryId>> {
        let mut ids = Vec::with_capacity(entries.size_hint().0.min(4096));
        let mut last: BTreeMap<u32, Placed> = BTreeMap::new();
        let mut outcome = Ok(());
        for entry in entries {
            match self.place(&entry) {
                Ok((partition, mut placed)) => {
                    if std::mem::take(&mut placed.rolled) {
                        // Here, as the entries may be without end.
                        self.after_roll();
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
        self.ground.check_write()?;
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
        let placed = if let Some(piece) = Piece::plain(&fields) {
            log.append_one(&piece, time)?
        } else {
            with_draft(|draft| {
                draft.push(&fields);
                draft.finish();
                log.append(draft, time)
            })?
        };
        self.ground.note_write();
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

    /// Wakes the first blocked read of each group that may read a partition, and everybody who
    /// follows the stream.
    pub(super) fn ring(&self, partition: u32) {
        self.ground.audience.ring_all();
        let mut marked = Vec::new();
        for desk in self.desks.read().values().flatten() {
            desk.ring(partition);
            if desk.ready.is_marked() {
                marked.push(Arc::clone(desk));
            }
        }
        for desk in marked {
            desk.ready.call();
        }
    }

    /// Flushes if the oldest unsynced write is old enough.
    #[inline]
    pub(crate) fn flush_if_due(&self) -> Result<()> {
        let due = self.ground.flush_moment();
        if due < Moment::NEVER && due <= self.ground.time.now() {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes everything that was done so far durable: first the entries, then what was done with
    /// them.
    pub(crate) fn sync(&self) -> Result<()> {
        self.ground.check_write()?;
        self.ground.start_flush();
        let mut published = Vec::new();
        for (partition, log) in (0..).zip(self.ground.logs.iter()) {
            if log.flush_all()? {
                published.push(partition);
            }
        }
        for desk in self.each_desk() {
            desk.flush()?;
        }
        for partition in published {
            self.ring(partition);
        }
        Ok(())
    }

    /// Does what is due, and says when to call again.
    pub(crate) fn maintain(&self) -> Result<Option<Duration>> {
        self.ground.check_write()?;
        self.flush_if_due()?;
        // Asked before: what comes due meanwhile is not done, and nobody else may look for it.
        let now = self.ground.time.now();
        // One that fails keeps no other from what is due.
        let mut outcome = Ok(());
        for desk in self.each_desk() {
            outcome = outcome.and(desk.maintain());
            desk.bury();
        }
        outcome.and(self.retain())?;
        Ok(self.next_deadline_after(now))
    }

    /// How long until something is due.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.next_deadline_after(self.ground.time.now())
    }

    fn next_deadline_after(&self, now: Moment) -> Option<Duration> {
        let next_of = |desk: Arc<Desk>| desk.next_moment(now).min(desk.next_burial());
        let desks = self.each_desk().into_iter().map(next_of);
        let others = [self.ground.flush_moment(), self.next_retention(now)];
        let next = desks.chain(others).min().unwrap_or(Moment::NEVER);
        (next < Moment::NEVER).then(|| next.since(self.ground.time.now()))
    }

    /// The groups that are whole.
    pub(crate) fn each_desk(&self) -> Vec<Arc<Desk>> {
        self.desks.read().values().flatten().cloned().collect()
    }

    /// The entry of that id, if it is stored.
    pub(crate) fn get(&self, id: EntryId) -> Result<Option<Parcel>> {
        self.ground.check_open()?;
        let log = self.ground.logs.get(id.partition() as usize).ok_or(Error::NoSuchPartition {
            partition: id.partition(),
            partitions: self.ground.partitions(),
        })?;
        if id.offset() < log.start() || id.offset() >= log.visible() {
            return Ok(None);
        }
        let mut parcel = Parcel::new(&self.ground.pool);
        let mut cursor = Cursor::at(id.offset());
        let bounds = Bounds { entries: 1, bytes: 0, before: id.offset() + 1 };
        let got = self.read(id.partition(), &mut cursor, bounds, &mut parcel)?;
        // Between the look and the read it may have been trimmed.
        Ok(matches!(got, Got::Entries(_)).then_some(parcel))
    }

    /// Reads one run of a partition into `parcel`.
    pub(crate) fn read(
        &self,
        partition: u32,
        cursor: &mut Cursor,
        bounds: Bounds,
        parcel: &mut Parcel,
    ) -> Result<Got> {
        let log = &self.ground.logs[partition as usize];
        let mut run = self.ground.pool.take();
        let before = cursor.offset;
        if let Outcome::Trimmed { start } = log.read(cursor, bounds, &mut run)? {
            return Ok(Got::Trimmed { start });
        }
        let sequence = run.sequence;
        let (count, opened) = parcel.unpack(partition, run, std::iter::empty());
        if let Err(bad) = opened {
            cursor.seek(before + u64::from(count));
            if count == 0 {
                return Err(log.rot(sequence, bad.position, bad.offset));
            }
        }
        Ok(Got::Entries(count))
    }

    /// Ends the stream for every handle: whoever is blocked is sent away, all is flushed, and the
    /// lock is free when this returns. The first caller does it, the others get `Ok`.
    pub(crate) fn close(&self) -> Result<()> {
        if self.ground.storage.forked() {
            return Err(Error::Forked);
        }
        let mut lock = self.lock.lock();
        // Whoever is making or deleting a group, or adds partitions, ends before, or finds the stream
        // closed.
        let unchanging = self.manifest.lock();
        if !self.ground.shut() {
            return Ok(());
        }
        self.ground.audience.ring_all();
        let desks = self.each_desk();
        for desk in &desks {
            desk.end_waits();
        }
        let mut outcome = Ok(());
        for log in self.ground.logs.iter() {
            outcome = outcome.and(log.close());
        }
        for desk in &desks {
            outcome = outcome.and(desk.close());
        }
        *lock = None;
        drop(unchanging);
        drop(lock);
        for desk in desks {
            desk.ready.end();
        }
        outcome
    }
}

/// The most that a batch may take of a segment of that size.
pub(super) fn batch_bytes_max(segment_bytes: u64) -> u64 {
    // What is around frames in a segment is well under 1 KiB and a sixteenth.
    BATCH_BYTES_MAX.min(segment_bytes - segment_bytes / 16 - 1024)
}
