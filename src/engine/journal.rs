//! A group's journal: the ledger's events on a log of their own, each segment of which begins with
//! a snapshot, so that the newest whole one is all an opening needs.
//!
//! # Invariants
//! 1. An event is applied to the ledger only after its record was appended.
//! 2. A record holds the events of one call; a snapshot, the ledger before the next record.
//! 3. A segment is at least four times as long as its snapshot, so that snapshots stay a small
//!    part of all that is written.
//! 4. What an opening changes by itself (leases end) is kept in `backlog` and goes out with the
//!    next record: opening a clean directory writes nothing. A crash before that finds the same
//!    state again and comes to the same events.

use std::cell::Cell;

use super::ground::Terms;
use crate::clock::Time;
use crate::error::{Corruption, Error, Result};
use crate::ledger::{Event, Inconsistent, Ledger, Now, Policy, decode, encode};
use crate::log::{Draft, Kind, Log, OwnerKind, Piece, Place, frame_bytes, room_behind};
use crate::observe::{self, Signal};

/// A segment has room for this many times its snapshot behind it.
const SNAPSHOT_SHARE: u64 = 4;
/// A snapshot is cut into frames of this size.
const SNAPSHOT_FRAME_BYTES: usize = 1 << 20;

/// What the desk keeps under its lock to write its journal.
#[derive(Debug, Default)]
pub(super) struct Journal {
    record: Vec<u8>,
    backlog: Vec<u8>,
    /// How long the spare has to be.
    spare_bytes: u64,
    /// A segment was started since the last tidying up.
    rolled: bool,
}

/// A journal that was opened, and what it told.
pub(super) struct Opened {
    pub(super) log: Log,
    pub(super) ledger: Ledger,
    pub(super) journal: Journal,
    /// What is durable of it says that it is not closed.
    pub(super) marked: bool,
}

/// What opening a journal goes by.
pub(super) struct Origin<'a> {
    pub(super) number: u64,
    pub(super) policy: Policy,
    /// Where the group starts, in each partition of which nothing is told.
    pub(super) starts: &'a [u64],
    /// What the partitions hold.
    pub(super) log_starts: &'a [u64],
    pub(super) log_ends: &'a [u64],
}

/// Both faces of the clock.
pub(super) fn now_of(time: &Time) -> Now {
    Now { at: time.now(), wall: time.wall_micros() }
}

/// Replays a group's journal, ends all leases, and forgets what the logs no longer have.
pub(super) fn open(terms: &Terms, time: &Time, origin: &Origin<'_>) -> Result<Opened> {
    let (log, recovery) = Log::open(terms.settings(OwnerKind::Journal, origin.number))?;
    let now = now_of(time);
    let mut ledger = replay(terms, &log, origin, now)?;
    let mut events = Vec::new();
    let unclean = recovery.unclean;
    ledger.reopen(now, origin.log_starts, origin.log_ends, unclean, &mut events);
    let mut journal = Journal::default();
    encode(&events, &mut journal.backlog);
    let cut = ledger.outlives(origin.log_ends);
    for event in &events {
        ledger.apply(event);
    }
    let marked = unclean || cut;
    if marked {
        // Before any append: a new entry must never inherit what was said of a lost one.
        journal.record(&log, &ledger, &[], time)?;
        journal.tidy_up(&log, time)?;
        log.flush_all()?;
    }
    Ok(Opened { log, ledger, journal, marked })
}

fn replay(terms: &Terms, log: &Log, origin: &Origin<'_>, now: Now) -> Result<Ledger> {
    let (ledger, grown) =
        rebuild(log, |visit| log.replay_from(&mut Place::default(), visit), origin, now)?;
    if grown {
        // What is written from now on is of all partitions. It must not outlive the manifest.
        terms.settle_manifest()?;
    }
    Ok(ledger)
}

/// The ledger that the frames of a journal lead to, as `frames` hands them out. Says whether
/// partitions were added that the journal does not know.
pub(super) fn rebuild(
    log: &Log,
    frames: impl FnOnce(&mut dyn FnMut(Kind, &[u8]) -> Result<()>) -> Result<()>,
    origin: &Origin<'_>,
    now: Now,
) -> Result<(Ledger, bool)> {
    let mut snapshot = Vec::new();
    let mut replayed = None;
    let grown = Cell::new(false);
    let start = |snapshot: &[u8]| {
        let policy = origin.policy.clone();
        let mut ledger = Ledger::decode_snapshot(snapshot, policy, now, origin.log_ends)?;
        // Partitions may have been added since; the records that follow speak of them.
        let added = origin.starts.get(ledger.partitions()..);
        let added =
            added.ok_or(Inconsistent("the journal is of more partitions than the stream"))?;
        grown.set(!added.is_empty());
        ledger.grow(added);
        Ok(ledger)
    };
    frames(&mut |kind, body| match kind {
        Kind::Opening => Ok(()),
        Kind::Snapshot => {
            snapshot.extend_from_slice(body);
            Ok(())
        }
        Kind::Plain => replay_record(&mut replayed, &snapshot, start, body, origin, now)
            .map_err(|error| damaged(log, error)),
        Kind::Entries => Err(damaged(log, Inconsistent("a journal holds records only"))),
    })?;
    let ledger = match replayed {
        Some(ledger) => ledger,
        None if !snapshot.is_empty() => start(&snapshot).map_err(|error| damaged(log, error))?,
        None => Ledger::new(origin.policy.clone(), origin.starts),
    };
    Ok((ledger, grown.get()))
}

fn replay_record(
    replayed: &mut Option<Ledger>,
    snapshot: &[u8],
    start: impl Fn(&[u8]) -> Result<Ledger, Inconsistent>,
    body: &[u8],
    origin: &Origin<'_>,
    now: Now,
) -> Result<(), Inconsistent> {
    let ledger = match replayed {
        Some(ledger) => ledger,
        None => replayed.insert(start(snapshot)?),
    };
    for event in decode(body, now)? {
        ledger.replay(event, origin.log_ends)?;
    }
    Ok(())
}

/// What is said of a journal that contradicts itself.
pub(super) fn damaged(log: &Log, Inconsistent(what): Inconsistent) -> Error {
    let file = log.settings.storage.locate(&log.settings.dir);
    Error::Corrupt(Box::new(Corruption { file, position: 0, first: None, end: None, what }))
}

impl Journal {
    /// Appends what is about to happen to the ledger. On an error nothing was written that counts,
    /// and the events must not be applied.
    pub(super) fn record(
        &mut self,
        log: &Log,
        ledger: &Ledger,
        events: &[Event],
        time: &Time,
    ) -> Result<()> {
        self.record.clear();
        self.record.extend_from_slice(&self.backlog);
        encode(events, &mut self.record);
        if self.record.is_empty() {
            return Ok(());
        }
        if !log.fits(frame_bytes(self.record.len() as u64)) {
            // The snapshot shows what the backlog led to.
            self.record.clear();
            encode(events, &mut self.record);
            let gives =
                |event: &Event| matches!(event, Event::HandedOut { .. } | Event::Claimed { .. });
            let settles = !events.iter().any(gives);
            self.roll(log, ledger, settles, now_of(time))?;
        }
        if !self.record.is_empty() {
            // Only what who looks on counts time from has one: an ack reads no clock.
            let timed = events.iter().any(Event::begins_time);
            let wall = if timed { time.wall_micros() } else { 0 };
            log.append_one(&Piece::record(&self.record), wall)?;
        }
        self.backlog.clear();
        Ok(())
    }

    fn roll(&mut self, log: &Log, ledger: &Ledger, settles: bool, now: Now) -> Result<()> {
        let mut snapshot = Vec::new();
        ledger.encode_snapshot(now, &mut snapshot);
        let mut draft = Draft::default();
        for piece in snapshot.chunks(SNAPSHOT_FRAME_BYTES) {
            draft.push_frame(Kind::Snapshot, 0, piece);
        }
        let share = snapshot.len() as u64 * (SNAPSHOT_SHARE - 1);
        let bytes = share.min(room_behind(draft.frames_bytes()));
        let record_bytes = frame_bytes(self.record.len() as u64);
        match log.roll_with(&draft, bytes.max(record_bytes), now.wall) {
            // A spare that is short of the share has room for what settles, not for hand-outs.
            Err(error) if error.is_disk_full() && settles => {
                log.roll_with(&draft, record_bytes, now.wall)?;
            }
            other => other?,
        }
        let snapshot_bytes = snapshot.len() as u64;
        observe::note(&log.settings.source, || Signal::Snapshot { bytes: snapshot_bytes });
        // The next snapshot is likely to be about as long.
        self.spare_bytes = snapshot.len() as u64 * SNAPSHOT_SHARE * 2;
        self.rolled = true;
        Ok(())
    }

    /// Whether a segment was started, so that [`tidy_up`] has to be called without the lock.
    pub(super) fn take_rolled(&mut self) -> Option<u64> {
        std::mem::take(&mut self.rolled).then_some(self.spare_bytes)
    }

    fn tidy_up(&mut self, log: &Log, time: &Time) -> Result<()> {
        match self.take_rolled() {
            Some(spare_bytes) => tidy_up(log, spare_bytes, time),
            None => Ok(()),
        }
    }
}

/// Begins a journal with what the ledger is.
pub(super) fn found(log: &Log, ledger: &Ledger, now: Now) -> Result<()> {
    Journal::default().roll(log, ledger, false, now)
}

/// Makes the newest segment durable, removes the ones before it, and makes the next one ahead of
/// its use. Flushes, so it is called without the group's lock.
pub(super) fn tidy_up(log: &Log, spare_bytes: u64, time: &Time) -> Result<()> {
    log.flush_all()?;
    log.keep_newest()?;
    log.prepare_spare(spare_bytes, time.wall_micros())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::clock::{ManualClock, time_of};
    use crate::engine::manifest::Manifest;
    use crate::engine::{GroupPlan, Handle, Made, Mill, Plan, Trial, open_group};
    use crate::entry::NewEntry;
    use crate::latch::Latch;
    use crate::start::Start;
    use crate::storage::{Memory, Storage};

    fn open(storage: &Memory, partitions: Option<u32>) -> Arc<Handle> {
        let plan = Plan {
            partitions,
            segment_bytes: None,
            entry_bytes_max: None,
            durability: None,
            retention: None,
            unique_max: None,
            time: time_of(&ManualClock::new()),
            trial: Trial::default(),
        };
        let mill = Mill::open(Arc::new(storage.clone()), Made::IfMissing, plan).unwrap();
        Arc::new(Handle { mill })
    }

    #[test]
    fn a_journal_of_more_partitions_closes_its_group_and_not_the_stream() {
        let storage = Memory::new();
        let handle = open(&storage, Some(2));
        let group = |handle: &Arc<Handle>, name: &str| {
            let plan = GroupPlan::default();
            open_group(handle, name, Made::IfMissing, &plan, Some(&Start::Earliest))
        };
        group(&handle, "g").unwrap().desk.join("w").unwrap();
        handle.mill.close().unwrap();

        let mut manifest = Manifest::load(&storage).unwrap().unwrap();
        manifest.partitions = 1;
        manifest.groups[0].starts.pop();
        let lock = storage.lock(false).unwrap();
        manifest.save(&storage, &Latch::default()).unwrap();
        drop(lock);

        let handle = open(&storage, None);
        assert!(group(&handle, "g").unwrap_err().is_corrupt());
        handle.mill.append(&NewEntry::new("c")).unwrap();
        group(&handle, "other").unwrap().desk.join("w").unwrap();
    }
}
