//! Changing a group under its lock: decide, journal, apply, and tell who waits.

use std::sync::atomic::Ordering;

use parking_lot::MutexGuard;

use super::desk::{Desk, State};
use super::journal::now_of;
use crate::error::Result;
use crate::ledger::{Event, Ledger, Now};

impl Desk {
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
        let _calls = self.ready.afterwards();
        let (state, now) = self.enter()?;
        self.decide(state, now, decide)
    }

    /// The same, but asks no strategy before and calls no hooks after it: for callers that hold locks
    /// of the stream.
    pub(super) fn amend<T>(
        &self,
        decide: impl Fn(&Ledger, Now, &mut Vec<Event>) -> Result<T>,
    ) -> Result<T> {
        self.check_write()?;
        let mut state = self.lock();
        let now = now_of(&self.ground.time);
        self.catch_up(&mut state, now)?;
        self.decide(state, now, decide)
    }

    /// What [`change`](Self::change) does once the group is locked.
    pub(super) fn decide<T>(
        &self,
        mut state: MutexGuard<'_, State>,
        now: Now,
        decide: impl Fn(&Ledger, Now, &mut Vec<Event>) -> Result<T>,
    ) -> Result<T> {
        let State { ledger, events, .. } = &mut *state;
        let mut decided = decide(ledger, now, events);
        if decided.is_ok() && self.take_unseen(&mut state, now)? {
            let State { ledger, events, .. } = &mut *state;
            decided = decide(ledger, now, events);
        }
        if decided.is_err() {
            state.events.clear();
        }
        self.commit(&mut state)?;
        self.move_on_behind(&mut state, now);
        self.stir(&mut state, now);
        self.finish(state)?;
        decided
    }
}
