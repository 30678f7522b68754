//! How a read gets entries from a desk: what is due again first, then what is new, partitions in
//! turn; and how it waits if there is nothing.

use std::sync::Arc;
use std::time::Duration;

use super::basket::{self, Basket, Place};
use super::desk::{Desk, State};
use super::parcel::{Loan, Parcel};
use super::post::Post;
use super::wake::tag;
use crate::blocked::Blocked;
use crate::clock::Moment;
use crate::error::Result;
use crate::ledger::{AckMode, Ledger, MemberId, Now, Pass, Run, Then};
use crate::log::Log;
use crate::waiters::Woken;

/// What a read asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Want {
    pub(crate) max: u32,
    /// For how long; by default the group's lease.
    pub(crate) lease: Option<Duration>,
}

/// What a read is given.
#[derive(Debug)]
pub(crate) enum Answer {
    Lent(Arc<Parcel>),
    Nothing(Blocked),
}

impl Desk {
    /// Hands out what there is now.
    pub(crate) fn lend(&self, post: &Arc<Post>, want: Want) -> Result<Answer> {
        let _calls = self.ready.afterwards();
        loop {
            // Between two looks others have their turn.
            if let Some(answer) = self.try_lend(post, want)? {
                return Ok(answer);
            }
        }
    }

    /// The same; `None` if nothing that it looked at was for the group, or was due, and there may be
    /// more.
    fn try_lend(&self, post: &Arc<Post>, want: Want) -> Result<Option<Answer>> {
        self.check_write()?;
        self.prepare()?;
        let (mut state, now) = self.enter()?;
        if let Some(failure) = state.failure.take() {
            self.finish(state)?;
            return Err(failure);
        }
        let answer = self.lend_under_lock(&mut state, now, post, want);
        let shared = state.ledger.is_open();
        let mode = state.ledger.policy().ack;
        if let Ok(Some(Answer::Lent(_))) = answer {
            self.stir(&mut state, now);
            // The entries are the caller's already; a failed flush is told by the next call.
            let _ = self.finish(state);
            if mode == AckMode::OnRead {
                self.promise()?;
            }
        } else {
            if !shared {
                // What this one came for may be another's to read.
                self.stir_others(&mut state, now, post.member.slot);
            }
            self.finish(state)?;
        }
        self.bury();
        answer
    }

    /// Settles what a consumer's earlier reads handed out, if its mode says that this read does.
    pub(crate) fn settle_earlier(&self, post: &Post) -> Result<()> {
        let (mode, now) = (self.ack_mode(), self.ground.time.now());
        let due = match mode {
            AckMode::Explicit | AckMode::OnRead => false,
            AckMode::OnNextRead => true,
            AckMode::Interval(interval) => now >= post.settled().after(interval),
        };
        if due {
            self.settle_held(post.member)?;
            post.note_settled(now);
        }
        Ok(())
    }

    /// Waits until there is something to hand out, or until `until`. `tend` is called whenever the
    /// wait is interrupted, without any lock.
    pub(crate) fn lend_until(
        &self,
        post: &Arc<Post>,
        want: Want,
        until: Moment,
        tend: impl Fn() -> Result<()>,
    ) -> Result<Answer> {
        let first = self.lend(post, want)?;
        if matches!(first, Answer::Lent(_)) {
            return Ok(first);
        }
        let time = &self.ground.time;
        let _alive = self.stay_alive(post.member)?;
        let waiting = self.waiters.enter(tag(post.member.slot));
        loop {
            // Behind this, whoever publishes sees that somebody waits.
            self.ground.logs.iter().for_each(Log::order_after_appends);
            // What comes due from now on is still to wake it, also if that is while it looks.
            let looked = time.now();
            let answer = self.lend(post, want)?;
            if let Answer::Lent(_) = answer {
                waiting.served();
                return Ok(answer);
            }
            if time.now() >= until {
                return Ok(answer);
            }
            if post.notices.announce() {
                return Ok(Answer::Nothing(Blocked::Changed));
            }
            // What is for one member alone is not for the next read.
            if matches!(answer, Answer::Nothing(Blocked::InFlight)) && self.is_shared() {
                waiting.pass_on();
            }
            let due = self.next_moment(looked).min(self.ground.flush_moment());
            if waiting.park(time, until, due) == Woken::Idle {
                return Ok(answer);
            }
            tend()?;
        }
    }

    fn lend_under_lock(
        &self,
        state: &mut State,
        now: Now,
        post: &Arc<Post>,
        want: Want,
    ) -> Result<Option<Answer>> {
        state.ledger.touch(now.at, post.member)?;
        post.learn(state.ledger.generation());
        if let Some(why) = state.held_back(now.at, post.member)? {
            state.limited |= why == Blocked::InFlight;
            return Ok(Some(Answer::Nothing(why)));
        }
        let slot = post.member.slot;
        let room = u32::try_from(state.ledger.room(post.member)?).unwrap_or(u32::MAX);
        let mut basket = self.basket(want.max.min(room));
        basket.bytes_left = basket.bytes_left.min(state.ledger.room_bytes());
        state.runs.clear();
        state.passed.clear();
        state.early.deferrals.clear();
        let then = self.gather_due(state, now.at, slot, &mut basket)?;
        if then == Then::New {
            self.gather_fresh(state, now, slot, &mut basket)?;
        }
        if basket.parcel.len() == 0 {
            return self.pass_by(state, now, slot, basket.scan.is_over());
        }
        let lease = want.lease.unwrap_or(state.ledger.policy().lease);
        let State { ledger, runs, early, events, .. } = &mut *state;
        let deferrals = &early.deferrals;
        let number = ledger.hand_out_or_defer(now, post.member, lease, runs, deferrals, events)?;
        let mode = ledger.policy().ack;
        if mode == AckMode::OnRead {
            Ledger::settle_handed_out(runs, events);
        }
        state.pass();
        self.commit(state)?;
        if mode != AckMode::OnRead {
            let (bytes, entries) = (basket.parcel.bytes(), basket.parcel.len() as u64);
            state.ledger.note_bytes(number, bytes, entries);
        }
        basket.parcel.lend(Loan {
            lease: number,
            each: Vec::new(),
            incarnation: self.incarnation,
            post: Arc::downgrade(post),
            mode,
        });
        let parcel = Arc::new(basket.parcel);
        state.out.note(post.member, &parcel);
        Ok(Some(Answer::Lent(parcel)))
    }

    /// Collects what waits to be handed out again.
    fn gather_due(
        &self,
        state: &mut State,
        now: Moment,
        slot: u16,
        basket: &mut Basket,
    ) -> Result<Then> {
        let mut due = Vec::new();
        let then = state.ledger.due_runs(now, slot, basket.entries_left, &mut due);
        Ok(if self.gather_again(state, &due, 1, basket)? { then } else { Then::Nothing })
    }

    /// Collects what was handed out before, to be handed out `more` times. Rot at the very first
    /// entry is the caller's to know; behind others it ends the read, and this says so.
    pub(super) fn gather_again(
        &self,
        state: &mut State,
        runs: &[Run],
        more: u16,
        basket: &mut Basket,
    ) -> Result<bool> {
        for run in runs.iter().copied() {
            let mut first = run.first;
            while first < run.end() && basket.has_room() {
                let log = &self.ground.logs[run.partition as usize];
                let cursor = &mut state.again[run.partition as usize];
                cursor.seek(first);
                let attempts = state.ledger.attempts(Run { first, ..run });
                let attempts = attempts.flat_map(|(_, count, attempts)| {
                    let count = usize::try_from(count).unwrap_or(usize::MAX);
                    std::iter::repeat_n(attempts.saturating_add(more), count)
                });
                let place = Place { partition: run.partition, before: run.end() };
                let got = match basket.take(log, cursor, place, attempts) {
                    Err(_) if basket.parcel.len() > 0 => return Ok(false),
                    other => other?,
                };
                state.runs.push(Run::new(run.partition, first, got));
                first += u64::from(got);
            }
        }
        Ok(true)
    }

    /// Collects new entries, one partition after the other, each read starting with the next.
    fn gather_fresh(
        &self,
        state: &mut State,
        now: Now,
        slot: u16,
        basket: &mut Basket,
    ) -> Result<()> {
        let partitions = self.ground.partitions();
        let Some(first) = state.readable_from(slot, state.turn_of(slot), partitions) else {
            return Ok(());
        };
        let mut partition = first;
        loop {
            let next = state.readable_from(slot, partition + 1, partitions).unwrap_or(first);
            if partition < partitions
                && let Err(error) = self.gather_from(state, now, partition, basket)
            {
                // It is told each time it is met, but holds up no other partition.
                state.set_turn(slot, next);
                return Err(error);
            }
            if !basket.has_room() {
                state.set_turn(slot, next);
                return Ok(());
            }
            if next == first {
                return Ok(());
            }
            partition = next;
        }
    }

    /// Collects new entries of one partition. Rot, and a position that was trimmed away, are the
    /// caller's to know if nothing was collected before.
    fn gather_from(
        &self,
        state: &mut State,
        now: Now,
        partition: u32,
        basket: &mut Basket,
    ) -> Result<()> {
        let log = &self.ground.logs[partition as usize];
        let due = state.runs.len();
        let mut start = state.ledger.cursor(partition).unwrap_or(u64::MAX);
        let end = log.visible();
        if let Some(choice) = self.choice(partition, start..end) {
            return self.sift_from(choice, state, now, partition, basket);
        }
        let mut first = start;
        while first < end && basket.has_room() {
            let cursor = &mut state.fresh[partition as usize];
            cursor.seek(first);
            let place = Place { partition, before: end };
            match basket.take(log, cursor, place, std::iter::repeat(1)) {
                Ok(got) if basket.parcel.is_timed() => {
                    basket::take_new(&mut state.runs, partition, start..first);
                    let taken = Run::new(partition, first, got);
                    let stopped = state.put_off(now, taken, due, basket);
                    first = stopped.unwrap_or(taken.end());
                    start = first;
                    if stopped.is_some() {
                        break;
                    }
                }
                Ok(got) => first += u64::from(got),
                Err(_) if state.goes_on(basket) => break,
                Err(error) => return Err(error),
            }
        }
        basket::take_new(&mut state.runs, partition, start..first);
        Ok(())
    }
}

impl State {
    /// Passes what a read looked at behind what it takes.
    pub(super) fn pass(&mut self) {
        for (partition, end) in self.passed.drain(..) {
            self.ledger.pass(partition, end, Pass::Filtered, &mut self.events);
        }
    }

    /// The first partition from `from` on, then from the start, that a member reads.
    fn readable_from(&self, slot: u16, from: u32, partitions: u32) -> Option<u32> {
        if self.ledger.is_open() {
            return Some(if from < partitions { from } else { 0 });
        }
        self.ledger.owned_from(slot, from)
    }

    /// Where everybody reads everything, whoever reads next goes on; else each member has its turn.
    fn turn_of(&self, slot: u16) -> u32 {
        if self.ledger.is_open() {
            return self.turn;
        }
        self.turns.get(usize::from(slot)).copied().unwrap_or(0)
    }

    fn set_turn(&mut self, slot: u16, next: u32) {
        if self.ledger.is_open() {
            self.turn = next;
            return;
        }
        let slot = usize::from(slot);
        if self.turns.len() <= slot {
            self.turns.resize(slot + 1, 0);
        }
        self.turns[slot] = next;
    }

    /// What keeps a member from what there is.
    pub(super) fn held_back(&self, now: Moment, member: MemberId) -> Result<Option<Blocked>> {
        let full = self.ledger.room(member)? == 0 || self.ledger.room_bytes() == 0;
        Ok(if self.ledger.is_paused(now) {
            Some(Blocked::Paused)
        } else {
            full.then_some(Blocked::InFlight)
        })
    }

    /// Why there is nothing for a member.
    pub(super) fn why_nothing(&self, now: Now, slot: u16) -> Blocked {
        let ledger = &self.ledger;
        if self.holds_up(now, slot) {
            Blocked::Delayed
        } else if ledger.is_open() || ledger.owned_from(slot, 0).is_some() {
            Blocked::Empty
        } else if ledger.is_rebalancing() {
            Blocked::Rebalancing
        } else {
            Blocked::NoPartition
        }
    }
}
