//! How events change the ledger: the only way it changes.
//!
//! An event that a command made of this state, or that `check` let pass, always fits it; so nothing
//! here fails. Events name runs, not states: each entry goes on from what it is.

use std::ops::Range;

use super::book::{Ledger, OFFSETS_MAX, Parked, Spent};
use super::doom::Reaper;
use super::entries::{Next, is_deferred};
use std::sync::Arc;

use super::event::{Event, Last, Reason, Reopening, Round, Run, Settle, Skip, Wait};
use super::given::each;
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
                    name: Arc::from(&**name),
                    join: *join,
                    since: self.next_lease,
                    alive_until: *alive_until,
                    seen: Moment::ZERO,
                    touched: false,
                    blocked: 0,
                };
                self.members.enter(*slot, member);
                self.owners.version += 1;
            }
            Event::Left { slot, why, due, last } => self.apply_left(*slot, *why, *due, *last),
            Event::HandedOut { run, lease, slot, deadline, alive_until, at, wall }
            | Event::Claimed { run, lease, slot, deadline, alive_until, at, wall } => {
                self.given.note(*lease, *wall);
                self.next_lease = self.next_lease.max(lease.saturating_add(1));
                self.members.keep(*slot, *alive_until);
                self.note_lease(self.lease_in_hold(*lease), *at);
                let hold = Hold { lease: self.lease_in_hold(*lease), time: *deadline, slot: *slot };
                self.apply_handed_out(*run, hold);
            }
            Event::Extended { run, deadline, at, .. } => {
                self.apply_extended(*run, *deadline);
                self.entries.index.touches.extend(run.ids(), *at);
            }
            Event::Settled { run, how } => {
                self.apply_settled(*run, how);
            }
            Event::Waits { run, why, due, .. } => self.apply_waits(*run, *why, *due),
            Event::Parked { run, wall, reason } => self.apply_parked(*run, *wall, reason),
            Event::Deferred { run, due, .. } => self.apply_deferred(*run, *due),
            Event::Redriven { run, due } => self.apply_redriven(*run, *due),
            Event::Dropped { run } => {
                self.unpark(run.partition, run.first, run.end());
                add(&mut self.totals.discarded, run.count.into());
            }
            Event::Skipped { partition, first, end, why } => {
                self.apply_skipped(*partition, *first, *end, *why);
            }
            Event::SettledThrough { partition, end, slot } => {
                self.apply_settled_through(*partition, *end, *slot);
            }
            Event::Passed { partition, end, how } => self.apply_passed(*partition, *end, *how),
            Event::Reset { partition, to } => self.apply_reset(*partition, *to),
            Event::Planned(planned) => self.owners.start(planned),
            Event::Paused(pause) => self.paused = Some(pause.until),
            Event::Resumed => self.paused = None,
            Event::Round(round) => self.apply_round(round),
            Event::Evicted { partition, due, last } => {
                self.apply_evicted(*partition, *due, *last);
            }
            Event::Reopened(reopening) => self.apply_reopened(reopening),
            Event::Doomed { run, reason } => self.apply_doomed(*run, reason),
            Event::Intended { run, intent } => self.apply_intended(*run, *intent),
            Event::Buried { run } => self.apply_buried(*run),
            Event::Revived { run, due } => self.apply_revived(*run, *due),
        }
    }

    fn apply_handed_out(&mut self, run: Run, hold: Hold) {
        let mut again = 0;
        if self.entries.window(run.partition).is_some_and(|window| run.first == window.cursor) {
            self.entries.advance(run.partition, run.end());
        }
        let Self { entries, given, first_lease, .. } = self;
        entries.change(run.partition, run.offsets(), |group, held| {
            if let Some(held) = held.filter(|_| group.tag.state() == State::Leased) {
                // Claimed from somebody whose first attempt it was.
                if group.tag.attempts() == 1 {
                    let lease = outside(*first_lease, held);
                    given.fail(run.partition, group.first..group.end(), lease);
                }
            }
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

    fn apply_settled(&mut self, run: Run, how: &Settle) {
        let mut spent = Vec::new();
        let told = match how {
            Settle::Acked | Settle::AckedById => {
                add(&mut self.totals.acked, run.count.into());
                None
            }
            Settle::Discarded(reason) => {
                add(&mut self.totals.discarded, run.count.into());
                self.watched.then_some(reason)
            }
        };
        self.forget(run.partition, run.first, run.end());
        self.entries.change(run.partition, run.offsets(), |group, _| {
            if let Some(reason) = told {
                spent.push(spent_of(run.partition, group, Exhausted::Discard, reason));
            }
            Some(Next::SETTLED)
        });
        self.exhausted.append(&mut spent);
    }

    fn apply_waits(&mut self, run: Run, why: Wait, due: Moment) {
        let Self { entries, given, first_lease, .. } = self;
        entries.change(run.partition, run.offsets(), |group, held| {
            let hold = Hold { time: due, ..held? };
            let attempts = group.tag.attempts();
            if attempts == 1 && why != Wait::Release {
                let lease = outside(*first_lease, hold);
                given.fail(run.partition, group.first..group.end(), lease);
            }
            Some(match why {
                Wait::Time | Wait::Nack => Next::held(State::Waiting, attempts, hold),
                Wait::Release => {
                    let hold = Hold { slot: Void::Released.slot(), ..hold };
                    Next::held(State::Withdrawn, attempts.saturating_sub(1), hold)
                }
            })
        });
    }

    fn apply_parked(&mut self, run: Run, since: u64, reason: &Reason) {
        let first_lease = self.first_lease;
        self.forget(run.partition, run.first, run.end());
        let Self { parked, exhausted, watched, entries, .. } = self;
        entries.change(run.partition, run.offsets(), |group, held| {
            if *watched {
                exhausted.push(spent_of(run.partition, group, Exhausted::Park, reason));
            }
            let lease = outside(first_lease, held?);
            let attempts = group.tag.attempts();
            let part = Run { first: group.first, count: count_of(group), ..run };
            let reason = reason.clone();
            parked.extend(each(part, &Parked { attempts, lease, since, reason }));
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

    fn apply_skipped(&mut self, partition: u32, first: u64, end: u64, why: Skip) {
        let lost = self.loss(partition, first, end);
        match why {
            Skip::Asked => add(&mut self.totals.lost, lost.entries()),
            Skip::Trimmed => self.totals.trimmed.add(lost),
        }
        self.unpark(partition, first, end);
        self.forget(partition, first, end);
        let Some(window) = self.entries.window(partition) else { return };
        let cursor = window.cursor;
        let stored = first..end.min(cursor);
        self.entries.change(partition, stored, |_, held| held.map(|_| Next::SETTLED));
        if end > cursor {
            self.entries.pass(partition, end);
        }
        if why == Skip::Trimmed {
            let fences = &mut self.entries.windows[partition as usize].fences;
            fences.trimmed = fences.trimmed.max(end);
        }
    }

    fn apply_settled_through(&mut self, partition: u32, end: u64, slot: u16) {
        let Some(window) = self.entries.window(partition) else { return };
        let (floor, cursor) = (window.floor, window.cursor);
        let mut settled = end.saturating_sub(cursor);
        let Self { entries, given, .. } = self;
        entries.change(partition, floor..end.min(cursor), |group, held| {
            let (state, hold) = (group.tag.state(), held?);
            let others = match state {
                State::Leased => hold.slot != slot,
                state => state == State::Exhausted,
            };
            if others || is_deferred(state, hold.slot) {
                return None;
            }
            settled += group.count;
            given.forget(partition, group.first, group.end());
            Some(Next::SETTLED)
        });
        if end > cursor {
            self.entries.pass(partition, end);
        }
        add(&mut self.totals.acked, settled);
    }

    fn apply_reset(&mut self, partition: u32, to: u64) {
        let Some(window) = self.entries.window(partition) else { return };
        let open = window.groups(window.floor..to.max(window.floor));
        let open = open.filter(|group| group.tag.state() != State::Settled);
        let lost: u64 = open.map(|group| group.count).sum();
        add(&mut self.totals.lost, lost);
        self.unpark(partition, to, OFFSETS_MAX);
        self.forget(partition, 0, OFFSETS_MAX);
        self.entries.restart(partition, to);
        self.entries.windows[partition as usize].fences.reset = self.next_lease;
    }

    fn apply_round(&mut self, round: &Round) {
        if let Some(took) = round.took {
            add(&mut self.totals.rebalances, 1);
            add(&mut self.totals.rebalancing, took);
        }
        let Self { owners, members, entries, next_lease, .. } = self;
        let name = |slot| members.in_slot(slot).map(|member| Arc::clone(&member.name));
        owners.turn(round, name, |partition| {
            entries.windows[partition as usize].fences.revoked = *next_lease;
        });
    }

    fn apply_evicted(&mut self, partition: u32, due: Moment, last: Last) {
        for (partition, span) in self.entries.spans_with_leases_in(partition) {
            self.withdraw(partition, span, last, |group, held| {
                let leased = group.tag.state() == State::Leased;
                let hold = Hold { time: due, slot: Void::Revoked.slot(), ..held };
                leased.then_some((State::Withdrawn, hold))
            });
        }
        self.entries.windows[partition as usize].fences.revoked = self.next_lease;
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
        if let Some(member) = self.members.in_slot(slot) {
            let name = Arc::clone(&member.name);
            self.owners.forget(slot, &name);
            self.owners.version += 1;
        }
        let session = self.policy.session_timeout;
        let heard = self.members.sign(slot, due, session);
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
        self.members.leave(slot, why, if why == Gone::Left { due } else { heard });
    }

    fn apply_reopened(&mut self, reopening: &Reopening) {
        let Reopening { unclean, due, last, .. } = *reopening;
        self.totals = reopening.totals;
        // What was added later had nothing in it then.
        let ends = reopening.ends.iter().copied().chain(std::iter::repeat(0));
        for (partition, end) in (0..).zip(ends.take(self.partitions())) {
            self.entries.cut(partition, end);
            self.unpark(partition, end, u64::MAX);
            self.forget(partition, end, u64::MAX);
            let span = self.entries.window(partition).map_or(0..0, |w| w.floor..w.cursor);
            self.withdraw(partition, span, last, |group, held| {
                let (state, time) = match group.tag.state() {
                    State::Leased if unclean => (State::Suspect, due),
                    State::Leased => (State::Withdrawn, due),
                    State::Suspect => (State::Suspect, held.time),
                    State::Exhausted => (State::Exhausted, held.time),
                    _ => (State::Withdrawn, held.time),
                };
                // Of what was redriven, every token was void before; of what is deferred, there was none.
                let kept = [Void::Settled.slot(), Void::Deferred.slot()].contains(&held.slot);
                let kept = kept && matches!(group.tag.state(), State::Withdrawn | State::Exhausted);
                let slot = if kept { held.slot } else { Void::Reset.slot() };
                Some((state, Hold { lease: BEFORE, time, slot }))
            });
        }
        let Self { owners, members, .. } = self;
        let name = |slot| members.in_slot(slot).map(|member| Arc::clone(&member.name));
        owners.clear(name, reopening.generation);
        self.members.clear();
        self.entries.index.touches.reopen(due);
        self.given.restart();
        self.entries.index.sizes.clear();
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
        let Self { entries, doom, given, members, parked, totals, first_lease, .. } = self;
        let mut reaper = Reaper {
            parked,
            doom,
            given,
            members,
            spent: self.watched.then_some(&mut self.exhausted),
            discarded: &mut totals.discarded,
            first_lease: *first_lease,
        };
        entries.change(partition, span, |group, held| {
            let held = held?;
            let (state, next) = out(group, held)?;
            let (was, attempts) = (group.tag.state(), group.tag.attempts());
            if was == State::Leased && attempts >= last.attempt {
                return Some(reaper.reap(partition, group, (held, next), last));
            }
            if was == State::Leased && attempts == 1 {
                let lease = outside(reaper.first_lease, held);
                reaper.given.fail(partition, group.first..group.end(), lease);
            }
            Some(Next::held(state, attempts, next))
        });
    }
}

fn count_of(group: &Group) -> u32 {
    u32::try_from(group.count).expect("no longer than a chunk")
}

fn spent_of(partition: u32, group: &Group, then: Exhausted, reason: &Reason) -> Spent {
    let run = Run::new(partition, group.first, count_of(group));
    Spent { run, attempts: group.tag.attempts(), then, reason: reason.clone() }
}

/// The number by which a parked entry's last lease is known; 0 for one of an earlier opening.
fn outside(first_lease: u64, hold: Hold) -> u64 {
    if hold.lease == BEFORE { 0 } else { first_lease + (hold.lease - 1) }
}

/// Totals stop rather than wrap: a stored one may claim to be huge.
pub(super) fn add(total: &mut u64, count: u64) {
    *total = total.saturating_add(count);
}
