//! An open stream, behind all its handles: waking, syncing, reading, closing.
//!
//! # Locks, in their order
//! `unique`, `lock` (which closing holds), `manifest`, `desks`, then a desk's own, then a log's flush,
//! spare and writer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::desk::Desk;
use super::ground::{Ground, Terms};
use super::manifest::Manifest;
use super::parcel::Parcel;
use super::retain::Keeper;
use super::unique::Unique;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Outcome};
use crate::observe::{self, Signal, Span};
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
    /// The manifest as it was last read, where the stream is open for reading only.
    pub(super) manifest_bytes: Mutex<Vec<u8>>,
}

impl Mill {
    /// The random number that says which stream it is.
    pub(crate) fn number(&self) -> u64 {
        self.terms.stream
    }

    /// Wakes the first blocked read of each group that may read a partition, and everybody who
    /// follows the stream. The caller holds no lock.
    pub(super) fn ring(&self, partition: u32) {
        for desk in self.wake(partition) {
            desk.ready.call();
        }
    }

    /// The same where locks may be held: hooks are marked only. Gives the groups that have some to
    /// call.
    pub(super) fn wake(&self, partition: u32) -> Vec<Arc<Desk>> {
        self.ground.audience.ring_all();
        let mut marked = Vec::new();
        for desk in self.desks.read().values().flatten() {
            desk.ring(partition);
            if desk.ready.is_marked() {
                marked.push(Arc::clone(desk));
            }
        }
        marked
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
        let _told = observe::within(&self.ground.source, Span::Sync);
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
        let _told = observe::within(&self.ground.source, Span::Maintain);
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
        if id.partition() >= self.ground.partitions() {
            self.follow_manifest()?;
        }
        let log = self.ground.logs.get(id.partition() as usize).ok_or(Error::NoSuchPartition {
            partition: id.partition(),
            partitions: self.ground.partitions(),
        })?;
        let _changed = self.look_at(log)?;
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
        let _told = observe::within(&self.ground.source, Span::Close);
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
        observe::note(&self.ground.source, || Signal::Closed);
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
