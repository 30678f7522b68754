//! New entries that say when they are to be handed out: the cursor passes those that are not due
//! yet, and they wait among what is to be handed out again.
//!
//! Such an entry is withdrawn with no attempts and no lease, so all that is done with what waits is
//! done with it: it is pending, it holds the floor, and its hand-out is its first. It is apart from
//! the order of offsets, so settling through an offset leaves it (D13).

use super::book::{Ledger, PENDING_MAX};
use super::entries::Next;
use super::event::{Event, Run};
use super::hold::{BEFORE, Hold};
use super::replay::{Inconsistent, ensure};
use super::settle::Void;
use super::times::{Now, later};
use super::window::State;
use crate::clock::Moment;
use crate::id::EntryId;

/// New entries of a read that are not due yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deferral {
    pub(crate) run: Run,
    /// When they are.
    due: Moment,
    /// The wall time at which they were met, and how long they have to wait from then on.
    wall: u64,
    delay: u64,
    /// How many runs the read hands out that it met before them.
    after: usize,
}

impl Deferral {
    /// An entry that is due when the wall clock shows `until`, met behind so many runs of the read.
    pub(crate) fn new(now: Now, id: EntryId, until: u64, after: usize) -> Self {
        let delay = until.saturating_sub(now.wall);
        Self { run: id.into(), due: later(now.at, delay), wall: now.wall, delay, after }
    }

    pub(crate) fn count(&self) -> u64 {
        self.run.count.into()
    }

    /// Takes in one that continues this one and is due with it.
    pub(crate) fn absorb(&mut self, next: &Self) -> bool {
        let alike = Self { run: self.run, ..*next } == *self;
        alike && self.run.absorb(next.run)
    }
}

/// What lies between the cursor of a partition and the next event of a read: the partition of the
/// last new run, and where that ends.
type Ahead = Option<(u32, u64)>;

impl Ledger {
    /// How many more entries may wait for their own time.
    pub(crate) fn room_to_defer(&self) -> u64 {
        let own = self.policy.delayed_max.saturating_sub(self.entries.index.deferred);
        own.min(PENDING_MAX.saturating_sub(self.entries.pending()))
    }

    /// Puts off what a read met that is not due, where it hands nothing out.
    pub(crate) fn defer(&self, deferrals: &[Deferral], out: &mut Vec<Event>) {
        let from = out.len();
        self.defer_until(usize::MAX, &mut &*deferrals, &mut None, from, out);
    }

    /// Puts off what was met before run number `n` of the read; the rest is left.
    pub(super) fn defer_until(
        &self,
        n: usize,
        left: &mut &[Deferral],
        ahead: &mut Ahead,
        from: usize,
        out: &mut Vec<Event>,
    ) {
        while let Some((first, rest)) = left.split_first()
            && first.after <= n
        {
            let Deferral { run, due, wall, delay, .. } = *first;
            self.pass_to(run, ahead, out);
            Event::Deferred { run, due, delay, wall }.push(from, out);
            *left = rest;
        }
    }

    pub(super) fn apply_deferred(&mut self, run: Run, due: Moment) {
        if self.entries.window(run.partition).is_some_and(|window| run.first == window.cursor) {
            self.entries.advance(run.partition, run.end());
        }
        let hold = Hold { lease: BEFORE, time: due, slot: Void::Deferred.slot() };
        let next = Next::held(State::Withdrawn, 0, hold);
        self.entries.change(run.partition, run.offsets(), |_, _| Some(next));
    }

    pub(super) fn check_deferred(&self, run: Run) -> Result<(), Inconsistent> {
        // None is left of a run that the log has lost.
        let new = run.count == 0 || self.cursor(run.partition) == Some(run.first);
        ensure(new, "what is not new is deferred")
    }
}
