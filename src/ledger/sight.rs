//! A ledger that somebody looks at whose it is not: it follows the journal of the process that has the
//! stream, and changes nothing there.
//!
//! What the owner keeps to itself, because an opening would end it anyway, has to be made up here:
//!
//! | what | as it is seen |
//! |---|---|
//! | the end of a lease | the group's lease from the hand-out, by the wall time of its record |
//! | what was held when a journal's segment began | so since then |
//! | a member's last sign of life | the last event of its own, likewise |
//! | whether a hand-over is under way | so after a round that does not end one |
//! | whether a strategy has still to be asked | so from a join or leave to the next round |
//!
//! Nothing that time ends is ended here: the owner will, and says so in the journal. Idle time is never
//! told too long, unless the wall clock jumped.

use super::book::Ledger;
use super::entries::Next;
use super::event::{Event, Round};
use super::hold::Hold;
use super::replay::Inconsistent;
use super::times::after;
use super::window::State;
use crate::clock::Moment;

impl Ledger {
    /// What is told of leases and members, if this was just read from a snapshot of that moment.
    pub(crate) fn first_seen(&mut self, then: Moment) {
        let until = after(then, self.policy.lease);
        for (partition, span) in self.entries.spans_with_leases() {
            self.entries.change(partition, span, |group, held| {
                let leased = group.tag.state() == State::Leased;
                let hold = Hold { time: until, ..held? };
                leased.then(|| Next::held(State::Leased, group.tag.attempts(), hold))
            });
        }
        if self.next_lease > self.first_lease {
            self.note_lease(self.lease_in_hold(self.next_lease - 1), then);
        }
        for member in self.members.slots.values_mut() {
            member.seen = then;
        }
        self.owners.planned = self.owners.version;
        if !self.owners.until.is_empty() {
            self.owners.suppose(then);
        }
    }

    /// As [`replay`](Self::replay), for who looks on at what was recorded at that moment.
    pub(crate) fn follow(
        &mut self,
        mut event: Event,
        ends: &[u64],
        then: Moment,
    ) -> Result<(), Inconsistent> {
        let until = after(then, self.policy.lease);
        let (mut from, mut goes_on) = (None, None);
        match &mut event {
            Event::HandedOut { slot, deadline, at, .. }
            | Event::Claimed { slot, deadline, at, .. } => {
                (*deadline, *at) = (until, then);
                from = Some(*slot);
            }
            Event::Extended { deadline, at, .. } => (*deadline, *at) = (until, then),
            Event::Joined { slot, .. } | Event::SettledThrough { slot, .. } => from = Some(*slot),
            Event::Round(round) => {
                let Round { open, took, .. } = **round;
                goes_on = Some(took.is_none() && !open);
            }
            _ => {}
        }
        self.replay(event, ends)?;
        if let Some(member) = from.and_then(|slot| self.members.slots.get_mut(&slot)) {
            member.seen = then;
        }
        if let Some(goes_on) = goes_on {
            self.owners.planned = self.owners.version;
            if goes_on {
                self.owners.suppose(then);
            }
        }
        Ok(())
    }

    /// What the owner would have to say of a group that still needs entries the logs, which hold those
    /// from `starts` to `ends`, no longer have.
    pub(crate) fn gone(&self, starts: &[u64], ends: &[u64]) -> Vec<Event> {
        let mut events = Vec::new();
        for ((partition, start), end) in (0..).zip(starts).zip(ends) {
            let _ = self.trimmed(partition, *start, *end, &mut events);
        }
        events
    }

    /// Leaves that out. What is lost by it, only the owner can say.
    pub(crate) fn leave_out(&mut self, gone: &[Event]) {
        let totals = self.totals;
        for event in gone {
            self.apply(event);
        }
        self.totals = totals;
    }

    /// The runs that are leased, each with its lease's number.
    pub(crate) fn held(&self) -> impl Iterator<Item = (u64, super::Run)> {
        self.entries.spans_with_leases().into_iter().flat_map(move |(partition, span)| {
            let groups = self.entries.window(partition).into_iter();
            let groups = groups.flat_map(move |window| window.groups(span.clone()));
            groups.filter_map(move |group| {
                let leased = group.tag.state() == State::Leased;
                let hold = leased.then(|| self.entries.index.holds.get(group.hold))?;
                let count = u32::try_from(group.count).expect("no longer than a chunk");
                let run = super::Run::new(partition, group.first, count);
                Some((self.lease_number(hold)?, run))
            })
        })
    }
}

impl super::owner::Owners {
    /// A hand-over is under way of which only the rounds are known.
    fn suppose(&mut self, began: Moment) {
        self.start(&super::event::Planned {
            open: true,
            eager: false,
            target: Box::default(),
            at: began,
        });
    }
}
