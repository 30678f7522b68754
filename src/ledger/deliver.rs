//! Handing out: what is due again, and the leases.

use std::time::Duration;

use super::book::{Ledger, OFFSETS_MAX};
use super::defer::Deferral;
use super::event::{Event, MemberId, Run, Settle, Skip};
use super::hold::LEASES_MAX;
use super::policy::Exhausted;
use super::times::{Now, after};
use super::window::State;
use crate::clock::Moment;
use crate::error::{Error, Result};
use crate::id::EntryId;

/// Whether a read that got its due entries may go on to new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// It may, up to its bound.
    New,
    /// It may not: an entry that might kill the process has to go alone.
    Nothing,
}

/// The number of a lease, when it ends, and until when it keeps its member alive.
pub(super) struct Terms {
    pub(super) number: u64,
    pub(super) deadline: Moment,
    pub(super) alive_until: Moment,
    pub(super) wall: u64,
}

impl Ledger {
    /// Appends what may be handed out again now to the member in `slot`, by due time, then id: at
    /// most `max` entries.
    ///
    /// A suspect before its last attempt goes alone, because whoever kills the process now is
    /// exhausted by it: the read that would reach one ends before it.
    pub(crate) fn due_runs(&self, now: Moment, slot: u16, max: u32, out: &mut Vec<Run>) -> Then {
        let mut left = max;
        let readable = |partition| self.may_read(slot, partition);
        for (id, count) in self.entries.index.due.ready(now, readable) {
            if left == 0 {
                break;
            }
            let count = u32::try_from(count).unwrap_or(u32::MAX).min(left);
            let run = Run::new(id.partition(), id.offset(), count);
            let Some(guilty) = self.first_on_last_chance(run) else {
                out.push(run);
                left -= count;
                continue;
            };
            let before = run.below(guilty);
            match before.count {
                0 if left == max => out.push(Run::from(id)),
                0 => {}
                _ => out.push(before),
            }
            return Then::Nothing;
        }
        Then::New
    }

    fn first_on_last_chance(&self, run: Run) -> Option<u64> {
        if self.entries.index.suspects == 0 {
            return None;
        }
        let mut groups = self.entries.window(run.partition)?.groups(run.offsets());
        let guilty = groups.find(|group| {
            let next = group.tag.attempts().saturating_add(1);
            group.tag.state() == State::Suspect && next >= self.policy.max_deliveries
        });
        guilty.map(|group| group.first)
    }

    /// Leases `runs` to a member, all under one number, which it returns, and puts off what the read
    /// met between them. Each run either waits and is due, or is new: such runs are in order, those of
    /// a partition one behind the other, and what lies between the cursor, them and the deferrals is
    /// passed.
    ///
    /// # Errors
    /// [`Error::NotAMember`]; [`Error::LimitReached`] after 2^48 leases in one opening.
    pub(crate) fn hand_out_or_defer(
        &self,
        now: Now,
        member: MemberId,
        lease: Duration,
        runs: &[Run],
        mut deferrals: &[Deferral],
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        let Terms { number, deadline, alive_until, wall } = self.terms(now, member, lease)?;
        let (from, mut ahead) = (out.len(), None);
        for (n, run) in runs.iter().enumerate() {
            let (run, lease, slot) = (*run, number, member.slot);
            self.defer_until(n, &mut deferrals, &mut ahead, from, out);
            let follows = self.pass_to(run, &mut ahead, out);
            let event =
                Event::HandedOut { run, lease, slot, deadline, alive_until, at: now.at, wall };
            debug_assert!(follows || self.check(&event) == Ok(()), "{event:?}");
            out.push(event);
        }
        self.defer_until(usize::MAX, &mut deferrals, &mut ahead, from, out);
        Ok(number)
    }

    /// The same where all is due.
    #[cfg(test)]
    pub(crate) fn hand_out(
        &self,
        now: Now,
        member: MemberId,
        lease: Duration,
        runs: &[Run],
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        self.hand_out_or_defer(now, member, lease, runs, &[], out)
    }

    /// What the next leases of a member go by.
    pub(super) fn terms(&self, now: Now, member: MemberId, lease: Duration) -> Result<Terms> {
        self.members.get(member)?;
        let number = self.next_lease;
        if number - self.first_lease >= LEASES_MAX || number == u64::MAX {
            return Err(Error::LimitReached { what: "leases of one opening", max: LEASES_MAX });
        }
        let deadline = after(now.at, lease);
        let mut alive_until = after(now.at, self.policy.session_timeout);
        // Only a dead letter tells when.
        let told = self.policy.on_exhausted == Exhausted::DeadLetter;
        let wall = if told { now.wall } else { 0 };
        if lease != self.policy.lease {
            // A lease of its own length keeps its member alive until it ends.
            alive_until = alive_until.max(deadline);
        }
        Ok(Terms { number, deadline, alive_until, wall })
    }

    /// Settles runs that a hand-out of the same call leases, in the mode in which reading is
    /// acking.
    pub(crate) fn settle_handed_out(runs: &[Run], out: &mut Vec<Event>) {
        let from = out.len();
        for run in runs {
            Event::Settled { run: *run, how: Settle::Acked }.push(from, out);
        }
    }

    /// Gives up all entries of a partition from `first` to `end`, whatever they are, as lost.
    /// Returns how many that are: those settled before are not lost, the parked ones are.
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`] if entries between the cursor and `first` would be jumped over.
    pub(crate) fn skip(
        &self,
        partition: u32,
        first: u64,
        end: u64,
        out: &mut Vec<Event>,
    ) -> Result<u64> {
        let Some(window) = self.entries.window(partition) else {
            return Err(self.no_such_partition(partition));
        };
        if first > window.cursor {
            let start = EntryId::new(partition, first);
            return Err(Error::StartBeyondEnd { start, end: window.cursor });
        }
        let end = end.min(OFFSETS_MAX);
        let lost = self.loss(partition, first, end).entries();
        if lost > 0 {
            out.push(Event::Skipped { partition, first, end, why: Skip::Asked });
        }
        Ok(lost)
    }
}
