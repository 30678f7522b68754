//! What becomes, at a desk, of new entries that are not due yet: a read goes past them, and they wait
//! in the ledger until they are. Where too many wait already it stops, and they hold up what stands
//! behind them.
//!
//! # Invariants
//! 1. An entry is looked at before it is handed out: none is handed out before it is due.
//! 2. What is held up counts only as long as the group still stands there, there is still no
//!    room, and its time has not come: who asks sees that by itself, so none has to be taken back.
//! 3. One call that holds the lock goes past a bounded number of entries.

use std::collections::BTreeMap;
use std::time::Duration;

use super::basket::Basket;
use super::desk::{Desk, State};
use super::lend::Answer;
use super::parcel::Verdict;
use crate::clock::Moment;
use crate::error::Result;
use crate::id::EntryId;
use crate::ledger::{Deferral, Now, Run};
use crate::log::Cursor;

/// So many entries are put off under one hold of the lock.
const DEFERRALS_MAX: u64 = 4_096;

/// New entries that are not due yet, as far as a desk has to know of them.
#[derive(Debug, Default)]
pub(super) struct Early {
    /// What the read that is going on puts off.
    pub(super) deferrals: Vec<Deferral>,
    /// By partition, an entry that a read could not go past, and when it is due.
    held_up: BTreeMap<u32, (u64, Moment)>,
    /// Who keeps the timer was not told yet of one of these.
    untold: bool,
}

impl Early {
    /// Notes an entry that is put off, joined to the last ones if it is due with them.
    fn put_behind(&mut self, next: Deferral) {
        if !self.deferrals.last_mut().is_some_and(|last| last.absorb(&next)) {
            self.deferrals.push(next);
        }
    }

    /// The entries that were put off last.
    pub(super) fn last(&self) -> Option<&Run> {
        self.deferrals.last().map(|deferral| &deferral.run)
    }

    /// Notes an entry that cannot be put off. What is known of it stays until its time has come: it
    /// would be found a little different each time, and nobody has to be told again.
    fn hold_up(&mut self, now: Now, id: EntryId, until: u64) {
        let known = self.held_up.get(&id.partition());
        if known.is_some_and(|(offset, due)| *offset == id.offset() && *due > now.at) {
            return;
        }
        let due = now.at.after(Duration::from_micros(until - now.wall));
        self.held_up.insert(id.partition(), (id.offset(), due));
        self.untold = true;
    }
}

impl Desk {
    /// Ends a read that found nothing to hand out. `over`: it looked at as much as one call may. It has
    /// to be tried again then, and if it put something off.
    pub(super) fn pass_by(
        &self,
        state: &mut State,
        now: Now,
        slot: u16,
        over: bool,
    ) -> Result<Option<Answer>> {
        let State { ledger, events, early, .. } = &mut *state;
        ledger.defer(&early.deferrals, events);
        let again = over || !early.deferrals.is_empty();
        // Who keeps the timer may be another read than this one.
        let rearm = std::mem::take(&mut early.untold) || !early.deferrals.is_empty();
        state.pass();
        self.commit(state)?;
        if rearm {
            self.waiters.rearm();
        }
        Ok((!again).then(|| Answer::Nothing(state.why_nothing(now, slot))))
    }
}

/// Decides, entry by entry, what a read hands out and what it puts off.
pub(super) struct Gate<'a> {
    now: Now,
    partition: u32,
    /// How many more may wait in the group, and be put off by this call.
    room: u64,
    left: u64,
    runs: &'a mut Vec<Run>,
    /// So many of the runs are of entries that are due again, which stay apart.
    due: usize,
    early: &'a mut Early,
    /// It came to an entry that it cannot go past.
    pub(super) stopped: bool,
}

impl Gate<'_> {
    /// Judges the next new entry.
    pub(super) fn judge(&mut self, offset: u64, due: Option<u64>) -> Verdict {
        let id = EntryId::new(self.partition, offset);
        let Some(until) = due.filter(|due| *due > self.now.wall) else {
            self.take(id);
            return Verdict::Take;
        };
        if self.room == 0 || self.left == 0 {
            if self.room == 0 {
                self.early.hold_up(self.now, id, until);
            }
            self.stopped = true;
            return Verdict::Stop;
        }
        (self.room, self.left) = (self.room - 1, self.left - 1);
        self.early.put_behind(Deferral::new(self.now, id, until, self.runs.len()));
        Verdict::Leave
    }

    /// Notes an entry that is handed out, in the run that it continues.
    fn take(&mut self, id: EntryId) {
        match self.runs[self.due..].last_mut() {
            Some(last) if last.partition == id.partition() && last.end() == id.offset() => {
                last.count += 1;
            }
            _ => self.runs.push(Run::from(id)),
        }
    }
}

impl State {
    /// Whether a read has something to do, so that what is wrong behind it can wait for the next.
    pub(super) fn goes_on(&self, basket: &Basket) -> bool {
        basket.parcel.len() > 0 || !self.early.deferrals.is_empty()
    }

    /// Whether a read went past something.
    pub(super) fn goes_past(&self) -> bool {
        !self.passed.is_empty() || !self.early.deferrals.is_empty()
    }

    /// What decides about new entries of a partition, and the cursors to read them with. The first
    /// `due` runs of the read are of entries that are due again.
    pub(super) fn gate(
        &mut self,
        now: Now,
        partition: u32,
        due: usize,
    ) -> (&mut [Cursor], Gate<'_>) {
        let put_off = self.early.deferrals.iter().map(Deferral::count);
        let put_off: u64 = put_off.sum();
        let room = self.ledger.room_to_defer().saturating_sub(put_off);
        let left = DEFERRALS_MAX.saturating_sub(put_off);
        let Self { runs, early, fresh, .. } = self;
        (fresh, Gate { now, partition, room, left, runs, due, early, stopped: false })
    }

    /// Takes out of the basket what is not due of the entries that were just taken into it. Says where
    /// it stopped, if it came to one that it cannot go past.
    pub(super) fn put_off(
        &mut self,
        now: Now,
        taken: Run,
        due: usize,
        basket: &mut Basket,
    ) -> Option<u64> {
        let count = usize::try_from(taken.count).expect("a read is bounded");
        let before = basket.parcel.len() - count;
        let (_, mut gate) = self.gate(now, taken.partition, due);
        let stopped = basket.parcel.sift(before, |offset, due| gate.judge(offset, due));
        let kept = basket.parcel.len() - before;
        basket.entries_left += u32::try_from(count - kept).expect("a part of a count");
        stopped
    }

    /// Notes that a new entry is not due, and cannot be put off.
    pub(super) fn hold_up(&mut self, now: Now, id: EntryId, until: u64) {
        self.early.hold_up(now, id, until);
    }

    /// Whether the new entry at the group's place in a partition is not due, and cannot be put off.
    pub(super) fn is_held_up(&self, now: Moment, partition: u32, cursor: u64) -> bool {
        let held_up = self.early.held_up.get(&partition);
        held_up.is_some_and(|(offset, due)| *offset == cursor && *due > now)
            && self.ledger.room_to_defer() == 0
    }

    /// Whether that is so in a partition that a member reads.
    pub(super) fn holds_up(&self, now: Now, slot: u16) -> bool {
        self.early.held_up.keys().any(|partition| {
            let cursor = self.ledger.cursor(*partition).unwrap_or(u64::MAX);
            self.ledger.may_read(slot, *partition) && self.is_held_up(now.at, *partition, cursor)
        })
    }

    /// When the next of these entries is due.
    pub(super) fn next_held_up(&self, now: Moment) -> Moment {
        let here = |(partition, (offset, due)): (&u32, &(u64, Moment))| {
            let there = self.ledger.cursor(*partition) == Some(*offset);
            (there && *due > now).then_some(*due)
        };
        self.early.held_up.iter().filter_map(here).min().unwrap_or(Moment::NEVER)
    }
}
