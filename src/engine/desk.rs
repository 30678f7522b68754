//! The desk of one group: where its entries are given out and taken back. Everything that happens
//! to the group happens here, under one lock: look, decide, write the journal, apply.
//!
//! # Invariants
//! 1. No flush and no code of the user runs under the lock.
//! 2. What dropped handles left in `returned` is dealt with before anything else.
//! 3. Nothing is handed out that was not copied and checked: rot moves nothing.
//! 4. Whoever makes an entry available, or ends the group, wakes a blocked read.
//!
//! # Why the copy is made under the lock
//! How many entries a read may take depends on their sizes, and which ones it takes must be decided
//! before another read looks. Copying first and deciding afterwards would let two reads copy the
//! same entries; deciding first would hand out entries that then cannot be read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::{Mutex, MutexGuard};

use super::ground::Ground;
use super::groups::Seat;
use super::journal::{self, Journal, Opened, now_of};
use super::manifest::GroupRecord;
use super::out::Out;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::{Claim, Event, Ledger, MemberId, Now, Policy, Run};
use crate::log::{Cursor, Log};
use crate::waiters::Waiters;

/// One group, open.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) name: Box<str>,
    /// The group's number, never used twice, which every token repeats.
    pub(crate) incarnation: u64,
    pub(crate) created: u64,
    pub(crate) ground: Arc<Ground>,
    pub(crate) waiters: Waiters,
    pub(super) journal: Log,
    state: Mutex<State>,
    returned: Mutex<Returned>,
    /// What the group's handles share, as long as there are any.
    pub(super) seat: Mutex<Weak<Seat>>,
    deleted: AtomicBool,
    /// There is no segment to go on in, or the disk was too full to make the next one ahead.
    pub(super) low: AtomicBool,
    /// Nothing was made durable yet that would tell the next opening of hand-outs it does not find.
    pub(super) unmarked: AtomicBool,
}

/// What the lock guards.
#[derive(Debug)]
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) journal: Journal,
    /// Where in the logs the next new entries are.
    pub(super) fresh: Vec<Cursor>,
    /// Where the last entries that were handed out again ended.
    pub(super) again: Vec<Cursor>,
    /// Which partition the next read starts with.
    pub(super) turn: u32,
    pub(super) events: Vec<Event>,
    pub(super) runs: Vec<Run>,
    /// What reads brought back and may not have been looked at.
    pub(super) out: Out,
}

/// What dropped handles left.
#[derive(Debug, Default)]
struct Returned {
    /// With the time of the drop: the backoff counts from then, whenever it is dealt with.
    taken: Vec<(Now, Claim)>,
    untaken: Vec<Claim>,
}

impl Desk {
    pub(super) fn new(record: &GroupRecord, ground: Arc<Ground>, opened: Opened) -> Self {
        let partitions = ground.logs.len();
        let state = State {
            ledger: opened.ledger,
            journal: opened.journal,
            fresh: vec![Cursor::default(); partitions],
            again: vec![Cursor::default(); partitions],
            turn: 0,
            events: Vec::new(),
            runs: Vec::new(),
            out: Out::default(),
        };
        Self {
            name: record.name.as_str().into(),
            incarnation: record.number,
            created: record.created,
            waiters: Waiters::new(&ground.tally),
            ground,
            low: AtomicBool::new(!opened.log.is_ready()),
            unmarked: AtomicBool::new(!opened.marked),
            journal: opened.log,
            state: Mutex::new(state),
            returned: Mutex::default(),
            seat: Mutex::default(),
            deleted: AtomicBool::new(false),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        self.ground.check_open()?;
        if self.deleted.load(Ordering::Acquire) { Err(Error::GroupDeleted) } else { Ok(()) }
    }

    pub(super) fn check_write(&self) -> Result<()> {
        self.check()?;
        self.ground.latch.check()
    }

    /// Locks the group as it is.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Locks the group and brings it up to date: dropped handles first, then what time has ended.
    pub(super) fn enter(&self) -> Result<(MutexGuard<'_, State>, Now)> {
        self.check_write()?;
        let mut state = self.state.lock();
        let now = now_of(&self.ground.time);
        self.take_returned(&mut state)?;
        loop {
            let State { ledger, events, .. } = &mut *state;
            let more = ledger.expire(now, events);
            if self.take_unseen(&mut state, now)? {
                continue;
            }
            self.commit(&mut state)?;
            if !more {
                return Ok((state, now));
            }
        }
    }

    /// Before members go, by the events that were decided on: releases what was handed to them and
    /// nobody looked at, in place of those events. Says whether there was any; then the events have
    /// to be decided on once more.
    fn take_unseen(&self, state: &mut State, now: Now) -> Result<bool> {
        let State { ledger, events, out, .. } = state;
        let leaving = events.iter().filter_map(|event| match event {
            Event::Left { slot, .. } => Some(*slot),
            _ => None,
        });
        let unseen: Vec<Claim> = leaving.flat_map(|slot| out.unseen(slot)).collect();
        if unseen.is_empty() {
            return Ok(false);
        }
        events.clear();
        ledger.hand_back(now, &unseen, false, events);
        self.commit(state)?;
        Ok(true)
    }

    /// Journals the events that were decided on, and applies them; or does neither.
    pub(super) fn commit(&self, state: &mut State) -> Result<()> {
        let State { ledger, journal, events, .. } = state;
        if events.is_empty() {
            return Ok(());
        }
        let recorded = journal.record(&self.journal, ledger, events, &self.ground.time);
        if recorded.is_ok() {
            self.ground.note_write();
            for event in &*events {
                ledger.apply(event);
            }
        }
        events.clear();
        recorded
    }

    pub(super) fn take_returned(&self, state: &mut State) -> Result<()> {
        let returned = {
            let mut returned = self.returned.lock();
            if returned.taken.is_empty() && returned.untaken.is_empty() {
                return Ok(());
            }
            std::mem::take(&mut *returned)
        };
        let outcome = self.apply_returned(state, &returned);
        if outcome.is_err() {
            // They stay on the list for the next call; what was settled before is void then.
            let mut list = self.returned.lock();
            list.taken.extend(&returned.taken);
            list.untaken.extend(&returned.untaken);
        }
        outcome
    }

    fn apply_returned(&self, state: &mut State, returned: &Returned) -> Result<()> {
        for dropped in returned.taken.chunk_by(|(at, _), (next, _)| at == next) {
            let claims: Vec<Claim> = dropped.iter().map(|(_, claim)| *claim).collect();
            let State { ledger, events, .. } = &mut *state;
            ledger.hand_back(dropped[0].0, &claims, true, events);
            self.commit(state)?;
        }
        let State { ledger, events, .. } = &mut *state;
        ledger.hand_back(now_of(&self.ground.time), &returned.untaken, false, events);
        self.commit(state)
    }

    /// Leaves claims for the next call to deal with, and wakes a blocked read to be that call.
    /// Never waits for a disk, never fails.
    pub(crate) fn hand_back(&self, taken: &[Claim], untaken: &[Claim]) {
        let now = now_of(&self.ground.time);
        let mut returned = self.returned.lock();
        returned.taken.extend(taken.iter().map(|claim| (now, *claim)));
        returned.untaken.extend_from_slice(untaken);
        drop(returned);
        self.waiters.ring_first();
    }

    /// Wakes a blocked read if there is something for it, else sets its timer anew.
    pub(super) fn stir(&self, state: &State, now: Now) {
        if self.waiters.is_empty() {
            return;
        }
        if self.has_more(state, now) { self.waiters.ring_first() } else { self.waiters.rearm() }
    }

    /// Whether a read would find an entry.
    pub(super) fn has_more(&self, state: &State, now: Now) -> bool {
        let fresh = |(log, partition): (&Log, u32)| {
            state.ledger.cursor(partition).is_some_and(|cursor| cursor < log.visible())
        };
        state.ledger.has_due(now.at) || self.ground.logs.iter().zip(0..).any(fresh)
    }

    /// Gives the lock back and does what must not be done under it.
    pub(super) fn finish(&self, mut state: MutexGuard<'_, State>) -> Result<()> {
        let rolled = state.journal.take_rolled();
        drop(state);
        let Some(spare_bytes) = rolled else { return Ok(()) };
        match journal::tidy_up(&self.journal, spare_bytes, &self.ground.time) {
            Err(error) if error.is_disk_full() => {
                // What was asked for is done; reads are refused until there is a spare again.
                self.low.store(true, Ordering::Relaxed);
                Ok(())
            }
            other => other,
        }
    }

    /// Makes sure that there is a segment to write to, before the lock is taken.
    pub(super) fn prepare(&self) -> Result<()> {
        if self.low.load(Ordering::Relaxed) {
            self.journal.prepare_spare(0, self.ground.time.wall_micros())?;
            self.low.store(false, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Does one thing to the ledger under the lock.
    pub(super) fn change<T>(
        &self,
        decide: impl Fn(&Ledger, Now, &mut Vec<Event>) -> Result<T>,
    ) -> Result<T> {
        let (mut state, now) = self.enter()?;
        let State { ledger, events, .. } = &mut *state;
        let mut decided = decide(ledger, now, events);
        if decided.is_ok() && self.take_unseen(&mut state, now)? {
            let State { ledger, events, .. } = &mut *state;
            decided = decide(ledger, now, events);
        }
        let State { events, .. } = &mut *state;
        if decided.is_err() {
            events.clear();
        }
        self.commit(&mut state)?;
        self.stir(&state, now);
        self.finish(state)?;
        decided
    }

    /// Looks at the group as it is now.
    pub(crate) fn look<T>(&self, see: impl FnOnce(&mut Ledger, Now) -> T) -> Result<T> {
        self.check()?;
        if self.ground.latch.check().is_ok() {
            let (mut state, now) = self.enter()?;
            let seen = see(&mut state.ledger, now);
            self.finish(state)?;
            return Ok(seen);
        }
        let mut state = self.state.lock();
        Ok(see(&mut state.ledger, now_of(&self.ground.time)))
    }

    pub(crate) fn join(&self, name: &str) -> Result<MemberId> {
        self.check_write()?;
        self.prepare()?;
        let member = self.change(|ledger, now, events| ledger.join(now.at, name, events))?;
        self.mark()?;
        Ok(member)
    }

    pub(crate) fn leave(&self, member: MemberId) -> Result<()> {
        self.change(|ledger, now, events| ledger.leave(now.at, member, events))?;
        self.waiters.ring_where(usize::MAX, |tag| tag == u64::from(member.slot));
        Ok(())
    }

    /// As [`leave`](Self::leave), for a handle that is dropped: it does not wait for a disk.
    pub(super) fn leave_quietly(&self, member: MemberId) {
        let Ok((mut state, now)) = self.enter() else { return };
        let leave = |state: &mut State| {
            let State { ledger, events, .. } = state;
            ledger.leave(now.at, member, events).is_ok()
        };
        if leave(&mut state) {
            if let Ok(true) = self.take_unseen(&mut state, now) {
                leave(&mut state);
            }
            // What cannot be written now, the next opening does by itself.
            let _ = self.commit(&mut state);
            self.stir(&state, now);
        }
    }

    /// One blocked read less keeps the member alive.
    pub(super) fn unblock(&self, member: MemberId) {
        let now = self.ground.time.now();
        self.state.lock().ledger.unblock(now, member);
    }

    /// Replaces what the group goes by.
    pub(super) fn set_policy(&self, policy: Policy) {
        self.state.lock().ledger.set_policy(policy);
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.change(|ledger, now, events| ledger.remove(now.at, name, events))?;
        self.waiters.ring_all();
        Ok(())
    }

    pub(crate) fn heartbeat(&self, member: MemberId) -> Result<()> {
        let (mut state, now) = self.enter()?;
        let alive = state.ledger.touch(now.at, member);
        self.finish(state)?;
        alive
    }

    /// Settles a range as lost. Says how many entries that were.
    pub(crate) fn skip(&self, partition: u32, first: u64, end: u64) -> Result<u64> {
        self.prepare()?;
        let lost = self.change(|ledger, _, events| ledger.skip(partition, first, end, events))?;
        self.promise()?;
        Ok(lost)
    }

    pub(crate) fn redrive(&self, max: usize) -> Result<u64> {
        self.change(|ledger, now, events| Ok(ledger.redrive_all(now.at, max, events)))
    }

    pub(crate) fn discard_parked(&self, ids: &[EntryId]) -> Result<u64> {
        let discarded = self.change(|ledger, _, events| Ok(ledger.discard_parked(ids, events)))?;
        self.promise()?;
        Ok(discarded)
    }

    /// Ends what time has ended.
    pub(crate) fn maintain(&self) -> Result<()> {
        let (state, now) = self.enter()?;
        self.stir(&state, now);
        self.finish(state)
    }

    /// When something is due next.
    pub(crate) fn next_moment(&self, now: Moment) -> Moment {
        self.state.lock().ledger.next_moment(now)
    }

    /// Makes the journal durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.journal.flush_all().map(|_| ())
    }

    /// Closes the journal. What dropped handles left is not lost by that: opening ends all leases.
    pub(crate) fn close(&self) -> Result<()> {
        let mut state = self.state.lock();
        if self.ground.latch.check().is_ok() {
            // What cannot be written counts all the same: those leases end with the process.
            let _ = self.take_returned(&mut state);
        }
        drop(state);
        self.journal.close()
    }

    /// Ends the group for every handle.
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Release);
        drop(self.state.lock());
        self.waiters.ring_all();
    }
}
