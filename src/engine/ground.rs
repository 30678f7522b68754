//! The ground that everything in one open stream stands on: storage, time, the partitions' logs,
//! and whether the stream still takes calls.
//!
//! # Invariants
//! 1. Once closed, always closed; the logs refuse appends by themselves from then on.
//! 2. `unsynced_since` is zero exactly when no write waits for the next timed flush; it may name a
//!    moment that is earlier than the oldest such write, never a later one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::addressed::Addressed;
use super::manifest::StoredRange;
use super::pool::Pool;
use super::shelf::Shelf;
use crate::clock::{Moment, Time, wall_micros};
use crate::durability::Durability;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::latch::Latch;
use crate::log::{Log, Mode, Owner, OwnerKind, Salts, Settings, Staging};
use crate::observe::{self, Signal, Source};
use crate::start::Start;
use crate::storage::Storage;
use crate::tally::Tally;
use crate::waiters::Waiters;

/// A journal's first segment is this long.
const JOURNAL_FIRST_BYTES: u64 = 64 << 10;
/// A partition's first segment is this long.
const PARTITION_FIRST_BYTES: u64 = 1 << 20;

/// What all parts of an open stream share.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) time: Time,
    pub(crate) latch: Arc<Latch>,
    pub(crate) tally: Tally,
    /// One log for each partition.
    pub(crate) logs: Shelf<Log>,
    /// Where entries for one group alone may stand.
    pub(crate) addressed: Addressed,
    pub(crate) pool: Arc<Pool>,
    pub(crate) durability: Durability,
    /// As what the stream tells what happens.
    pub(crate) source: Source,
    /// Blocked readers and subscriptions: all of them wake for every append.
    pub(crate) audience: Waiters,
    pub(super) mode: Mode,
    closed: AtomicBool,
    unsynced_since: AtomicU64,
}

/// What a log needs that does not depend on whose it is.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) latch: Arc<Latch>,
    pub(crate) salts: Arc<Salts>,
    pub(crate) tally: Tally,
    pub(crate) stream: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) durability: Durability,
    pub(crate) mode: Mode,
    pub(crate) source: Source,
    /// The manifest that was found is on the disk, whatever becomes of the machine.
    pub(crate) settled: Arc<AtomicBool>,
    #[cfg(test)]
    pub(crate) controls: crate::log::Controls,
}

impl Terms {
    /// Makes sure, once, that the manifest that opening found stays. The process that wrote it may
    /// have been killed before it had synced the name.
    pub(super) fn settle_manifest(&self) -> Result<()> {
        if !self.settled.load(Ordering::Relaxed) {
            let failed = |error| Error::io("sync", self.storage.locate(""), 0, error);
            self.storage.sync_dir("").map_err(|error| self.latch.trip(&failed(error)))?;
            self.settled.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The settings of one log.
    pub(crate) fn settings(&self, kind: OwnerKind, number: u64) -> Settings {
        let (dir, first_bytes) = match kind {
            OwnerKind::Partition => (format!("p{number}"), PARTITION_FIRST_BYTES),
            OwnerKind::Journal => (format!("g{number}"), JOURNAL_FIRST_BYTES),
        };
        // A journal is never staged: what is written but not waited for (a hand-out) has to be with
        // the operating system all the same, or an entry that kills the process is never counted.
        let staging = match (self.durability, kind) {
            (Durability::Always, OwnerKind::Partition) => Staging::On,
            _ => Staging::Off,
        };
        Settings {
            storage: Arc::clone(&self.storage),
            dir,
            owner: Owner { kind, stream: self.stream, number },
            latch: Arc::clone(&self.latch),
            salts: Arc::clone(&self.salts),
            first_bytes: first_bytes.min(self.segment_bytes),
            segment_bytes: self.segment_bytes,
            staging,
            mode: self.mode,
            waiting: self.tally.clone(),
            source: self.source.clone(),
            #[cfg(test)]
            controls: self.controls,
        }
    }
}

impl Ground {
    pub(crate) fn new(
        terms: &Terms,
        time: Time,
        logs: Vec<Log>,
        addressed: &[StoredRange],
    ) -> Self {
        Self {
            storage: Arc::clone(&terms.storage),
            time,
            latch: Arc::clone(&terms.latch),
            tally: terms.tally.clone(),
            logs: Shelf::new(logs),
            addressed: Addressed::new(addressed),
            pool: Arc::default(),
            durability: terms.durability,
            source: terms.source.clone(),
            mode: terms.mode,
            audience: Waiters::new(&terms.tally),
            closed: AtomicBool::new(false),
            unsynced_since: AtomicU64::new(0),
        }
    }

    /// Refuses calls on a stream that was closed, or whose handle was carried over a fork.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        if self.storage.forked() {
            return Err(Error::Forked);
        }
        Ok(())
    }

    /// As [`check_open`](Self::check_open), and refuses writes after a failed flush.
    #[inline]
    pub(crate) fn check_write(&self) -> Result<()> {
        self.check_open()?;
        self.check_mode()?;
        self.latch.check()
    }

    /// Refuses to change a stream that was opened for reading only.
    #[inline]
    pub(crate) fn check_mode(&self) -> Result<()> {
        if self.mode == Mode::Read { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Marks the stream as closed. Says whether this call did it.
    pub(crate) fn shut(&self) -> bool {
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// How many partitions there are.
    pub(crate) fn partitions(&self) -> u32 {
        u32::try_from(self.logs.len()).expect("bounded by PARTITIONS_MAX")
    }

    /// The log of a partition.
    pub(crate) fn log(&self, partition: u32) -> Result<&Log> {
        let log = self.logs.get(partition as usize);
        log.ok_or_else(|| Error::NoSuchPartition { partition, partitions: self.partitions() })
    }

    /// The offsets at which the partitions end, as readers see them.
    pub(crate) fn ends(&self) -> Vec<u64> {
        self.logs.iter().map(Log::visible).collect()
    }

    /// Notes that something was written that a timed flush has to carry.
    #[inline]
    pub(crate) fn note_write(&self) {
        if matches!(self.durability, Durability::Every(_))
            && self.unsynced_since.load(Ordering::Relaxed) == 0
        {
            let now = self.time.now().0 + 1;
            // Somebody who was faster named an earlier moment, which is as good.
            let _ =
                self.unsynced_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// Notes that entries were appended, of so many bytes as they are encoded.
    #[inline]
    pub(super) fn note_appended(&self, entries: u64, bytes: u64) {
        observe::note_often(&self.source, || Signal::Appended { entries, bytes });
    }

    /// When the timed flush is due.
    #[inline]
    pub(crate) fn flush_moment(&self) -> Moment {
        match (self.durability, self.unsynced_since.load(Ordering::Relaxed)) {
            (Durability::Every(interval), since) if since > 0 => Moment(since - 1).after(interval),
            _ => Moment::NEVER,
        }
    }

    /// Forgets the oldest unsynced write, because a flush that is about to start carries it.
    pub(crate) fn start_flush(&self) {
        self.unsynced_since.store(0, Ordering::Relaxed);
    }

    /// The first offset of each partition for a start. One that is named may be trimmed already.
    pub(crate) fn places(&self, start: &Start) -> Result<Vec<u64>> {
        match start {
            Start::Earliest => Ok(self.logs.iter().map(Log::start).collect()),
            Start::Latest => Ok(self.ends()),
            Start::At(id) => self.resolve_ids(std::slice::from_ref(id)),
            Start::Each(ids) => self.resolve_ids(ids),
            Start::Since(time) => {
                let time = wall_micros(*time);
                self.logs.iter().map(|log| log.since(time)).collect()
            }
        }
    }

    fn resolve_ids(&self, ids: &[EntryId]) -> Result<Vec<u64>> {
        let mut starts: Vec<u64> = self.logs.iter().map(Log::start).collect();
        let partitions = self.partitions();
        for id in ids {
            let partition = id.partition();
            let Some(start) = starts.get_mut(partition as usize) else {
                return Err(Error::NoSuchPartition { partition, partitions });
            };
            let end = self.logs[partition as usize].visible();
            if id.offset() > end {
                return Err(Error::StartBeyondEnd { start: *id, end });
            }
            *start = id.offset();
        }
        Ok(starts)
    }
}
