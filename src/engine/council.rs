//! Asking a group's strategy who is to own what: view, decide, check, apply. The strategy may be a
//! user's code, so it is asked with no lock held, and what it answers counts only if the group is
//! still as it was.

use std::sync::Arc;

use super::board::Board;
use super::desk::{Desk, State};
use super::journal::now_of;
use super::manifest::StoredStrategy;
use crate::assign::{Assign, Assignment, Handover, View, decide, handover_of, name_of};
use crate::error::{Error, Result};
use crate::events::{Cause, Event};
use crate::ledger::{Roster, Target};
use crate::limits;

/// What a strategy is asked.
pub(super) struct Question {
    strategy: Arc<dyn Assign>,
    view: View,
    slots: Vec<u16>,
    /// What the group was like.
    pub(super) version: u64,
}

impl StoredStrategy {
    /// How a strategy of the user's own is stored.
    pub(crate) fn custom(strategy: &dyn Assign) -> Result<Self> {
        let name = name_of(strategy)?;
        limits::named("strategy", &name)?;
        Ok(Self::Custom(name.into()))
    }
}

impl Question {
    /// The target, with slots for members.
    pub(super) fn ask(&self) -> Result<Target> {
        let eager = handover_of(&*self.strategy)? == Handover::Eager;
        Ok(match decide(&*self.strategy, &self.view)? {
            Assignment::Everyone => Target { open: true, eager: false, slots: Box::default() },
            Assignment::Owners(owners) => {
                let slots = owners.into_iter().map(|place| self.slots[place]).collect();
                Target { open: false, eager, slots }
            }
        })
    }
}

impl State {
    /// What to ask about the members there are, with one that is about to join.
    pub(super) fn question(&self, candidate: Option<(&str, u16)>) -> Option<Question> {
        let strategy = Arc::clone(self.strategy.as_ref()?);
        let Roster { names, slots, owners, before } = self.ledger.roster(candidate);
        let view = View::from_tables(names, owners, before);
        Some(Question { strategy, view, slots, version: self.ledger.version() })
    }

    /// The same, if there is a reason to ask. One that got no good answer is not asked again.
    pub(super) fn open_question(&self) -> Option<Question> {
        let version = self.ledger.version();
        let failed = self.failed.as_ref().is_some_and(|(failed, _)| *failed == version);
        let asks = self.ledger.is_stale() && !failed;
        asks.then(|| self.question(None)).flatten()
    }

    /// Notes that a strategy gave no good answer.
    pub(super) fn note_failure(&mut self, board: &Board, version: u64, cause: Cause, why: &Error) {
        let reason = why.to_string();
        self.failed = Some((version, reason.clone()));
        board.post(Event::RebalanceFailed { cause, reason });
    }
}

impl Desk {
    /// Takes an answer, if the question still stands. Gives back why there was none.
    pub(super) fn adopt(
        &self,
        state: &mut State,
        question: &Question,
        answer: Result<Target>,
    ) -> Result<Option<Error>> {
        // Somebody else may have asked the same, and been faster.
        if state.ledger.version() != question.version || !state.ledger.is_stale() {
            return Ok(None);
        }
        match answer {
            Err(error) => {
                let cause = state.told.cause.clone();
                state.note_failure(&self.board, question.version, cause, &error);
                Ok(Some(error))
            }
            Ok(target) => {
                let now = now_of(&self.ground.time);
                let State { ledger, events, .. } = &mut *state;
                ledger.plan(now.at, target, events);
                self.commit(state)?;
                state.failed = None;
                Ok(None)
            }
        }
    }

    /// Asks another strategy about the members there are, and leaves it at that.
    pub(super) fn try_out(&self, strategy: &Arc<dyn Assign>) -> Result<()> {
        let (mut state, _) = self.enter()?;
        let usual = state.strategy.replace(Arc::clone(strategy));
        let question = state.question(None);
        state.strategy = usual;
        drop(state);
        question.map_or(Ok(()), |question| question.ask().map(|_| ()))
    }

    /// Asks the strategy whatever happened.
    pub(crate) fn rebalance(&self, cause: Cause) -> Result<()> {
        let (mut state, _) = self.enter()?;
        state.ledger.make_stale();
        state.told.cause = cause;
        drop(state);
        self.reassign()
    }

    /// Does what the members that there are now call for.
    pub(super) fn reassign(&self) -> Result<()> {
        let _calls = self.ready.afterwards();
        let (mut state, now) = self.enter()?;
        let failure = state.failure.take();
        self.stir(&mut state, now);
        self.finish(state)?;
        failure.map_or(Ok(()), Err)
    }
}
