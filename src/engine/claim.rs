//! Taking entries over at a desk: claiming them from whoever holds them, looking at what one holds,
//! and acking by id.
//!
//! No entry is missing that is still pending: what a trim takes is settled in each group before.

use std::sync::Arc;
use std::time::Duration;

use super::desk::{Desk, State};
use super::lend::Answer;
use super::parcel::{Loan, Parcel};
use super::post::Post;
use crate::blocked::{Blocked, Unclaimed};
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::ledger::{AckMode, Claims, Ledger, Now, Run};
use crate::observe;

/// What claiming by ids came to.
#[derive(Debug)]
pub(crate) struct TakenOver {
    pub(crate) answer: Answer,
    pub(crate) refused: Vec<(EntryId, Unclaimed)>,
    /// What retention took.
    pub(crate) gone: Vec<EntryId>,
}

/// What claiming whatever is idle came to.
#[derive(Debug)]
pub(crate) struct Swept {
    pub(crate) answer: Answer,
    pub(crate) exhausted: Vec<EntryId>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<EntryId>,
}

fn ids(runs: &[Run]) -> impl Iterator<Item = EntryId> {
    runs.iter().flat_map(|run| run.ids())
}

impl Desk {
    /// Claims what of `ids` is idle for long enough.
    pub(crate) fn claim(
        &self,
        post: &Arc<Post>,
        wanted: &[EntryId],
        min_idle: Duration,
    ) -> Result<TakenOver> {
        self.take_over(post, |state, now| {
            let (mut gone, mut stored) = (Vec::new(), Vec::new());
            for id in wanted {
                let start = self.ground.log(id.partition())?.start();
                if id.offset() < start { gone.push(*id) } else { stored.push(*id) }
            }
            gone.sort_unstable();
            gone.dedup();
            if state.ledger.is_paused(now.at) {
                stored.sort_unstable();
                stored.dedup();
                let refused = stored.into_iter().map(|id| (id, Unclaimed::Paused)).collect();
                return Ok(TakenOver { answer: Answer::Nothing(Blocked::Paused), refused, gone });
            }
            let claims = state.ledger.claimable(now.at, post.member, min_idle, stored)?;
            let (answer, taken) = self.hand_over(state, now, post, &claims)?;
            let Claims { runs, spent, mut refused } = claims;
            refused.extend(ids(&spent).map(|id| (id, Unclaimed::Exhausted)));
            refused.extend(ids(&runs).skip(taken).map(|id| (id, Unclaimed::Later)));
            refused.sort_unstable_by_key(|(id, _)| *id);
            Ok(TakenOver { answer, refused, gone })
        })
    }

    /// Claims what is idle for long enough from `from` on, in order: at most `max` entries.
    pub(crate) fn auto_claim(
        &self,
        post: &Arc<Post>,
        min_idle: Duration,
        from: EntryId,
        max: u32,
    ) -> Result<Swept> {
        self.take_over(post, |state, now| {
            if state.ledger.is_paused(now.at) {
                let answer = Answer::Nothing(Blocked::Paused);
                return Ok(Swept { answer, exhausted: Vec::new(), next: Some(from) });
            }
            let mut claims = Claims::default();
            let member = post.member;
            let stopped =
                state.ledger.idle_claims(now.at, member, min_idle, from, max, &mut claims)?;
            let (answer, taken) = self.hand_over(state, now, post, &claims)?;
            let answer = match (answer, stopped) {
                (Answer::Nothing(_), Some((_, Unclaimed::InFlight))) => {
                    Answer::Nothing(Blocked::InFlight)
                }
                (answer, _) => answer,
            };
            let left = ids(&claims.runs).nth(taken);
            let next = left.or(stopped.map(|(id, _)| id));
            Ok(Swept { answer, exhausted: ids(&claims.spent).collect(), next })
        })
    }

    /// Does something under the lock that may hand entries to a member.
    fn take_over<T>(
        &self,
        post: &Arc<Post>,
        take: impl FnOnce(&mut State, Now) -> Result<T>,
    ) -> Result<T> {
        let _told = observe::afterwards();
        self.check_write()?;
        self.prepare()?;
        let (mut state, now) = self.enter()?;
        if let Some(failure) = state.failure.take() {
            self.finish(state)?;
            return Err(failure);
        }
        let taken = state.ledger.touch(now.at, post.member).and_then(|()| {
            post.learn(state.ledger.generation());
            take(&mut state, now)
        });
        self.stir(&mut state, now);
        let settles = state.ledger.policy().ack == AckMode::OnRead;
        let finished = self.finish(state);
        if taken.is_err() {
            finished?;
        } else if settles {
            // The entries are the caller's already; only what was settled has to be durable.
            self.promise()?;
        }
        self.bury();
        taken
    }

    /// Copies claimed entries and leases them to a member. Says how many there was room for.
    fn hand_over(
        &self,
        state: &mut State,
        now: Now,
        post: &Arc<Post>,
        claims: &Claims,
    ) -> Result<(Answer, usize)> {
        let mut basket = self.basket(u32::MAX);
        state.runs.clear();
        self.gather_again(state, &claims.runs, 1, &mut basket)?;
        let taken = basket.parcel.len();
        let State { ledger, runs, events, .. } = &mut *state;
        let mode = ledger.policy().ack;
        let mut lease = 0;
        if taken > 0 {
            lease = ledger.claim(now, post.member, runs, events)?;
            if mode == AckMode::OnRead {
                Ledger::settle_handed_out(runs, events);
            }
        }
        ledger.exhaust_all(now, &claims.spent, events);
        self.commit(state)?;
        if taken == 0 {
            return Ok((Answer::Nothing(state.why_nothing(now, post.member.slot)), 0));
        }
        if mode != AckMode::OnRead {
            let (bytes, entries) = (basket.parcel.bytes(), taken as u64);
            state.ledger.note_bytes(lease, bytes, entries);
        }
        basket.parcel.lend(self.loan(post, lease, Vec::new(), mode));
        let parcel = Arc::new(basket.parcel);
        state.out.note(post.member, &parcel);
        Ok((Answer::Lent(parcel), taken))
    }

    fn loan(&self, post: &Arc<Post>, lease: u64, each: Vec<u64>, mode: AckMode) -> Loan {
        Loan { lease, each, incarnation: self.incarnation, post: Arc::downgrade(post), mode }
    }

    /// What a member holds from `from` on, in order: at most `max` entries. Nothing changes.
    pub(crate) fn history(&self, post: &Arc<Post>, from: EntryId, max: u32) -> Result<Parcel> {
        self.look_at(|state, now| {
            state.ledger.touch(now.at, post.member)?;
            let held = state.ledger.held_by(post.member, from, max)?;
            let runs: Vec<Run> = held.iter().map(|(run, _)| *run).collect();
            let mut basket = self.basket(max);
            state.runs.clear();
            self.gather_again(state, &runs, 0, &mut basket)?;
            let mode = state.ledger.policy().ack;
            let count = |run: &Run| usize::try_from(run.count).unwrap_or(usize::MAX);
            let each = held.iter().flat_map(|(run, lease)| std::iter::repeat_n(*lease, count(run)));
            let each = each.take(basket.parcel.len()).collect();
            basket.parcel.lend(self.loan(post, 0, each, mode));
            Ok(basket.parcel)
        })?
    }

    /// Settles entries by id, whoever holds them. Says how many were pending.
    pub(crate) fn ack_ids(&self, ids: &[EntryId]) -> Result<u64> {
        if let Some(id) = ids.iter().find(|id| id.partition() >= self.ground.partitions()) {
            let partitions = self.ground.partitions();
            return Err(Error::NoSuchPartition { partition: id.partition(), partitions });
        }
        let acked = self.change(|ledger, _, events| Ok(ledger.ack_ids(ids.to_vec(), events)))?;
        self.promise()?;
        Ok(acked)
    }
}
