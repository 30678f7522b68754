//! What goes of the log, and which appends are refused until more may go.
//!
//! # Invariants
//! 1. Whatever trims does it in [`Mill::take`], under `manifest`: nobody makes a group, deletes or
//!    resets one meanwhile, so what a group needs only moves on. No code of the user is called.
//! 2. Every group is told first, and what it knows is durable before a file goes. So a power cut
//!    never leaves a group that needs what is gone, unless it was told and counted that.
//! 3. `full` is set exactly if `crowded` is not empty.
//! 4. Hooks that a trim marks are called once the call that made it holds no lock: `uncalled` says so
//!    until then.
//!
//! # When
//! An append that started a segment looks at all partitions, since the others may have old or settled
//! segments, too; so do `maintain` and `trim`. Acks do not: they would have to compare floors of all
//! groups each time, and what a queue keeps a little longer is one segment. An append that is
//! refused looks again first, so that acks alone make room.
//!
//! What fails after an append is not that append's failure, as its entries are there. It is tried
//! again with the next segment, and `maintain` and `trim` tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use super::desk::Desk;
use super::journal::now_of;
use super::manifest::{Manifest, StoredRetention};
use super::mill::Mill;
use super::open::{duration, micros};
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::info::{Holder, Trimmed, TrimmedPartition};
use crate::limits::{aged, lasting, within};
use crate::log::retain::{Limits, choose};
use crate::log::{self, Log};
use crate::loss::Loss;
use crate::observe::{self, Refusal, Signal, Span};
use crate::retention::Retention;

/// What a stream's retention is, and what it came to.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) retention: Retention,
    /// Whether any partition is full.
    full: AtomicBool,
    /// A trim may have marked hooks, and nobody has called them since.
    pub(super) uncalled: AtomicBool,
    /// The partitions that are, and what bounds them.
    crowded: Mutex<BTreeMap<u32, Bound>>,
    /// Partitions of which files could not be removed.
    behind: Mutex<BTreeSet<u32>>,
}

/// The bound that a partition has reached.
#[derive(Clone, Copy, Debug)]
enum Bound {
    Bytes(u64),
    Age(Duration),
    Entries(u64),
}

/// The first entry of a partition that must not go, and the group that needs it.
#[derive(Clone, Debug)]
struct Need {
    first: u64,
    holder: Option<String>,
}

impl Keeper {
    pub(super) fn new(stored: &StoredRetention) -> Self {
        let StoredRetention { settled, bytes, age, entries, idle } = *stored;
        let (age, idle) = (age.map(duration), idle.map(duration));
        Self {
            retention: Retention { settled, bytes, age, entries, idle },
            full: AtomicBool::new(false),
            uncalled: AtomicBool::new(false),
            crowded: Mutex::default(),
            behind: Mutex::default(),
        }
    }

    fn limits(&self) -> Limits {
        let Retention { bytes, age, entries, .. } = self.retention;
        Limits { bytes, age, entries }
    }

    /// Each limit alone.
    fn bounds(&self) -> impl Iterator<Item = (Bound, Limits)> {
        let Retention { bytes, age, entries, .. } = self.retention;
        let none = Limits::default();
        let bytes = bytes.map(|n| (Bound::Bytes(n), Limits { bytes: Some(n), ..none }));
        let age = age.map(|d| (Bound::Age(d), Limits { age: Some(d), ..none }));
        let entries = entries.map(|n| (Bound::Entries(n), Limits { entries: Some(n), ..none }));
        [bytes, entries, age].into_iter().flatten()
    }
}

/// How a retention is stored.
pub(super) fn stored(retention: &Retention) -> StoredRetention {
    let Retention { settled, bytes, age, entries, idle } = *retention;
    StoredRetention { settled, bytes, age: age.map(micros), entries, idle: idle.map(micros) }
}

/// Refuses bounds of nothing, and ages beyond all use.
pub(crate) fn check_retention(retention: &Retention) -> Result<()> {
    within("retention (bytes)", retention.bytes.unwrap_or(1), 1, u64::MAX)?;
    within("retention (entries)", retention.entries.unwrap_or(1), 1, u64::MAX)?;
    retention.age.map_or(Ok(()), |age| aged("retention (age)", age))?;
    retention.idle.map_or(Ok(()), |idle| lasting("retention (ignore_idle_groups_after)", idle))
}

impl Bound {
    fn error(self) -> Error {
        let (what, bound) = match self {
            Self::Bytes(bytes) => ("the bytes of a partition", bytes.to_string()),
            Self::Age(age) => ("the oldest entries of a partition", format!("{age:?}")),
            Self::Entries(entries) => ("the entries of a partition", entries.to_string()),
        };
        Error::StreamFull { what, bound: bound.into() }
    }
}

impl Mill {
    /// Refuses an append to a partition that is full.
    #[inline]
    pub(super) fn check_room(&self, partition: u32) -> Result<()> {
        if self.keeper.full.load(Ordering::Relaxed) { self.make_room(partition) } else { Ok(()) }
    }

    #[cold]
    fn make_room(&self, partition: u32) -> Result<()> {
        let bound = || self.keeper.crowded.lock().get(&partition).copied();
        if bound().is_some() {
            self.retain_quietly()?;
        }
        let Some(bound) = bound() else { return Ok(()) };
        observe::note(&self.ground.source, || Signal::Refused(Refusal::StreamFull));
        Err(bound.error())
    }

    /// Whether an append that found the disk full may try again, because something went.
    #[cold]
    pub(super) fn gave_back(&self, error: &Error) -> bool {
        error.is_disk_full() && self.retain_quietly().is_ok_and(|trimmed| trimmed.bytes() > 0)
    }

    /// What follows an append that started a segment.
    #[cold]
    pub(super) fn after_roll(&self) {
        // Nothing of this is that append's failure; see above.
        let _ = self.retain_quietly();
    }

    /// Keeps everything as it is: while this is held nothing is trimmed.
    pub(crate) fn steady(&self) -> MutexGuard<'_, Manifest> {
        self.manifest.lock()
    }

    /// Removes what may go.
    pub(crate) fn retain(&self) -> Result<Trimmed> {
        let _told = observe::within(&self.ground.source, Span::Trim);
        let _calls = self.hooks_afterwards();
        self.retain_quietly()
    }

    /// The same for appends, which may hold a lock: they call hooks at their end.
    fn retain_quietly(&self) -> Result<Trimmed> {
        if self.keeper.retention.keeps_all() {
            return Ok(Trimmed::default());
        }
        let _steady = self.steady();
        self.ground.check_write()?;
        let taken = self.take(&self.aims());
        self.judge();
        self.owe_hooks();
        taken
    }

    /// Removes the whole segments of a partition that lie below `id`. Says how many entries went.
    pub(crate) fn trim_before(&self, id: EntryId) -> Result<u64> {
        let _told = observe::within(&self.ground.source, Span::Trim);
        self.ground.check_write()?;
        let _calls = self.hooks_afterwards();
        let _steady = self.steady();
        self.ground.check_write()?;
        let aim = self.ground.log(id.partition())?.trim_point(id.offset());
        let taken = self.take(&[(id.partition(), aim)]);
        self.judge();
        self.owe_hooks();
        taken.map(|taken| taken.entries())
    }

    /// The logs of which anything can go.
    fn candidates(&self) -> impl Iterator<Item = (u32, &Log)> {
        (0..).zip(self.ground.logs.iter()).filter(|(_, log)| log.segment_count() > 1)
    }

    /// How far each partition is to be trimmed.
    fn aims(&self) -> Vec<(u32, u64)> {
        let mut aims: BTreeMap<u32, u64> = BTreeMap::new();
        for partition in &*self.keeper.behind.lock() {
            aims.insert(*partition, self.ground.logs[*partition as usize].start());
        }
        if self.keeper.retention.settled {
            for (partition, need) in self.needs() {
                let aim = self.ground.logs[partition as usize].trim_point(need.first);
                aims.insert(partition, aim);
            }
        } else {
            let (limits, wall) = (self.keeper.limits(), self.ground.time.wall_micros());
            for (partition, log) in self.candidates() {
                if let Some(aim) = choose(&limits, &log.stored(), wall) {
                    aims.insert(partition, aim);
                }
            }
        }
        let behind = self.keeper.behind.lock();
        let moves = |(partition, aim): &(u32, u64)| {
            behind.contains(partition) || self.ground.logs[*partition as usize].trims(*aim)
        };
        aims.into_iter().filter(moves).collect()
    }

    /// What groups still need of the partitions of which anything can go.
    fn needs(&self) -> Vec<(u32, Need)> {
        let partitions: Vec<u32> = self.candidates().map(|(partition, _)| partition).collect();
        if partitions.is_empty() {
            return Vec::new();
        }
        let desks = self.desks.read().clone();
        // Without a group nothing was settled by anybody.
        let first = if desks.is_empty() { 0 } else { u64::MAX };
        let mut needs = vec![Need { first, holder: None }; partitions.len()];
        for (name, desk) in &desks {
            let firsts = if let Ok(desk) = desk {
                desk.needs(&partitions, self.keeper.retention.idle)
            } else {
                // Nobody can tell what it needs.
                Some(partitions.iter().map(|p| self.ground.logs[*p as usize].start()).collect())
            };
            for (need, first) in needs.iter_mut().zip(firsts.into_iter().flatten()) {
                if first < need.first {
                    *need = Need { first, holder: Some(name.clone()) };
                }
            }
        }
        partitions.into_iter().zip(needs).collect()
    }

    /// Trims partitions: groups first, then files.
    fn take(&self, aims: &[(u32, u64)]) -> Result<Trimmed> {
        let mut trimmed = Trimmed::default();
        if aims.is_empty() {
            return Ok(trimmed);
        }
        let desks = self.each_desk();
        let mut losses: Vec<Vec<(String, Loss)>> = Vec::with_capacity(aims.len());
        for (partition, aim) in aims {
            let mut losers = Vec::new();
            for desk in &desks {
                let lost = desk.trimmed(*partition, *aim)?;
                if !lost.is_empty() {
                    losers.push((desk.name.to_string(), lost));
                }
            }
            losses.push(losers);
        }
        desks.iter().try_for_each(|desk| desk.flush())?;
        for ((partition, aim), lost) in aims.iter().zip(losses) {
            let (start, end, bytes) = self.trim_log(*partition, *aim)?;
            if end > start || bytes > 0 {
                let partition = *partition;
                trimmed.partitions.push(TrimmedPartition { partition, start, end, bytes, lost });
            }
        }
        Ok(trimmed)
    }

    fn trim_log(&self, partition: u32, aim: u64) -> Result<(u64, u64, u64)> {
        let log = &self.ground.logs[partition as usize];
        let Retention { settled, entries, .. } = self.keeper.retention;
        // So many are to stay whatever becomes of the machine, and not only of the process.
        let first = if entries.is_some() && !settled { log.flush_all() } else { Ok(false) };
        let trim = |ring| log.trim_to(aim).map(|t| log::Trimmed { ring: ring | t.ring, ..t });
        let outcome = first.and_then(trim);
        match &outcome {
            Ok(_) => self.keeper.behind.lock().remove(&partition),
            Err(_) => self.keeper.behind.lock().insert(partition),
        };
        // A flush on the way may have made entries visible, also if something failed behind it.
        if outcome.as_ref().map_or(true, |trimmed| trimmed.ring) {
            drop(self.wake(partition));
        }
        let log::Trimmed { first: start, end, bytes, .. } = outcome?;
        if end > start || bytes > 0 {
            let trimmed = || Signal::Trimmed { partition, start, end, bytes };
            observe::note(&self.ground.source, trimmed);
        }
        Ok((start, end, bytes))
    }

    /// Finds out which partitions are full: those of which a limit says that something is to go,
    /// after all has gone that groups do not need.
    pub(super) fn judge(&self) {
        let keeper = &self.keeper;
        if !keeper.retention.settled || !keeper.retention.has_limit() {
            return;
        }
        let wall = self.ground.time.wall_micros();
        let bound_of = |log: &Log| {
            let stored = log.stored();
            let reached = |limits: &Limits| choose(limits, &stored, wall).is_some();
            keeper.bounds().find(|(_, limits)| reached(limits)).map(|(bound, _)| bound)
        };
        let crowded = self.candidates().filter_map(|(p, log)| Some((p, bound_of(log)?)));
        let mut held = keeper.crowded.lock();
        *held = crowded.collect();
        let was_full = keeper.full.swap(!held.is_empty(), Ordering::Relaxed);
        if !was_full && !held.is_empty() {
            let full = || Signal::Full { partitions: held.len() };
            observe::note(&self.ground.source, full);
        }
    }

    /// For each partition who keeps its oldest segment from going, in order of the partitions.
    pub(crate) fn holders(&self) -> BTreeMap<u32, Holder> {
        if !self.keeper.retention.settled || self.ground.check_mode().is_err() {
            return BTreeMap::new();
        }
        let holder = |(partition, need): (u32, Need)| {
            let oldest = *self.ground.logs[partition as usize].stored().sealed.first()?;
            let entry = EntryId::new(partition, need.first);
            let group = need.holder.filter(|_| need.first < oldest.end)?;
            Some((partition, Holder { group, entry }))
        };
        self.needs().into_iter().filter_map(holder).collect()
    }

    /// When something will have to go by time alone: the oldest segment becomes too old, or a group
    /// that holds the log counts as idle.
    pub(super) fn next_retention(&self, now: Moment) -> Moment {
        let Retention { settled, age, idle, .. } = self.keeper.retention;
        let idle = idle.filter(|_| settled);
        if age.is_none() && idle.is_none() {
            return Moment::NEVER;
        }
        let oldest = |(partition, log): (u32, &Log)| {
            log.stored().sealed.first().map(|sealed| (partition, *sealed))
        };
        let oldest: Vec<_> = self.candidates().filter_map(oldest).collect();
        let wall = self.ground.time.wall_micros();
        let aged = oldest.iter().filter_map(|(_, sealed)| {
            let over = sealed.newest.saturating_add(micros(age?)).saturating_add(1);
            let left = over.saturating_sub(wall);
            // What is too old and still needed, time does not change.
            (left > 0 || !settled).then(|| now.after(duration(left)))
        });
        let ends: Vec<(u32, u64)> = oldest.iter().map(|(p, sealed)| (*p, sealed.end)).collect();
        let desks = if idle.is_some() { self.each_desk() } else { Vec::new() };
        let idle = desks.iter().filter_map(|desk| desk.next_idle(&ends, idle?));
        aged.chain(idle).min().unwrap_or(Moment::NEVER)
    }
}

impl Desk {
    /// The first entry of each of these partitions that the group is not done with; `None` if it
    /// was idle for so long that it holds nothing.
    fn needs(&self, partitions: &[u32], idle: Option<Duration>) -> Option<Vec<u64>> {
        self.pass_ahead(partitions);
        let mut state = self.lock();
        let now = now_of(&self.ground.time);
        if self.check_write().is_ok() {
            // If this fails, the group needs no less than it seems.
            let _ = self.catch_up(&mut state, now);
            self.stir(&mut state, now);
        }
        let ledger = &state.ledger;
        let sign = ledger.last_sign(now.at).max(self.opened);
        let holds = idle.is_none_or(|idle| now.at < sign.after(idle));
        let first = |partition: &u32| ledger.first_needed(*partition).unwrap_or(0);
        let needs = holds.then(|| partitions.iter().map(first).collect());
        let _ = self.finish(state);
        needs
    }

    /// When the group will count as idle, if it needs any entry below these ends and does not yet.
    fn next_idle(&self, ends: &[(u32, u64)], idle: Duration) -> Option<Moment> {
        let state = self.lock();
        let now = self.ground.time.now();
        let needed = |(p, end): &(u32, u64)| state.ledger.first_needed(*p).is_none_or(|n| n < *end);
        let at = state.ledger.last_sign(now).max(self.opened).after(idle);
        (at > now && ends.iter().any(needed)).then_some(at)
    }
}

#[cfg(test)]
mod tests;
