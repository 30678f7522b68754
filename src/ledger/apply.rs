//! How events change the ledger: the only way it changes.
//!
//! An event that a command made of this state, or that `check` let pass, always fits it; so nothing
//! here fails. Events name runs, not states: each entry goes on from what it is.

use std::ops::Range;

use super::book::{Ledger, Parked};
use super::entries::Next;
use super::event::{Event, Last, Reopening, Run, Settle, Wait};
use super::hold::{BEFORE, Hold};
use super::member::Member;
use super::policy::Exhausted;
use super::settle::Void;
use super::window::{Group, State};
use crate::clock::Moment;
use crate::error::Gone;
use crate::id::EntryId;

impl Ledger {
    /// Makes the event so.
    pub(crate) fn apply(&mut self, event: &Event) {
        match event {
            Event::Joined { slot, join, alive_until, name } => {
                let member = Member {
                    name: name.clone(),
                    join: *join,
                    since: self.next_lease,
                    alive_until: *alive_until,
                    touched: false,
                    blocked: 0,
                };
                self.members.enter(*slot, member);
            }
            Event::Left { slot, why, due, last } => self.apply_left(*slot, *why, *due, *last),
            Event::HandedOut { run, lease, slot, deadline, alive_until } => {
                self.next_lease = self.next_lease.max(lease.saturating_add(1));
                self.members.keep(*slot, *alive_until);
                let hold = Hold { lease: self.lease_in_hold(*lease), time: *deadline, slot: *slot };
                self.apply_handed_out(*run, hold);
            }
            Event::Extended { run, deadline, .. } => self.apply_extended(*run, *deadline),
            Event::Settled { run, how } => {
                match how {
                    Settle::Acked => add(&mut self.totals.acked, run.count.into()),
                    Settle::Discarded => add(&mut self.totals.discarded, run.count.into()),
                }
                self.entries.change(run.partition, run.offsets(), |_, _| Some(Next::SETTLED));
            }
            Event::Waits { run, why, due, .. } => self.apply_waits(*run, *why, *due),
            Event::Parked { run } => self.apply_parked(*run),
            Event::Redriven { run, due } => self.apply_redriven(*run, *due),
            Event::Dropped { run } => {
                self.unpark(run.partition, run.first, run.end());
                add(&mut self.totals.discarded, run.count.into());
            }
            Event::Skipped { partition, first, end } => {
                self.apply_skipped(*partition, *first, *end);
            }
            Event::Reopened(reopening) => self.apply_reopened(reopening),
        }
    }

    fn apply_handed_out(&mut self, run: Run, hold: Hold) {
        let mut again = 0;
        if self.entries.window(run.partition).is_some_and(|window| run.first == window.cursor) {
            self.entries.advance(run.partition, run.end());
        }
        self.entries.change(run.partition, run.offsets(), |group, _| {
            let attempts = group.tag.attempts().saturating_add(1);
            again += if attempts > 1 { group.count } else { 0 };
            Some(Next::held(State::Leased, attempts, hold))
        });
        add(&mut self.totals.redelivered, again);
    }

    fn apply_extended(&mut self, run: Run, deadline: Moment) {
        let members = &mut self.members;
        self.entries.change(run.partition, run.offsets(), |group, held| {
            let hold = Hold { time: deadline, ..held? };
            members.keep(hold.slot, deadline);
            Some(Next::held(State::Leased, group.tag.attempts(), hold))
        });
    }

    fn apply_waits(&mut self, run: Run, why: Wait, due: Moment) {
        self.entries.change(run.partition, run.offsets(), |group, held| {
            let hold = Hold { time: due, ..held? };
            let attempts = group.tag.attempts();
            Some(match why {
                Wait::Time | Wait::Nack => Next::held(State::Waiting, attempts, hold),
                Wait::Release => {
                    let hold = Hold { slot: Void::Released.slot(), ..hold };
                    Next::held(State::Withdrawn, attempts.saturating_sub(1), hold)
                }
            })
        });
    }

    fn apply_parked(&mut self, run: Run) {
        let first_lease = self.first_lease;
        let parked = &mut self.parked;
        self.entries.change(run.partition, run.offsets(), |group, held| {
            let lease = outside(first_lease, held?);
            let attempts = group.tag.attempts();
            let ids = (group.first..group.end()).map(|at| EntryId::new(run.partition, at));
            parked.extend(ids.map(|id| (id, Parked { attempts, lease })));
            Some(Next::SETTLED)
        });
    }

    fn apply_redriven(&mut self, run: Run, due: Moment) {
        for id in run.ids() {
            if let Some(parked) = self.parked.remove(&id) {
                let lease = self.lease_in_hold(parked.lease);
                let hold = Hold { lease, time: due, slot: Void::Settled.slot() };
                self.entries.revive(id, Next::held(State::Withdrawn, 0, hold));
            }
        }
    }

    fn apply_skipped(&mut self, partition: u32, first: u64, end: u64) {
        let lost = self.would_lose(partition, first, end);
        add(&mut self.totals.lost, lost);
        self.unpark(partition, first, end);
        let Some(window) = self.entries.window(partition) else { return };
        let cursor = window.cursor;
        let stored = first..end.min(cursor);
        self.entries.change(partition, stored, |_, held| held.map(|_| Next::SETTLED));
        if end > cursor {
            self.entries.pass(partition, end);
        }
    }

    fn unpark(&mut self, partition: u32, first: u64, end: u64) {
        if first < end {
            let ids = EntryId::new(partition, first)..EntryId::new(partition, end);
            let ids: Vec<EntryId> = self.parked.range(ids).map(|(id, _)| *id).collect();
            for id in ids {
                self.parked.remove(&id);
            }
        }
    }

    fn apply_left(&mut self, slot: u16, why: Gone, due: Moment, last: Last) {
        self.members.leave(slot, why);
        for (partition, span) in self.entries.spans_with_leases() {
            if self.entries.leased_by(slot) == 0 {
                break;
            }
            self.withdraw(partition, span, last, |group, held| {
                let leased = group.tag.state() == State::Leased && held.slot == slot;
                let hold = Hold { time: due, slot: Void::Left.slot(), ..held };
                leased.then_some((State::Withdrawn, hold))
            });
        }
    }

    fn apply_reopened(&mut self, reopening: &Reopening) {
        let Reopening { unclean, due, last, .. } = *reopening;
        self.totals = reopening.totals;
        for (partition, end) in (0..).zip(&reopening.ends) {
            self.entries.cut(partition, *end);
            self.unpark(partition, *end, u64::MAX);
            let span = self.entries.window(partition).map_or(0..0, |w| w.floor..w.cursor);
            self.withdraw(partition, span, last, |group, held| {
                let (state, time) = match group.tag.state() {
                    State::Leased if unclean => (State::Suspect, due),
                    State::Leased => (State::Withdrawn, due),
                    State::Suspect => (State::Suspect, held.time),
                    _ => (State::Withdrawn, held.time),
                };
                // Of what was redriven, every token was void before.
                let redriven =
                    group.tag.state() == State::Withdrawn && held.slot == Void::Settled.slot();
                let why = if redriven { Void::Settled } else { Void::Reset };
                Some((state, Hold { lease: BEFORE, time, slot: why.slot() }))
            });
        }
        self.members.clear();
        self.first_lease = reopening.next_lease;
        self.next_lease = reopening.next_lease;
        self.cut = false;
    }

    /// Takes entries of `span` out of the hands they are in: those that `out` picks, as it says. Leased ones that had their last attempt are exhausted instead.
    fn withdraw(
        &mut self,
        partition: u32,
        span: Range<u64>,
        last: Last,
        out: impl Fn(&Group, Hold) -> Option<(State, Hold)>,
    ) {
        let first_lease = self.first_lease;
        let (parked, totals) = (&mut self.parked, &mut self.totals);
        self.entries.change(partition, span, |group, held| {
            let held = held?;
            let (state, next) = out(group, held)?;
            let (was, attempts) = (group.tag.state(), group.tag.attempts());
            if was != State::Leased || attempts < last.attempt {
                return Some(Next::held(state, attempts, next));
            }
            match last.then {
                Exhausted::Discard => add(&mut totals.discarded, group.count),
                Exhausted::Park => {
                    let lease = outside(first_lease, held);
                    let ids = (group.first..group.end()).map(|at| EntryId::new(partition, at));
                    parked.extend(ids.map(|id| (id, Parked { attempts, lease })));
                }
            }
            Some(Next::SETTLED)
        });
    }
}

/// The number by which a parked entry's last lease is known; 0 for one of an earlier opening.
fn outside(first_lease: u64, hold: Hold) -> u64 {
    if hold.lease == BEFORE { 0 } else { first_lease + (hold.lease - 1) }
}

/// Totals stop rather than wrap: a stored one may claim to be huge.
fn add(total: &mut u64, count: u64) {
    *total = total.saturating_add(count);
}
