//! Taking entries back at a desk: ack, nack, reject, release, extend.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::desk::{Desk, State};
use super::journal::now_of;
use crate::clock::Moment;
use crate::durability::Durability;
use crate::error::{Error, Lost, Result};
use crate::id::{EntryId, Token};
use crate::ledger::{Again, Claim, Ledger, MemberId, Now};

/// What became of a list of claims.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) refused: Vec<(EntryId, Lost)>,
}

/// What to do with claims.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Verb<'a> {
    Ack,
    Nack(Again<'a>),
    Release,
    Extend(Duration),
}

impl Desk {
    /// Applies a verb to what the claims hold. One bad claim never costs the good ones.
    pub(crate) fn settle(
        &self,
        member: Option<MemberId>,
        claims: &[Claim],
        verb: Verb<'_>,
    ) -> Result<Outcome> {
        let _calls = self.ready.afterwards();
        self.check_write()?;
        let mut outcome = Outcome::default();
        let mut state = self.lock();
        self.take_returned(&mut state)?;
        // An ack reads no clock: whether time ended the lease makes no difference to it.
        let now = match verb {
            Verb::Ack => Now { at: Moment::ZERO, wall: 0 },
            _ => now_of(&self.ground.time),
        };
        let State { ledger, events, .. } = &mut *state;
        let refused = &mut outcome.refused;
        match verb {
            Verb::Ack => ledger.ack(claims, events, refused),
            Verb::Nack(again) => ledger.nack(now, claims, again, events, refused),
            Verb::Release => ledger.release(now.at, claims, events, refused),
            Verb::Extend(lease) => {
                ledger.extend(now.at, claims, now.at.after(lease), events, refused);
            }
        }
        self.commit(&mut state)?;
        // Only what the last lease was settled of is to be given on, so a long hand-over costs each
        // ack no more than its own claims.
        if claims.iter().any(|claim| state.ledger.is_let_go(claim.run.partition)) {
            self.move_on_behind(&mut state, now_of(&self.ground.time));
        }
        match (member, verb) {
            (Some(member), Verb::Ack) => state.ledger.touch_untimed(member),
            // One that is gone has void leases, and the outcome says so.
            (Some(member), _) => drop(state.ledger.touch(now.at, member)),
            (None, _) => {}
        }
        // An ack makes nothing available but room for more.
        let somebody = !self.waiters.is_empty() || !self.ready.is_empty();
        if somebody && (!matches!(verb, Verb::Ack) || state.limited) {
            self.stir(&mut state, now_of(&self.ground.time));
        }
        self.finish(state)?;
        if matches!(verb, Verb::Ack | Verb::Nack(Again::Never(_))) {
            self.promise()?;
        }
        self.bury();
        Ok(outcome)
    }

    /// The same for tokens, whatever group they are from.
    pub(crate) fn settle_tokens(
        &self,
        member: Option<MemberId>,
        tokens: impl Iterator<Item = Token>,
        verb: Verb<'_>,
    ) -> Result<Outcome> {
        let mut foreign = Vec::new();
        let mut claims = Vec::with_capacity(tokens.size_hint().0);
        for token in tokens {
            if token.incarnation == self.incarnation {
                claims.push(Claim::from(token));
            } else {
                foreign.push((token.id, Lost::Reset));
            }
        }
        let mut outcome = self.settle(member, &claims, verb)?;
        outcome.refused.extend(foreign);
        Ok(outcome)
    }

    /// Settles all that a member holds. Says how many entries that are.
    pub(crate) fn settle_held(&self, member: MemberId) -> Result<u64> {
        self.prepare()?;
        let settled = self.change(|ledger, _, events| ledger.settle_held(member, events))?;
        self.promise()?;
        Ok(settled)
    }

    /// Settles a partition through an id. Says how many entries that are.
    pub(crate) fn settle_through(&self, member: MemberId, seen: u64, id: EntryId) -> Result<u64> {
        let end = self.ground.log(id.partition())?.visible();
        if id.offset() >= end {
            return Err(Error::StartBeyondEnd { start: id, end });
        }
        self.look(|ledger, now| ledger.touch(now.at, member))??;
        let decide = |ledger: &Ledger, _, events: &mut Vec<_>| {
            if !self.sorts() {
                return ledger.settle_through(member, seen, id, events);
            }
            let own = |range| self.own(id.partition(), &range);
            ledger.settle_own_through(member, seen, id, own, events)
        };
        let settled = self.change(decide)?;
        self.promise()?;
        Ok(settled)
    }

    /// Makes the journal's first record since the opening durable. From then on it is not a closed
    /// one even if the power takes all behind that, so no later opening gives a lease number again.
    pub(super) fn mark(&self) -> Result<()> {
        if self.unmarked.load(Ordering::Acquire) {
            self.journal.flush_all()?;
            self.unmarked.store(false, Ordering::Release);
        }
        Ok(())
    }

    /// Waits until what was journaled is as durable as the stream promises.
    pub(super) fn promise(&self) -> Result<()> {
        if self.ground.durability == Durability::Always {
            self.journal.flush_all()?;
        }
        Ok(())
    }
}
