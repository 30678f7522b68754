//! Coming to a desk and going from it.

use std::sync::Arc;

use super::board::Notices;
use super::desk::{Desk, State};
use super::journal::now_of;
use super::ready::Call;
use super::wake::tag;
use crate::clock::Moment;
use crate::error::Result;
use crate::events::Cause;
use crate::ledger::{MemberId, Now};
use crate::log::Log;
use crate::observe;

/// A member that joined.
pub(crate) struct Joined {
    pub(crate) member: MemberId,
    pub(crate) notices: Arc<Notices>,
    pub(crate) generation: u64,
    pub(crate) at: Moment,
}

impl Desk {
    /// Makes a member, and gives it what the strategy says. If the strategy gives no good answer,
    /// nobody joins.
    pub(crate) fn join(&self, name: &str) -> Result<Joined> {
        let _calls = self.ready.afterwards();
        self.check_write()?;
        self.prepare()?;
        let joined = loop {
            if let Some(joined) = self.try_join(name)? {
                break joined;
            }
        };
        self.mark().inspect_err(|_| self.leave_quietly(joined.member))?;
        Ok(joined)
    }

    /// `None` if the group changed while the strategy was asked.
    fn try_join(&self, name: &str) -> Result<Option<Joined>> {
        let (mut state, now) = self.enter()?;
        let State { ledger, events, .. } = &mut *state;
        let member = ledger.join(now.at, name, events);
        events.clear();
        let candidate = Some((name, member?.slot));
        let question = state.question(candidate);
        let question = question.expect("a group is opened with its strategy");
        self.finish(state)?;
        let answer = question.ask();

        let (mut state, now) = self.enter()?;
        if state.ledger.version() != question.version {
            self.finish(state)?;
            return Ok(None);
        }
        let target = match answer {
            Ok(target) => target,
            Err(error) => {
                let cause = Cause::Joined(name.to_owned());
                state.note_failure(&self.board, question.version, cause, &error);
                return Err(error);
            }
        };
        let State { ledger, events, .. } = &mut *state;
        let member = ledger.join(now.at, name, events)?;
        ledger.plan(now.at, target, events);
        self.commit(&mut state)?;
        state.failed = None;
        self.move_on_behind(&mut state, now);
        state.ledger.touch(now.at, member).expect("it is a member since just now");
        let notices = state.told.notices(member.slot);
        // What it is given at once is no news for a read that blocks later.
        notices.announce();
        let generation = state.ledger.generation();
        self.stir(&mut state, now);
        // Nobody has a handle of a member that an error is told of.
        self.finish(state).inspect_err(|_| self.leave_quietly(member))?;
        Ok(Some(Joined { member, notices, generation, at: now.at }))
    }

    /// Ends a membership; in the modes in which reads settle what earlier ones handed out, so does
    /// this.
    pub(crate) fn leave(&self, member: MemberId) -> Result<()> {
        if self.reads_settle() {
            self.settle_held(member)?;
        }
        self.change(|ledger, now, events| ledger.leave(now, member, events))?;
        self.bury();
        self.waiters.ring_where(usize::MAX, |read| read == tag(member.slot));
        self.ready.clear(member);
        self.reassign()
    }

    /// As [`leave`](Self::leave), for a handle that is dropped: it does not wait for a disk. If it
    /// cannot be written now, the next call does it, and a blocked read is woken to be that call.
    pub(super) fn leave_quietly(&self, member: MemberId) {
        self.ready.clear(member);
        let _calls = self.ready.afterwards();
        let at = now_of(&self.ground.time);
        let left = self.enter().and_then(|(mut state, now)| {
            self.part(&mut state, now, member)?;
            self.stir(&mut state, now);
            Ok(())
        });
        if left.is_err() {
            self.returned.lock().left.push((at, member));
            self.waiters.ring_first();
        } else if let Ok((mut state, now)) = self.enter() {
            // A strategy that fails is told to the next call, and to who listens.
            self.stir(&mut state, now);
        }
    }

    /// Writes down that a member goes, unless it went before.
    pub(super) fn part(&self, state: &mut State, now: Now, member: MemberId) -> Result<()> {
        loop {
            let State { ledger, events, .. } = &mut *state;
            if ledger.leave(now, member, events).is_err() {
                return Ok(());
            }
            if !self.take_unseen(state, now)? {
                return self.commit(state);
            }
        }
    }

    pub(crate) fn remove(&self, name: &str) -> Result<()> {
        self.change(|ledger, now, events| ledger.remove(now, name, events))?;
        self.bury();
        self.ring_all();
        self.reassign()
    }

    /// Has a member's hook called from now on when something may be readable, and once now if
    /// something may be.
    pub(crate) fn on_ready(&self, member: MemberId, call: Call) -> Result<()> {
        let _calls = self.ready.afterwards();
        self.look(|ledger, now| ledger.touch(now.at, member))??;
        let before = self.ready.set(member, call);
        drop(before);
        // Behind this, whoever publishes sees that there is a hook.
        self.ground.logs.iter().for_each(Log::order_after_appends);
        let (mut state, now) = self.enter().inspect_err(|_| self.ready.clear(member))?;
        let alive = state.ledger.touch(now.at, member);
        self.ready.mark(|slot| slot == member.slot && self.has_more(&state, now.at, slot));
        self.finish(state)?;
        // What ended the group meanwhile may have called all hooks before there was this one.
        alive.and_then(|()| self.check()).inspect_err(|_| self.ready.clear(member))
    }

    /// Calls the hooks that are marked, and tells what was noted. The caller holds no lock.
    pub(crate) fn call_hooks(&self) {
        self.ready.call();
        observe::tell();
    }

    pub(crate) fn clear_ready(&self, member: MemberId) {
        self.ready.clear(member);
    }

    pub(crate) fn heartbeat(&self, member: MemberId) -> Result<()> {
        let _calls = self.ready.afterwards();
        let (mut state, now) = self.enter()?;
        let alive = state.ledger.touch(now.at, member);
        let failure = state.failure.take();
        self.finish(state)?;
        alive?;
        failure.map_or(Ok(()), Err)
    }

    /// Keeps a member alive as long as one of its reads is blocked.
    pub(super) fn stay_alive(&self, member: MemberId) -> Result<Alive<'_>> {
        let (mut state, _) = self.enter()?;
        let blocked = state.ledger.block(member);
        self.finish(state)?;
        blocked.map(|()| Alive { desk: self, member })
    }

    /// One blocked read less keeps the member alive. Whoever keeps the timer did not reckon with the
    /// end of its session.
    pub(super) fn unblock(&self, member: MemberId) {
        let now = self.ground.time.now();
        self.lock().ledger.unblock(now, member);
        self.waiters.rearm();
    }
}

/// The sign of life of a blocked read.
pub(super) struct Alive<'a> {
    desk: &'a Desk,
    member: MemberId,
}

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.desk.unblock(self.member);
    }
}
